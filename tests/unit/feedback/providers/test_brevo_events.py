"""Brevo's events: those of its webhooks, and those of its list, which has other names for the same."""

from __future__ import annotations

from typing import Any

import pytest

from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.providers.brevo_events import brevo_event
from campaign.model import FeedbackOutcome, Reply

LETTER = "201798300811.5787683@relay.example.com"


def event(kind: str, **fields: object) -> dict[str, Any]:
    return {
        "event": kind,
        "email": "jane@example.org",
        "id": 26224,
        "date": "2026-11-28 09:00:00",
        "ts": 1604937337,
        "message-id": f"<{LETTER}>",
        "ts_event": 1604933737,
        "ts_epoch": 1604933737250,
        "reason": "",
        **fields,
    }


def notice(kind: str, **fields: object) -> FeedbackNotice:
    found = brevo_event(event(kind, **fields))
    assert found is not None
    return found[1]


def test_a_hard_bounce_has_the_time_of_the_epoch_and_not_of_the_accounts_zone() -> None:
    assert notice("hard_bounce", reason="550 5.1.1 unknown user") == FeedbackNotice(
        None,
        Reply(550, "5.1.1", "unknown user"),
        permanent=True,
        at=1604933737.25,
        message_ids=(LETTER,),
        reply_ids=(LETTER,),
        addresses=("jane@example.org",),
    )


@pytest.mark.parametrize(
    ("kind", "outcome", "permanent"),
    [
        ("soft_bounce", None, False),
        ("invalid_email", None, True),
        ("blocked", FeedbackOutcome.NOT_THEIR_FAULT, None),
        ("error", FeedbackOutcome.NOT_THEIR_FAULT, None),
        ("deferred", FeedbackOutcome.DELAYED, None),
        ("delivered", FeedbackOutcome.DELIVERED, None),
        ("spam", FeedbackOutcome.COMPLAINT, None),
        ("complaint", FeedbackOutcome.COMPLAINT, None),
        ("unsubscribed", FeedbackOutcome.UNSUBSCRIBE, None),
    ],
)
def test_each_event_has_its_meaning(kind: str, outcome: FeedbackOutcome | None, permanent: bool | None) -> None:
    assert (notice(kind).outcome, notice(kind).permanent) == (outcome, permanent)


@pytest.mark.parametrize("kind", ["request", "sent", "opened", "unique_opened", "click", "proxy_open", "new"])
def test_what_says_nothing_about_a_letters_fate_gives_nothing(kind: str) -> None:
    assert brevo_event(event(kind)) is None


def test_the_list_has_other_names_for_the_same() -> None:
    listed = {"email": "jane@example.org", "date": "2026-11-28T08:00:00+01:00", "messageId": LETTER}
    found = brevo_event({**listed, "event": "hardBounces", "reason": "mailbox unknown"})
    assert found is not None
    assert (found[1].permanent, found[1].at, found[1].reply_ids) == (True, 1795849200.0, (LETTER,))
