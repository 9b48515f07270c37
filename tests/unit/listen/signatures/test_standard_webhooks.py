"""Signatures of Standard Webhooks: the specification's own example is taken, and each altered form is refused."""

from __future__ import annotations

import base64
import hmac

import pytest

from campaign.listen.signatures.standard_webhooks import TOLERANCE, StandardSignature
from campaign.listen.signatures.webhook_request import WebhookRefused

#: The example that the specification's libraries are tested with.
KEY = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
NAME, STAMP = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
BODY = b'{"test": 2432232314}'
OTHER_KEY = b"another key of ours, for a while"


def headers(prefix: str = "webhook", **changed: str) -> dict[str, str]:
    parts = {"id": NAME, "timestamp": str(STAMP), "signature": SIGNATURE, **changed}
    return {f"{prefix}-{key}": one for key, one in parts.items()}


def refusal(scheme: StandardSignature, given: dict[str, str], body: bytes = BODY, now: float = STAMP) -> int:
    with pytest.raises(WebhookRefused) as refused:
        scheme.verify(given, body, now)
    return refused.value.status


@pytest.mark.parametrize("prefix", ["webhook", "svix"])
def test_the_published_example_is_taken_by_both_names_of_its_headers(prefix: str) -> None:
    found = StandardSignature([KEY]).verify(headers(prefix), BODY, STAMP)
    assert (found.id, found.answer) == (NAME, None)


def test_one_bit_of_body_id_time_or_signature_is_enough_to_be_refused() -> None:
    scheme = StandardSignature([KEY])
    assert refusal(scheme, headers(), BODY[:-1] + bytes([BODY[-1] ^ 1])) == 401
    assert refusal(scheme, headers(id=NAME[:-1] + "j")) == 401
    assert refusal(scheme, headers(timestamp=str(STAMP + 1))) == 401
    assert refusal(scheme, headers(signature=SIGNATURE.replace("g0hM", "g0hN"))) == 401
    assert refusal(scheme, headers(signature=SIGNATURE.replace("v1,", "v2,"))) == 401
    assert refusal(StandardSignature([OTHER_KEY]), headers()) == 401


def test_each_side_may_exchange_its_key() -> None:
    text = f"{NAME}.{STAMP}.".encode() + BODY
    new = "v1," + base64.b64encode(hmac.digest(OTHER_KEY, text, "sha256")).decode()
    assert StandardSignature([OTHER_KEY, KEY]).verify(headers(), BODY, STAMP).id == NAME
    assert StandardSignature([OTHER_KEY]).verify(headers(signature=f"{SIGNATURE} {new}"), BODY, STAMP).id == NAME


@pytest.mark.parametrize("late", [TOLERANCE + 1, -TOLERANCE - 1])
def test_an_old_or_future_time_stamp_is_refused(late: float) -> None:
    assert refusal(StandardSignature([KEY]), headers(), now=STAMP + late) == 400
    assert StandardSignature([KEY]).verify(headers(), BODY, STAMP + late * 0.99).id == NAME


@pytest.mark.parametrize("stamp", ["", "now", "-5", "1e9", "٣", "9" * 5000])
def test_a_time_stamp_that_is_no_number_is_refused(stamp: str) -> None:
    assert refusal(StandardSignature([KEY]), headers(timestamp=stamp)) == 400


@pytest.mark.parametrize("missing", ["id", "timestamp", "signature"])
def test_a_request_without_one_of_the_headers_is_refused(missing: str) -> None:
    assert refusal(StandardSignature([KEY]), headers(**{missing: ""})) == 400
