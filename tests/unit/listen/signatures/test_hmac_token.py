"""Mailgun's signatures: a token is bound to the body that it came with, and each altered form is refused."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest

from campaign.listen.signatures.hmac_token import TOLERANCE, HmacToken
from campaign.listen.signatures.replay_memory import ReplayMemory
from campaign.listen.signatures.webhook_request import WebhookRefused

KEY, STAMP, TOKEN = "key-0123456789abcdef", 1529006854, "a8ce0edb2dd8301dee6c2405235584e45aa91d1e9f979f3de0"


def signed(key: str = KEY, stamp: int | str = STAMP, token: str = TOKEN) -> dict[str, Any]:
    given = hmac.new(key.encode(), f"{stamp}{token}".encode(), hashlib.sha256).hexdigest()
    return {"timestamp": str(stamp), "token": token, "signature": given}


def body(signature: dict[str, Any] | None = None, **event: str) -> bytes:
    return json.dumps({"signature": signature or signed(), "event-data": {"event": "complained", **event}}).encode()


def refusal(scheme: HmacToken, content: bytes, now: float = STAMP) -> int:
    with pytest.raises(WebhookRefused) as refused:
        scheme.verify({}, content, now)
    return refused.value.status


@pytest.fixture
def scheme() -> HmacToken:
    return HmacToken([KEY], ReplayMemory())


def test_a_request_that_is_signed_with_our_key_is_taken(scheme: HmacToken) -> None:
    assert scheme.verify({}, body(), STAMP).id == TOKEN


def test_the_signature_is_the_one_that_another_program_computes(scheme: HmacToken) -> None:
    given = "60de66bc807c4569f75daf3d09b760e009c20a11251daeb7615eb8c152a8a31c"  # openssl dgst -sha256 -hmac
    assert scheme.verify({}, body({**signed(), "signature": given}), STAMP).id == TOKEN
    assert refusal(scheme, body({**signed(), "signature": given[:-1] + "d"})) == 401


def test_one_bit_of_token_time_or_key_is_enough_to_be_refused(scheme: HmacToken) -> None:
    assert refusal(scheme, body({**signed(), "token": TOKEN[:-1] + "1"})) == 401
    assert refusal(scheme, body({**signed(), "timestamp": str(STAMP + 1)})) == 401
    assert refusal(scheme, body(signed(key=KEY + "x"))) == 401


def test_a_token_is_of_no_use_for_another_body_and_mailgun_is_told_to_stop(scheme: HmacToken) -> None:
    scheme.verify({}, body(), STAMP)
    assert refusal(scheme, body(recipient="jane@example.org")) == 406
    assert scheme.verify({}, body(), STAMP).id == TOKEN  # Mailgun's own repeat


def test_a_wrong_signature_does_not_use_up_a_token(scheme: HmacToken) -> None:
    assert refusal(scheme, body({**signed(), "signature": "0" * 64}, recipient="x")) == 401
    assert scheme.verify({}, body(), STAMP).id == TOKEN


def test_an_old_request_is_not_to_be_repeated(scheme: HmacToken) -> None:
    assert refusal(scheme, body(), STAMP + TOLERANCE + 1) == 406
    assert scheme.verify({}, body(), STAMP + TOLERANCE - 1).id == TOKEN


def test_a_key_may_be_exchanged() -> None:
    assert HmacToken(["new", KEY], ReplayMemory()).verify({}, body(), STAMP).id == TOKEN


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"[" * 100_000,
        b"\xff",
        b'{"signature": "x"}',
        b'{"signature": {"timestamp": "1", "token": null, "signature": "x"}}',
        json.dumps({"signature": {**signed(), "token": "x" * 300}}).encode(),
    ],
)
def test_a_body_without_a_signature_is_not_to_be_repeated(scheme: HmacToken, content: bytes) -> None:
    assert refusal(scheme, content) == 406
