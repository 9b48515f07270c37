"""SparkPost: message events (developers.sparkpost.com/api/events)."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from campaign.feedback.provider_lists.provider_api import (
    DAY,
    Entry,
    GetJson,
    ProviderApi,
    list_in,
    read_entries,
    rfc3339,
)
from campaign.feedback.providers.record_fields import text_at
from campaign.feedback.providers.sparkpost_events import sparkpost_event

PATH = "/api/v1/events/message"
#: Events in an answer.
PAGE = 1000
#: Seconds until an event is listed for certain; by default SparkPost leaves out the last minute.
DELAY = 300.0
#: Kinds of events that are asked for.
EVENTS = ("bounce", "out_of_band", "spam_complaint", "list_unsubscribe", "link_unsubscribe")


def sparkpost_event_list(region: str) -> ProviderApi:
    """The events of an account; ``region`` is ``""`` or ``eu``."""
    return ProviderApi(
        "SparkPost",
        "api.eu.sparkpost.com" if region else "api.sparkpost.com",
        ("SPARKPOST_API_KEY",),
        lambda key: {"Authorization": key},
        _entries,
        kept=10 * DAY,
        lag=DELAY,
        longest=DAY,
    )


def _entries(get: GetJson, begin: float, end: float) -> Iterator[Entry]:
    span = {"from": rfc3339(begin), "to": rfc3339(end)}
    answer = get(PATH, events=",".join(EVENTS), cursor="initial", per_page=PAGE, **span)
    while page := list_in(answer, "results"):
        yield from read_entries(sparkpost_event, page)
        following = urlsplit(text_at(answer, "links", "next") if isinstance(answer, dict) else "")
        if following.path != PATH or not following.query:
            return
        answer = get(f"{PATH}?{following.query}")
