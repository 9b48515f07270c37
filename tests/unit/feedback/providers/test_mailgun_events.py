"""Mailgun's events, as its documentation of webhooks and of the Events API has their fields."""

from __future__ import annotations

import json
from typing import Any

import pytest

from campaign.feedback.event_feeds.event_object import EventError
from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.providers.mailgun_events import mailgun_event
from campaign.feedback.providers.provider_payload import provider_notices
from campaign.model import FeedbackOutcome, Reply


def event(kind: str, **fields: object) -> dict[str, Any]:
    return {
        "event": kind,
        "id": "G9Bn5sl1TC6nu79C8C0bwg",
        "timestamp": 1521233195.375624,
        "recipient": "alice@example.org",
        "message": {"headers": {"message-id": "20130503192659.13651.20287@mg.example.com", "subject": "News"}},
        **fields,
    }


def notice(kind: str, **fields: object) -> FeedbackNotice:
    found = mailgun_event(event(kind, **fields))
    assert found is not None
    return found[1]


def test_a_permanent_failure_is_a_bounce_with_the_servers_reply() -> None:
    status = {"code": 550, "enhanced-code": "5.1.1", "message": "no such user", "mx-host": "mx.example.org"}
    assert notice("failed", severity="permanent", reason="bounce", **{"delivery-status": status}) == FeedbackNotice(
        None,
        Reply(550, "5.1.1", "no such user"),
        permanent=True,
        at=1521233195.375624,
        mta="mx.example.org",
        message_ids=("20130503192659.13651.20287@mg.example.com",),
        addresses=("alice@example.org",),
    )


def test_a_temporary_failure_is_a_delay_because_mailgun_tries_again() -> None:
    assert notice("failed", severity="temporary", reason="generic").outcome is FeedbackOutcome.DELAYED


@pytest.mark.parametrize(
    ("reason", "outcome", "enhanced", "permanent"),
    [
        ("suppress-bounce", None, "5.1.1", True),
        ("suppress-complaint", FeedbackOutcome.COMPLAINT, "", None),
        ("suppress-unsubscribe", FeedbackOutcome.UNSUBSCRIBE, "", None),
        ("old", None, "4.4.7", False),
    ],
)
def test_a_letter_that_mailgun_gave_up_says_why(
    reason: str, outcome: FeedbackOutcome | None, enhanced: str, permanent: bool | None
) -> None:
    status = {"code": 605, "message": "", "description": "Not delivering to previously bounced address"}
    found = notice("failed", severity="permanent", reason=reason, **{"delivery-status": status})
    assert (found.outcome, found.reply.enhanced, found.permanent) == (outcome, enhanced, permanent)
    assert found.reply.code == 0  # 605 is Mailgun's own
    assert found.reply.text == "Not delivering to previously bounced address"


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("delivered", FeedbackOutcome.DELIVERED),
        ("complained", FeedbackOutcome.COMPLAINT),
        ("unsubscribed", FeedbackOutcome.UNSUBSCRIBE),
        ("rejected", FeedbackOutcome.NOT_THEIR_FAULT),
    ],
)
def test_each_other_event_has_its_outcome(kind: str, outcome: FeedbackOutcome) -> None:
    assert notice(kind).outcome is outcome


@pytest.mark.parametrize("kind", ["accepted", "opened", "clicked", "stored", "new"])
def test_what_says_nothing_about_a_letters_fate_gives_nothing(kind: str) -> None:
    assert mailgun_event(event(kind)) is None


def test_a_webhook_has_the_same_id_as_the_event_in_the_list() -> None:
    body = json.dumps({"signature": {"token": "t"}, "event-data": event("complained")}).encode()
    listed = mailgun_event(event("complained"))
    assert listed
    assert [name for name, _ in provider_notices("mailgun", body)] == [listed[0]]


def test_a_body_without_event_data_is_no_event() -> None:
    with pytest.raises(EventError, match="it has no event-data"):
        list(provider_notices("mailgun", b'{"event": "failed"}'))
