"""Parses a returned message into notices, whatever its bytes are.

Tried in this order: complaint, delivery status report, bounce in prose, automatic reply, unsubscribe.
"""

from __future__ import annotations

from campaign.feedback.feedback_notice import NO_REPLY, FeedbackNotice
from campaign.feedback.messages.automatic_reply import is_automatic_reply, is_generated
from campaign.feedback.messages.bounce_text import BounceText, FailedAddress, split_story
from campaign.feedback.messages.complaint import read_complaint
from campaign.feedback.messages.delivery_report import read_delivery_report, report_in_text, report_part
from campaign.feedback.messages.message_keys import MessageKeys, addressees, message_keys
from campaign.feedback.messages.message_parts import MOST_TEXT, MessageParts, message_parts
from campaign.feedback.messages.report_fields import time_of
from campaign.feedback.messages.sns_mail import read_sns_mail
from campaign.feedback.messages.unsubscribe_mail import is_unsubscribe_mail
from campaign.model import FeedbackOutcome

MOST_NOTICES = 100
MOST_STORIES = 5  #: text parts that are joined


def read_message(raw: bytes) -> tuple[FeedbackNotice, ...]:
    """The notices in ``raw``: at least one, with `FeedbackOutcome.UNKNOWN` if nothing is recognised, and at most 100.

    Of a longer message the first megabyte is read, to a depth of 10 and up to 200 parts. Never raises.
    """
    message = message_parts(raw)
    text = _text(message)
    story, copy = split_story(text) if report_part(message) is None else (text, "")
    keys = message_keys(message, story, copy)
    at = time_of(message.head.first("date"))
    complaint = read_complaint(message, keys, at)
    if complaint is not None:
        return (complaint,)
    notices = read_sns_mail(story, keys) or _bounces(message, story, keys, at)
    return notices[:MOST_NOTICES] or (_other(message, keys, at),)


def _text(message: MessageParts) -> str:
    """The text of a message up to the returned letter; HTML only if there is no plain text."""
    for kind in ("text/plain", "text/html"):
        texts = [part.text() for part in message.parts if part.kind == kind][:MOST_STORIES]
        if any(map(str.strip, texts)):
            return "\n\n".join(texts)[:MOST_TEXT]
    return ""


def _bounces(message: MessageParts, story: str, keys: MessageKeys, at: float) -> tuple[FeedbackNotice, ...]:
    told = BounceText(message.head, story)
    report = report_part(message)
    if report is None:
        if not (told.is_announced() or (_is_of_a_server(message, keys) and told.is_told())):
            return ()
        report = report_in_text(message)
    if report is not None:
        notices = read_delivery_report(report, keys, told, at)
        if notices:
            return notices
    outcome = FeedbackOutcome.DELAYED if told.is_delay() else None
    failed = told.failed or ((FailedAddress("", NO_REPLY),) if keys.returned is not None else ())
    return tuple(_told(one, outcome, keys, at) for one in failed)


def _is_of_a_server(message: MessageParts, keys: MessageKeys) -> bool:
    """Whether its text alone can make a message a bounce: not if it is an absence notice or an unsubscribe."""
    return not (is_automatic_reply(message.head) or is_unsubscribe_mail(message.head, keys.sent_to))


def _told(failed: FailedAddress, outcome: FeedbackOutcome | None, keys: MessageKeys, at: float) -> FeedbackNotice:
    """The notice of a bounce in prose; if it names no address, it is about the returned letter's addressee."""
    code = failed.reply.code or int(failed.reply.enhanced[:1] or 0) * 100
    return FeedbackNotice(
        outcome,
        reply=failed.reply,
        permanent=code >= 500 if code else None,
        at=at,
        addresses=(failed.address,) if failed.address else addressees(keys.returned),
        **keys.as_fields(),
    )


def _other(message: MessageParts, keys: MessageKeys, at: float) -> FeedbackNotice:
    """The notice of a message that is neither a bounce nor a complaint."""
    for_reader = is_generated(message.head) and is_unsubscribe_mail(message.head, ())  # by a mail program's button
    if is_automatic_reply(message.head) and not for_reader:
        return FeedbackNotice(FeedbackOutcome.AUTOMATIC_REPLY, at=at, **keys.as_fields())
    keys = keys.with_subject(message.head.words("subject"))
    outcome = (
        FeedbackOutcome.UNSUBSCRIBE if is_unsubscribe_mail(message.head, keys.sent_to) else FeedbackOutcome.UNKNOWN
    )
    return FeedbackNotice(outcome, at=at, **keys.as_fields())
