"""SparkPost's events, as its webhooks wrap them and as its list of events has them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from campaign.feedback.event_feeds.event_object import EventError
from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.providers.provider_payload import provider_notices
from campaign.feedback.providers.sparkpost_events import sparkpost_event
from campaign.model import FeedbackOutcome, Reply


def event(kind: str, **fields: object) -> dict[str, Any]:
    return {
        "type": kind,
        "bounce_class": "10",
        "error_code": "550",
        "event_id": "92356927693813856",
        "message_id": "000443ee14578172be22",
        "raw_rcpt_to": "Recipient@example.org",
        "rcpt_to": "recipient@example.org",
        "raw_reason": "550 5.1.1 <recipient@example.org>: no such user",
        "timestamp": "1454442600",
        "transmission_id": "65832150921904138",
        **fields,
    }


def notice(kind: str, **fields: object) -> FeedbackNotice:
    found = sparkpost_event(event(kind, **fields))
    assert found is not None
    return found[1]


def test_a_bounce_names_the_letter_the_reader_as_given_and_the_servers_reply() -> None:
    assert notice("bounce") == FeedbackNotice(
        None,
        Reply(550, "5.1.1", "<recipient@example.org>: no such user"),
        permanent=True,
        at=1454442600.0,
        reply_ids=("65832150921904138", "000443ee14578172be22"),
        addresses=("Recipient@example.org",),
    )


@pytest.mark.parametrize(
    ("category", "outcome", "permanent", "enhanced"),
    [
        ("1", None, None, ""),
        ("22", None, False, "4.2.2"),
        ("25", FeedbackOutcome.NOT_THEIR_FAULT, False, ""),
        ("30", None, True, "5.1.1"),
        ("52", None, False, "5.7.1"),
        ("60", FeedbackOutcome.AUTOMATIC_REPLY, False, ""),
        ("90", FeedbackOutcome.UNSUBSCRIBE, False, ""),
    ],
)
def test_a_bounce_without_a_code_counts_by_its_class(
    category: str, outcome: FeedbackOutcome | None, permanent: bool | None, enhanced: str
) -> None:
    found = notice("out_of_band", bounce_class=category, raw_reason="as it was said", error_code="")
    assert (found.outcome, found.permanent, found.reply.enhanced) == (outcome, permanent, enhanced)


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("delay", FeedbackOutcome.DELAYED),
        ("delivery", FeedbackOutcome.DELIVERED),
        ("policy_rejection", FeedbackOutcome.NOT_THEIR_FAULT),
        ("generation_failure", FeedbackOutcome.NOT_THEIR_FAULT),
        ("spam_complaint", FeedbackOutcome.COMPLAINT),
        ("list_unsubscribe", FeedbackOutcome.UNSUBSCRIBE),
        ("link_unsubscribe", FeedbackOutcome.UNSUBSCRIBE),
    ],
)
def test_each_other_event_has_its_outcome(kind: str, outcome: FeedbackOutcome) -> None:
    assert notice(kind).outcome is outcome


@pytest.mark.parametrize("kind", ["injection", "open", "initial_open", "click", "new"])
def test_what_says_nothing_about_a_letters_fate_gives_nothing(kind: str) -> None:
    assert sparkpost_event(event(kind)) is None


def test_a_webhook_wraps_each_event_in_its_class_and_tests_the_address_with_none() -> None:
    wrapped = [{"msys": {}}, {"msys": {"unsubscribe_event": event("list_unsubscribe")}}]
    found = list(provider_notices("sparkpost", json.dumps(wrapped).encode()))
    assert [one.outcome for _, one in found] == [FeedbackOutcome.UNSUBSCRIBE]
    assert found == [sparkpost_event(event("list_unsubscribe"))]


def test_an_item_without_msys_is_no_event() -> None:
    with pytest.raises(EventError, match="it has no msys"):
        list(provider_notices("sparkpost", b'[{"type": "bounce"}]'))
