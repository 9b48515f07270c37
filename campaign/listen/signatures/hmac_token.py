"""Mailgun's signature: HMAC-SHA256 over a time stamp and a random token, both within the body.

It does not cover the rest of the body, so a token is bound to the body that it first came with. Mailgun repeats a
request unless the answer is 200 or 406. A wrong signature is answered 401, so that nothing is lost while our key is
wrong.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from campaign.listen.signatures.replay_memory import ReplayMemory
from campaign.listen.signatures.webhook_request import WebhookRefused, WebhookRequest, refuse_old

#: Seconds that a time stamp may differ from our clock: Mailgun repeats a request for eight hours.
TOLERANCE = 12 * 3600.0
#: Longest token and signature, in characters.
LONGEST_TOKEN = 256


class HmacToken:
    """A `WebhookScheme` with the signing keys of one account; ``memory`` has the tokens that were seen."""

    def __init__(self, keys: Sequence[str], memory: ReplayMemory) -> None:
        self._keys = tuple(one.encode() for one in keys)
        self._memory = memory

    def verify(self, headers: Mapping[str, str], body: bytes, now: float) -> WebhookRequest:  # noqa: ARG002
        """The request, with its token as id. Raises WebhookRefused."""
        stamp, token, signature = _signed_parts(body)
        refuse_old(stamp, now, TOLERANCE, HTTPStatus.NOT_ACCEPTABLE)
        signed, given = (stamp + token).encode(), signature.encode()
        wanted = [hmac.new(key, signed, hashlib.sha256).hexdigest().encode() for key in self._keys]
        if not any(hmac.compare_digest(given, one) for one in wanted):
            raise WebhookRefused(HTTPStatus.UNAUTHORIZED, "Its signature is not made with our signing key.")
        if self._memory.is_other(token, body):
            raise WebhookRefused(HTTPStatus.NOT_ACCEPTABLE, "Its token came with another body before.")
        return WebhookRequest(token)


def _signed_parts(body: bytes) -> tuple[str, str, str]:
    try:
        found: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        found = None
    signature = found.get("signature") if isinstance(found, dict) else None
    parts = [signature.get(key) for key in ("timestamp", "token", "signature")] if isinstance(signature, dict) else []
    texts = [str(one) for one in parts if isinstance(one, str | int)]
    if len(texts) != len(("timestamp", "token", "signature")) or max(map(len, texts)) > LONGEST_TOKEN:
        raise WebhookRefused(HTTPStatus.NOT_ACCEPTABLE, "It has no signature with timestamp, token and signature.")
    return texts[0], texts[1], texts[2]
