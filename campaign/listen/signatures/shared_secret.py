"""Requests that carry a secret: HTTP basic authentication, a bearer token, or a header of the operator's choice.

A wrong secret is answered 401, never 403: after a 403 Postmark sends nothing more, ever.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from campaign.listen.signatures.webhook_request import WebhookRefused, WebhookRequest, body_identity


class SharedSecret:
    """A `WebhookScheme`: ``header`` must hold one of ``values``, after the word ``scheme`` if there is one."""

    def __init__(self, header: str, scheme: str, values: Sequence[str]) -> None:
        self._header, self._scheme = header, scheme
        self._values = tuple(one.encode() for one in values)

    def verify(self, headers: Mapping[str, str], body: bytes, now: float) -> WebhookRequest:  # noqa: ARG002
        """The request, with an id made of its body. Raises WebhookRefused."""
        given = headers.get(self._header, "")
        if self._scheme:
            word, _, given = given.partition(" ")
            given = given.strip() if word.lower() == self._scheme else ""
        if not given:
            raise WebhookRefused(HTTPStatus.UNAUTHORIZED, f"It has no {self._scheme or 'token'} in {self._header}.")
        octets = given.encode("utf-8", "surrogateescape")
        if not any(hmac.compare_digest(octets, one) for one in self._values):
            raise WebhookRefused(HTTPStatus.UNAUTHORIZED, f"What {self._header} holds is not what we expect.")
        return WebhookRequest(body_identity(body))


def basic_secret(user: str, passwords: Sequence[str]) -> SharedSecret:
    """HTTP basic authentication with one of several passwords."""
    pairs = [base64.b64encode(f"{user}:{one}".encode()).decode() for one in passwords]
    return SharedSecret("authorization", "basic", pairs)


def token_secret(header: str, tokens: Sequence[str]) -> SharedSecret:
    """One of several tokens in ``header``, or as a bearer token if that is ``""``."""
    return SharedSecret(header, "", tokens) if header else SharedSecret("authorization", "bearer", tokens)
