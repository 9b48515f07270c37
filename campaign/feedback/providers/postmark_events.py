"""Events of Postmark's webhooks, and the bounces that its list has."""

from __future__ import annotations

from collections.abc import Callable
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

#: Outcome, enhanced code for reports that quote none, and permanence.
_Meaning = tuple[FeedbackOutcome | None, str, bool | None]
_OURS: _Meaning = (FeedbackOutcome.NOT_THEIR_FAULT, "", None)
_AUTOMATIC: _Meaning = (FeedbackOutcome.AUTOMATIC_REPLY, "", None)
_HARD: _Meaning = (None, "5.1.1", True)
_COMPLAINT: _Meaning = (FeedbackOutcome.COMPLAINT, "", None)
_UNSUBSCRIBE: _Meaning = (FeedbackOutcome.UNSUBSCRIBE, "", None)

#: ``Type`` of a bounce -> what it means. The other types say nothing about the letter or its reader.
_BOUNCES: dict[str, _Meaning] = {
    "HardBounce": (None, "", True),
    "BadEmailAddress": (None, "5.1.3", True),
    "SoftBounce": (None, "", False),
    "DnsError": (None, "4.4.4", False),
    "Unknown": (None, "", False),
    "Transient": (FeedbackOutcome.DELAYED, "", None),
    "AutoResponder": _AUTOMATIC,
    "AddressChange": _AUTOMATIC,
    "ChallengeVerification": _AUTOMATIC,
    "SpamNotification": _OURS,
    "VirusNotification": _OURS,
    "Blocked": _OURS,
    "DMARCPolicy": _OURS,
    "SMTPApiError": _OURS,
    "TemplateRenderingFailed": _OURS,
    "Unsubscribe": _UNSUBSCRIBE,
    "ManuallyDeactivated": _UNSUBSCRIBE,
    "SpamComplaint": _COMPLAINT,
}
#: ``SuppressionReason`` of a subscription that was changed.
_SUPPRESSIONS = {"HardBounce": _HARD, "SpamComplaint": _COMPLAINT, "ManualSuppression": _UNSUBSCRIBE}
_NO_LETTER = "00000000-0000-0000-0000-000000000000"


def postmark_event(record: Any) -> tuple[str, FeedbackNotice] | None:
    """The id and the notice of one event; ``None`` if it says nothing about a letter's fate. Raises EventError."""
    kind = event_type(record, "RecordType")
    meaning = _READERS[kind](record) if kind in _READERS else None
    if meaning is None:
        return None
    outcome, enhanced, permanent = meaning
    reply: Reply = stated_reply(text_at(record, "Details") or text_at(record, "Description"))
    letter = text_at(record, "MessageID")
    notice = FeedbackNotice(
        outcome,
        classed(reply, enhanced),
        permanent,
        time_at(record, "BouncedAt", "DeliveredAt", "ChangedAt"),
        reply_ids=nonempty(letter if letter != _NO_LETTER else ""),
        addresses=nonempty(text_at(record, "Email") or text_at(record, "Recipient")),
    )
    named = text_at(record, "ID")
    parts = (named,) if named not in ("", "0") else (letter, *notice.addresses, str(notice.at))
    return event_identity("postmark", kind, *parts), notice


def _bounce(record: Record) -> _Meaning | None:
    return _BOUNCES.get(event_type(record, "Type"))


def _subscription(record: Record) -> _Meaning | None:
    if record.get("SuppressSending") is not True:
        return None
    return _SUPPRESSIONS.get(text_at(record, "SuppressionReason"), _UNSUBSCRIBE)


_READERS: dict[str, Callable[[Record], _Meaning | None]] = {
    "Bounce": _bounce,
    "SpamComplaint": lambda _: _COMPLAINT,
    "SubscriptionChange": _subscription,
    "Delivery": lambda _: (FeedbackOutcome.DELIVERED, "", None),
}
