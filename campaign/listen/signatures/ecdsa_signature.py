"""SendGrid's signature: ECDSA on P-256 with SHA-256, over the time stamp and the body as it was sent."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from http import HTTPStatus

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from campaign.listen.signatures.webhook_request import WebhookRefused, WebhookRequest, body_identity, refuse_old

#: Seconds that a time stamp may differ from our clock: SendGrid repeats a request for a day.
TOLERANCE = 25 * 3600.0
SIGNATURE = "x-twilio-email-event-webhook-signature"
TIMESTAMP = "x-twilio-email-event-webhook-timestamp"


class EcdsaSignature:
    """A `WebhookScheme` with the public key of one account."""

    def __init__(self, key: ec.EllipticCurvePublicKey) -> None:
        self._key = key

    def verify(self, headers: Mapping[str, str], body: bytes, now: float) -> WebhookRequest:
        """The request, with an id made of what is signed. Raises WebhookRefused."""
        signature, stamp = headers.get(SIGNATURE, ""), headers.get(TIMESTAMP, "")
        if not (signature and stamp):
            raise WebhookRefused(HTTPStatus.UNAUTHORIZED, "It is not signed; is Signed Event Webhook on?")
        refuse_old(stamp, now, TOLERANCE, HTTPStatus.BAD_REQUEST)
        try:
            self._key.verify(
                base64.b64decode(signature, validate=True), stamp.encode() + body, ec.ECDSA(hashes.SHA256())
            )
        except (InvalidSignature, ValueError):
            raise WebhookRefused(HTTPStatus.UNAUTHORIZED, "Its signature does not fit our verification key.") from None
        return WebhookRequest(body_identity(body, stamp))
