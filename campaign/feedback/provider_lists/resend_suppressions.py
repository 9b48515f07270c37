"""Resend: its list of suppressed addresses (resend.com/docs/api-reference/suppressions/list-suppressions).

The list is kept for good and takes no time, so each reading goes through all of it.
"""

from __future__ import annotations

from collections.abc import Iterator

from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.provider_lists.provider_api import (
    EVERYTHING,
    Entry,
    GetJson,
    ProviderApi,
    bearer,
    list_in,
    read_entries,
)
from campaign.feedback.providers.record_fields import Record, event_identity, nonempty, text_at, time_at
from campaign.model import FeedbackOutcome, Reply

#: Suppressions in an answer; Resend's maximum.
PAGE = 100
#: Seconds between two requests; Resend takes two a second.
PAUSE = 0.5
#: Why an address is on the list -> what that means.
ORIGINS = {
    "bounce": FeedbackOutcome.HARD,
    "complaint": FeedbackOutcome.COMPLAINT,
    "manual": FeedbackOutcome.UNSUBSCRIBE,
}


def resend_suppressions(_: str) -> ProviderApi:
    """The suppressions of a team."""
    return ProviderApi("Resend", "api.resend.com", ("RESEND_API_KEY",), bearer, _entries, kept=EVERYTHING, pause=PAUSE)


def _entries(get: GetJson, begin: float, _: float) -> Iterator[Entry]:
    after = ""
    while True:
        answer = get("/suppressions", limit=PAGE, after=after)
        page = list_in(answer, "data")
        yield from read_entries(resend_suppression, (one for one in page if not 0 < time_at(one, "created_at") < begin))
        last = text_at(page[-1], "id") if page else ""
        if not isinstance(answer, dict) or not answer.get("has_more") or last in ("", after):
            return
        after = last


def resend_suppression(record: Record) -> tuple[str, FeedbackNotice] | None:
    """What a suppression says; None if its origin is unknown."""
    origin, address, at = text_at(record, "origin"), text_at(record, "email"), time_at(record, "created_at")
    if origin not in ORIGINS:
        return None
    notice = FeedbackNotice(
        ORIGINS[origin],
        Reply(0, "", f"suppressed by Resend: {origin}"),
        at=at,
        reply_ids=nonempty(text_at(record, "source_id")),
        addresses=nonempty(address),
    )
    return event_identity("resend", "suppression", text_at(record, "id") or f"{origin} {address} {at}"), notice
