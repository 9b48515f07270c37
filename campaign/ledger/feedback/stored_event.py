"""A line of ``feedback.jsonl``: one event as JSON, and last the CRC-32 of everything before it."""

from __future__ import annotations

import hashlib
import math
from binascii import crc32
from sys import intern

import msgspec

from campaign.model import FeedbackEvent, FeedbackOutcome

#: Longest text field that is stored, in characters: feedback is untrusted input of any length.
LONGEST_TEXT = 1_000
#: ``,"crc":"01234567"}``
CRC_OCTETS = len(b',"crc":"01234567"}')


class StoredEvent(msgspec.Struct, omit_defaults=True, frozen=True, gc=False):
    """A line of the file: `FeedbackEvent`, field by field."""

    id: str
    source: str
    outcome: FeedbackOutcome
    at: float
    seen: float
    address: str = ""
    matched_by: str = ""
    campaign: str = ""
    run: str = ""
    number: int = 0
    message_id: str = ""
    reason: str = ""
    code: int = 0
    enhanced: str = ""
    diagnostic: str = ""
    mta: str = ""


class LeanEvent(msgspec.Struct, frozen=True, gc=False):
    """The fields of a line that the suppression rules need."""

    outcome: FeedbackOutcome
    at: float
    seen: float
    address: str = ""
    matched_by: str = ""
    campaign: str = ""
    run: str = ""
    reason: str = ""


_encoder = msgspec.json.Encoder()
event_decoder = msgspec.json.Decoder(StoredEvent)
lean_decoder = msgspec.json.Decoder(LeanEvent)


def line_of(event: FeedbackEvent) -> bytes:
    """The line, with its line feed."""
    body = _encoder.encode(StoredEvent(*event))[:-1]
    return b'%b,"crc":"%08x"}\n' % (body, crc32(body))


def line_is_whole(line: bytes) -> bool:
    """Whether the line's checksum is right."""
    return line[-CRC_OCTETS:] == b',"crc":"%08x"}' % crc32(line[:-CRC_OCTETS])


def event_of(
    name: str,
    source: str,
    outcome: FeedbackOutcome,
    at: float,
    seen: float,
    address: str,
    matched_by: str,
    campaign: str,
    run: str,
    number: int,
    message_id: str,
    reason: str,
    code: int,
    enhanced: str,
    diagnostic: str,
    mta: str,
) -> FeedbackEvent:
    """The event; texts that many events share are one object in memory."""
    whom = intern(matched_by), intern(campaign), intern(run), number, message_id
    said = intern(reason), code, intern(enhanced), diagnostic, intern(mta)
    return tuple.__new__(FeedbackEvent, (name, intern(source), outcome, at, seen, address, *whom, *said))


def lean_event_of(one: LeanEvent) -> FeedbackEvent:
    """The event, with the fields that the rules need."""
    known = one.address, intern(one.matched_by), intern(one.campaign), intern(one.run), 0, "", intern(one.reason)
    return tuple.__new__(FeedbackEvent, ("", "", one.outcome, one.at, one.seen, *known, 0, "", "", ""))


def bounded(event: FeedbackEvent) -> FeedbackEvent:
    """The event with texts of at most `LONGEST_TEXT` characters, all valid Unicode, and times that are numbers."""
    texts = {name: value for name, value in event._asdict().items() if type(value) is str}
    changed: dict[str, object] = {name: _clean(value) for name, value in texts.items() if _clean(value) != value}
    if len(event.id) > LONGEST_TEXT:
        changed["id"] = "sha256:" + hashlib.sha256(event.id.encode("utf-8", "replace")).hexdigest()
    changed |= {name: 0.0 for name in ("at", "seen") if not math.isfinite(getattr(event, name))}
    return event._replace(**changed) if changed else event  # type: ignore[arg-type] # each has the type of its field


def _clean(text: str) -> str:
    return text[:LONGEST_TEXT].encode("utf-8", "replace").decode()
