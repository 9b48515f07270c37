"""Brevo: events of transactional letters, and contacts that are blocked because they unsubscribed.

developers.brevo.com/reference: getemaileventreport, gettransacblockedcontacts. Days in questions are the account's.
"""

from __future__ import annotations

from collections.abc import Iterator

from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.provider_lists.provider_api import (
    DAY,
    Entry,
    GetJson,
    ProviderApi,
    offset_pages,
    read_entries,
    rfc3339,
)
from campaign.feedback.providers.brevo_events import brevo_event
from campaign.feedback.providers.record_fields import Record, event_identity, nonempty, text_at, time_at
from campaign.model import FeedbackOutcome, Reply

#: Events and blocked contacts in an answer.
PAGE, CONTACTS = 2500, 100
#: Kinds of events that are asked for.
EVENTS = ("hardBounces", "softBounces", "invalid", "spam", "unsubscribed")


def brevo_event_list(_: str) -> ProviderApi:
    """The events of an account."""
    return ProviderApi(
        "Brevo", "api.brevo.com", ("BREVO_API_KEY",), lambda key: {"api-key": key}, _entries, kept=30 * DAY
    )


def _entries(get: GetJson, begin: float, end: float) -> Iterator[Entry]:
    days = {"startDate": rfc3339(begin - DAY)[:10], "endDate": rfc3339(end)[:10]}
    for name in EVENTS:
        records = offset_pages(get, "/v3/smtp/statistics/events", "events", PAGE, event=name, sort="asc", **days)
        yield from read_entries(brevo_event, records)
    contacts = offset_pages(get, "/v3/smtp/blockedContacts", "contacts", CONTACTS, sort="asc", **days)
    yield from read_entries(brevo_contact, contacts)


def brevo_contact(record: Record) -> tuple[str, FeedbackNotice] | None:
    """A contact that unsubscribed; None if it is blocked for something else, which is among the events."""
    code = text_at(record, "reason", "code")
    if not code.startswith("unsubscribed"):
        return None
    address, at = text_at(record, "email"), time_at(record, "blockedAt")
    reply = Reply(0, "", text_at(record, "reason", "message") or code)
    notice = FeedbackNotice(FeedbackOutcome.UNSUBSCRIBE, reply, at=at, addresses=nonempty(address))
    return event_identity("brevo", "blocked", address, str(at)), notice
