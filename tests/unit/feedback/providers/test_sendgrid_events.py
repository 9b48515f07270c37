"""SendGrid's events, as its reference of the Event Webhook documents their fields."""

from __future__ import annotations

import json
from typing import Any

import pytest

from campaign.feedback.event_feeds.event_object import EventError
from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.providers.provider_payload import provider_notices
from campaign.feedback.providers.sendgrid_events import sendgrid_event
from campaign.model import FeedbackOutcome, Reply


def event(kind: str, **fields: object) -> dict[str, Any]:
    return {
        "email": "jane@example.org",
        "timestamp": 1513299569,
        "smtp-id": "<0123456789abcdef0123456789abcdef01234567@example.com>",
        "event": kind,
        "category": "cat facts",
        "sg_event_id": "ZGVsaXZlcmVkLTAtMTA5OTQ5MTktTFJ6WGxfTkhTdE9HaFE0a29mU21fQS0w",
        "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0",
        **fields,
    }


def notice(kind: str, **fields: object) -> FeedbackNotice:
    found = sendgrid_event(event(kind, **fields))
    assert found is not None
    return found[1]


def test_a_bounce_names_the_letter_the_reader_and_the_servers_reply() -> None:
    assert notice("bounce", type="bounce", reason="550 5.1.1 no such user", status="5.0.0") == FeedbackNotice(
        None,
        Reply(550, "5.1.1", "no such user"),
        permanent=True,
        at=1513299569.0,
        message_ids=("0123456789abcdef0123456789abcdef01234567@example.com",),
        reply_ids=("14c5d75ce93.dfd.64b469",),  # as in its reply to us
        addresses=("jane@example.org",),
    )


def test_a_blocked_letter_is_not_the_readers_permanent_failure() -> None:
    found = notice("bounce", type="blocked", reason="timed out", bounce_classification="Technical")
    assert (found.outcome, found.permanent, found.reply) == (None, False, Reply(0, "4.4.1", "timed out"))


def test_a_status_field_stands_in_for_a_code_that_the_reason_lacks() -> None:
    assert notice("bounce", type="bounce", reason="unable to get mx", status="5.4.4").reply.enhanced == "5.4.4"


@pytest.mark.parametrize(
    ("reason", "outcome", "enhanced"),
    [
        ("Bounced Address", None, "5.1.1"),
        ("Invalid", None, "5.1.3"),
        ("Unsubscribed Address", FeedbackOutcome.UNSUBSCRIBE, ""),
        ("Spam Reporting Address", FeedbackOutcome.COMPLAINT, ""),
        ("Spam Content (if Spam Checker app is enabled)", FeedbackOutcome.NOT_THEIR_FAULT, ""),
    ],
)
def test_a_dropped_letter_says_what_sendgrid_knows_of_the_address(
    reason: str, outcome: FeedbackOutcome | None, enhanced: str
) -> None:
    found = notice("dropped", reason=reason)
    assert (found.outcome, found.reply.enhanced) == (outcome, enhanced)


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("deferred", FeedbackOutcome.DELAYED),
        ("delivered", FeedbackOutcome.DELIVERED),
        ("spamreport", FeedbackOutcome.COMPLAINT),
        ("unsubscribe", FeedbackOutcome.UNSUBSCRIBE),
        ("group_unsubscribe", FeedbackOutcome.UNSUBSCRIBE),
    ],
)
def test_each_other_event_has_its_outcome(kind: str, outcome: FeedbackOutcome) -> None:
    assert notice(kind, response="250 OK").outcome is outcome


@pytest.mark.parametrize("kind", ["processed", "open", "click", "group_resubscribe", "account_status_change", "new"])
def test_what_says_nothing_about_a_letters_fate_gives_nothing(kind: str) -> None:
    assert sendgrid_event(event(kind)) is None


def test_the_id_is_that_of_the_event_however_often_it_is_sent() -> None:
    first, again, other = (
        sendgrid_event(event("delivered", **fields)) for fields in ({}, {"attempt": "2"}, {"sg_event_id": "another"})
    )
    assert first
    assert again
    assert other
    assert first[0] == again[0] != other[0]


def test_a_bad_event_in_an_array_does_not_hide_the_others() -> None:
    body = json.dumps([{"email": "no event"}, event("spamreport")]).encode()
    read = provider_notices("sendgrid", body)
    assert next(read)[1].outcome is FeedbackOutcome.COMPLAINT
    with pytest.raises(EventError, match="event 1 of 2: it has no event"):
        next(read)
