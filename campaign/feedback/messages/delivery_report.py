"""Parses delivery status reports (RFC 3464, international ones RFC 6533): one notice for each recipient."""

from __future__ import annotations

import re

from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.messages.bounce_text import BounceText
from campaign.feedback.messages.diagnosis import diagnosis, status_of
from campaign.feedback.messages.message_keys import MessageKeys, first_ones
from campaign.feedback.messages.message_parts import HeaderBlock, MessagePart, MessageParts
from campaign.feedback.messages.report_fields import address_of, host_of, report_groups, time_of, without_type
from campaign.model import FeedbackOutcome, Reply

_KINDS = ("message/delivery-status", "message/global-delivery-status")
#: Action -> outcome; for ``None`` the reply rules judge the reply.
_ACTIONS: dict[str, FeedbackOutcome | None] = {
    "failed": None,
    "delayed": FeedbackOutcome.DELAYED,
    "deferred": FeedbackOutcome.DELAYED,
    "delivered": FeedbackOutcome.DELIVERED,
    "relayed": FeedbackOutcome.DELIVERED,
    "expanded": FeedbackOutcome.DELIVERED,
}
#: Added to a reply's text if the prose next to the report names the command, and the report does not.
_AFTER_CONTENT = " (in reply to end of DATA)"
_WORD = re.compile(r"\s{0,9}([a-z]{1,20})", re.IGNORECASE)
_FIELDS = re.compile(rb"(?im)^(?:final|original)-recipient:")


def report_part(message: MessageParts) -> MessagePart | None:
    """The part that holds the report."""
    return message.of_kind(*_KINDS)


def report_in_text(message: MessageParts) -> MessagePart | None:
    """The text part in which some servers put the report's fields."""
    return next((one for one in message.parts if one.kind == "text/plain" and _FIELDS.search(one.body[:20_000])), None)


def read_delivery_report(
    part: MessagePart, keys: MessageKeys, told: BounceText, at: float
) -> tuple[FeedbackNotice, ...]:
    """The notices of the report in ``part``. ``told`` is the prose next to it, for fields that the report lacks.

    ``at``: the message's own date, POSIX seconds. Empty if ``part`` names no recipient and no status.
    """
    shared, recipients = HeaderBlock(b""), []
    for group in report_groups(part.octets()):
        if any(name in group for name in ("final-recipient", "original-recipient", "action", "diagnostic-code")):
            recipients.append(group)
        elif "reporting-mta" in group:
            shared = group
    keys = keys.with_envelope_id(shared.first("original-envelope-id"))
    mta = host_of(shared.first("reporting-mta") or (recipients[0].first("reporting-mta") if recipients else ""))
    suffix = _AFTER_CONTENT if len(recipients) == 1 and told.is_about_content() else ""
    return tuple(_notice(group, keys, told, mta, at, suffix) for group in recipients)


def _notice(
    group: HeaderBlock, keys: MessageKeys, told: BounceText, mta: str, at: float, suffix: str
) -> FeedbackNotice:
    status = status_of(group.first("status"))
    addresses = first_ones(
        filter(None, (address_of(group.first("original-recipient")), address_of(group.first("final-recipient"))))
    )
    reply = _reply(group, status, addresses, told)
    return FeedbackNotice(
        _outcome(group.first("action"), status),
        reply=reply._replace(text=reply.text + suffix),
        permanent={"5": True, "4": False}.get(status[:1]),
        at=time_of(group.first("last-attempt-date")) or at,
        mta=mta,
        addresses=addresses or first_ones(one.address for one in told.failed if one.address),
        **keys.as_fields(),
    )


def _outcome(action: str, status: str) -> FeedbackOutcome | None:
    word = _WORD.match(action)
    if word is None:
        return FeedbackOutcome.DELIVERED if status.startswith("2") else None
    return _ACTIONS.get(word[1].lower())


def _reply(group: HeaderBlock, status: str, addresses: tuple[str, ...], told: BounceText) -> Reply:
    """The reply of the Diagnostic-Code; if it has no text, that of the prose, else of the Status's comment."""
    words = without_type(group.first("diagnostic-code"))
    if sum(map(str.isalpha, words[:40])) > 3:
        return diagnosis(words, status)
    for one in told.failed:
        if one.address in addresses or len(told.failed) == 1:
            return one.reply._replace(enhanced=one.reply.enhanced or status)
    return diagnosis(words or group.first("status").partition("(")[2].rstrip(")"), status)
