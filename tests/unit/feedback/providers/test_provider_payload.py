"""Any body is read into notices, or is an error in one sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaign.feedback.event_feeds.event_object import EventError
from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.providers.provider_payload import PROVIDERS, provider_notices
from campaign.feedback.providers.record_fields import LONGEST_BODY, MOST_EVENTS, text_at, time_at
from campaign.model import FeedbackOutcome

KEYS = [
    "event",
    "type",
    "RecordType",
    "Type",
    "event-data",
    "msys",
    "message_event",
    "data",
    "bounce",
    "email",
    "to",
    "delivery-status",
    "message",
    "headers",
    "reason",
    "timestamp",
    "time",
    "ts_epoch",
    "MessageID",
    "outcome",
    "Message",
    "TopicArn",
    "mail",
    "eventType",
    "bouncedRecipients",
    "error",
    "bounce_class",
    "address",
    "at",
]
WORDS = [
    "bounce",
    "failed",
    "Bounce",
    "HardBounce",
    "hard_bounce",
    "email.bounced",
    "blocked",
    "spam",
    "unsub",
    "dropped",
    "permanent",
    "Permanent",
    "550 5.1.1 no",
    "jane@example.org",
    "2026-11-28T08:00:00Z",
    "9" * 400,
]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(WORDS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(), inner, max_size=6),
    max_leaves=20,
)


def read(provider: str, body: bytes) -> tuple[list[tuple[str, FeedbackNotice]], str]:
    """What is found, and the error at the end."""
    found = []
    try:
        for one in provider_notices(provider, body):
            found.append(one)  # noqa: PERF402 - those before the error count
    except EventError as error:
        return found, str(error)
    return found, ""


@pytest.mark.parametrize("provider", PROVIDERS)
@settings(max_examples=60, deadline=None)
@given(value=VALUES)
def test_any_json_gives_notices_or_one_plain_sentence(provider: str, value: Any) -> None:
    found, said = read(provider, json.dumps(value).encode())
    assert all(name and one.reply.text.isprintable() for name, one in found)
    assert "\n" not in said


@pytest.mark.parametrize("provider", PROVIDERS)
@settings(max_examples=20, deadline=None)
@given(body=st.binary(max_size=60))
def test_any_octets_give_notices_or_one_plain_sentence(provider: str, body: bytes) -> None:
    found, said = read(provider, body)
    assert said or not found


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b'"\xff"', "it is not JSON"),
        (b" " * (LONGEST_BODY + 1), "longer than 8 MiB"),
    ],
)
def test_an_odd_body_is_named_as_what_it_is(provider: str, body: bytes, why: str) -> None:
    with pytest.raises(EventError, match=why):
        list(provider_notices(provider, body))


def test_a_provider_that_is_none_is_named() -> None:
    with pytest.raises(EventError, match="'sendmail' is no provider; known: ses, sendgrid"):
        list(provider_notices("sendmail", b"{}"))


def test_too_many_events_are_refused_before_they_are_read() -> None:
    with pytest.raises(EventError, match="are allowed"):
        next(provider_notices("sendgrid", b"[" + b"{}," * MOST_EVENTS + b"{}]"))


def test_a_notification_of_sns_has_an_id_for_each_of_its_recipients() -> None:
    told = {
        "notificationType": "Complaint",
        "mail": {"messageId": "0102-ses"},
        "complaint": {"complainedRecipients": [{"emailAddress": "a@example.org"}, {"emailAddress": "b@example.org"}]},
    }
    body = json.dumps({"Type": "Notification", "TopicArn": "arn", "Message": json.dumps(told)}).encode()
    found = list(provider_notices("ses", body))
    assert [one.outcome for _, one in found] == [FeedbackOutcome.COMPLAINT] * 2
    assert len({name for name, _ in found}) == len(found)


def test_an_own_program_sends_our_events_alone_in_an_array_or_as_data() -> None:
    event = {"outcome": "unsubscribe", "address": "jane@example.org", "id": "7"}
    bodies = [event, [event], {"type": "reader.left", "timestamp": "2026-11-28T08:00:00Z", "data": event}]
    found = [list(provider_notices("standard-webhooks", json.dumps(one).encode())) for one in bodies]
    assert found[0] == found[1] == found[2]
    assert found[0][0][1].addresses == ("jane@example.org",)


def test_an_own_programs_mistake_is_named() -> None:
    with pytest.raises(EventError, match="there is no outcome 'unsubscribed'"):
        list(provider_notices("standard-webhooks", b'{"outcome": "unsubscribed", "address": "jane@example.org"}'))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (1604933737, 1604933737.0),
        ("1604933737", 1604933737.0),
        (1604933737250, 1604933737.25),
        (1521233195.5, 1521233195.5),
        ("2020-11-09T14:55:37Z", 1604933737.0),
        ("2020-11-09 14:55:37", 1604933737.0),
        (True, 0.0),
        (-5, 0.0),
        (1e300, 0.0),
        (10**400, 0.0),
        ("yesterday", 0.0),
        (None, 0.0),
    ],
)
def test_a_time_is_seconds_milliseconds_or_a_date(value: object, seconds: float) -> None:
    assert time_at({"at": value}, "at") == seconds


def test_a_field_of_another_type_is_no_text() -> None:
    assert [text_at({"a": one}, "a") for one in (None, True, 1.5, [], {}, 10**400)] == [""] * 6
    assert text_at({"a": 2**63 + 1}, "a") == "9223372036854775809"
    assert text_at({"a": "two\r\nlines"}, "a") == "two lines"
    assert text_at({"a": ["b"]}, "a", "b") == ""
