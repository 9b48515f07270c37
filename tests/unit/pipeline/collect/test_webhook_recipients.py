"""Whom the events in a provider's webhook are about, and what counts of other mail of the same account."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from campaign.config.feedback import FeedbackSection
from campaign.feedback.feedback_source import Received
from campaign.feedback.providers.provider_payload import provider_notices
from campaign.feedback.suppression_rules import is_trusted
from campaign.model import FeedbackEvent, FeedbackOutcome
from campaign.pipeline.collect.find_recipient import RecipientFinder
from campaign.pipeline.collect.judge_notice import WEBHOOK, Judge
from campaign.pipeline.collect.sent_runs import sent_runs
from tests.support.sent import SentCampaign

ADA, BOB = "ada@example.com", "bob@example.com"
UUID, SENDGRID_ID, SPARKPOST_ID, MAILJET_ID = (
    "883953f4-6105-42a2-a16a-77a8eac79483",
    "LRzXl_NHStOGhQ4kofSm_A",
    "65832150921904138",
    "19421777835146491",
)
NOW = 4_000_000_000.0  # later than any run
REPLIES = {
    "sendgrid": f"Ok: queued as {SENDGRID_ID}",
    "postmark": f"Ok: queued as {UUID}",
    "sparkpost": SPARKPOST_ID,
    "mailjet": f"OK queued as {MAILJET_ID}",
    "resend": f"OK {UUID}",
    "brevo": "OK: queued as <202611280800.12345678901@smtp-relay.example.com>",
}


def complaint(provider: str, *, message_id: str = "") -> bytes:
    """Somebody complains of the letter to Ada; the address in the event is a forwarded one."""
    someone = "forwarded@example.org"
    bodies: dict[str, Any] = {
        "sendgrid": [{"event": "spamreport", "email": someone, "sg_message_id": f"{SENDGRID_ID}.filterdrecv-p3-1.0"}],
        "postmark": {"RecordType": "SpamComplaint", "MessageID": UUID, "Email": someone},
        "sparkpost": [{"msys": {"message_event": {"type": "spam_complaint", "transmission_id": SPARKPOST_ID}}}],
        "mailjet": {"event": "spam", "MessageID": int(MAILJET_ID), "email": someone},
        "resend": {"type": "email.complained", "data": {"email_id": UUID, "to": [someone]}},
        "brevo": {"event": "spam", "message-id": "<202611280800.12345678901@smtp-relay.example.com>"},
        "mailgun": {"event-data": {"event": "complained", "message": {"headers": {"message-id": message_id}}}},
    }
    return json.dumps(bodies[provider]).encode()


def events(gazette: SentCampaign, provider: str, body: bytes) -> list[FeedbackEvent]:
    """What `collect` makes of a stored webhook."""
    finder = RecipientFinder(sent_runs(gazette.runs, gazette.secret), gazette.secret, "gazette")
    judge = Judge(
        "listen:events",
        lambda reply, *_: (FeedbackOutcome.HARD if reply.enhanced == "5.1.1" else FeedbackOutcome.SOFT, ""),
        lambda notice: finder.find(notice, relays_own=True),
        lambda: NOW,
        ours=False,
        believed_as=WEBHOOK,
    )
    return [
        event
        for name, notice in provider_notices(provider, body)
        for event in judge.judged(Received(name, (notice,))).events
    ]


@pytest.mark.parametrize("provider", REPLIES)
def test_the_letter_is_found_by_the_id_that_the_provider_gave_it_in_its_reply(tmp_path: Path, provider: str) -> None:
    gazette = SentCampaign(tmp_path)
    gazette.send(BOB, ADA, replies={ADA: REPLIES[provider], BOB: "OK queued as 0123456789abcdef0123"})
    (found,) = events(gazette, provider, complaint(provider))
    assert (found.address, found.matched_by, found.outcome) == (ADA, "reply-id", FeedbackOutcome.COMPLAINT)


def test_the_letter_is_found_by_our_message_id_where_the_provider_keeps_it(tmp_path: Path) -> None:
    gazette = SentCampaign(tmp_path)
    gazette.send(BOB, ADA)
    ours = gazette.message_id(gazette.newest(), ADA)
    (found,) = events(gazette, "mailgun", complaint("mailgun", message_id=ours))
    assert (found.address, found.matched_by) == (ADA, "message-id")


def test_a_reader_who_left_at_the_provider_counts_also_without_a_letter(tmp_path: Path) -> None:
    gazette = SentCampaign(tmp_path)
    gazette.send(ADA)
    for address in (ADA, "in-no-plan@example.com"):
        (found,) = events(gazette, "mailjet", json.dumps({"event": "unsub", "MessageID": 0, "email": address}).encode())
        assert (found.address, found.matched_by) == (address, "webhook")
        assert is_trusted(found, FeedbackSection())


@pytest.mark.parametrize("kind", ["delivered", "deferred"])
def test_the_fate_of_other_mail_of_the_account_is_not_stored(tmp_path: Path, kind: str) -> None:
    gazette = SentCampaign(tmp_path)
    gazette.send(ADA)
    other = [{"event": kind, "email": ADA, "sg_message_id": "of-another-letter-0001"}]
    assert events(gazette, "sendgrid", json.dumps(other).encode()) == []


def test_a_complaint_about_other_mail_of_the_account_is_kept_and_does_not_count(tmp_path: Path) -> None:
    gazette = SentCampaign(tmp_path)
    gazette.send(ADA)
    other = {"event": "complained", "recipient": ADA, "message": {"headers": {"message-id": "1@shop.example.com"}}}
    (found,) = events(gazette, "mailgun", json.dumps({"event-data": other}).encode())
    assert (found.address, found.matched_by) == (ADA, "")
    assert not is_trusted(found, FeedbackSection())
