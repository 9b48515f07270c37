"""Mailjet's events, as its guide to the Event API documents their fields."""

from __future__ import annotations

from typing import Any

import pytest

from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.providers.mailjet_events import mailjet_event
from campaign.feedback.providers.provider_payload import provider_notices
from campaign.model import FeedbackOutcome, Reply

GUID = "1ab23cd4-e567-8901-2345-6789f0a1b2c3"


def event(kind: str, **fields: object) -> dict[str, Any]:
    return {
        "event": kind,
        "time": 1430812195,
        "MessageID": 13792286917004337,
        "Message_GUID": GUID,
        "email": "bounce@example.org",
        "CustomID": "",
        **fields,
    }


def notice(kind: str, **fields: object) -> FeedbackNotice:
    found = mailjet_event(event(kind, **fields))
    assert found is not None
    return found[1]


def test_a_hard_bounce_has_an_id_of_64_bits_in_full() -> None:
    body = (
        b'{"event": "bounce", "time": 1430812195, "MessageID": 13792286917004337, "email": "bounce@example.org",'
        b' "hard_bounce": true, "error_related_to": "recipient", "error": "user unknown",'
        b' "comment": "550 5.1.1 unknown"}'
    )
    ((_, found),) = provider_notices("mailjet", body)
    assert found == FeedbackNotice(
        None,
        Reply(550, "5.1.1", "unknown"),
        permanent=True,
        at=1430812195.0,
        reply_ids=("13792286917004337",),  # a float would end in 6
        addresses=("bounce@example.org",),
    )


@pytest.mark.parametrize(
    ("error", "hard", "enhanced"),
    [
        ("user unknown", True, "5.1.1"),
        ("invalid domain", True, "5.1.2"),
        ("quota exceeded", False, "4.2.2"),
        ("content blocked", False, "4.7.1"),
        ("something new", False, ""),
    ],
)
def test_a_bounce_without_a_code_counts_by_its_error(error: str, hard: bool, enhanced: str) -> None:
    found = notice("bounce", hard_bounce=hard, error=error, comment="")
    assert (found.outcome, found.permanent, found.reply) == (None, hard, Reply(0, enhanced, error))


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        ("preblocked", FeedbackOutcome.NOT_THEIR_FAULT),
        ("spam reporter", FeedbackOutcome.COMPLAINT),
        ("user unknown", None),
    ],
)
def test_a_blocked_letter_says_what_mailjet_knows_of_the_address(error: str, outcome: FeedbackOutcome | None) -> None:
    assert notice("blocked", error=error).outcome is outcome


def test_sent_means_that_the_readers_server_took_it() -> None:
    found = notice("sent", smtp_reply="sent (250 2.0.0 OK 1433333948 fa5si855896wjc.199 - gsmtp)")
    assert found.outcome is FeedbackOutcome.DELIVERED
    assert found.reply == Reply(250, "2.0.0", "OK 1433333948 fa5si855896wjc.199 - gsmtp")
    assert found.reply_ids == (GUID, "13792286917004337")


def test_complaints_and_unsubscribes_are_wishes_also_without_a_letter() -> None:
    assert notice("spam", source="JMRPP").outcome is FeedbackOutcome.COMPLAINT
    found = notice("unsub", MessageID=0, Message_GUID="")
    assert (found.outcome, found.reply_ids) == (FeedbackOutcome.UNSUBSCRIBE, ())


@pytest.mark.parametrize("kind", ["open", "click", "new"])
def test_what_says_nothing_about_a_letters_fate_gives_nothing(kind: str) -> None:
    assert mailjet_event(event(kind)) is None
