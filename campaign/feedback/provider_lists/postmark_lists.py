"""Postmark: the bounces of a server, and who left its message streams.

postmarkapp.com/developer/api: Bounce API, Suppressions API, Message streams API. Times in questions are Eastern Time.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from functools import partial

from campaign.errors import InputError
from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.provider_lists.provider_api import (
    DAY,
    HOUR,
    Entry,
    GetJson,
    ProviderApi,
    list_in,
    read_entries,
)
from campaign.feedback.providers.postmark_events import postmark_event
from campaign.feedback.providers.record_fields import Record, event_identity, nonempty, text_at, time_at
from campaign.model import FeedbackOutcome, Reply

#: Bounces in an answer, and bounces that Postmark gives of one span of time, however many there are.
PAGE, MOST_OF_A_SPAN = 500, 10_000
#: Shortest span that is asked for, in seconds.
SHORTEST = 60.0
#: Hours that Eastern Time is behind UTC, in winter and in summer.
_WINTER, _SUMMER = 5, 4


def postmark_lists(stream: str) -> ProviderApi:
    """The lists of a server; ``stream`` is one of its message streams, or ``""`` for all."""

    def entries(get: GetJson, begin: float, end: float) -> Iterator[Entry]:
        yield from _bounces(get, stream, begin, end)
        days = {"fromdate": _eastern(begin - DAY)[:10], "todate": _eastern(end + DAY)[:10]}
        for one in (stream,) if stream else _streams(get):
            answer = get(f"/message-streams/{one}/suppressions/dump", SuppressionReason="ManualSuppression", **days)
            yield from read_entries(partial(postmark_suppression, one), list_in(answer, "Suppressions"))

    variables = ("POSTMARK_SERVER_TOKEN",)
    return ProviderApi("Postmark", "api.postmarkapp.com", variables, _token, entries, kept=45 * DAY, longest=7 * DAY)


def _token(key: str) -> dict[str, str]:
    return {"X-Postmark-Server-Token": key}


def _streams(get: GetJson) -> list[str]:
    """The message streams that send."""
    streams = list_in(get("/message-streams", MessageStreamType="All"), "MessageStreams")
    return [text_at(one, "ID") for one in streams if one.get("MessageStreamType") != "Inbound" and text_at(one, "ID")]


def _bounces(get: GetJson, stream: str, begin: float, end: float) -> Iterator[Entry]:
    """All bounces of a span, in halves if there are more than Postmark gives of one."""
    offset = 0
    while offset < MOST_OF_A_SPAN:
        span = {"fromdate": _eastern(begin), "todate": _eastern(end, behind=_SUMMER)}
        answer = get("/bounces", count=PAGE, offset=offset, messagestream=stream, **span)
        total = answer.get("TotalCount") if isinstance(answer, dict) else None
        if not offset and isinstance(total, int) and total > MOST_OF_A_SPAN:
            if end - begin <= SHORTEST:
                raise _too_many(total, begin)
            middle = (begin + end) / 2
            yield from _bounces(get, stream, begin, middle)
            yield from _bounces(get, stream, middle, end)
            return
        page = list_in(answer, "Bounces")
        yield from read_entries(postmark_bounce, page)
        if len(page) < PAGE:
            return
        offset += len(page)


def postmark_bounce(record: Record) -> tuple[str, FeedbackNotice] | None:
    """What a bounce says; None if it says nothing about a letter's fate. Raises EventError."""
    return postmark_event({"RecordType": "Bounce", **record})


def postmark_suppression(stream: str, record: Record) -> tuple[str, FeedbackNotice]:
    """Somebody who left a stream, or whom a person took off it. Bounces and complaints are in the list of bounces."""
    address, at = text_at(record, "EmailAddress"), time_at(record, "CreatedAt")
    said = f"suppressed in the stream {stream} by {text_at(record, 'Origin') or 'somebody'}"
    notice = FeedbackNotice(FeedbackOutcome.UNSUBSCRIBE, Reply(0, "", said), at=at, addresses=nonempty(address))
    return event_identity("postmark", stream, address, str(at)), notice


def _eastern(at: float, *, behind: int = _WINTER) -> str:
    """A time in Eastern Time: in summer an hour early, or in winter an hour late, by what it is thought ``behind``."""
    return dt.datetime.fromtimestamp(at - behind * HOUR, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _too_many(total: int, begin: float) -> InputError:
    return InputError(
        "Postmark gives only a part of its bounces.",
        evidence=f"{total:,} within about an hour of {_eastern(begin)} Eastern Time; it gives {MOST_OF_A_SPAN:,}",
        next_step='name a message stream, url = "postmark:STREAM"; or receive Postmark\'s webhooks instead',
    )
