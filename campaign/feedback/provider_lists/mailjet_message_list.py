"""Mailjet: the letters that bounced, were complained about or unsubscribed from (dev.mailjet.com: /message).

Its list of bounces names contacts by number only, so the letters themselves are listed. They are chosen by the time at
which they were sent, so each reading goes back over all letters to which something may still happen.
"""

from __future__ import annotations

from collections.abc import Iterator

from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.provider_lists.provider_api import (
    DAY,
    Entry,
    GetJson,
    ProviderApi,
    basic_login,
    list_in,
    read_entries,
    rfc3339,
)
from campaign.feedback.providers.record_fields import Record, event_identity, nonempty, text_at, time_at
from campaign.model import FeedbackOutcome, Reply

#: Letters in an answer; Mailjet's maximum.
PAGE = 1000
#: Number of a status, as in questions -> its name, as in answers.
STATUSES = {5: "bounce", 6: "spam", 7: "unsub", 8: "blocked", 9: "softbounced", 10: "hardbounced"}
_OUTCOMES = {"spam": FeedbackOutcome.COMPLAINT, "unsub": FeedbackOutcome.UNSUBSCRIBE}
#: State of a letter that failed -> the enhanced code for it without its class, and what Mailjet calls it.
STATES: dict[int, tuple[str, str]] = {
    1: ("1.1", "user unknown"),
    2: ("2.1", "mailbox inactive"),
    3: ("2.2", "quota exceeded"),
    4: ("1.2", "invalid domain"),
    5: ("4.4", "no mail host"),
    6: ("7.1", "relay/access denied"),
    7: ("7.1", "sender blocked"),
    8: ("7.1", "content blocked"),
    9: ("7.1", "policy issue"),
    10: ("3.0", "system issue"),
    11: ("5.0", "protocol issue"),
    12: ("4.1", "connection issue"),
    13: ("7.1", "greylisted"),
}
#: States of a letter that Mailjet did not send because of what it knows about the address.
_DEAD, _SPAM_REPORTER = {1, 2, 4, 5}, 21


def mailjet_message_list(_: str) -> ProviderApi:
    """The letters of an account; the key is ``KEY:SECRET``."""
    variables = ("MJ_APIKEY_PUBLIC", "MJ_APIKEY_PRIVATE")
    return ProviderApi("Mailjet", "api.mailjet.com", variables, basic_login, _entries, kept=30 * DAY, overlap=30 * DAY)


def _entries(get: GetJson, begin: float, end: float) -> Iterator[Entry]:
    for number in STATUSES:
        yield from read_entries(mailjet_letter, _letters(get, number, rfc3339(begin), rfc3339(end)))


def _letters(get: GetJson, status: int, begin: str, end: str) -> Iterator[Record]:
    offset = 0
    span: dict[str, str | float] = {"FromTS": begin, "ToTS": end, "Limit": PAGE, "Sort": "ID", "ShowContactAlt": "true"}
    while True:
        page = list_in(get("/v3/REST/message", MessageStatus=status, Offset=offset, **span), "Data")
        yield from page
        if len(page) < PAGE:
            return
        offset += len(page)


def mailjet_letter(record: Record) -> tuple[str, FeedbackNotice] | None:
    """What the status of a letter says; None if it says nothing."""
    status, letter = text_at(record, "Status"), text_at(record, "ID")
    if status not in STATUSES.values():
        return None
    outcome, permanent = _fate(status, record)
    code, said = STATES.get(_state(record), ("", f"{status} at Mailjet"))
    notice = FeedbackNotice(
        outcome,
        Reply(0, f"{5 if permanent else 4}.{code}" if code else "", said),
        permanent,
        time_at(record, "ArrivedAt"),
        reply_ids=nonempty(text_at(record, "UUID"), letter),
        addresses=nonempty(text_at(record, "ContactAlt")),
    )
    return event_identity("mailjet", status, letter), notice


def _fate(status: str, record: Record) -> tuple[FeedbackOutcome | None, bool | None]:
    """What became of the letter, and whether a bounce is permanent."""
    if status in _OUTCOMES:
        return _OUTCOMES[status], None
    if status != "blocked":
        return None, status == "hardbounced" or record.get("StatePermanent") is True
    if _state(record) == _SPAM_REPORTER:
        return FeedbackOutcome.COMPLAINT, None
    return (None, True) if _state(record) in _DEAD else (FeedbackOutcome.NOT_THEIR_FAULT, None)


def _state(record: Record) -> int:
    found = record.get("StateID")
    return found if isinstance(found, int) else 0
