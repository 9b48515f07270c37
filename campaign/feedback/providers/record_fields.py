"""Reads fields of a provider's JSON: each is used only if it has the expected type, within a limit.

Numbers are never turned into floats on the way to a text, because ids of 64 bits would change.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from typing import Any

import msgspec

from campaign.feedback.event_feeds.event_object import LATEST, EventError
from campaign.feedback.event_feeds.quoted_reply import plain_text, quoted_reply
from campaign.model import Reply

#: Longest body of a webhook, in octets.
LONGEST_BODY = 8 << 20
#: Most events in one body.
MOST_EVENTS = 20_000
#: Most addresses of one event.
MOST_ADDRESSES = 100
#: Longest integer that is read as a text, in digits.
LONGEST_INTEGER = 40

#: A JSON object.
Record = dict[str, Any]

_SECONDS = re.compile(r"[0-9]{1,14}(?:\.[0-9]{1,9})?")
_ENHANCED = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}")


def decoded_body(body: bytes) -> Any:
    """The JSON value in ``body``. Raises EventError."""
    if len(body) > LONGEST_BODY:
        raise EventError(f"it is longer than {LONGEST_BODY >> 20} MiB")
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise EventError(f"it is not JSON: {error}") from None


def records_in(value: Any) -> list[Any]:
    """The items of an array, or an object that stands alone. Raises EventError."""
    if isinstance(value, dict):
        return [value]
    if not isinstance(value, list):
        raise EventError("it is neither a JSON object nor an array of them")
    if len(value) > MOST_EVENTS:
        raise EventError(f"it has {len(value)} events; {MOST_EVENTS} are allowed")
    return value


def event_type(record: Any, key: str) -> str:
    """The text under ``key``, by which a provider names the kind of an event. Raises EventError."""
    if not isinstance(record, dict):
        raise EventError("it is no JSON object")
    found = text_at(record, key)
    if not found:
        raise EventError(f"it has no {key}")
    return found


def text_at(record: Record, *path: str) -> str:
    """The text, or the integer as a text, at the end of a path of keys; ``""`` if it is neither."""
    for key in path[:-1]:
        record = object_at(record, key)
    found = record.get(path[-1])
    if isinstance(found, int) and not isinstance(found, bool) and abs(found) < 10**LONGEST_INTEGER:
        return str(found)
    return plain_text(found) if isinstance(found, str) else ""


def object_at(record: Record, key: str) -> Record:
    """The object under ``key``; an empty one if there is none."""
    found = record.get(key)
    return found if isinstance(found, dict) else {}


def texts_at(record: Record, key: str) -> tuple[str, ...]:
    """The texts in the array under ``key``, or the text that stands alone there."""
    found = record.get(key)
    items = found[:MOST_ADDRESSES] if isinstance(found, list) else [found]
    return nonempty(*(plain_text(one) for one in items if isinstance(one, str)))


def nonempty(*texts: str) -> tuple[str, ...]:
    """The texts that are not empty."""
    return tuple(one for one in texts if one)


def time_at(record: Record, *keys: str) -> float:
    """POSIX seconds under the first of ``keys`` that holds a time, 0 if none does.

    A time is RFC 3339 (UTC if it names no zone), seconds or milliseconds.
    """
    return next((at for at in (_seconds(record.get(key)) for key in keys) if at), 0.0)


def event_identity(provider: str, *parts: str) -> str:
    """A short id that is the same each time the provider sends the event, made of what identifies it there."""
    return hashlib.sha256("\n".join((provider, *parts)).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def stated_reply(text: str, enhanced: str = "", code: str = "") -> Reply:
    """The reply quoted in ``text``; what it does not say comes from the fields beside it, if they are well-formed."""
    reply = quoted_reply(text)
    if not reply.enhanced and _ENHANCED.fullmatch(enhanced):
        reply = reply._replace(enhanced=enhanced)
    if not reply.code and re.fullmatch(r"[2-5][0-9]{2}", code):
        reply = reply._replace(code=int(code))
    return reply


def classed(reply: Reply, enhanced: str) -> Reply:
    """``reply`` with the enhanced code that stands for the provider's own class, if it has no code at all."""
    return reply if reply.code or reply.enhanced else reply._replace(enhanced=enhanced)


def _seconds(value: Any) -> float:
    if isinstance(value, str):
        text = value.strip()[:40]
        if not _SECONDS.fullmatch(text):
            return _calendar_time(text)
        value = float(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    if value >= LATEST:
        value = value / 1000 if value < LATEST * 1000 else 0
    return float(value) if value > 0 else 0.0


def _calendar_time(text: str) -> float:
    try:
        found = dt.datetime.fromisoformat(text)
        return max(0.0, found.replace(tzinfo=found.tzinfo or dt.UTC).timestamp())
    except (ValueError, OverflowError):
        return 0.0
