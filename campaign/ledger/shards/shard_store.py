"""Hands out the shards of a pass, and merges into the checkpoint what senders write into their journals.

A pass is cut as it is served: the first shards are large, the last ones small, so that all senders end together. Who
was in the shard of a sender that died, and is still due, goes into the next ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import msgspec

from campaign.errors import StorageError
from campaign.ledger.checkpoint import Checkpoint
from campaign.ledger.journal.journal_file import JournalFile, unwritable, write_whole
from campaign.ledger.journal.journal_records import Leased, VerdictRecord, encode
from campaign.ledger.run_folder import make_folder
from campaign.ledger.shards.held_leftovers import remove_folder
from campaign.ledger.shards.lease import Closed, Lease
from campaign.ledger.shards.shard_reader import FOLDER, Line, ShardReader, read_leftover, shard_path

#: Recipients of a shard at most, and at least unless fewer are left. A shard that its sender leaves unfinished costs
#: the recipients in it nothing but time.
LARGEST, SMALLEST = 5_000, 200
#: A shard is this share of what is left, divided by the senders.
SHARE = 0.25


class Held(msgspec.Struct):
    """A shard that a sender holds: its lease, its journal, how far that is merged, and who has no verdict in it."""

    lease: Lease
    path: Path
    reader: ShardReader
    open: set[int]

    def note(self, lines: Sequence[Line]) -> None:
        """Note whom these lines give a verdict."""
        self.open.difference_update(line.record.number for line in lines if isinstance(line.record, VerdictRecord))


class ShardStore:
    """The shards of one run, as `protocol.ShardLeases` describes them. Raises StorageError, DamageError."""

    def __init__(self, checkpoint: Checkpoint, durability: str, senders: int, clock: Callable[[], float]) -> None:
        self._checkpoint, self._durability, self._senders, self._clock = checkpoint, durability, senders, clock
        self._held: dict[int, Held] = {}
        self._fresh: Iterator[int] = iter(())
        self._returned: deque[list[int]] = deque()
        self._left, self._few, self._last = 0, False, checkpoint.history.shards
        self._failure: StorageError | None = None
        make_folder(checkpoint.folder / FOLDER)

    def begin(self, numbers: Iterable[int], count: int, *, few: bool) -> None:
        """Begin a pass over ``numbers``, ascending, about ``count`` of them; ``few``: of many.

        The pass is durable before anybody is taken in it: after a loss of power its date is the only one a letter has
        whose intent was lost.
        """
        self._checkpoint.sync()
        self._fresh, self._left, self._few = iter(numbers), count, few
        self._returned.clear()

    def lease(self, most: int) -> Lease | None:
        """The next shard, of ``most`` recipients at most, or None if nobody is left. Its journal is durable."""
        size = max(SMALLEST, min(LARGEST, int(self._left * SHARE / self._senders)))
        numbers = self._next(min(size, most))
        if not numbers:
            return None
        self._left -= len(numbers)
        self._last += 1
        lease = Lease.of(self._checkpoint.history, self._last, numbers, few=self._few)
        path = shard_path(self._checkpoint.folder, lease.span)
        write_whole(path, encode(self._first_line(lease)))
        self._held[self._last] = Held(lease, path, ShardReader(path), set(lease.numbers))
        return lease

    def follow(self) -> list[Line]:
        """Merge what was written since the last call; returns it."""
        merged: list[Line] = []
        for held in self._held.values():
            if lines := held.reader.new_lines():
                self._merge(held, lines)
                merged += lines
        return merged

    def finish(self, shard: int) -> Closed:
        """Merge the rest of a shard that its sender has left, and remove its journal.

        Who had no turn in it goes into a later shard: the sender was told to end.
        """
        held = self._held.pop(shard)
        lines = held.reader.new_lines()
        self._merge(held, lines, closed=True)
        self._checkpoint.sync()
        return Closed(lines, self._release(held))

    def take_back(self, shard: int) -> Closed:
        """As `finish`, for a sender that died: its letters between dot and reply become in doubt."""
        held = self._held.pop(shard)
        file = JournalFile(held.path)  # locked: no sender writes to it any more
        try:
            leftover = read_leftover(held.lease.span, held.path, held.reader.merged, self._checkpoint.boot)
            self._refuse_after_failure()
            self._checkpoint.take_back(leftover)
        finally:
            file.close()
        held.note(leftover.lines)
        return Closed(leftover.lines, self._release(held))

    def close(self) -> None:
        """Remove the folder, if nothing is left in it."""
        remove_folder(self._checkpoint.folder)

    def _merge(self, held: Held, lines: Sequence[Line], *, closed: bool = False) -> None:
        """Merge lines. After one failure nothing is merged any more: the next command merges what is missing."""
        self._refuse_after_failure()
        try:
            self._checkpoint.merge(held.lease.span, lines, closed=closed)
        except StorageError as error:
            self._failure = error
            raise
        held.note(lines)

    def _refuse_after_failure(self) -> None:
        if self._failure:
            raise self._failure

    def _next(self, most: int) -> list[int]:
        """The next recipients: of one shard that came back, or fresh ones. So the ranges of shards never overlap."""
        if not self._returned:
            return list(islice(self._fresh, most))
        numbers = self._returned.popleft()
        if numbers[most:]:
            self._returned.appendleft(numbers[most:])
        return numbers[:most]

    def _first_line(self, lease: Lease) -> Leased:
        shard, first, beyond = lease.span
        at = round(self._clock(), 3)
        return Leased(shard, first, beyond, lease.pass_at, at, self._checkpoint.boot, self._durability)

    def _release(self, held: Held) -> int:
        """Remove a shard's journal, which is merged; whoever had no turn comes back. Returns how many."""
        try:
            held.path.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(held.path, error) from error
        due = sorted(filter(self._checkpoint.history.is_due, held.open))
        if due:
            self._returned.append(due)
            self._left += len(due)
        return len(due)
