"""SendGrid's signatures: the example of its own libraries is taken, and each altered form is refused."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from campaign.listen.signatures.ecdsa_signature import SIGNATURE, TIMESTAMP, TOLERANCE, EcdsaSignature
from campaign.listen.signatures.webhook_keys import verification_key
from campaign.listen.signatures.webhook_request import WebhookRefused

#: Published with SendGrid's libraries: the public key, a signature, its time stamp and the event that was signed.
KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6w"
    "EA3F+g=="
)
GIVEN = "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM="
STAMP = "1600112502"
EVENT = {
    "email": "hello@world.com",
    "event": "dropped",
    "reason": "Bounced Address",
    "sg_event_id": "ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",
    "sg_message_id": "LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",
    "smtp-id": "<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>",
    "timestamp": 1600112492,
}
BODY = json.dumps([EVENT], sort_keys=True, separators=(",", ":")).encode() + b"\r\n"


@pytest.fixture
def scheme(tmp_path: Path) -> EcdsaSignature:
    file = tmp_path / "sendgrid.key"
    file.write_text(KEY + "\n")
    return EcdsaSignature(verification_key(file))


def headers(signature: str = GIVEN, stamp: str = STAMP) -> dict[str, str]:
    return {SIGNATURE: signature, TIMESTAMP: stamp}


def refusal(scheme: EcdsaSignature, given: dict[str, str], body: bytes = BODY, late: float = 0) -> int:
    with pytest.raises(WebhookRefused) as refused:
        scheme.verify(given, body, int(STAMP) + late)
    return refused.value.status


def test_the_published_example_is_taken_with_the_line_end_of_its_body(scheme: EcdsaSignature) -> None:
    assert scheme.verify(headers(), BODY, int(STAMP)).answer is None
    assert refusal(scheme, headers(), BODY.strip()) == 401


def test_one_bit_of_body_time_or_signature_is_enough_to_be_refused(scheme: EcdsaSignature) -> None:
    octets = bytearray(base64.b64decode(GIVEN))
    octets[20] ^= 1
    assert refusal(scheme, headers(), bytes([BODY[0] ^ 1]) + BODY[1:]) == 401
    assert refusal(scheme, headers(stamp="1600112503")) == 401
    assert refusal(scheme, headers(signature=base64.b64encode(octets).decode())) == 401


@pytest.mark.parametrize("signature", ["x", "not base64!", "AAAA", "ü"])
def test_a_signature_that_is_none_is_refused(scheme: EcdsaSignature, signature: str) -> None:
    assert refusal(scheme, headers(signature=signature)) == 401


def test_a_request_that_is_not_signed_is_refused(scheme: EcdsaSignature) -> None:
    assert refusal(scheme, {}) == 401


def test_what_is_older_than_sendgrids_own_repeats_is_refused(scheme: EcdsaSignature) -> None:
    assert refusal(scheme, headers(), late=TOLERANCE + 1) == 400
    assert scheme.verify(headers(), BODY, int(STAMP) + TOLERANCE - 1).id


def test_the_same_request_has_the_same_id(scheme: EcdsaSignature) -> None:
    first, again = (scheme.verify(headers(), BODY, int(STAMP) + late) for late in (0, 60))
    assert first.id == again.id
