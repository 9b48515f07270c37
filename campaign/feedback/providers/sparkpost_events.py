"""Events of SparkPost: each is wrapped in ``msys`` by a webhook, and stands alone in its list of events."""

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
    stated_reply,
    text_at,
    time_at,
)
from campaign.model import FeedbackOutcome

_OUTCOMES: dict[str, FeedbackOutcome | None] = {
    "bounce": None,
    "out_of_band": None,
    "policy_rejection": FeedbackOutcome.NOT_THEIR_FAULT,
    "generation_failure": FeedbackOutcome.NOT_THEIR_FAULT,
    "generation_rejection": FeedbackOutcome.NOT_THEIR_FAULT,
    "delay": FeedbackOutcome.DELAYED,
    "delivery": FeedbackOutcome.DELIVERED,
    "spam_complaint": FeedbackOutcome.COMPLAINT,
    "list_unsubscribe": FeedbackOutcome.UNSUBSCRIBE,
    "link_unsubscribe": FeedbackOutcome.UNSUBSCRIBE,
}
#: ``bounce_class`` -> outcome of a bounce, for those that are not what the quoted reply says.
_NOT_BOUNCED = {
    "25": FeedbackOutcome.NOT_THEIR_FAULT,
    "60": FeedbackOutcome.AUTOMATIC_REPLY,
    "80": FeedbackOutcome.UNKNOWN,
    "90": FeedbackOutcome.UNSUBSCRIBE,
    "100": FeedbackOutcome.AUTOMATIC_REPLY,
}
#: ``bounce_class`` -> enhanced code, for bounces that quote none.
_CLASSES = {
    "10": "5.1.1",
    "20": "4.2.0",
    "21": "4.4.4",
    "22": "4.2.2",
    "23": "5.3.4",
    "24": "4.4.7",
    "30": "5.1.1",
    "50": "5.7.1",
    "51": "5.7.1",
    "52": "5.7.1",
    "53": "5.7.1",
    "54": "5.7.1",
    "70": "4.0.0",
}
_PERMANENT = {"10": True, "30": True, "1": None}


def sparkpost_payload(item: Any) -> Record | None:
    """The event in one item of a webhook's array; ``None`` for a test of the address. Raises EventError."""
    wrapped = item.get("msys") if isinstance(item, dict) else None
    if not isinstance(wrapped, dict):
        raise EventError("it has no msys")
    return next((one for one in wrapped.values() if isinstance(one, dict)), None)


def sparkpost_event(record: Any) -> tuple[str, FeedbackNotice] | None:
    """The id and the notice of one event; ``None`` if it says nothing about a letter's fate. Raises EventError."""
    kind = event_type(record, "type")
    if kind not in _OUTCOMES:
        return None
    outcome, permanent = _OUTCOMES[kind], None
    reply = stated_reply(text_at(record, "raw_reason") or text_at(record, "reason"), "", text_at(record, "error_code"))
    if outcome is None:
        category = text_at(record, "bounce_class")
        outcome, permanent = _NOT_BOUNCED.get(category), _PERMANENT.get(category, False)
        reply = classed(reply, _CLASSES.get(category, ""))
    notice = FeedbackNotice(
        outcome,
        reply,
        permanent,
        time_at(record, "timestamp"),
        reply_ids=nonempty(text_at(record, "transmission_id"), text_at(record, "message_id")),
        addresses=nonempty(text_at(record, "raw_rcpt_to") or text_at(record, "rcpt_to")),
    )
    named = text_at(record, "event_id")
    parts = (named,) if named else (kind, *notice.reply_ids, *notice.addresses, str(notice.at))
    return event_identity("sparkpost", *parts), notice
