"""Holds the lines that are merged into a run's journal against those that senders wrote into the journals of shards.

Each line has to come over once, in order, and unchanged; a shard is closed once, when nothing of it is missing.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_NUMBER = re.compile(r'"is":"(\w+)"')
#: Records of a shard's journal that are merged.
MERGED = frozenset({"intent", "verdict"})


@dataclass
class Shard:
    """``lines``: what its journal holds, with the offset of each end; ``copied``: how many of them are merged."""

    lines: list[tuple[int, bytes]] = field(default_factory=list)
    copied: int = 0
    closed: bool = False


@dataclass
class Copies:
    """Of all runs; shards are known by their run's folder and their number."""

    must: Callable[[bool, str], None]
    shards: dict[tuple[str, int], Shard] = field(default_factory=dict)
    #: What was merged into a run's journal: offset, shard, and whether it is a line or the end of the shard.
    merged: dict[str, list[tuple[int, int, bool]]] = field(default_factory=dict)
    _due: dict[str, list[Any]] = field(default_factory=dict)

    def begins(self) -> None:
        """Another process begins: a merge that was torn is over."""
        self._due.clear()

    def wrote(self, journal: Path, end: int, line: bytes) -> None:
        """A line was appended to a shard's journal."""
        if kind(line) in MERGED:
            self._shard(*shard_of(journal)).lines.append((end, line))

    def cut(self, journal: Path, size: int) -> None:
        """A journal was cut back."""
        if journal.parent.name == "shards":
            lines = self._shard(*shard_of(journal)).lines
            while lines and lines[-1][0] > size:
                lines.pop()
            return
        run, copied = str(journal.parent), self.merged.get(str(journal.parent), [])
        self._due.pop(run, None)
        while copied and copied[-1][0] > size:
            _, number, is_line = copied.pop()
            shard = self._shard(run, number)
            shard.copied -= is_line
            shard.closed = shard.closed and is_line

    def is_copy(self, journal: Path, end: int, record: dict[str, Any], line: bytes) -> bool:
        """Whether this line of a run's journal is one that a shard's has: those that a merge announced."""
        run = str(journal.parent)
        if record["is"] == "merged":
            number, shard = record["shard"], self._shard(run, record["shard"])
            self.must(not shard.closed, f"shard {number} is merged again after it was closed")
            self._due[run] = [number, record["lines"], record.get("closed", False)]
            self._close(run, end)
            return True
        due = self._due.get(run)
        if not due or not due[1]:
            return False
        number, shard = due[0], self._shard(run, due[0])
        due[1] -= 1
        fits = shard.copied < len(shard.lines) and _same(shard.lines[shard.copied][1], line)
        self.must(fits, f"the journal got a line as no. {shard.copied + 1} of shard {number}, which has another there")
        shard.copied += 1
        self.merged.setdefault(run, []).append((end, number, True))
        self._close(run, end)
        return True

    def _close(self, run: str, end: int) -> None:
        number, left, closes = self._due[run]
        if left or not closes:
            return
        shard = self._shard(run, number)
        missing = len(shard.lines) - shard.copied
        self.must(missing <= 0, f"shard {number} is closed and {missing} of its {len(shard.lines)} lines are missing")
        shard.closed = True
        self.merged.setdefault(run, []).append((end, number, False))

    def editions(self) -> set[Path]:
        """The folders of all runs that have or had shards."""
        return {Path(run).parent for run in {*self.merged, *(run for run, _ in self.shards)}}

    def power_lost(self, edition: Path) -> None:
        """Read again what is left on disk."""
        self.shards.clear()
        self.merged.clear()
        self._due.clear()
        for journal in sorted(edition.glob("*/checkpoint.journal")):
            for path in sorted(journal.parent.glob("shards/*-*-*.journal")):
                for end, line in whole_lines(path):
                    self.wrote(path, end, line)
            self._count(journal)

    def _count(self, journal: Path) -> None:
        run, number, left, closes = str(journal.parent), 0, 0, False
        for end, line in whole_lines(journal):
            what = kind(line)
            if what == "merged":
                number, left, closes = _member(line, "shard"), _member(line, "lines"), b'"closed":true' in line
            elif left and what in MERGED:
                left -= 1
                self._shard(run, number).copied += 1
                self.merged.setdefault(run, []).append((end, number, True))
            if closes and not left:
                self._shard(run, number).closed, closes = True, False
                self.merged.setdefault(run, []).append((end, number, False))

    def _shard(self, run: str, number: int) -> Shard:
        return self.shards.setdefault((run, number), Shard())


def shard_of(journal: Path) -> tuple[str, int]:
    """The run's folder, and the number of the shard."""
    return str(journal.parent.parent), int(journal.name.partition("-")[0])


def kind(line: bytes) -> str:
    """The kind of a record."""
    found = _NUMBER.search(line.decode("utf-8", "replace"))
    return found[1] if found else ""


def whole_lines(path: Path) -> list[tuple[int, bytes]]:
    """The lines up to the first damaged one, line feed excluded, each with the offset of its end."""
    found, end = [], 0
    for line in path.read_bytes().split(b"\n"):
        if len(line) < 10 or line[:8] != f"{zlib.crc32(line[9:]):08x}".encode():
            break
        end += len(line) + 1
        found.append((end, line))
    return found


def _same(one: bytes, other: bytes) -> bool:
    """Whether two lines say the same; one may have been written anew, with 5.0 in place of 5."""
    return one == other or json.loads(one[9:]) == json.loads(other[9:])


def _member(line: bytes, name: str) -> int:
    found = re.search(rb'"%b":(\d+)' % name.encode(), line)
    return int(found[1]) if found else 0
