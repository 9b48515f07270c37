"""Events of Twilio SendGrid's Event Webhook."""

from __future__ import annotations

import re
from typing import Any

from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.providers.record_fields import (
    Record,
    classed,
    event_identity,
    event_type,
    nonempty,
    stated_reply,
    text_at,
    time_at,
)
from campaign.model import FeedbackOutcome, Reply

_OUTCOMES: dict[str, FeedbackOutcome | None] = {
    "bounce": None,
    "dropped": FeedbackOutcome.NOT_THEIR_FAULT,
    "deferred": FeedbackOutcome.DELAYED,
    "delivered": FeedbackOutcome.DELIVERED,
    "spamreport": FeedbackOutcome.COMPLAINT,
    "unsubscribe": FeedbackOutcome.UNSUBSCRIBE,
    "group_unsubscribe": FeedbackOutcome.UNSUBSCRIBE,
}
#: Why SendGrid dropped a letter, in lower case: what its own list says of the address.
_DROPPED: dict[str, tuple[FeedbackOutcome | None, str]] = {
    "bounced address": (None, "5.1.1"),
    "invalid": (None, "5.1.3"),
    "unsubscribed address": (FeedbackOutcome.UNSUBSCRIBE, ""),
    "spam reporting address": (FeedbackOutcome.COMPLAINT, ""),
}
#: ``bounce_classification``, in lower case -> enhanced code without its class, for bounces that quote no code.
_CLASSES = {
    "invalid address": "1.1",
    "mailbox unavailable": "2.1",
    "content": "7.1",
    "reputation": "7.1",
    "frequency or volume too high": "7.1",
    "technical": "4.1",
}
#: What SendGrid appends to its id of a letter, which its reply to us does not have.
_APPENDED = re.compile(r"\.(?:filter|recvd)")


def sendgrid_event(record: Any) -> tuple[str, FeedbackNotice] | None:
    """The id and the notice of one event; ``None`` if it says nothing about a letter's fate. Raises EventError."""
    kind = event_type(record, "event")
    if kind not in _OUTCOMES:
        return None
    outcome, permanent, reply = _OUTCOMES[kind], None, _reply(record)
    if kind == "bounce":
        permanent = text_at(record, "type") != "blocked"
        detail = _CLASSES.get(text_at(record, "bounce_classification").lower(), "")
        reply = classed(reply, f"{5 if permanent else 4}.{detail}" if detail else "")
    elif kind == "dropped":
        outcome, enhanced = _DROPPED.get(text_at(record, "reason").lower(), (outcome, ""))
        permanent, reply = True if outcome is None else None, classed(reply, enhanced)
    notice = FeedbackNotice(
        outcome,
        reply,
        permanent,
        time_at(record, "timestamp"),
        message_ids=nonempty(text_at(record, "smtp-id").strip("<>")),
        reply_ids=nonempty(_APPENDED.split(text_at(record, "sg_message_id"))[0]),
        addresses=nonempty(text_at(record, "email")),
    )
    named = text_at(record, "sg_event_id")
    parts = (named,) if named else (kind, text_at(record, "sg_message_id"), *notice.addresses, str(notice.at))
    return event_identity("sendgrid", *parts), notice


def _reply(record: Record) -> Reply:
    said = text_at(record, "reason") or text_at(record, "response")
    return stated_reply(said, text_at(record, "status"))
