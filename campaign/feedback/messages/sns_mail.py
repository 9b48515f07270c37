"""Parses events of Amazon SES that its notification service (SNS) sends as e-mail: JSON in a text."""

from __future__ import annotations

from msgspec.structs import replace

from campaign.feedback.event_feeds.amazon.ses_event import read_ses_event
from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.messages.message_keys import MessageKeys

#: The text that SNS appends to the event.
_FOOTER = "\n--\n"


def read_sns_mail(story: str, keys: MessageKeys) -> tuple[FeedbackNotice, ...]:
    """The notices of the event in ``story``, with the message's own keys; empty if there is no event."""
    text = story.partition(_FOOTER)[0].strip()
    if not (text.startswith("{") and text.endswith("}")):
        return ()
    for body in (text, text.replace("\n ", "").replace("\n", "")):  # a long line may have been folded on the way
        event = read_ses_event(body)
        if event is not None:
            return tuple(replace(one, sent_to=keys.sent_to) for one in event.notices)
    return ()
