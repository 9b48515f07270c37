"""Requests that carry a secret are taken with it, and answered 401 without it."""

from __future__ import annotations

import base64

import pytest

from campaign.listen.signatures.shared_secret import SharedSecret, basic_secret, token_secret
from campaign.listen.signatures.webhook_request import WebhookRefused


def basic(pair: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def refusal(scheme: SharedSecret, headers: dict[str, str]) -> int:
    with pytest.raises(WebhookRefused) as refused:
        scheme.verify(headers, b"{}", 0)
    assert "hunter" not in refused.value.why
    return refused.value.status


def test_user_and_password_are_taken_with_each_of_its_passwords() -> None:
    scheme = basic_secret("postmark", ["hunter3", "hunter:2ü"])
    assert scheme.verify(basic("postmark:hunter3"), b"{}", 0).answer is None
    assert scheme.verify(basic("postmark:hunter:2ü"), b"{}", 0).id
    assert scheme.verify({"authorization": basic("postmark:hunter3")["authorization"].replace("B", "b", 1)}, b"", 0).id


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Basic"},
        {"authorization": "Basic !"},
        {"authorization": "Bearer hunter3"},
        {"authorization": "Basic ü"},
        basic("postmark:hunter4"),
        basic("postmark:"),
        basic("other:hunter3"),
    ],
)
def test_without_them_the_answer_is_401_because_403_would_stop_postmark_for_ever(headers: dict[str, str]) -> None:
    assert refusal(basic_secret("postmark", ["hunter3"]), headers) == 401


def test_a_token_is_a_bearer_token_or_in_a_header_of_its_own() -> None:
    assert token_secret("", ["hunter"]).verify({"authorization": "Bearer hunter"}, b"{}", 0).id
    assert token_secret("x-webhook-token", ["hunter"]).verify({"x-webhook-token": "hunter"}, b"{}", 0).id
    assert refusal(token_secret("", ["hunter"]), {"authorization": "Bearer hunter2"}) == 401
    assert refusal(token_secret("", ["hunter"]), {"authorization": "Digest hunter"}) == 401
    assert refusal(token_secret("x-webhook-token", ["hunter"]), {"authorization": "Bearer hunter"}) == 401


def test_the_same_body_has_the_same_id() -> None:
    scheme = token_secret("x", ["hunter"])
    ids = [scheme.verify({"x": "hunter"}, body, 0).id for body in (b"1", b"1", b"2")]
    assert ids[0] == ids[1] != ids[2]
