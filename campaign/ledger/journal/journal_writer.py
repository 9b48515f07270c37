"""Writes one journal on disk: a recorder of letters with reservations and syncs.

The checkpoint of a run is one such writer, and each shard that a sender process holds has another.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from campaign.ledger.journal.group_sync import GroupSync
from campaign.ledger.journal.journal_file import JournalFile
from campaign.ledger.journal.journal_records import ReservedUpTo, Synced
from campaign.ledger.journal.letter_recorder import LetterRecorder
from campaign.ledger.state.run_state import RunState

#: Recipients reserved at first; the block grows until one sync covers about two seconds of sending.
FIRST_BLOCK = 64
LARGEST_BLOCK = 65_536
BLOCK_SECONDS = 2.0


class JournalWriter(LetterRecorder):
    """The writer of one journal; ``history`` may hold more than this journal tells. ``power``: intents are synced."""

    def __init__(
        self, file: JournalFile, history: RunState, *, power: bool, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(file, history, clock)
        self._file, self._power, self._few = file, power, False
        self._reserved, self._block, self._block_at = 0, FIRST_BLOCK, 0.0
        self._sync = GroupSync(file, self._mark)

    def expect_few(self, few: bool) -> None:
        """Set whether a pass takes a few of many: it syncs intents, as a block would hold all between them."""
        self._few = few

    def reserve(self, number: int) -> None:
        """Call before ``number`` is taken, so that it counts as possibly taken after a loss of power."""
        if self._few or number < self._reserved:
            return
        now = time.monotonic()
        took = now - self._block_at
        self._block = FIRST_BLOCK if not self._block_at else self._fit(took)
        self._block_at = now
        self._append(ReservedUpTo(number + self._block))
        self.sync()
        self._reserved = number + self._block

    def sync(self) -> None:
        """Force everything appended so far to disk. Raises StorageError."""
        self._mark(self._file.sync())

    def _durable(self) -> Awaitable[None] | None:
        return self._sync.wait() if self._power or self._few else None

    def _mark(self, upto: int) -> None:
        self._append(Synced(upto))

    def _reserve_anew(self) -> None:
        """Begin with the first block again, as a new pass does."""
        self._reserved, self._block_at = 0, 0.0

    def _fit(self, took: float) -> int:
        wanted = self._block * BLOCK_SECONDS / max(took, 0.001)
        return int(min(max(wanted, FIRST_BLOCK), 2 * self._block, LARGEST_BLOCK))
