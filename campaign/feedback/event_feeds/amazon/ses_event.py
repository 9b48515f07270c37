"""Parses events of Amazon SES, in SNS's envelope or in raw delivery.

Only texts and lists of objects are used, each within a limit, because a queue may contain anything.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec

from campaign.feedback.event_feeds.quoted_reply import plain_text, quoted_reply
from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.model import FeedbackOutcome, Reply

#: Maximum of recipients of one event; SES sends to 50 at most.
MOST_RECIPIENTS = 100
#: The plain text that SES sends once to a new topic.
GREETING = "Successfully validated SNS topic for Amazon SES"

#: Enhanced code of a bounce's sub-type, for bounces that quote no server; the class digit is left open.
SUB_TYPES = {
    "NoEmail": "1.1",
    "Suppressed": "1.1",
    "OnAccountSuppressionList": "1.1",
    "MailboxFull": "2.2",
    "MessageTooLarge": "3.4",
    "ContentRejected": "7.1",
    "AttachmentRejected": "7.1",
}
_PERMANENT = {"Permanent": True, "Transient": False}
#: Complaints that say the opposite, or nothing about the reader's wish.
_NO_COMPLAINTS = {"not-spam", "auth-failure"}

Json = dict[str, Any]


class SesEvent(msgspec.Struct, frozen=True):
    """``id`` is the same each time the event is delivered; ``notices`` may be empty (a letter was opened)."""

    id: str
    notices: tuple[FeedbackNotice, ...]


def read_ses_event(body: str) -> SesEvent | None:
    """The event in a message's body; ``None`` if it is not an event of SES. Never raises."""
    event = _json(body)
    if "TopicArn" in event and isinstance(event.get("Message"), str):
        body = event["Message"]
        event = _json(body)
    if body.startswith(GREETING):
        return SesEvent(_digest(body), ())
    kind = _text(event, "eventType") or _text(event, "notificationType")
    if not kind or not (_object(event, "mail") or kind == "AmazonSnsSubscriptionSucceeded"):
        return None
    found = _READERS.get(kind)
    return SesEvent(_digest(body), tuple(found(event))[:MOST_RECIPIENTS] if found else ())


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _bounce(event: Json) -> Iterator[FeedbackNotice]:
    bounce = _object(event, "bounce")
    sub_type = _text(bounce, "bounceSubType")
    permanent = _PERMANENT.get(_text(bounce, "bounceType"))
    for one in _objects(bounce, "bouncedRecipients"):
        reply = _reply(one)
        if not reply.enhanced and sub_type in SUB_TYPES:
            reply = reply._replace(enhanced=f"{5 if permanent else 4}.{SUB_TYPES[sub_type]}")
        if not reply.text:
            reply = reply._replace(text=f"{_text(bounce, 'bounceType')} bounce: {sub_type}")
        yield _about(event, bounce, None, _text(one, "emailAddress"), reply, permanent)


def _complaint(event: Json) -> Iterator[FeedbackNotice]:
    complaint = _object(event, "complaint")
    kind = _text(complaint, "complaintFeedbackType")
    outcome = FeedbackOutcome.UNKNOWN if kind in _NO_COMPLAINTS else FeedbackOutcome.COMPLAINT
    for one in _objects(complaint, "complainedRecipients"):
        reply = Reply(0, "", kind or _text(complaint, "complaintSubType"))
        yield _about(event, complaint, outcome, _text(one, "emailAddress"), reply)


def _delivery(event: Json) -> Iterator[FeedbackNotice]:
    delivery = _object(event, "delivery")
    reply = quoted_reply(_text(delivery, "smtpResponse"))
    for address in _texts(delivery, "recipients"):
        yield _about(event, delivery, FeedbackOutcome.DELIVERED, address, reply)


def _delay(event: Json) -> Iterator[FeedbackNotice]:
    delay = _object(event, "deliveryDelay")
    for one in _objects(delay, "delayedRecipients"):
        yield _about(event, delay, FeedbackOutcome.DELAYED, _text(one, "emailAddress"), _reply(one))


def _reject(event: Json) -> Iterator[FeedbackNotice]:
    reason = _text(_object(event, "reject"), "reason") or _text(_object(event, "failure"), "errorMessage")
    reply = Reply(0, "", f"rejected by SES: {reason}")
    for address in _texts(_object(event, "mail"), "destination"):
        yield _about(event, {}, FeedbackOutcome.NOT_THEIR_FAULT, address, reply)


def _send(event: Json) -> Iterator[FeedbackNotice]:
    for address in _texts(_object(event, "mail"), "destination"):
        yield _about(event, {}, FeedbackOutcome.DELAYED, address, Reply(250, "", "accepted by SES"))


_READERS = {
    "Bounce": _bounce,
    "Complaint": _complaint,
    "Delivery": _delivery,
    "DeliveryDelay": _delay,
    "Reject": _reject,
    "Rendering Failure": _reject,
    "Send": _send,
}


def _about(
    event: Json,
    told: Json,
    outcome: FeedbackOutcome | None,
    address: str,
    reply: Reply,
    permanent: bool | None = None,
) -> FeedbackNotice:
    mail = _object(event, "mail")
    name = _text(mail, "messageId")
    host = _text(told, "reportingMTA").rpartition(";")[2].strip()
    return FeedbackNotice(
        outcome,
        reply,
        permanent,
        _seconds(_text(told, "timestamp") or _text(mail, "timestamp")),
        host,
        message_ids=tuple(_message_ids(mail)),
        reply_ids=(name,) if name else (),
        addresses=(address,) if address else (),
    )


def _message_ids(mail: Json) -> Iterator[str]:
    """Our Message-ID, without angle brackets, from each of the two places where it may be."""
    named = [_text(_object(mail, "commonHeaders"), "messageId")]
    named += [_text(one, "value") for one in _objects(mail, "headers") if _text(one, "name").lower() == "message-id"]
    yield from dict.fromkeys(one.strip("<>") for one in named if one)


def _reply(recipient: Json) -> Reply:
    return quoted_reply(_text(recipient, "diagnosticCode"), _text(recipient, "status"))


def _seconds(text: str) -> float:
    try:
        found = dt.datetime.fromisoformat(text)
        return found.replace(tzinfo=found.tzinfo or dt.UTC).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _json(text: str) -> Json:
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _object(of: Json, key: str) -> Json:
    found = of.get(key)
    return found if isinstance(found, dict) else {}


def _objects(of: Json, key: str) -> list[Json]:
    found = of.get(key)
    return [one for one in found[:MOST_RECIPIENTS] if isinstance(one, dict)] if isinstance(found, list) else []


def _texts(of: Json, key: str) -> list[str]:
    found = of.get(key)
    return (
        [plain_text(one) for one in found[:MOST_RECIPIENTS] if isinstance(one, str)] if isinstance(found, list) else []
    )


def _text(of: Json, key: str) -> str:
    found = of.get(key)
    return plain_text(found) if isinstance(found, str) else ""
