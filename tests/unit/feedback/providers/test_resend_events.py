"""Resend's events, as its documentation of webhooks has their fields."""

from __future__ import annotations

from typing import Any

import pytest

from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.providers.resend_events import resend_event
from campaign.model import FeedbackOutcome, Reply

LETTER = "56761188-7520-42d8-8898-ff6fc54ce618"


def event(kind: str, **data: object) -> dict[str, Any]:
    return {
        "type": kind,
        "created_at": "2026-11-28T08:00:00.000Z",
        "data": {
            "email_id": LETTER,
            "created_at": "2026-11-28 07:59:00+00",
            "from": "News <news@example.com>",
            "to": ["jane@example.org"],
            "subject": "News",
            **data,
        },
    }


def notice(kind: str, **data: object) -> FeedbackNotice:
    found = resend_event(event(kind, **data))
    assert found is not None
    return found[1]


def bounce(kind: str, sub_type: str, message: str = "The server refused it.") -> dict[str, str]:
    return {"message": message, "type": kind, "subType": sub_type}


def test_a_bounce_names_the_letter_the_reader_and_the_reply_that_it_quotes() -> None:
    found = notice("email.bounced", bounce=bounce("Permanent", "General", "smtp; 550 5.1.1 user unknown"))
    assert found == FeedbackNotice(
        None,
        Reply(550, "5.1.1", "user unknown"),
        permanent=True,
        at=1795852800.0,
        reply_ids=(LETTER,),
        addresses=("jane@example.org",),
    )


@pytest.mark.parametrize(
    ("kind", "sub_type", "permanent", "enhanced"),
    [
        ("Permanent", "Suppressed", True, "5.1.1"),
        ("Transient", "MailboxFull", False, "4.2.2"),
        ("Undetermined", "General", None, ""),
    ],
)
def test_a_bounce_without_a_code_counts_by_its_sub_type(
    kind: str, sub_type: str, permanent: bool | None, enhanced: str
) -> None:
    found = notice("email.bounced", bounce=bounce(kind, sub_type))
    assert (found.permanent, found.reply.enhanced) == (permanent, enhanced)


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("email.delivered", FeedbackOutcome.DELIVERED),
        ("email.delivery_delayed", FeedbackOutcome.DELAYED),
        ("email.complained", FeedbackOutcome.COMPLAINT),
        ("email.failed", FeedbackOutcome.NOT_THEIR_FAULT),
        ("email.suppressed", None),
    ],
)
def test_each_other_event_has_its_outcome(kind: str, outcome: FeedbackOutcome | None) -> None:
    assert notice(kind).outcome is outcome


@pytest.mark.parametrize("kind", ["email.sent", "email.opened", "email.clicked", "contact.created", "new"])
def test_what_says_nothing_about_a_letters_fate_gives_nothing(kind: str) -> None:
    assert resend_event(event(kind)) is None


def test_each_event_of_a_letter_has_an_id_of_its_own() -> None:
    found = [resend_event(event(kind)) for kind in ("email.delivered", "email.complained", "email.delivered")]
    ids = [one[0] for one in found if one]
    assert ids[0] == ids[2] != ids[1]
