"""Records of providers' lists, as their documentation has them, and what they say."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.delivery.replies.bounce_meaning import bounce_meaning
from campaign.delivery.replies.classify import Rules
from campaign.feedback.event_feeds.event_object import EventError
from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.provider_lists.brevo_event_list import brevo_contact
from campaign.feedback.provider_lists.list_source import spans
from campaign.feedback.provider_lists.mailjet_message_list import mailjet_letter
from campaign.feedback.provider_lists.postmark_lists import postmark_bounce, postmark_suppression
from campaign.feedback.provider_lists.provider_api import read_entries
from campaign.feedback.provider_lists.resend_suppressions import resend_suppression
from campaign.feedback.provider_lists.sendgrid_lists import GROUPS, LISTS, sendgrid_suppression
from campaign.feedback.providers.brevo_events import brevo_event
from campaign.feedback.providers.mailgun_events import mailgun_event
from campaign.feedback.providers.sparkpost_events import sparkpost_event

Read = Callable[[Any], tuple[str, FeedbackNotice] | None]
RULES = Rules.load()


def meaning(notice: FeedbackNotice) -> str:
    """The outcome that is stored."""
    if notice.outcome is not None:
        return str(notice.outcome)
    return str(bounce_meaning(RULES, notice.reply, notice.permanent, "example.org")[0])


def said(read: Read, record: dict[str, Any]) -> FeedbackNotice:
    found = read(record)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    ("name", "reason", "status", "outcome"),
    [
        ("bounces", "550 5.1.1 The email account that you tried to reach does not exist.", "5.1.1", "hard"),
        ("bounces", "Unable to resolve MX host", "", "soft"),
        ("blocks", "error dialing remote address: dial tcp 10.57.152.165:25: i/o timeout", "4.0.0", "soft"),
        ("blocks", "550 5.7.1 Message rejected as spam by Content Filtering.", "5.7.1", "not_their_fault"),
        ("invalid_emails", "Mail domain mentioned in email address is unknown", "", "hard"),
        ("spam_reports", "", "", "complaint"),
        ("unsubscribes", "", "", "unsubscribe"),
    ],
)
def test_each_list_of_sendgrid_has_its_meaning(name: str, reason: str, status: str, outcome: str) -> None:
    record = {"created": 1449953655, "email": "ada@example.org", "reason": reason, "status": status}
    notice = said(partial(sendgrid_suppression, name), record)
    assert (meaning(notice), notice.at, notice.addresses) == (outcome, 1449953655.0, ("ada@example.org",))


def test_leaving_a_group_at_sendgrid_unsubscribes_and_two_groups_are_two_entries() -> None:
    record = {"email": "ada@example.org", "group_id": 1, "group_name": "Weekly News", "created_at": 1410986704}
    notice = said(partial(sendgrid_suppression, GROUPS), record)
    assert (meaning(notice), notice.reply.text, notice.at) == ("unsubscribe", "Weekly News", 1410986704.0)
    assert sendgrid_suppression(GROUPS, record)[0] != sendgrid_suppression(GROUPS, {**record, "group_id": 2})[0]


def test_the_same_address_in_two_lists_of_sendgrid_or_bounced_twice_is_two_entries() -> None:
    record = {"created": 1, "email": "ada@example.org"}
    ids = {sendgrid_suppression(name, record)[0] for name in LISTS}
    ids.add(sendgrid_suppression("bounces", {**record, "created": 2})[0])
    assert len(ids) == len(LISTS) + 1


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("HardBounce", "hard"),
        ("SoftBounce", "soft"),
        ("SpamComplaint", "complaint"),
        ("AutoResponder", "automatic_reply"),
    ],
)
def test_a_bounce_of_postmark_has_no_record_type_but_says_what_a_webhook_does(kind: str, outcome: str) -> None:
    record = {
        "ID": 692560173,
        "Type": kind,
        "TypeCode": 1,
        "MessageID": "2c1b63fe-43f2-4db5-91b0-8bdfa44a9316",
        "Details": "smtp;550 5.1.1 no such user" if kind == "HardBounce" else "action: failed",
        "Email": "anything@blackhole.postmarkapp.com",
        "BouncedAt": "2014-01-15T16:09:19.6421112-05:00",
    }
    notice = said(postmark_bounce, record)
    assert meaning(notice) == outcome
    assert notice.reply_ids == ("2c1b63fe-43f2-4db5-91b0-8bdfa44a9316",)
    assert notice.at == pytest.approx(1389820159.64, abs=0.01)


@pytest.mark.parametrize("origin", ["Recipient", "Customer", "Admin"])
def test_whoever_is_suppressed_by_hand_at_postmark_gets_no_letters(origin: str) -> None:
    record = {
        "EmailAddress": "ada@example.org",
        "SuppressionReason": "ManualSuppression",
        "Origin": origin,
        "CreatedAt": "2019-12-17T08:58:33-05:00",
    }
    notice = said(partial(postmark_suppression, "broadcast"), record)
    assert meaning(notice) == "unsubscribe"
    assert notice.reply.text == f"suppressed in the stream broadcast by {origin}"
    assert notice.at == 1576591113.0


@pytest.mark.parametrize(
    ("event", "outcome"),
    [
        ("hardBounces", "hard"),
        ("softBounces", "soft"),
        ("invalid", "hard"),
        ("spam", "complaint"),
        ("unsubscribed", "unsubscribe"),
    ],
)
def test_events_of_brevos_list_have_other_names_than_those_of_its_webhooks(event: str, outcome: str) -> None:
    record = {
        "email": "ada@example.org",
        "date": "2017-03-12T12:30:00Z",
        "messageId": "<201798300811.5787683@relay.example.com>",
        "event": event,
        "reason": {"softBounces": "Error connection to the domain", "hardBounces": "550 5.1.1 No such user"}.get(event),
    }
    notice = said(brevo_event, record)
    assert (meaning(notice), notice.at) == (outcome, 1489321800.0)
    assert notice.reply_ids == ("201798300811.5787683@relay.example.com",)


@pytest.mark.parametrize(
    ("code", "counts"),
    [
        ("unsubscribedViaMA", True),
        ("unsubscribedViaEmail", True),
        ("unsubscribedViaApi", True),
        ("hardBounce", False),
        ("contactFlaggedAsSpam", False),
        ("adminBlocked", False),
    ],
)
def test_a_contact_blocked_at_brevo_counts_if_it_unsubscribed(code: str, counts: bool) -> None:
    reason = {"code": code, "message": "in words"}
    record = {"email": "ada@example.org", "reason": reason, "blockedAt": "2017-05-01T12:30:00Z"}
    found = brevo_contact(record)
    assert (found is not None) is counts
    if found is not None:
        assert (meaning(found[1]), found[1].reply.text, found[1].at) == ("unsubscribe", "in words", 1493641800.0)


@pytest.mark.parametrize(
    ("status", "state", "permanent", "outcome"),
    [
        ("hardbounced", 1, True, "hard"),
        ("hardbounced", 4, True, "hard"),
        ("softbounced", 3, False, "soft"),
        ("softbounced", 12, False, "soft"),
        ("bounce", 1, True, "hard"),
        ("bounce", 8, True, "not_their_fault"),
        ("blocked", 14, False, "not_their_fault"),
        ("blocked", 1, True, "hard"),
        ("blocked", 21, False, "complaint"),
        ("spam", 0, False, "complaint"),
        ("unsub", 0, False, "unsubscribe"),
    ],
)
def test_the_status_and_the_state_of_a_letter_at_mailjet_have_their_meaning(
    status: str, state: int, permanent: bool, outcome: str
) -> None:
    record = {
        "ID": 576460752303423489,
        "UUID": "1ab23cd4-e567-8901-2345-6789f0gh1i2j",
        "Status": status,
        "StateID": state,
        "StatePermanent": permanent,
        "ContactAlt": "passenger@mailjet.com",
        "ArrivedAt": "2018-01-01T00:00:00Z",
    }
    notice = said(mailjet_letter, record)
    assert meaning(notice) == outcome
    assert notice.reply_ids == ("1ab23cd4-e567-8901-2345-6789f0gh1i2j", "576460752303423489")
    assert notice.at == 1514764800.0


@pytest.mark.parametrize("status", ["sent", "opened", "queued", "deferred", "", 7])
def test_a_letter_at_mailjet_that_did_not_fail_says_nothing(status: object) -> None:
    assert mailjet_letter({"ID": 1, "Status": status}) is None


@pytest.mark.parametrize(
    ("origin", "outcome"), [("bounce", "hard"), ("complaint", "complaint"), ("manual", "unsubscribe")]
)
def test_the_origin_of_a_suppression_at_resend_is_its_meaning(origin: str, outcome: str) -> None:
    record = {
        "object": "suppression",
        "id": "520784e2-887d-4c25-b53c-4ad46ad38100",
        "email": "susan.kare@example.com",
        "origin": origin,
        "source_id": None if origin == "manual" else "4ef9a417-02e9-4d39-ad75-9611e0fcc33c",
        "created_at": "2026-10-07T08:12:03.412Z",
    }
    notice = said(resend_suppression, record)
    assert meaning(notice) == outcome
    assert notice.reply_ids == (() if origin == "manual" else ("4ef9a417-02e9-4d39-ad75-9611e0fcc33c",))


READERS: list[Read] = [
    *(partial(sendgrid_suppression, name) for name in (*LISTS, GROUPS)),
    mailgun_event,
    postmark_bounce,
    partial(postmark_suppression, "outbound"),
    brevo_event,
    brevo_contact,
    sparkpost_event,
    mailjet_letter,
    resend_suppression,
]
WORDS = st.sampled_from(
    ["email", "Status", "StateID", "event", "type", "Type", "reason", "code", "origin", "id", "created", "ArrivedAt"]
) | st.text(max_size=5)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["bounce", "failed"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(WORDS, VALUES, max_size=8), st.sampled_from(READERS))
def test_any_record_is_an_entry_or_none_or_an_error_in_words(record: dict[str, Any], read: Read) -> None:
    for found in read_entries(read, [record]):
        assert str(found) if isinstance(found, EventError) else found[0]


@pytest.mark.parametrize(
    ("begin", "end", "longest", "found"),
    [
        (0, 10, 4, [(0, 4), (4, 8), (8, 10)]),
        (0, 8, 4, [(0, 4), (4, 8)]),
        (0, 3, 4, [(0, 3)]),
        (5, 5, 4, [(5, 5)]),
        (0, 10, float("inf"), [(0, 10)]),
    ],
)
def test_a_long_time_is_cut_into_spans_without_a_gap(
    begin: float, end: float, longest: float, found: list[tuple[float, float]]
) -> None:
    assert [*spans(begin, end, longest)] == found
