"""Events of Mailgun, as a webhook sends them below ``event-data`` and as its list of events has them."""

from __future__ import annotations

from typing import Any

from campaign.feedback.event_feeds.event_object import EventError
from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.providers.record_fields import (
    Record,
    classed,
    event_identity,
    event_type,
    nonempty,
    object_at,
    stated_reply,
    text_at,
    time_at,
)
from campaign.model import FeedbackOutcome, Reply

_OUTCOMES: dict[str, FeedbackOutcome | None] = {
    "failed": None,
    "rejected": FeedbackOutcome.NOT_THEIR_FAULT,
    "delivered": FeedbackOutcome.DELIVERED,
    "complained": FeedbackOutcome.COMPLAINT,
    "unsubscribed": FeedbackOutcome.UNSUBSCRIBE,
}
#: Reasons of a failure that come from Mailgun's own lists and queue, and quote no server.
_REASONS: dict[str, tuple[FeedbackOutcome | None, str, bool | None]] = {
    "suppress-bounce": (None, "5.1.1", True),
    "suppress-complaint": (FeedbackOutcome.COMPLAINT, "", None),
    "suppress-unsubscribe": (FeedbackOutcome.UNSUBSCRIBE, "", None),
    "old": (None, "4.4.7", False),
}


def mailgun_payload(body: Any) -> Record:
    """The event in the body of a webhook. Raises EventError."""
    found = body.get("event-data") if isinstance(body, dict) else None
    if not isinstance(found, dict):
        raise EventError("it has no event-data")
    return found


def mailgun_event(record: Any) -> tuple[str, FeedbackNotice] | None:
    """The id and the notice of one event; ``None`` if it says nothing about a letter's fate. Raises EventError."""
    kind = event_type(record, "event")
    if kind not in _OUTCOMES:
        return None
    outcome, permanent, reply = _OUTCOMES[kind], None, _reply(record)
    if kind == "failed":
        outcome, enhanced, permanent = _failure(record)
        reply = classed(reply, enhanced)
    notice = FeedbackNotice(
        outcome,
        reply,
        permanent,
        time_at(record, "timestamp"),
        text_at(record, "delivery-status", "mx-host"),
        message_ids=nonempty(text_at(object_at(record, "message"), "headers", "message-id").strip("<>")),
        addresses=nonempty(text_at(record, "recipient")),
    )
    named = text_at(record, "id")
    parts = (named,) if named else (kind, *notice.message_ids, *notice.addresses, str(notice.at))
    return event_identity("mailgun", *parts), notice


def _failure(record: Record) -> tuple[FeedbackOutcome | None, str, bool | None]:
    """Outcome, enhanced code and permanence. Mailgun tries again after a failure of severity ``temporary``."""
    if text_at(record, "severity") == "temporary":
        return FeedbackOutcome.DELAYED, "", None
    return _REASONS.get(text_at(record, "reason"), (None, "", True))


def _reply(record: Record) -> Reply:
    status = object_at(record, "delivery-status")
    said = text_at(status, "message") or text_at(status, "description") or text_at(record, "reject", "reason")
    return stated_reply(said, text_at(status, "enhanced-code"), text_at(status, "code"))
