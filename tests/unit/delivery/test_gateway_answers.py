"""What each gateway answers, as its documentation shows it, and what follows from it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from campaign.delivery.http.exchange import GatewayAnswer
from campaign.delivery.http.gateway_api import gateway_api
from campaign.delivery.relays.gateway_presets import find_gateway
from campaign.delivery.replies.classify import Action, Rules, Stage
from campaign.delivery.replies.stop_conditions import StopConditions
from campaign.errors import RelayError
from campaign.model import Reply
from tests.unit.delivery.test_gateway_presets import EXAMPLES

RULES = Rules.load()
GMAIL_DISABLED = {
    "error": {
        "code": 403,
        "message": "Gmail API has not been used in project 1 before or it is disabled.",
        "errors": [{"message": "…", "domain": "usageLimits", "reason": "accessNotConfigured"}],
        "status": "PERMISSION_DENIED",
    }
}
SPARKPOST_DOMAIN = {
    "errors": [
        {
            "message": "Invalid domain",
            "description": "Unconfigured Sending Domain <example.com>",
            "code": "7001",
        }
    ]
}
SPARKPOST_REJECTED = {"results": {"total_rejected_recipients": 1, "total_accepted_recipients": 0, "id": "1"}}


def read(kind: str, status: int, body: Any, headers: dict[str, str] | None = None) -> Reply | None:
    _, preset = find_gateway(EXAMPLES[kind]) or ("", None)
    assert preset is not None
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return gateway_api(preset, "you@example.com").letter_reply(GatewayAnswer(status, headers or {}, raw))


@pytest.mark.parametrize(
    ("kind", "status", "body", "headers", "text"),
    [
        ("ses-api", 200, {"MessageId": "010001-abc-000000"}, {}, "010001-abc-000000"),
        ("mailgun-api", 200, {"id": "<1@example.com>", "message": "Queued. Thank you."}, {}, "<1@example.com>"),
        (
            "sparkpost-api",
            200,
            {"results": {"total_rejected_recipients": 0, "total_accepted_recipients": 1, "id": "11668787484950529"}},
            {},
            "11668787484950529",
        ),
        ("gmail-api", 200, {"id": "18c", "threadId": "18c", "labelIds": ["SENT"]}, {}, "18c"),
        ("graph-api", 202, b"", {"request-id": "b7cd"}, "request: b7cd"),
    ],
)
def test_an_acceptance_keeps_the_gateways_own_id(
    kind: str, status: int, body: Any, headers: dict[str, str], text: str
) -> None:
    assert read(kind, status, body, headers) == Reply(status, "", text)


@pytest.mark.parametrize("kind", sorted(EXAMPLES))
@pytest.mark.parametrize("body", [b"", b"<html>502</html>", b"[]", b"null", b"{}", b'{"ok": true}', b"\xff\xfe"])
@pytest.mark.parametrize("status", [200, 400, 403, 404, 413, 429])
def test_what_is_not_in_the_providers_form_is_no_answer(kind: str, body: bytes, status: int) -> None:
    assert read(kind, status, body) is None


@pytest.mark.parametrize("kind", sorted(EXAMPLES))
def test_a_5xx_in_the_providers_form_is_no_answer_either(kind: str) -> None:
    forms = {
        "message": "m", "errors": [{"message": "m", "code": "1"}], "error": {"code": "c", "message": "m"}, "code": "c",
    }  # fmt: skip
    assert read(kind, 503, forms, {"x-amzn-errortype": "ServiceUnavailable"}) is None


@pytest.mark.parametrize(
    ("kind", "status", "body", "headers", "text", "action", "rule"),
    [
        (
            "ses-api", 400, {"message": "Email address is not verified. The following identities failed the check in "
            "region EU-WEST-1: u@example.com"}, {"x-amzn-errortype": "MessageRejected"},
            "MessageRejected: Email address is not verified.", Action.STOP, "ses-not-verified",
        ),
        (
            "ses-api", 429, {"message": "Maximum sending rate exceeded."},
            {"x-amzn-errortype": "TooManyRequestsException:http://internal.amazon.com/coral/"},
            "TooManyRequestsException: Maximum", Action.BACK_OFF, "gateway-too-fast",
        ),
        (
            "ses-api", 400, {"__type": "com.amazonaws#BadRequestException", "message": "Missing final '@domain'"}, {},
            "BadRequestException: Missing final", Action.REJECT, "gateway-bad-letter",
        ),
        (
            "ses-api", 403, {"message": "The security token included in the request is invalid."},
            {"x-amzn-errortype": "UnrecognizedClientException"}, "UnrecognizedClient", Action.STOP, "ses-login",
        ),
        (
            "mailgun-api", 400, {"message": "to parameter is not a valid address. please check documentation"}, {},
            "to parameter", Action.REJECT, "gateway-bad-recipient",
        ),
        ("mailgun-api", 401, b"Forbidden", {}, "Forbidden", Action.STOP, "gateway-login"),
        (
            "mailgun-api", 403, {"message": "Domain x is not allowed to send: recipient limit exceeded, try again "
            "after Thu, 01 Jan 2026"}, {}, "Domain x", Action.STOP, "mailgun-limit",
        ),
        ("sparkpost-api", 400, SPARKPOST_DOMAIN, {}, "7001: Invalid domain: Unconf", Action.STOP, "sparkpost-domain"),
        ("sparkpost-api", 200, SPARKPOST_REJECTED, {}, "recipient rejected", Action.REJECT, "gateway-bad-recipient"),
        ("gmail-api", 403, GMAIL_DISABLED, {}, "accessNotConfigured: Gmail", Action.STOP, "gmail-account"),
        (
            "gmail-api", 403, {"error": {"message": "Rate", "errors": [{"reason": "userRateLimitExceeded"}]}}, {},
            "userRateLimitExceeded", Action.BACK_OFF, "gateway-too-fast-in-words",
        ),
        (
            "gmail-api", 400, {"error": {"message": "Invalid To header", "errors": [{"reason": "invalidArgument"}]}},
            {}, "invalidArgument", Action.REJECT, "gateway-bad-recipient",
        ),
        (
            "graph-api", 400, {"error": {"code": "ErrorMimeContentInvalidBase64String", "message": "m"}}, {},
            "ErrorMime", Action.REJECT, "gateway-bad-letter",
        ),
        (
            "graph-api", 403, {"error": {"code": "ErrorAccessDenied", "message": "Access is denied."}}, {},
            "ErrorAccessDenied: Access is denied.", Action.STOP, "graph-account",
        ),
        (
            "graph-api", 413, {"error": {"code": "ErrorMessageSizeExceeded", "message": "m"}}, {},
            "ErrorMessageSizeExceeded", Action.REJECT, "gateway-too-big",
        ),
        (
            "graph-api", 409, {"error": {"code": "ErrorIrresolvableConflict", "message": "m"}}, {}, "ErrorIrres",
            Action.RETRY, "gateway-other",
        ),
    ],
)  # fmt: skip
def test_the_documented_refusals_and_what_follows(
    kind: str, status: int, body: Any, headers: dict[str, str], text: str, action: Action, rule: str
) -> None:
    reply = read(kind, status, body, headers)
    assert reply is not None
    assert reply.text.startswith(text)
    assert reply.code >= 400
    decision = RULES.decide(Stage.DOT, reply, gateway=kind)
    assert (decision.action, decision.rule) == (action, rule)


def test_a_status_is_not_judged_by_the_rules_for_smtp_nor_the_other_way_round() -> None:
    reply = Reply(400, "", "BadRequestException: m")
    assert RULES.decide(Stage.DOT, reply).action is Action.RETRY
    assert RULES.decide(Stage.DOT, reply, gateway="ses-api").action is Action.REJECT


def test_rules_of_the_campaign_file_come_first() -> None:
    rules = Rules.load([{"name": "mine", "text": "MessageRejected", "code": 400, "action": "retry"}])
    assert rules.decide(Stage.DOT, Reply(400, "", "MessageRejected: x"), gateway="ses-api").rule == "mine"


def test_retry_after_is_the_wait() -> None:
    reply = Reply(429, "", "ApplicationThrottled: m (retry-after: 17)")
    assert RULES.decide(Stage.DOT, reply, gateway="graph-api").retry_after == 17.0


def test_a_gateway_that_refuses_too_many_letters_stops_the_run() -> None:
    stops = StopConditions(share=0.1, window=10)
    reply = Reply(400, "", "MessageRejected: x")
    decision = RULES.decide(Stage.DOT, reply, gateway="ses-api")
    errors = [stops.look(decision, reply, "ses-api") for _ in range(10)]
    assert errors[:9] == [None] * 9
    assert isinstance(errors[9], RelayError)


def test_bad_addresses_alone_do_not_stop_it() -> None:
    stops = StopConditions(share=0.1, window=10)
    reply = Reply(400, "", "to parameter is not a valid address")
    decision = RULES.decide(Stage.DOT, reply, gateway="mailgun-api")
    assert not any(stops.look(decision, reply, "mailgun-api") for _ in range(20))
