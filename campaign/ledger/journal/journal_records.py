"""The journal's records: one struct each, and their encoding as lines.

A line is the CRC-32 of the rest as eight hex digits, a space, JSON, and a line feed. The JSON is an object whose ``is``
names the kind; fields at their defaults are left out. `run_state.py` defines what the records *mean*.
"""

from __future__ import annotations

from binascii import crc32
from collections.abc import Callable

import msgspec

VERSION = 1
#: Fields without a number hold these very objects, so that they are left out of the line.
NONE = 0.0
#: Among the fingerprints of a run whose letters went into the embedded mailbox, and of no other. A release without this
#: mark refuses to continue such a run, as one whose inputs changed.
REHEARSAL, IN_MAILBOX = "rehearsal", "the embedded mailbox"


class Opened(msgspec.Struct, tag="opened", tag_field="is", omit_defaults=True, frozen=True, gc=False):
    """First line of every journal: the campaign, and the hashes of everything that shapes its letters.

    ``file`` is the campaign file; ``by`` is the option that made the run (fresh, again, retry), so that the same option
    continues it. ``domain`` is the part after the @ of the letters' Message-IDs.
    """

    campaign: str
    edition: str
    run: str
    generation: int
    recipients: int
    plan: str
    fingerprints: dict[str, str]
    inlining: str
    at: float
    trace: str
    file: str = ""
    by: str = ""
    domain: str = ""
    version: int = VERSION


class Started(msgspec.Struct, tag="started", tag_field="is", omit_defaults=True, frozen=True, gc=False):
    """A process began to serve the run. ``boot`` distinguishes a power loss from a kill."""

    at: float
    boot: str
    pid: int
    durability: str


class Changed(msgspec.Struct, tag="changed", tag_field="is", omit_defaults=True, frozen=True, gc=False):
    """The operator accepted fingerprints that differ from those the run was opened with; ``domain`` may differ too."""

    at: float
    fingerprints: dict[str, str]
    domain: str = ""


class Pass(msgspec.Struct, tag="pass", tag_field="is", omit_defaults=True, frozen=True, gc=False):
    """A pass over what is still waiting began; letters first tried in it carry ``at`` as their Date."""

    number: int
    at: float


class ReservedUpTo(msgspec.Struct, tag="frontier", tag_field="is", omit_defaults=True, frozen=True, gc=False):
    """Synced before a recipient numbered ``until`` or above is taken in this pass; bounds who can be in doubt."""

    until: int


class Intent(msgspec.Struct, tag="intent", tag_field="is", omit_defaults=True, frozen=True, gc=False):
    """The content was sent and the final dot is about to follow. ``sha256`` is that of the letter, in hex."""

    number: int
    sha256: str
    date: float
    relay: str = ""


class VerdictRecord(msgspec.Struct, tag="verdict", tag_field="is", omit_defaults=True, frozen=True, gc=False):
    """The outcome for one recipient. ``took`` is seconds from the dot to the reply, ``not_before`` a POSIX time.

    ``dead``: the address does not exist, and belongs in ``suppressed.csv``.
    """

    number: int
    verdict: str
    at: float
    code: int = 0
    enhanced: str = ""
    reason: str = ""
    relay: str = ""
    took: float = NONE
    counted: bool = True
    date: float = NONE
    not_before: float = NONE
    dead: bool = False


class Synced(msgspec.Struct, tag="synced", tag_field="is", omit_defaults=True, frozen=True, gc=False):
    """Every octet of the journal before offset ``upto`` was on disk when this was written."""

    upto: int


class Ended(msgspec.Struct, tag="ended", tag_field="is", omit_defaults=True, frozen=True, gc=False):
    """The process left the run in good order. ``abandoned``: a fresh run has permanently replaced it.

    ``notes`` and ``settings`` are for its report and are recorded nowhere else. ``remembered``: every dead address
    recorded so far is in ``suppressed.csv``, on disk.
    """

    at: float
    exit_code: int
    abandoned: bool = False
    notes: tuple[str, ...] = ()
    settings: dict[str, str] = {}
    remembered: bool = False


class Merged(msgspec.Struct, tag="merged", tag_field="is", omit_defaults=True, frozen=True, gc=False):
    """The next ``lines`` lines are intents and verdicts from the journal of a shard, appended with this one.

    The shard's recipients have numbers below ``beyond``. ``closed``: these lines are its last, as its sender left it.
    """

    shard: int
    beyond: int
    lines: int
    closed: bool = False


class Leased(msgspec.Struct, tag="leased", tag_field="is", omit_defaults=True, frozen=True, gc=False):
    """First line of a shard's journal: the recipients ``first`` to ``beyond`` (excluded) who are due in the pass.

    ``pass_at`` is the date of the pass; ``boot`` and ``durability`` are as in `Started`.
    """

    shard: int
    first: int
    beyond: int
    pass_at: float
    at: float
    boot: str
    durability: str


Record = Opened | Started | Changed | Pass | ReservedUpTo | Intent | VerdictRecord | Synced | Ended | Merged | Leased

_encoder = msgspec.json.Encoder()
_decode: Callable[[bytes], Record] = msgspec.json.Decoder(Record).decode


def encode(record: Record) -> bytes:
    """The whole line, line feed included."""
    body = _encoder.encode(record)
    return b"%08x %b\n" % (crc32(body), body)


def decode(line: bytes) -> Record | None:
    """The record of one line (without its line feed), or None if the line is damaged."""
    body = line[9:]
    if line[:9] != b"%08x " % crc32(body):
        return None
    try:
        return _decode(body)
    except ValueError:  # not a record (msgspec's errors are ValueErrors)
        return None
