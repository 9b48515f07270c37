"""Reading a journal from disk, telling a torn tail from damage.

A journal has one writer, which writes each record with one call. It exists whole or not at all: its first line is put
in place by a rename. A torn last line (a kill during a write) is cut off with a notice before anything is appended; so
is, after a loss of power, damage past the last sync mark. Damage anywhere else is refused with its line number, never
skipped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from campaign.errors import DamageError, StorageError
from campaign.ledger.journal.journal_records import Ended, Leased, Merged, Record, Started, Synced, decode
from campaign.system.boot import power_lost

NAME = "checkpoint.journal"
_CHUNK = 1 << 20
#: Octets at the end of a journal that hold its last records, the notes of an ending included.
_TAIL = 1 << 16


class Reading(msgspec.Struct):
    """How far a journal could be read: whole octets, records, and what was found after them.

    ``merged`` is how many lines of each shard's journal have been merged into this one; ``closed`` are the shards of
    which nothing is missing.
    """

    octets: int = 0
    lines: int = 0
    damaged_line: int = 0
    torn: bool = False
    completed: bool = False
    synced: int = 0
    boot: str = ""
    merged: dict[int, int] = msgspec.field(default_factory=dict)
    closed: set[int] = msgspec.field(default_factory=set)
    _merging: tuple[Merged, int] | None = None

    def take_merge(self, record: Merged) -> None:
        """Note that lines of a shard follow; ``lines`` already counts the one that says so."""
        self.end_merge(self.lines - 1)
        self._merging = record, self.lines

    def end_merge(self, lines: int) -> None:
        """Count what followed the last merge, up to line ``lines``; a kill may have left less than was meant."""
        if self._merging is not None:
            record, begin = self._merging
            seen = min(record.lines, lines - begin)
            self.merged[record.shard] = self.merged.get(record.shard, 0) + seen
            if record.closed and seen == record.lines:
                self.closed.add(record.shard)
            self._merging = None

    @property
    def whole(self) -> bool:
        """Whether every line was read and none is torn."""
        return not (self.torn or self.damaged_line)


def read_records(path: Path, reading: Reading) -> Iterator[Record]:
    """Yield records up to the first damaged or torn one, and note its place in ``reading``."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise unreadable_journal(path, error) from error
    with file:
        yield from _records(file, reading)
    reading.end_merge(reading.lines)


def _records(file: BinaryIO, reading: Reading) -> Iterator[Record]:
    """The hot loop of every start: ten million lines pass through it."""
    rest = b""
    while chunk := file.read(_CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            record = decode(line)
            if record is None:
                _note_damage(reading, file)
                return
            reading.lines += 1
            reading.octets += len(line) + 1
            if type(record) is Synced:
                reading.synced = record.upto
            elif type(record) is Started or type(record) is Leased:
                reading.boot = record.boot
            elif type(record) is Merged:
                reading.take_merge(record)
            yield record
    if rest:
        yield from _last(rest, reading)


def _last(line: bytes, reading: Reading) -> Iterator[Record]:
    """A last line without line feed: torn, or whole if only the line feed is missing, or damaged in the line feed."""
    if record := decode(line):
        reading.completed = True
        reading.lines += 1
        reading.octets += len(line)
        yield record
    elif decode(line[:-1]):
        reading.damaged_line = reading.lines + 1
    else:
        reading.torn = True


def last_word(path: Path) -> Ended | None:
    """How the last process left the run, from the file's end alone; None if it did not leave in good order."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            lines = file.read().splitlines()
    except OSError as error:
        raise unreadable_journal(path, error) from error
    records = (decode(line) for line in reversed(lines))
    last = next((record for record in records if type(record) is not Synced), None)
    return last if isinstance(last, Ended) else None


def _note_damage(reading: Reading, file: BinaryIO) -> None:
    """Read the rest for sync marks: damage is older than any sync mark that follows it."""
    reading.damaged_line = reading.lines + 1
    file.seek(reading.octets)
    for later in file:
        record = decode(later.rstrip(b"\n"))
        if type(record) is Synced:
            reading.synced = max(reading.synced, record.upto)


def refuse_damage(path: Path, reading: Reading, boot: str) -> None:
    """Raise DamageError unless what follows the readable part may be cut off as a torn tail."""
    rebooted = power_lost(reading.boot, boot)
    if reading.lines == 0:
        raise _damage(path, 1, "it does not even say which campaign it belongs to")
    if reading.damaged_line and not (rebooted and reading.octets >= reading.synced):
        raise _damage(path, reading.damaged_line, "the line's checksum does not fit its text")


def unreadable_journal(path: Path, error: OSError) -> StorageError:
    """The error for a journal that the disk does not give."""
    return StorageError(
        f"{path} cannot be read.",
        evidence=str(error),
        next_step="see whose file it is and that the disk is sound, then run the same command again",
    )


def _damage(path: Path, line: int, detail: str) -> DamageError:
    run = path.parent if path.name == NAME else path.parent.parent  # a shard's journal lies one folder deeper
    return DamageError(
        "The journal is damaged, so nothing is sent.",
        evidence=f"{path}:{line}: {detail}",
        next_step=f"see what can be saved: campaign repair {run} --dry-run",
    )
