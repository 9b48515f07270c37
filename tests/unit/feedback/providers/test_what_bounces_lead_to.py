"""What the reply rules make of each provider's bounces, where they quote no server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from campaign.delivery.replies.bounce_meaning import bounce_meaning
from campaign.delivery.replies.classify import Rules
from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.providers.brevo_events import brevo_event
from campaign.feedback.providers.mailgun_events import mailgun_event
from campaign.feedback.providers.mailjet_events import mailjet_event
from campaign.feedback.providers.postmark_events import postmark_event
from campaign.feedback.providers.resend_events import resend_event
from campaign.feedback.providers.sendgrid_events import sendgrid_event
from campaign.feedback.providers.sparkpost_events import sparkpost_event
from campaign.model import FeedbackOutcome

RULES = Rules.load()
HARD, SOFT, OURS = FeedbackOutcome.HARD, FeedbackOutcome.SOFT, FeedbackOutcome.NOT_THEIR_FAULT
Read = Callable[[Any], tuple[str, FeedbackNotice] | None]


def sendgrid(kind: str, category: str) -> dict[str, str]:
    return {"event": "bounce", "type": kind, "bounce_classification": category}


def mailjet(error: str, *, hard: bool) -> dict[str, Any]:
    return {"event": "bounce", "hard_bounce": hard, "error": error}


def resend(kind: str, sub_type: str) -> dict[str, Any]:
    return {"type": "email.bounced", "data": {"bounce": {"type": kind, "subType": sub_type}}}


@pytest.mark.parametrize(
    ("read", "record", "outcome", "means"),
    [
        (sendgrid_event, sendgrid("bounce", "Invalid Address"), HARD, "no_such_user"),
        (sendgrid_event, sendgrid("blocked", "Mailbox Unavailable"), SOFT, "expired"),
        (sendgrid_event, sendgrid("blocked", "Reputation"), OURS, "policy"),
        (sendgrid_event, {"event": "dropped", "reason": "Bounced Address"}, HARD, "no_such_user"),
        (
            mailgun_event,
            {"event": "failed", "severity": "permanent", "reason": "suppress-bounce"},
            HARD,
            "no_such_user",
        ),
        (mailgun_event, {"event": "failed", "severity": "permanent", "reason": "old"}, SOFT, "expired"),
        (postmark_event, {"RecordType": "Bounce", "Type": "BadEmailAddress"}, HARD, "no_such_user"),
        (postmark_event, {"RecordType": "Bounce", "Type": "SoftBounce"}, SOFT, "expired"),
        (postmark_event, {"RecordType": "Bounce", "Type": "DnsError"}, SOFT, "expired"),
        (brevo_event, {"event": "invalid_email"}, HARD, "no_such_user"),
        (brevo_event, {"event": "soft_bounce"}, SOFT, "expired"),
        (sparkpost_event, {"type": "bounce", "bounce_class": "10"}, HARD, "no_such_user"),
        (sparkpost_event, {"type": "bounce", "bounce_class": "22"}, SOFT, "full"),
        (sparkpost_event, {"type": "bounce", "bounce_class": "23"}, OURS, "too_big"),
        (sparkpost_event, {"type": "bounce", "bounce_class": "51"}, OURS, "policy"),
        (mailjet_event, mailjet("user unknown", hard=True), HARD, "no_such_user"),
        (mailjet_event, mailjet("invalid domain", hard=True), HARD, "no_such_domain"),
        (mailjet_event, mailjet("quota exceeded", hard=False), SOFT, "full"),
        (mailjet_event, mailjet("content blocked", hard=True), OURS, "policy"),
        (resend_event, resend("Permanent", "NoEmail"), HARD, "no_such_user"),
        (resend_event, resend("Transient", "MailboxFull"), SOFT, "full"),
    ],
)
def test_a_bounce_that_quotes_no_server_counts_by_what_the_provider_calls_it(
    read: Read, record: dict[str, Any], outcome: FeedbackOutcome, means: str
) -> None:
    found = read(record)
    assert found is not None
    assert bounce_meaning(RULES, found[1].reply, found[1].permanent, "example.org") == (outcome, means)
