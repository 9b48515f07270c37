"""The ledger of a sender process: the shards it holds, each with its journal, behind the interface of a checkpoint.

A number belongs to exactly one shard held here. When each of its recipients has a verdict, a shard is finished; what
has none when the sender ends is due again.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from campaign.errors import InternalError
from campaign.ledger.journal.journal_file import JournalFile
from campaign.ledger.journal.journal_writer import JournalWriter
from campaign.ledger.protocol import SenderLedger
from campaign.ledger.shards.lease import Lease
from campaign.ledger.shards.shard_reader import ShardSpan, shard_path
from campaign.ledger.state.run_state import RunState
from campaign.model import Letter, Outcome, Verdict


class FileShard(JournalWriter):
    """One shard that this process holds: its journal on disk, locked, and who has no verdict yet."""

    def __init__(
        self, run: Path, lease: Lease, history: RunState, *, power: bool, clock: Callable[[], float] = time.time
    ) -> None:
        """Raises UnfinishedError if another process holds it, StorageError."""
        file = JournalFile(shard_path(run, lease.span), ballast=run / "ballast")
        super().__init__(file, history, power=power, clock=clock)
        self.span, self.open = lease.span, set(lease.numbers)
        self.expect_few(lease.few)


class Shard(SenderLedger, Protocol):
    """A shard as its holder sees it; ``open`` are the recipients without a verdict."""

    span: ShardSpan
    open: set[int]

    def close(self) -> None:
        """Record no more."""


class ShardLedger:
    """One per sender process; ``history`` holds where the recipients of its shards stand.

    ``open_shard`` opens the journal of a shard leased to this process; ``finished`` is called with each shard that is
    done with, once its journal is closed.
    """

    def __init__(
        self, history: RunState, open_shard: Callable[[Lease], Shard], finished: Callable[[Shard], None]
    ) -> None:
        self.history = history
        self._open_shard, self._finished = open_shard, finished
        self._held: list[Shard] = []

    def take(self, lease: Lease) -> None:
        """Hold one more shard."""
        lease.lay_into(self.history)
        self._held.append(self._open_shard(lease))

    def reserve(self, number: int) -> None:
        """As `LetterRecorder.reserve`."""
        self._of(number).reserve(number)

    def date_of(self, number: int) -> int:
        """As `LetterRecorder.date_of`; a portion of letters may hold one that has got its verdict meanwhile."""
        shard = self._holding(number)
        return shard.date_of(number) if shard else self.history.dates[number] or self.history.pass_at

    def intent(self, letter: Letter, relay: str) -> Awaitable[None] | None:
        """As `LetterRecorder.intent`."""
        return self._of(letter.number).intent(letter, relay)

    def verdict(self, outcome: Outcome, not_before: float = 0.0) -> None:
        """As `LetterRecorder.verdict`; it may finish the shard."""
        shard = self._of(outcome.number)
        shard.verdict(outcome, not_before)
        self._settled(shard, outcome.number)

    def settle(self, number: int, verdict: Verdict, reason: str) -> Verdict:
        """As `LetterRecorder.settle`; it may finish the shard."""
        shard = self._of(number)
        recorded = shard.settle(number, verdict, reason)
        self._settled(shard, number)
        return recorded

    def leave(self) -> None:
        """Leave all shards; who has no verdict is due again."""
        for shard in self._held[:]:
            self._leave(shard)

    def _settled(self, shard: Shard, number: int) -> None:
        shard.open.discard(number)
        if not shard.open:
            self._leave(shard)

    def _leave(self, shard: Shard) -> None:
        self._held.remove(shard)
        shard.close()
        self._finished(shard)

    def _of(self, number: int) -> Shard:
        if shard := self._holding(number):
            return shard
        raise InternalError(f"Recipient {number} is in no shard that this process holds.")

    def _holding(self, number: int) -> Shard | None:
        for shard in self._held:
            if shard.span.first <= number < shard.span.beyond:
                return shard
        return None
