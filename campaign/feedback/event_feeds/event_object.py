"""Parses campaign's own event format: one JSON object, by which any program can report feedback.

``outcome`` is one of `OUTCOMES`. At least one key identifies the recipient: ``message_id``, ``return_path`` (where a
bounce was sent to), ``unsubscribe_token``, ``reply_id`` (the relay's id of the letter) or ``address``. Optional
are ``at`` (RFC 3339 with its zone, or POSIX seconds), ``code``, ``enhanced`` and ``diagnostic`` of the reply, the
reporting ``mta``, ``source``, and its ``id`` of the event. Any other key is an error.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from typing import Any

import msgspec

from campaign.errors import close_matches
from campaign.feedback.event_feeds.quoted_reply import plain_text
from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.model import FeedbackOutcome, Reply

#: ``outcome`` as written -> `FeedbackOutcome`; the reply rules judge a bounce.
OUTCOMES: dict[str, FeedbackOutcome | None] = {
    "bounce": None,
    "hard": FeedbackOutcome.HARD,
    "soft": FeedbackOutcome.SOFT,
    "not_their_fault": FeedbackOutcome.NOT_THEIR_FAULT,
    "complaint": FeedbackOutcome.COMPLAINT,
    "unsubscribe": FeedbackOutcome.UNSUBSCRIBE,
    "delivered": FeedbackOutcome.DELIVERED,
    "delayed": FeedbackOutcome.DELAYED,
    "automatic_reply": FeedbackOutcome.AUTOMATIC_REPLY,
}
#: Keys that identify a recipient; each event needs one of them.
PERSON = ("address", "message_id", "unsubscribe_token", "return_path", "reply_id")
KEYS = ("outcome", *PERSON, "id", "at", "code", "enhanced", "diagnostic", "mta", "source")
#: Longest value, in characters; a diagnostic is cut instead.
LONGEST_VALUE = 2000
#: 1 January 10000; larger numbers are milliseconds.
LATEST = 253_402_300_800.0

_ENHANCED = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}")


class EventError(ValueError):
    """A mistake in an event, described for the author of the events."""


def parse_event(line: bytes) -> tuple[str, FeedbackNotice]:
    """The event's own id (``""`` if it has none) and its notice. Raises EventError."""
    event = _object(line)
    words = {key: _text(event, key) for key in KEYS if key not in ("at", "code")}
    outcome = _chosen(words["outcome"])
    if not any(words[key] for key in PERSON):
        raise EventError(f"it names nobody; give one of {', '.join(PERSON)}")
    if words["enhanced"] and not _ENHANCED.fullmatch(words["enhanced"]):
        raise EventError(f"enhanced is {words['enhanced']!r}, not a code such as 5.1.1")
    notice = FeedbackNotice(
        outcome,
        Reply(_code(event.get("code")), words["enhanced"], plain_text(words["diagnostic"])),
        at=_seconds(event.get("at")),
        mta=plain_text(words["mta"]),
        sent_to=_some(words["return_path"].strip("<>")),
        message_ids=_some(words["message_id"].strip("<>")),
        unsubscribe_tokens=_some(words["unsubscribe_token"]),
        reply_ids=_some(words["reply_id"]),
        addresses=_some(words["address"]),
    )
    return (f"{words['source']} {words['id']}" if words["id"] else ""), notice


def _object(line: bytes) -> dict[str, Any]:
    try:
        event = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise EventError(f"it is not JSON: {error}") from None
    if not isinstance(event, dict):
        raise EventError("it is no JSON object")
    for key in event:
        if key not in KEYS:
            raise EventError(f"there is no key {plain_text(key)[:40]!r}; {_closest(key, KEYS)}")
    return event


def _text(event: dict[str, Any], key: str) -> str:
    value = event.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise EventError(f"{key} is no text")
    if key != "diagnostic" and len(value) > LONGEST_VALUE:
        raise EventError(f"{key} has {len(value)} characters; {LONGEST_VALUE} are allowed")
    if key != "diagnostic" and not value.isprintable():
        raise EventError(f"{key} holds characters that cannot be printed")
    return value.strip()


def _chosen(word: str) -> FeedbackOutcome | None:
    if not word:
        raise EventError(f"outcome is missing; it is one of {', '.join(OUTCOMES)}")
    if word not in OUTCOMES:
        raise EventError(f"there is no outcome {word[:40]!r}; {_closest(word, tuple(OUTCOMES))}")
    return OUTCOMES[word]


def _closest(word: str, known: tuple[str, ...]) -> str:
    close = close_matches(word[:40].lower(), known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"


def _code(value: Any) -> int:
    if value is None or value == 0:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 200 <= value <= 599:
        raise EventError(f"code is {plain_text(repr(value))[:40]}, not a number from 200 to 599")
    return value


def _seconds(value: Any) -> float:
    """POSIX seconds from RFC 3339 with a zone, or from a number."""
    if value is None:
        return 0.0
    if isinstance(value, str):
        try:
            found = dt.datetime.fromisoformat(value)
            if found.tzinfo is not None:
                return found.timestamp()
        except (ValueError, OverflowError):
            pass
        raise EventError(f"at is {plain_text(value)[:40]!r}, not a time such as 2026-11-28T08:30:00Z")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise EventError("at is neither a time such as 2026-11-28T08:30:00Z nor a number of seconds")
    if not 0 <= value < LATEST:
        raise EventError("at is no number of seconds since 1970; is it one of milliseconds?")
    return float(value)


def _some(value: str) -> tuple[str, ...]:
    return (value,) if value else ()
