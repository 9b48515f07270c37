"""Reads a shard's journal: while its sender appends to it, and what a sender that ended left of it.

A shard's journal lies in the run's folder as ``shards/NUMBER-FIRST-BEYOND.journal``; its name says which recipients it
is about even if its first line is damaged. Its intents and verdicts are merged into the run's own journal, line by
line and in order, and then it is removed. So between commands a run has one journal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import msgspec

from campaign.errors import DamageError, StorageError
from campaign.ledger.journal import journal_reader
from campaign.ledger.journal.journal_records import Intent, Leased, ReservedUpTo, VerdictRecord, decode, encode
from campaign.ledger.state.run_state import RunState
from campaign.system.boot import power_lost

FOLDER = "shards"
_NAME = re.compile(r"(\d+)-(\d+)-(\d+)\.journal")
_CHUNK = 1 << 20


class Line(NamedTuple):
    """One line of a journal, line feed included, and what it says."""

    octets: bytes
    record: Intent | VerdictRecord


class ShardSpan(NamedTuple):
    """A shard's number, and its recipients: ``first`` to ``beyond`` (excluded), as its file name says."""

    shard: int
    first: int
    beyond: int


def shard_path(run: Path, span: ShardSpan) -> Path:
    """The journal of a shard of this run."""
    return run / FOLDER / f"{span.shard}-{span.first}-{span.beyond}.journal"


def shard_journals(run: Path) -> list[tuple[ShardSpan, Path]]:
    """The journals of shards in a run's folder, in order: those held now, or left by senders that were killed."""
    folder = run / FOLDER
    if not folder.is_dir():
        return []
    found = [(_NAME.fullmatch(path.name), path) for path in folder.iterdir()]
    return sorted((ShardSpan(*map(int, match.groups())), path) for match, path in found if match)


class ShardReader:
    """Follows one shard's journal as it grows."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0
        #: How many lines it has returned.
        self.merged = 0

    def new_lines(self) -> list[Line]:
        """The whole intents and verdicts appended since the last call. Raises DamageError, StorageError."""
        try:
            lines = self._new_lines()
        except OSError as error:
            raise journal_reader.unreadable_journal(self._path, error) from error
        self.merged += len(lines)
        return lines

    def _new_lines(self) -> list[Line]:
        lines: list[Line] = []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            while chunk := file.read(_CHUNK):
                whole = chunk[: chunk.rfind(b"\n") + 1]
                if not whole:
                    break
                for octets in whole.splitlines(keepends=True):
                    record = decode(octets[:-1])
                    if record is None:
                        raise _damaged(self._path)
                    if isinstance(record, Intent | VerdictRecord):
                        lines.append(Line(octets, record))
                self._offset += len(whole)
                file.seek(self._offset)
        return lines


class Leftover(msgspec.Struct):
    """What a sender that ended left of a shard: the lines not merged yet, and up to whom it may have taken."""

    span: ShardSpan
    path: Path
    leased: Leased
    lines: list[Line] = msgspec.field(default_factory=list)
    frontier: int = 0

    def taken(self, history: RunState, boot: str) -> list[int]:
        """Who may have been taken without a record, if power was lost since. Ask after the lines are applied."""
        if self.leased.durability != "process" or not power_lost(self.leased.boot, boot):
            return []
        end = min(self.span.beyond, self.frontier)
        return list(takewhile(lambda number: number < end, history.due(self.leased.pass_at, self.span.first)))


def read_leftover(span: ShardSpan, path: Path, merged: int, boot: str) -> Leftover:
    """A shard's journal, without the first ``merged`` intents and verdicts. Raises DamageError, StorageError."""
    reading, position = journal_reader.Reading(), 0
    records = journal_reader.read_records(path, reading)
    leased = next(records, None)
    if not isinstance(leased, Leased):
        raise _damaged(path)
    found = Leftover(span, path, leased)
    for record in records:
        if isinstance(record, Intent | VerdictRecord):
            if position >= merged:
                found.lines.append(Line(encode(record), record))
            position += 1
        elif isinstance(record, ReservedUpTo):
            found.frontier = record.until
    journal_reader.refuse_damage(path, reading, boot)
    return found


def leftovers(run: Path, reading: journal_reader.Reading, boot: str) -> Iterator[Leftover]:
    """What senders that ended left in this run's folder, in order; ``reading`` is of the run's own journal."""
    for span, path in shard_journals(run):
        if span.shard in reading.closed:
            continue
        try:
            found = read_leftover(span, path, reading.merged.get(span.shard, 0), boot)
        except StorageError:
            if path.exists():
                raise
            continue  # it was merged and removed meanwhile, by a command at work
        yield found


def _damaged(path: Path) -> DamageError:
    return DamageError(
        "The journal of a shard is damaged, so nothing is sent.",
        evidence=str(path),
        next_step=f"see what can be saved: campaign repair {path.parent.parent} --dry-run",
    )
