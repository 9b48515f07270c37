"""Signatures of the Standard Webhooks specification, which Svix and Resend use too.

HMAC-SHA256 over id, time stamp and body. The header may have several signatures, and we may have several keys,
while either side exchanges them. The time stamp is that of the attempt, so a request that is repeated has a new one.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from campaign.listen.signatures.webhook_request import WebhookRefused, WebhookRequest, refuse_old

#: Seconds that a time stamp may differ from our clock.
TOLERANCE = 300.0
#: Most signatures that are looked at, and the longest id, in characters.
MOST_SIGNATURES, LONGEST_ID = 20, 256


class StandardSignature:
    """A `WebhookScheme` with the keys of one sender."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = tuple(keys)

    def verify(self, headers: Mapping[str, str], body: bytes, now: float) -> WebhookRequest:
        """The request, with the id of its header. Raises WebhookRefused."""
        name, stamp, signatures = (_header(headers, part) for part in ("id", "timestamp", "signature"))
        if not (name and stamp and signatures) or len(name) > LONGEST_ID:
            raise WebhookRefused(HTTPStatus.BAD_REQUEST, "It lacks webhook-id, webhook-timestamp or webhook-signature.")
        refuse_old(stamp, now, TOLERANCE, HTTPStatus.BAD_REQUEST)
        signed = f"{name}.{stamp}.".encode() + body
        wanted = [base64.b64encode(hmac.digest(key, signed, "sha256")) for key in self._keys]
        given = [one.partition(",")[2].encode() for one in signatures.split()[:MOST_SIGNATURES] if one[:3] == "v1,"]
        if not any(hmac.compare_digest(one, other) for one in given for other in wanted):
            raise WebhookRefused(HTTPStatus.UNAUTHORIZED, "Its signature is not made with our secret.")
        return WebhookRequest(name)


def _header(headers: Mapping[str, str], part: str) -> str:
    return headers.get(f"webhook-{part}") or headers.get(f"svix-{part}", "")
