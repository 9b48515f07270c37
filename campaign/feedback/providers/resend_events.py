"""Events of Resend's webhooks."""

from __future__ import annotations

from typing import Any

from campaign.feedback.event_feeds.amazon.ses_event import SUB_TYPES
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
    texts_at,
    time_at,
)
from campaign.model import FeedbackOutcome, Reply

_OUTCOMES: dict[str, FeedbackOutcome | None] = {
    "email.bounced": None,
    "email.suppressed": None,
    "email.failed": FeedbackOutcome.NOT_THEIR_FAULT,
    "email.delivery_delayed": FeedbackOutcome.DELAYED,
    "email.delivered": FeedbackOutcome.DELIVERED,
    "email.complained": FeedbackOutcome.COMPLAINT,
}
_PERMANENT = {"permanent": True, "transient": False}


def resend_event(record: Any) -> tuple[str, FeedbackNotice] | None:
    """The id and the notice of one event; ``None`` if it says nothing about a letter's fate. Raises EventError."""
    kind = event_type(record, "type")
    if kind not in _OUTCOMES:
        return None
    data = object_at(record, "data")
    outcome, permanent, reply = _OUTCOMES[kind], None, _reply(data)
    if kind == "email.bounced":
        bounce = object_at(data, "bounce")
        permanent = _PERMANENT.get(text_at(bounce, "type").lower())
        detail = SUB_TYPES.get(text_at(bounce, "subType"), "")
        reply = classed(reply, f"{4 if permanent is False else 5}.{detail}" if detail else "")
    elif kind == "email.suppressed":
        permanent, reply = True, classed(reply, "5.1.1")
    letter = text_at(data, "email_id")
    notice = FeedbackNotice(
        outcome,
        reply,
        permanent,
        time_at(record, "created_at"),
        message_ids=nonempty(text_at(data, "message_id").strip("<>")),
        reply_ids=nonempty(letter),
        addresses=texts_at(data, "to"),
    )
    return event_identity("resend", kind, letter, *notice.addresses, text_at(record, "created_at")), notice


def _reply(data: Record) -> Reply:
    return stated_reply(
        text_at(data, "bounce", "message")
        or text_at(data, "suppressed", "message")
        or text_at(data, "failed", "reason")
    )
