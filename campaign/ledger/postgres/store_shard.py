"""A shard that this worker holds: it records what happens to its letters, and says where the shard stands."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable

from campaign.ledger.journal.letter_recorder import LetterRecorder
from campaign.ledger.postgres.segment_writer import SegmentWriter, ShardLines
from campaign.ledger.shards.lease import Lease
from campaign.ledger.state.recipient_states import DEFERRED, WAITING
from campaign.ledger.state.run_state import RunState
from campaign.model import Outcome


class StoreShard(LetterRecorder):
    """One shard, as `shard_ledger.Shard` describes it. Every intent is in the store before its dot leaves.

    ``counts`` are the shard's recipients by verdict when it was leased; ``ahead`` is how many seconds the store's clock
    is ahead of this machine's. ``later`` is when the first is due who waits and is not in the lease, by the store's
    clock; while a canary is out it is None: then the others wait for its end, and so do those of it who were put off.
    """

    def __init__(
        self,
        lease: Lease,
        counts: list[int],
        lines: ShardLines,
        writer: SegmentWriter,
        history: RunState,
        ahead: float,
        later: float | None = math.inf,
    ) -> None:
        super().__init__(lines, history, lambda: time.time() + ahead)
        self.span, self.open, self.lines = lease.span, set(lease.numbers), lines
        self._lease, self._counts, self._writer, self._ahead, self._later = lease, counts, writer, ahead, later

    def date_of(self, number: int) -> int:
        """As `LetterRecorder.date_of`, by the moment of the lease."""
        return self.history.dates[number] or self._lease.pass_at

    def verdict(self, outcome: Outcome, not_before: float = 0.0) -> None:
        """As `LetterRecorder.verdict`; the store's clock says when it is tried again."""
        super().verdict(outcome, not_before + self._ahead if not_before else 0.0)

    def tally(self) -> list[int]:
        """How many of all its recipients have each verdict now."""
        counts, state = list(self._counts), self.history.state
        for before, number in zip(self._lease.state, self._lease.numbers, strict=True):
            counts[before] -= 1
            counts[state[number]] += 1
        return counts

    def seconds_to_next(self) -> float | None:
        """Seconds until somebody in it is due: infinite before the canary is over, None if nobody ever is."""
        if not self._to_go():
            return None
        history = self.history
        due = (WAITING,) if self._later is None else (WAITING, DEFERRED)
        waits = [
            history.not_before[number] if history.state[number] == DEFERRED else 0
            for number in self._lease.numbers
            if history.state[number] in due
        ]
        first = min([*waits, math.inf if self._later is None else self._later])
        return max(0.0, first - time.time() - self._ahead)

    def _to_go(self) -> int:
        tally = self.tally()
        return tally[WAITING] + tally[DEFERRED]

    def _durable(self) -> Awaitable[None] | None:
        return self._writer.durable(self.lines)
