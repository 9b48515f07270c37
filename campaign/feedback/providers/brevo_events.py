"""Events of Brevo, as its webhooks send them and as its list of events has them."""

from __future__ import annotations

from typing import Any

from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.providers.record_fields import (
    classed,
    event_identity,
    event_type,
    nonempty,
    stated_reply,
    text_at,
    time_at,
)
from campaign.model import FeedbackOutcome

#: The webhook's name of an event, without its underscores, or the list's -> outcome, enhanced code, permanence.
_MEANINGS: dict[str, tuple[FeedbackOutcome | None, str, bool | None]] = {
    "hardbounce": (None, "", True),
    "softbounce": (None, "", False),
    "invalid": (None, "5.1.3", True),
    "blocked": (FeedbackOutcome.NOT_THEIR_FAULT, "", None),
    "error": (FeedbackOutcome.NOT_THEIR_FAULT, "", None),
    "deferred": (FeedbackOutcome.DELAYED, "", None),
    "delivered": (FeedbackOutcome.DELIVERED, "", None),
    "spam": (FeedbackOutcome.COMPLAINT, "", None),
    "unsubscribed": (FeedbackOutcome.UNSUBSCRIBE, "", None),
}
_SAME = {
    "hardbounces": "hardbounce",
    "softbounces": "softbounce",
    "invalidemail": "invalid",
    "complaint": "spam",
    "unsubscribe": "unsubscribed",
}


def brevo_event(record: Any) -> tuple[str, FeedbackNotice] | None:
    """The id and the notice of one event; ``None`` if it says nothing about a letter's fate. Raises EventError."""
    word = event_type(record, "event").replace("_", "").lower()
    kind = _SAME.get(word, word)
    if kind not in _MEANINGS:
        return None
    outcome, enhanced, permanent = _MEANINGS[kind]
    letter = (text_at(record, "message-id") or text_at(record, "messageId")).strip("<>")
    notice = FeedbackNotice(
        outcome,
        classed(stated_reply(text_at(record, "reason")), enhanced),
        permanent,
        time_at(record, "ts_epoch", "ts_event", "date"),  # `ts` is in the zone of the account
        message_ids=nonempty(letter),
        reply_ids=nonempty(letter),
        addresses=nonempty(text_at(record, "email")),
    )
    return event_identity("brevo", kind, letter, text_at(record, "email"), str(notice.at)), notice
