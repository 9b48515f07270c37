"""Mailgun: the events of a domain (documentation.mailgun.com/docs/mailgun/user-manual/events).

Events reach Mailgun's store late and out of order. Only what is older than `TRUSTWORTHY` is read, as its page on event
polling advises: by then nothing is inserted before it any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from campaign.feedback.provider_lists.provider_api import (
    DAY,
    Entry,
    GetJson,
    ProviderApi,
    basic_login,
    list_in,
    read_entries,
)
from campaign.feedback.providers.mailgun_events import mailgun_event
from campaign.feedback.providers.record_fields import text_at

#: Age in seconds from which the order of events is final.
TRUSTWORTHY = 1800.0
#: Events in an answer; Mailgun's maximum.
PAGE = 300
WANTED = "failed OR complained OR unsubscribed"


def mailgun_event_list(place: str) -> ProviderApi:
    """The events of a domain; ``place`` is ``DOMAIN`` or ``eu:DOMAIN``."""
    region, _, domain = place.rpartition(":")
    path = f"/v3/{domain}/events"

    def entries(get: GetJson, begin: float, end: float) -> Iterator[Entry]:
        answer = get(path, begin=f"{begin:.6f}", end=f"{end:.6f}", ascending="yes", limit=PAGE, event=WANTED)
        while page := list_in(answer, "items"):
            yield from read_entries(mailgun_event, page)
            following = urlsplit(text_at(answer, "paging", "next") if isinstance(answer, dict) else "")
            if not following.path.startswith(f"{path}/"):
                return
            answer = get(following.path)

    return ProviderApi(
        "Mailgun",
        "api.eu.mailgun.net" if region else "api.mailgun.net",
        ("MAILGUN_API_KEY",),
        lambda key: basic_login(f"api:{key}"),
        entries,
        kept=30 * DAY,
        lag=TRUSTWORTHY,
        longest=DAY,
    )
