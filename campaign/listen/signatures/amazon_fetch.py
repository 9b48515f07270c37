"""Fetches a small document from a host of Amazon: over TLS, without redirects, within a size and a time."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import urlsplit

#: Largest document, in octets; longest time for all of it, in seconds.
LARGEST, LONGEST_FETCH = 64 << 10, 10.0
_STEP = 5.0
_BLOCK = 8192


class FetchError(Exception):
    """A document that could not be fetched, and why."""


def fetch_document(
    url: str, context: ssl.SSLContext | None = None, clock: Callable[[], float] = time.monotonic
) -> bytes:
    """The document at an https address that the caller has checked. Raises FetchError."""
    parts = urlsplit(url)
    until = clock() + LONGEST_FETCH
    connection = http.client.HTTPSConnection(
        parts.hostname or "", parts.port, timeout=_STEP, context=context or ssl.create_default_context()
    )
    try:
        connection.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path)
        answer = connection.getresponse()
        if answer.status != HTTPStatus.OK:
            raise FetchError(f"{parts.hostname} answers {answer.status}")
        return _content(answer, until, clock)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise FetchError(str(error) or type(error).__name__) from None
    finally:
        connection.close()


def _content(answer: http.client.HTTPResponse, until: float, clock: Callable[[], float]) -> bytes:
    found = b""
    while block := answer.read1(_BLOCK):
        found += block
        if len(found) > LARGEST:
            raise FetchError(f"the document is larger than {LARGEST >> 10} KiB")
        if clock() > until:
            raise FetchError(f"the document takes longer than {LONGEST_FETCH:g} seconds")
    return found
