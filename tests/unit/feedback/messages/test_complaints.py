"""Complaints of readers and providers, and reports that are none."""

from __future__ import annotations

import pytest

from campaign.feedback.messages.read_message import read_message
from campaign.model import FeedbackOutcome

TOKEN = "A1b2-_" * 8
RETURNED = (
    "Message-ID: <abc.1@news.example.com>\nTo: a@example.org\n"
    f"List-Unsubscribe: <https://news.example.com/u?t={TOKEN}>, <mailto:unsub+short@news.example.com>\n"
)


def complaint(fields: str, returned: str = "message/rfc822") -> bytes:
    return (
        "From: feedback@provider.example\nTo: abuse@news.example.com\nDate: Thu, 26 Nov 2026 10:00:00 +0100\n"
        'Content-Type: multipart/report; report-type=feedback-report; boundary="b"\n\n'
        "--b\nContent-Type: text/plain\n\nThis is an abuse report.\n"
        f"--b\nContent-Type: message/feedback-report\n\n{fields}\n"
        f"--b\nContent-Type: {returned}\n\n{RETURNED}\nbody\n--b--\n"
    ).encode()


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("abuse", FeedbackOutcome.COMPLAINT),
        ("Fraud", FeedbackOutcome.COMPLAINT),
        ("virus", FeedbackOutcome.COMPLAINT),
        ("other", FeedbackOutcome.COMPLAINT),
        ("opt-out", FeedbackOutcome.UNSUBSCRIBE),
        ("not-spam", FeedbackOutcome.UNKNOWN),
        ("auth-failure", FeedbackOutcome.UNKNOWN),
        ("new-kind", FeedbackOutcome.UNKNOWN),
    ],
)
@pytest.mark.parametrize("returned", ["message/rfc822", "text/rfc822-headers"])
def test_the_type_of_report_is_the_outcome(kind: str, outcome: FeedbackOutcome, returned: str) -> None:
    (notice,) = read_message(complaint(f"Feedback-Type: {kind}\nUser-Agent: x/1\nVersion: 1\n", returned))
    assert notice.outcome is outcome


def test_a_complaint_has_every_key_of_the_letter_that_it_brings_back() -> None:
    fields = "Feedback-Type: abuse\nOriginal-Rcpt-To: <b@example.net>\nReporting-MTA: dns; mx.provider.example\n"
    (notice,) = read_message(complaint(fields))
    assert notice.addresses == ("b@example.net", "a@example.org")
    assert notice.message_ids == ("abc.1@news.example.com",)
    assert notice.unsubscribe_tokens == (TOKEN,)
    assert notice.sent_to == ("abuse@news.example.com",)
    assert (notice.mta, notice.at) == ("mx.provider.example", 1795683600.0)


@pytest.mark.parametrize("kind", ["not-spam", "auth-failure", "new-kind"])
def test_a_report_that_is_no_complaint_does_not_unsubscribe_by_the_token_of_the_letter_it_returns(kind: str) -> None:
    (notice,) = read_message(complaint(f"Feedback-Type: {kind}\n"))
    assert notice.message_ids == ("abc.1@news.example.com",)
    assert notice.unsubscribe_tokens == ()


def test_microsofts_reports_are_known_by_the_field_that_they_add() -> None:
    raw = (
        'From: staff@hotmail.com\nTo: abuse@news.example.com\nContent-Type: multipart/mixed; boundary="b"\n\n'
        f"--b\nContent-Type: message/rfc822\n\nX-HmXmrOriginalRecipient: <c@outlook.com>\n{RETURNED}\nbody\n--b--\n"
    ).encode()
    (notice,) = read_message(raw)
    assert notice.outcome is FeedbackOutcome.COMPLAINT
    assert notice.addresses == ("c@outlook.com", "a@example.org")


def test_a_complaint_that_amazon_sends_by_mail_is_read() -> None:
    event = (
        '{"notificationType":"Complaint","complaint":{"complainedRecipients":[{"emailAddress":"a@example.org"}],'
        '"complaintFeedbackType":"abuse"},"mail":{"messageId":"0100","commonHeaders":\n {}}}'
    )
    raw = f"From: no-reply@sns.amazonaws.com\nTo: b@news.example.com\n\n{event}\n\n--\nIf you wish to stop\n".encode()
    (notice,) = read_message(raw)
    assert notice.outcome is FeedbackOutcome.COMPLAINT
    assert notice.addresses == ("a@example.org",)
    assert notice.sent_to == ("b@news.example.com",)
