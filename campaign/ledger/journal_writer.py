"""Writes what happens to letters into one journal: reservations, intents, verdicts; the history follows each append.

The checkpoint of a run is one such writer, and each shard that a sender process holds has another.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from campaign.errors import StorageError
from campaign.ledger.journal.group_sync import GroupSync
from campaign.ledger.journal.journal_file import JournalFile, unwritable
from campaign.ledger.journal.journal_records import (
    NONE,
    Intent,
    Record,
    ReservedUpTo,
    Synced,
    VerdictRecord,
    encode,
)
from campaign.ledger.state.recipient_states import LATEST
from campaign.ledger.state.run_state import RunState
from campaign.model import Letter, Outcome, Verdict

#: Recipients reserved at first; the block grows until one sync covers about two seconds of sending.
FIRST_BLOCK = 64
LARGEST_BLOCK = 65_536
BLOCK_SECONDS = 2.0


class JournalWriter:
    """The writer of one journal; ``history`` may hold more than this journal tells. ``power``: intents are synced."""

    def __init__(
        self, file: JournalFile, history: RunState, *, power: bool, clock: Callable[[], float] = time.time
    ) -> None:
        self.history = history
        self._file, self._power, self._clock, self._few = file, power, clock, False
        self._dots: dict[int, float] = {}
        self._refused: StorageError | None = None
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

    def date_of(self, number: int) -> int:
        """The Date of this recipient's letter: that of its first try, else of the current pass."""
        return self.history.dates[number] or self.history.pass_at

    def intent(self, letter: Letter, relay: str) -> Awaitable[None] | None:
        """Record that the dot is about to leave. Under ``power`` the caller awaits the sync before it does."""
        number = letter.number
        if self._file.in_need:
            raise unwritable(self._file.path, self._file.in_need)
        if self._refused:
            raise self._refused
        try:
            self._append(Intent(number, letter.digest.hex(), self.date_of(number), relay))
        except StorageError as error:
            self._refused = error  # no dot leaves after this, even if the disk works again a moment later
            raise
        self._dots[number] = time.monotonic()
        return self._sync.wait() if self._power or self._few else None

    def verdict(self, outcome: Outcome, not_before: float = 0.0) -> None:
        """Record the outcome for one recipient; if the disk is full, release the ballast and try again."""
        number = outcome.number
        dot = self._dots.pop(number, None)
        record = VerdictRecord(
            number,
            outcome.verdict.value,
            at=round(self._clock(), 3),
            code=outcome.code,
            enhanced=outcome.enhanced,
            reason=outcome.reason,
            relay=outcome.relay,
            took=NONE if dot is None else round(time.monotonic() - dot, 4),
            counted=outcome.counted,
            date=NONE if dot is not None or not outcome.relay else self.date_of(number),
            not_before=min(not_before, LATEST) if not_before else NONE,
            dead=outcome.suppress,
        )
        self._file.append_in_need(encode(record))
        self.history.apply(record)

    def settle(self, number: int, verdict: Verdict, reason: str) -> Verdict:
        """Record a verdict that needed no attempt: withdrawn, cancelled, expired, unrenderable, resolved.

        A recipient who may have a letter already stays in doubt unless it was resolved. Returns the recorded verdict.
        """
        if number in self.history.digests and verdict is not Verdict.ACCEPTED:
            verdict = Verdict.IN_DOUBT
        self._append(VerdictRecord(number, verdict.value, at=round(self._clock(), 3), reason=reason, counted=False))
        return verdict

    def sync(self) -> None:
        """Force everything appended so far to disk. Raises StorageError."""
        self._mark(self._file.sync())

    def close(self) -> None:
        """Release the lock and the file."""
        self._file.close()

    def _append(self, record: Record) -> None:
        self._file.append(encode(record))
        self.history.apply(record)

    def _mark(self, upto: int) -> None:
        self._append(Synced(upto))

    def _reserve_anew(self) -> None:
        """Begin with the first block again, as a new pass does."""
        self._reserved, self._block_at = 0, 0.0

    def _fit(self, took: float) -> int:
        wanted = self._block * BLOCK_SECONDS / max(took, 0.001)
        return int(min(max(wanted, FIRST_BLOCK), 2 * self._block, LARGEST_BLOCK))
