"""Parses complaints: abuse reports about a letter (RFC 5965), and Microsoft's form without a report."""

from __future__ import annotations

from msgspec.structs import replace

from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.messages.message_keys import MessageKeys, addressees, addresses_in, first_ones
from campaign.feedback.messages.message_parts import HeaderBlock, MessageParts
from campaign.feedback.messages.report_fields import host_of
from campaign.model import FeedbackOutcome

#: Microsoft's junk mail reports return the letter with this field added.
_MICROSOFT = "x-hmxmroriginalrecipient"
#: Type of report (RFC 5965, 7.3; RFC 6430; RFC 6591) -> outcome. A failed authentication is not a reader's wish.
_OUTCOMES = {
    "abuse": FeedbackOutcome.COMPLAINT,
    "fraud": FeedbackOutcome.COMPLAINT,
    "virus": FeedbackOutcome.COMPLAINT,
    "other": FeedbackOutcome.COMPLAINT,
    "miscategorized": FeedbackOutcome.COMPLAINT,
    "opt-out": FeedbackOutcome.UNSUBSCRIBE,
    "opt-out-list": FeedbackOutcome.UNSUBSCRIBE,
}


def read_complaint(message: MessageParts, keys: MessageKeys, at: float) -> FeedbackNotice | None:
    """The complaint in ``message``, ``None`` if there is none. ``at`` is the message's own date, POSIX seconds."""
    report = message.of_kind("message/feedback-report")
    if report is None:
        returned = keys.returned
        if returned is None or _MICROSOFT not in returned:
            return None
        return FeedbackNotice(FeedbackOutcome.COMPLAINT, at=at, addresses=_addressees(returned, ()), **keys.as_fields())
    fields = HeaderBlock(report.octets().lstrip(b"\r\n"))
    outcome = _OUTCOMES.get(fields.first("feedback-type").lower(), FeedbackOutcome.UNKNOWN)
    if outcome is FeedbackOutcome.UNKNOWN:  # such as "not-spam": the returned token must not unsubscribe its reader
        keys = replace(keys, unsubscribe_tokens=())
    named = [one for value in fields.all("original-rcpt-to") for one in addresses_in(value)]
    return FeedbackNotice(
        outcome,
        at=at,
        mta=host_of(fields.first("reporting-mta")),
        addresses=_addressees(keys.returned, named),
        **keys.as_fields(),
    )


def _addressees(returned: HeaderBlock | None, named: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """The addresses that the report names, then the letter's addressees."""
    if returned is None:
        return first_ones(named)
    return first_ones([*named, *addresses_in(returned.first(_MICROSOFT)), *addressees(returned)])
