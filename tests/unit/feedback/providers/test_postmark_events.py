"""Postmark's events, as its documentation of webhooks has their fields."""

from __future__ import annotations

from typing import Any

import pytest

from campaign.feedback.event_feeds.event_object import EventError
from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.providers.postmark_events import postmark_event
from campaign.model import FeedbackOutcome, Reply

LETTER = "883953f4-6105-42a2-a16a-77a8eac79483"


def bounce(kind: str, **fields: object) -> dict[str, Any]:
    return {
        "RecordType": "Bounce",
        "ID": 4323372036854775807,
        "Type": kind,
        "TypeCode": 1,
        "MessageID": LETTER,
        "Details": "smtp;550 5.1.1 The email account does not exist",
        "Email": "john@example.org",
        "From": "news@example.com",
        "BouncedAt": "2026-11-28T08:00:00.5Z",
        "Inactive": True,
        **fields,
    }


def subscription(**fields: object) -> dict[str, Any]:
    return {
        "RecordType": "SubscriptionChange",
        "MessageID": "00000000-0000-0000-0000-000000000000",
        "ChangedAt": "2026-11-28T08:00:00Z",
        "Recipient": "john@example.org",
        "Origin": "Recipient",
        "SuppressSending": True,
        "SuppressionReason": "ManualSuppression",
        **fields,
    }


def notice(record: dict[str, Any]) -> FeedbackNotice:
    found = postmark_event(record)
    assert found is not None
    return found[1]


def test_a_hard_bounce_names_the_letter_the_reader_and_the_servers_reply() -> None:
    assert notice(bounce("HardBounce")) == FeedbackNotice(
        None,
        Reply(550, "5.1.1", "The email account does not exist"),
        permanent=True,
        at=1795852800.5,
        reply_ids=(LETTER,),
        addresses=("john@example.org",),
    )


@pytest.mark.parametrize(
    ("kind", "outcome", "permanent", "enhanced"),
    [
        ("BadEmailAddress", None, True, "5.1.3"),
        ("SoftBounce", None, False, ""),
        ("DnsError", None, False, "4.4.4"),
        ("Unknown", None, False, ""),
        ("Transient", FeedbackOutcome.DELAYED, None, ""),
        ("AutoResponder", FeedbackOutcome.AUTOMATIC_REPLY, None, ""),
        ("Blocked", FeedbackOutcome.NOT_THEIR_FAULT, None, ""),
        ("SpamNotification", FeedbackOutcome.NOT_THEIR_FAULT, None, ""),
        ("DMARCPolicy", FeedbackOutcome.NOT_THEIR_FAULT, None, ""),
        ("Unsubscribe", FeedbackOutcome.UNSUBSCRIBE, None, ""),
        ("ManuallyDeactivated", FeedbackOutcome.UNSUBSCRIBE, None, ""),
        ("SpamComplaint", FeedbackOutcome.COMPLAINT, None, ""),
    ],
)
def test_each_type_of_bounce_has_its_meaning(
    kind: str, outcome: FeedbackOutcome | None, permanent: bool | None, enhanced: str
) -> None:
    found = notice(bounce(kind, Details="as its server said"))
    assert (found.outcome, found.permanent, found.reply.enhanced) == (outcome, permanent, enhanced)


@pytest.mark.parametrize("kind", ["Subscribe", "OpenRelayTest", "Unconfirmed", "InboundError", "New"])
def test_a_bounce_that_says_nothing_about_a_letter_gives_nothing(kind: str) -> None:
    assert postmark_event(bounce(kind)) is None


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        ("ManualSuppression", FeedbackOutcome.UNSUBSCRIBE),
        ("SpamComplaint", FeedbackOutcome.COMPLAINT),
        ("HardBounce", None),
    ],
)
def test_a_suppression_counts_by_its_reason(reason: str, outcome: FeedbackOutcome | None) -> None:
    found = notice(subscription(SuppressionReason=reason))
    assert (found.outcome, found.reply_ids, found.addresses) == (outcome, (), ("john@example.org",))


def test_a_reader_who_subscribes_again_gives_nothing() -> None:
    assert postmark_event(subscription(SuppressSending=False, SuppressionReason=None)) is None


def test_a_complaint_and_a_delivery_are_what_they_are_called() -> None:
    assert notice(bounce("SpamComplaint", RecordType="SpamComplaint")).outcome is FeedbackOutcome.COMPLAINT
    delivery = {"RecordType": "Delivery", "MessageID": LETTER, "Recipient": "john@example.org", "DeliveredAt": "x"}
    assert notice(delivery).outcome is FeedbackOutcome.DELIVERED
    assert postmark_event({**delivery, "RecordType": "Open"}) is None


def test_ids_of_64_bits_that_differ_in_the_last_place_are_two_events() -> None:
    one, other = (postmark_event(bounce("HardBounce", ID=4323372036854775807 - less)) for less in (0, 1))
    assert one
    assert other
    assert one[0] != other[0]


def test_a_bounce_without_a_type_is_no_event() -> None:
    with pytest.raises(EventError, match="it has no Type"):
        postmark_event({"RecordType": "Bounce"})
