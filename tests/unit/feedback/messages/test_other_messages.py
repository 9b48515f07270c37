"""Messages that are neither bounces nor complaints: automatic replies, unsubscribes, letters of people."""

from __future__ import annotations

import pytest

from campaign.feedback.messages.read_message import read_message
from campaign.model import FeedbackOutcome

TOKEN = "A1b2-_" * 8
AUTOMATIC, UNSUBSCRIBE, UNKNOWN = (
    FeedbackOutcome.AUTOMATIC_REPLY,
    FeedbackOutcome.UNSUBSCRIBE,
    FeedbackOutcome.UNKNOWN,
)


def outcome(head: str, text: str = "Hello") -> FeedbackOutcome | None:
    (notice,) = read_message(f"From: Ann <a@example.org>\n{head}\n\n{text}\n".encode())
    return notice.outcome


@pytest.mark.parametrize(
    "head",
    [
        "Auto-Submitted: auto-replied",
        "Auto-Submitted: auto-generated; type=vacation",
        "X-Autoreply: yes",
        "X-Autorespond: x",
        "Precedence: auto_reply",
        "Precedence: bulk",
        "X-Apple-Action: VACATION/1",
        "Subject: Out of Office: News",
        "Subject: Automatic reply: News",
        "Subject: =?utf-8?Q?R=C3=A9ponse_automatique?= : News",
        "Subject: Abwesenheitsnotiz: News",
        "Subject: 自動返信: News",
        "Subject: unsubscribe\nAuto-Submitted: auto-replied",
        "Subject: unsubscribe\nAuto-Submitted: auto-generated; type=vacation",
        "Subject: unsubscribe\nAuto-Submitted: auto-generated\nX-Autoreply: yes",
        "To: unsub+t0ken@news.example.com\nSubject: Report\nAuto-Submitted: auto-generated",
        "To: unsub+t0ken@x.de\nContent-Type: multipart/report; report-type=disposition-notification; boundary=x",
    ],
)
def test_what_no_person_wrote_is_an_automatic_reply(head: str) -> None:
    assert outcome(head) is AUTOMATIC


@pytest.mark.parametrize(
    "head", ["Auto-Submitted: no", "Subject: Automatic doors", "Subject: Re: News", "Precedence: list"]
)
def test_a_letter_of_a_person_is_unknown(head: str) -> None:
    assert outcome(head) is UNKNOWN


@pytest.mark.parametrize(
    "head",
    [
        "Subject: unsubscribe",
        "Subject: UNSUBSCRIBE me",
        "Subject: Unsubscribe:x",
        "Subject: List-Unsubscribe",
        "Subject: =?utf-8?B?dW5zdWJzY3JpYmU=?=",
        "To: unsub+t0ken@news.example.com\nSubject: whatever",
        "Delivered-To: News-Unsubscribe@news.example.com",
        "X-Apple-Unsubscribe: true",
        "X-Apple-Unsubscribe: true\nAuto-Submitted: auto-generated",
        "To: unsub+t0ken@news.example.com\nSubject: Unsubscribe\nAuto-Submitted: Auto-Generated",
    ],
)
def test_an_unsubscribe_is_known_by_subject_or_address(head: str) -> None:
    assert outcome(head) is UNSUBSCRIBE


@pytest.mark.parametrize("head", ["Subject: unsubscribed?", "Subject: How do I unsubscribe", "To: a@unsub.example.com"])
def test_what_only_speaks_of_it_is_no_unsubscribe(head: str) -> None:
    assert outcome(head) is UNKNOWN


def test_an_unsubscribe_has_the_addresses_it_was_sent_to_and_the_tokens_of_its_subject() -> None:
    (notice,) = read_message(
        f"From: a@example.org\nTo: News <unsub+t0k@news.example.com>\nDelivered-To: box@news.example.com\n"
        f"X-Original-To: unsub+t0k@news.example.com\nSubject: unsubscribe {TOKEN} abcdefghijklmnopqrst2345\n\n".encode()
    )
    assert notice.sent_to == ("box@news.example.com", "unsub+t0k@news.example.com")
    assert notice.unsubscribe_tokens == (TOKEN, "abcdefghijklmnopqrst2345")
    assert notice.addresses == ()


def test_an_answer_has_the_message_ids_of_what_it_answers_but_not_its_own() -> None:
    (notice,) = read_message(
        b"Message-ID: <own@example.org>\nIn-Reply-To: <abc.2@news.example.com>\n"
        b"References: <first@example.org> <abc.2@news.example.com>\nFrom: a@example.org\n\nMessage-ID: <in.text@x>\n"
    )
    assert notice.message_ids == ("in.text@x", "abc.2@news.example.com", "first@example.org")
