"""Events of Mailjet's Event API."""

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
    "blocked": FeedbackOutcome.NOT_THEIR_FAULT,
    "sent": FeedbackOutcome.DELIVERED,  # the reader's server accepted it
    "spam": FeedbackOutcome.COMPLAINT,
    "unsub": FeedbackOutcome.UNSUBSCRIBE,
}
#: ``error`` -> enhanced code, without its class.
_ERRORS = {
    "user unknown": "1.1",
    "mailbox inactive": "2.1",
    "quota exceeded": "2.2",
    "invalid domain": "1.2",
    "no mail host": "4.4",
    "relay/access denied": "7.1",
    "sender blocked": "7.1",
    "content blocked": "7.1",
    "policy issue": "7.1",
    "connection issue": "4.1",
    "system issue": "3.0",
    "protocol issue": "5.0",
}
#: ``error`` of a letter that Mailjet did not send because of what it knows about the address.
_DEAD = {"user unknown", "mailbox inactive", "invalid domain", "no mail host"}
_SENT = re.compile(r"sent \((.*)\)", re.DOTALL)


def mailjet_event(record: Any) -> tuple[str, FeedbackNotice] | None:
    """The id and the notice of one event; ``None`` if it says nothing about a letter's fate. Raises EventError."""
    kind = event_type(record, "event")
    if kind not in _OUTCOMES:
        return None
    outcome, permanent = _fate(kind, record)
    letter = tuple(one for one in (text_at(record, "Message_GUID"), text_at(record, "MessageID")) if one != "0")
    notice = FeedbackNotice(
        outcome,
        _reply(record, permanent is True),
        permanent,
        time_at(record, "time"),
        reply_ids=nonempty(*letter),
        addresses=nonempty(text_at(record, "email")),
    )
    return event_identity("mailjet", kind, text_at(record, "MessageID"), *notice.addresses, str(notice.at)), notice


def _fate(kind: str, record: Record) -> tuple[FeedbackOutcome | None, bool | None]:
    if kind == "bounce":
        return None, record.get("hard_bounce") in (True, "true", "1", 1)
    error = text_at(record, "error").lower()
    if kind == "blocked" and error == "spam reporter":
        return FeedbackOutcome.COMPLAINT, None
    return (None, True) if kind == "blocked" and error in _DEAD else (_OUTCOMES[kind], None)


def _reply(record: Record, permanent: bool) -> Reply:
    error = text_at(record, "error")
    said = text_at(record, "comment") or text_at(record, "smtp_reply")
    sent = _SENT.fullmatch(said)
    reply = stated_reply(sent[1] if sent else said or error or text_at(record, "source"))
    known = _ERRORS.get(error.lower(), "")
    return classed(reply, f"{5 if permanent else 4}.{known}" if known else "")
