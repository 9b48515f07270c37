"""Reads the body of a provider's webhook: the events in it, each with an id that stays the same when it is sent again.

``standard-webhooks`` is any program that signs by the Standard Webhooks specification and sends this program's own
events, as `event_object.py` describes them, alone, in an array, or as the ``data`` of an object with a ``type``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from campaign.feedback.event_feeds.amazon.ses_event import read_ses_event
from campaign.feedback.event_feeds.event_object import EventError, parse_event
from campaign.feedback.event_feeds.quoted_reply import plain_text
from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.providers.brevo_events import brevo_event
from campaign.feedback.providers.mailgun_events import mailgun_event, mailgun_payload
from campaign.feedback.providers.mailjet_events import mailjet_event
from campaign.feedback.providers.postmark_events import postmark_event
from campaign.feedback.providers.record_fields import decoded_body, event_identity, records_in
from campaign.feedback.providers.resend_events import resend_event
from campaign.feedback.providers.sendgrid_events import sendgrid_event
from campaign.feedback.providers.sparkpost_events import sparkpost_event, sparkpost_payload

_Found = tuple[str, FeedbackNotice] | None


def _mailgun(item: Any) -> _Found:
    return mailgun_event(mailgun_payload(item))


def _sparkpost(item: Any) -> _Found:
    record = sparkpost_payload(item)
    return sparkpost_event(record) if record is not None else None


def _own(item: Any) -> _Found:
    event = item.get("data") if isinstance(item, dict) and "outcome" not in item else item
    if not isinstance(event, dict):
        raise EventError("it is no event with an outcome")
    line = msgspec.json.encode(event)
    named, notice = parse_event(line)
    return event_identity("standard-webhooks", named or line.decode()), notice


_READERS: dict[str, Callable[[Any], _Found]] = {
    "sendgrid": sendgrid_event,
    "mailgun": _mailgun,
    "postmark": postmark_event,
    "brevo": brevo_event,
    "sparkpost": _sparkpost,
    "mailjet": mailjet_event,
    "resend": resend_event,
    "standard-webhooks": _own,
}
#: The names of the providers whose webhooks can be read; ``ses`` are notifications of Amazon SNS.
PROVIDERS = ("ses", *_READERS)


def provider_notices(provider: str, body: bytes) -> Iterator[tuple[str, FeedbackNotice]]:
    """Each event's id and notice. An event about two recipients has two, with different ids.

    Raises EventError if the body, or a part of it, is no event of the provider; the other parts are yielded first.
    """
    if provider == "ses":
        yield from _ses_notices(body)
        return
    if provider not in _READERS:
        raise EventError(f"{plain_text(provider)[:40]!r} is no provider; known: {', '.join(PROVIDERS)}")
    read, bad = _READERS[provider], ""
    items = records_in(decoded_body(body))
    for number, item in enumerate(items, start=1):
        try:
            found = read(item)
        except EventError as error:
            bad = bad or (f"event {number} of {len(items)}: {error}" if len(items) > 1 else str(error))
        else:
            if found is not None:
                yield found
    if bad:
        raise EventError(bad)


def _ses_notices(body: bytes) -> Iterator[tuple[str, FeedbackNotice]]:
    decoded_body(body)
    event = read_ses_event(body.decode("utf-8"))
    if event is None:
        raise EventError("it is no event of Amazon SES")
    for number, notice in enumerate(event.notices, start=1):
        yield (event.id if number == 1 else f"{event.id}/{number}"), notice
