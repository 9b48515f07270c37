"""Events of Amazon SES are read by what they say of each recipient; anything else is none."""

from __future__ import annotations

import datetime as dt
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaign.feedback.event_feeds.amazon.ses_event import MOST_RECIPIENTS, SesEvent, read_ses_event
from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.model import FeedbackOutcome, Reply

MAIL = {
    "timestamp": "2026-11-28T08:00:00.000Z",
    "messageId": "0102019c-ses-id",
    "source": "news@example.com",
    "destination": ["jane@example.org"],
    "headersTruncated": False,
    "headers": [{"name": "Message-ID", "value": "<hash@example.com>"}, {"name": "From", "value": "news@example.com"}],
    "commonHeaders": {"messageId": "<hash@example.com>", "subject": "News"},
}
AT = dt.datetime(2026, 11, 28, 8, 0, 5, tzinfo=dt.UTC).timestamp()


def event(kind: str, key: str = "eventType", **parts: object) -> str:
    return json.dumps({key: kind, "mail": MAIL, **parts})


def bounce(type_: str, sub_type: str, recipient: dict[str, str] | None = None) -> str:
    told = {
        "bounceType": type_,
        "bounceSubType": sub_type,
        "bouncedRecipients": [recipient or {"emailAddress": "jane@example.org"}],
        "timestamp": "2026-11-28T08:00:05.000Z",
        "feedbackId": "f",
        "reportingMTA": "dns; a1.smtp-out.eu-west-1.amazonses.com",
    }
    return event("Bounce", bounce=told)


def notices(body: str) -> tuple[FeedbackNotice, ...]:
    found = read_ses_event(body)
    assert found is not None
    return found.notices


def test_a_bounce_names_letter_reply_and_person() -> None:
    recipient = {
        "emailAddress": "jane@example.org",
        "action": "failed",
        "status": "5.1.1",
        "diagnosticCode": "smtp; 550 5.1.1 user unknown",
    }
    assert notices(bounce("Permanent", "General", recipient)) == (
        FeedbackNotice(
            None,
            Reply(550, "5.1.1", "user unknown"),
            permanent=True,
            at=AT,
            mta="a1.smtp-out.eu-west-1.amazonses.com",
            message_ids=("hash@example.com",),
            reply_ids=("0102019c-ses-id",),
            addresses=("jane@example.org",),
        ),
    )


@pytest.mark.parametrize(
    ("type_", "sub_type", "permanent", "enhanced"),
    [
        ("Permanent", "General", True, ""),
        ("Permanent", "NoEmail", True, "5.1.1"),
        ("Permanent", "Suppressed", True, "5.1.1"),
        ("Permanent", "OnAccountSuppressionList", True, "5.1.1"),
        ("Transient", "General", False, ""),
        ("Transient", "MailboxFull", False, "4.2.2"),
        ("Transient", "MessageTooLarge", False, "4.3.4"),
        ("Transient", "ContentRejected", False, "4.7.1"),
        ("Transient", "AttachmentRejected", False, "4.7.1"),
        ("Undetermined", "Undetermined", None, ""),
        ("New", "Newer", None, ""),
    ],
)
def test_what_a_sub_type_means_stands_in_for_a_reply(
    type_: str, sub_type: str, permanent: bool | None, enhanced: str
) -> None:
    [notice] = notices(bounce(type_, sub_type))
    assert (notice.outcome, notice.permanent) == (None, permanent)
    assert notice.reply == Reply(0, enhanced, f"{type_} bounce: {sub_type}")


def test_the_servers_own_status_counts_for_more_than_the_sub_type() -> None:
    recipient = {"emailAddress": "j@example.org", "status": "5.7.1", "diagnosticCode": "smtp; 550 blocked"}
    assert notices(bounce("Permanent", "NoEmail", recipient))[0].reply == Reply(550, "5.7.1", "blocked")


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("abuse", FeedbackOutcome.COMPLAINT),
        ("", FeedbackOutcome.COMPLAINT),
        ("virus", FeedbackOutcome.COMPLAINT),
        ("not-spam", FeedbackOutcome.UNKNOWN),
        ("auth-failure", FeedbackOutcome.UNKNOWN),
    ],
)
def test_a_complaint_is_one_unless_it_says_the_opposite(kind: str, outcome: FeedbackOutcome) -> None:
    told = {"complainedRecipients": [{"emailAddress": "jane@example.org"}], "complaintFeedbackType": kind}
    [notice] = notices(event("Complaint", complaint=told))
    assert (notice.outcome, notice.addresses, notice.reply.text) == (outcome, ("jane@example.org",), kind)


RECIPIENT = {"emailAddress": "jane@example.org", "status": "4.4.7", "diagnosticCode": "smtp; 450 4.4.7 later"}


@pytest.mark.parametrize(
    ("body", "outcome", "reply"),
    [
        (
            event("Delivery", delivery={"recipients": ["jane@example.org"], "smtpResponse": "250 2.6.0 taken"}),
            FeedbackOutcome.DELIVERED,
            Reply(250, "2.6.0", "taken"),
        ),
        (
            event("DeliveryDelay", deliveryDelay={"delayType": "General", "delayedRecipients": [RECIPIENT]}),
            FeedbackOutcome.DELAYED,
            Reply(450, "4.4.7", "later"),
        ),
        (event("Send", send={}), FeedbackOutcome.DELAYED, Reply(250, "", "accepted by SES")),
        (
            event("Reject", reject={"reason": "Bad content"}),
            FeedbackOutcome.NOT_THEIR_FAULT,
            Reply(0, "", "rejected by SES: Bad content"),
        ),
        (
            event("Rendering Failure", failure={"errorMessage": "no such template"}),
            FeedbackOutcome.NOT_THEIR_FAULT,
            Reply(0, "", "rejected by SES: no such template"),
        ),
    ],
)
def test_each_event_has_its_outcome(body: str, outcome: FeedbackOutcome, reply: Reply) -> None:
    [notice] = notices(body)
    assert (notice.outcome, notice.reply, notice.addresses) == (outcome, reply, ("jane@example.org",))
    assert (notice.message_ids, notice.reply_ids) == (("hash@example.com",), ("0102019c-ses-id",))
    assert notice.at == dt.datetime(2026, 11, 28, 8, tzinfo=dt.UTC).timestamp()


@pytest.mark.parametrize("kind", ["Open", "Click", "Subscription", "Something New"])
def test_what_readers_do_with_a_letter_is_an_event_without_notices(kind: str) -> None:
    assert notices(event(kind)) == ()


def test_feedback_notifications_are_named_otherwise_and_say_the_same() -> None:
    told = {"recipients": ["jane@example.org"], "smtpResponse": "250 ok"}
    assert notices(event("Delivery", "notificationType", delivery=told)) == notices(event("Delivery", delivery=told))


def test_an_envelope_of_sns_and_raw_delivery_are_one_event() -> None:
    inner = bounce("Permanent", "General")
    envelope = {"Type": "Notification", "MessageId": "x", "TopicArn": "arn:aws:sns:eu-west-1:1:t", "Message": inner}
    assert read_ses_event(json.dumps(envelope)) == read_ses_event(inner)


def test_our_message_id_is_found_without_common_headers() -> None:
    mail = {**MAIL, "commonHeaders": None, "headers": [{"name": "message-id", "value": "<other@example.com>"}]}
    [notice] = notices(json.dumps({"eventType": "Send", "mail": mail, "send": {}}))
    assert notice.message_ids == ("other@example.com",)


def test_each_recipient_has_a_notice_and_there_is_a_bound() -> None:
    told = {"recipients": [f"{number}@example.org" for number in range(1000)]}
    found = notices(event("Delivery", delivery=told))
    assert [one.addresses[0] for one in found] == [f"{number}@example.org" for number in range(MOST_RECIPIENTS)]


@pytest.mark.parametrize(
    "message",
    [
        json.dumps({"notificationType": "AmazonSnsSubscriptionSucceeded", "message": "You have subscribed"}),
        "Successfully validated SNS topic for Amazon SES event publishing.",
    ],
)
def test_what_ses_says_when_it_is_set_up_is_an_event_without_notices(message: str) -> None:
    envelope = {"Type": "Notification", "TopicArn": "arn", "Message": message}
    assert notices(json.dumps(envelope)) == ()


@pytest.mark.parametrize(
    "body",
    [
        "",
        "nonsense",
        "[]",
        "5",
        "{}",
        '{"Records": [{"eventSource": "aws:s3"}]}',
        '{"eventType": "Bounce"}',
        '{"eventType": "Bounce", "mail": []}',
        '{"eventType": ["Bounce"], "mail": {"messageId": "x"}}',
        '{"TopicArn": "arn", "Message": "nonsense"}',
        '{"TopicArn": "arn", "Message": {"eventType": "Send"}}',
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"eventType": "Send", "mail": {"messageId": "\ud800"}}',
    ],
)
def test_anything_else_is_no_event(body: str) -> None:
    assert read_ses_event(body) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
NAMES = [*MAIL, "bounceType", "bounceSubType", "bouncedRecipients", "recipients", "smtpResponse", "delayedRecipients"]


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["Bounce", "Complaint", "Delivery", "DeliveryDelay", "Reject", "Send"]),
    mail=st.dictionaries(st.sampled_from(NAMES), JSON, min_size=1, max_size=6),
    told=st.dictionaries(st.sampled_from(NAMES), JSON, max_size=6) | JSON,
)
def test_no_values_of_other_types_break_it(kind: str, mail: dict[str, Any], told: Any) -> None:
    part = kind[0].lower() + kind[1:]
    found = read_ses_event(json.dumps({"eventType": kind, "mail": mail, part: told}))
    assert isinstance(found, SesEvent)
    for notice in found.notices:
        assert all(isinstance(one, str) for one in (*notice.message_ids, *notice.addresses, notice.mta))


def test_a_huge_event_takes_no_time() -> None:
    told = {"recipients": ["x" * 1000] * 200, "smtpResponse": "250-2.0.0 " * 20_000}
    began = time.process_time()
    assert len(notices(event("Delivery", delivery=told))) == MOST_RECIPIENTS
    assert time.process_time() - began < 0.2
