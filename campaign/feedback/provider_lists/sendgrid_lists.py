"""SendGrid: its lists of suppressed addresses, and of those who left an unsubscribe group.

www.twilio.com/docs/sendgrid/api-reference: Bounces, Blocks, Invalid Emails, Spam Reports, Unsubscribes, Suppressions.
No entry names a letter, only an address.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import ceil

from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.provider_lists.provider_api import (
    EVERYTHING,
    Entry,
    GetJson,
    ProviderApi,
    bearer,
    list_in,
    offset_pages,
    read_entries,
)
from campaign.feedback.providers.record_fields import (
    Record,
    classed,
    event_identity,
    nonempty,
    stated_reply,
    text_at,
    time_at,
)
from campaign.model import FeedbackOutcome

#: Entries in an answer; SendGrid's maximum.
PAGE = 500
#: List -> what an entry means, enhanced code for one that quotes none, and whether a bounce in it is permanent.
LISTS: dict[str, tuple[FeedbackOutcome | None, str, bool | None]] = {
    "bounces": (None, "", True),
    "blocks": (None, "", False),
    "invalid_emails": (FeedbackOutcome.HARD, "5.1.3", None),
    "spam_reports": (FeedbackOutcome.COMPLAINT, "", None),
    "unsubscribes": (FeedbackOutcome.UNSUBSCRIBE, "", None),
}
GROUPS = "groups"


def sendgrid_lists(region: str) -> ProviderApi:
    """The lists of an account; ``region`` is ``""`` or ``eu``."""
    host = "api.eu.sendgrid.com" if region else "api.sendgrid.com"
    return ProviderApi("SendGrid", host, ("SENDGRID_API_KEY",), bearer, _entries, kept=EVERYTHING)


def _entries(get: GetJson, begin: float, end: float) -> Iterator[Entry]:
    for name in LISTS:
        span = {"start_time": max(0, int(begin)), "end_time": ceil(end)}
        records = offset_pages(get, f"/v3/suppression/{name}", "", PAGE, **span)
        yield from read_entries(partial(sendgrid_suppression, name), records)
    everybody = list_in(get("/v3/asm/suppressions"), "")  # it takes no time and has no pages
    new = (one for one in everybody if begin <= time_at(one, "created_at") <= end)
    yield from read_entries(partial(sendgrid_suppression, GROUPS), new)


def sendgrid_suppression(name: str, record: Record) -> tuple[str, FeedbackNotice]:
    """An entry of the list ``name``, or of the unsubscribe groups."""
    outcome, enhanced, permanent = LISTS.get(name, (FeedbackOutcome.UNSUBSCRIBE, "", None))
    address, at = text_at(record, "email"), time_at(record, "created", "created_at")
    group = text_at(record, "group_name") if name == GROUPS else ""
    reply = stated_reply(text_at(record, "reason") or group, text_at(record, "status"))
    notice = FeedbackNotice(outcome, classed(reply, enhanced), permanent, at, addresses=nonempty(address))
    return event_identity("sendgrid", name, address, str(at), text_at(record, "group_id")), notice
