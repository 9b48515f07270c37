"""Requests over one persistent HTTPS connection: certificates checked, no redirect followed, answers bounded."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

#: Seconds without an octet, seconds for a whole answer, and the largest answer in octets.
STEP, WHOLE, LARGEST = 30.0, 180.0, 32 << 20
_BLOCK = 1 << 16


class HttpsEndpoint(NamedTuple):
    """The host to connect to: the service's own, or another one in tests; ``context`` verifies its certificate."""

    host: str
    port: int
    context: ssl.SSLContext


class WholeAnswer(NamedTuple):
    """A whole answer; names in ``headers`` are found in any case."""

    status: int
    headers: http.client.HTTPMessage
    content: bytes


class HttpsClient:
    """One host. Connects at the first request, and again after a connection was closed. ``now`` is a clock."""

    def __init__(self, endpoint: HttpsEndpoint, now: Callable[[], float], step: float = STEP) -> None:
        self._endpoint, self._now, self._step = endpoint, now, step
        self._connection: http.client.HTTPSConnection | None = None

    def ask(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None = None, *, wait: float = 0.0
    ) -> WholeAnswer:
        """One request and its answer, which may take ``wait`` seconds longer.

        Raises OSError and HTTPException; the connection is closed then.
        """
        try:
            connection = self._connected(wait)
            connection.request(method, target, body, headers)
            response = connection.getresponse()
            return WholeAnswer(response.status, response.headers, self._content(response, wait))
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def close(self) -> None:
        """Close the connection. Never raises."""
        if self._connection is not None:
            with suppress(OSError):
                self._connection.close()
            self._connection = None

    def _connected(self, wait: float) -> http.client.HTTPSConnection:
        step = self._step + wait
        if self._connection is None:
            host, port, context = self._endpoint
            self._connection = http.client.HTTPSConnection(host, port, timeout=step, context=context)
        if self._connection.sock is not None:
            self._connection.sock.settimeout(step)
        return self._connection

    def _content(self, response: http.client.HTTPResponse, wait: float) -> bytes:
        ends, expected, content = self._now() + WHOLE + wait, response.length, bytearray()
        while block := response.read1(_BLOCK):
            content += block
            if len(content) > LARGEST:
                raise http.client.HTTPException(f"its answer is larger than {LARGEST >> 20} MiB")
            if self._now() > ends:
                raise http.client.HTTPException(f"its answer takes longer than {WHOLE:.0f} seconds")
        response.close()  # which keeps the connection
        if expected is not None and len(content) != expected:
            raise http.client.IncompleteRead(bytes(content[:1]), expected - len(content))
        return bytes(content)
