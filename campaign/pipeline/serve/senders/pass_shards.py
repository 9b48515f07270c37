"""The shards of the pass under way: what is leased, what was recorded, and whether anybody is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from campaign.ledger.journal.journal_records import VerdictRecord
from campaign.ledger.protocol import ShardLeases
from campaign.ledger.shards.lease import Closed, Lease
from campaign.ledger.shards.shard_reader import Line
from campaign.ledger.shards.shard_store import LARGEST, ShardStore
from campaign.model import Verdict
from campaign.pipeline.serve.open_run import OpenRun
from campaign.pipeline.serve.pass_order import Allowance, PassOrder
from campaign.report.live.progress import Counts


class PassShards:
    """Leases the recipients of a pass, as many as are allowed, and counts their verdicts.

    ``written`` counts the verdicts of this pass. ``proved``: some letter has had a verdict in this process.
    ``heard`` is called when verdicts were recorded.
    """

    def __init__(
        self, run: OpenRun, counts: Counts, allowance: Allowance, senders: int, heard: Callable[[], None]
    ) -> None:
        self._run, self._counts, self._allowance, self._heard = run, counts, allowance, heard
        self._store: ShardLeases = ShardStore(run.checkpoint, run.job.settings.ledger.durability, senders, time.time)
        self._order: PassOrder | None = None
        self._exhausted = self.proved = False
        self.written = 0

    @property
    def open(self) -> bool:
        """Whether a pass is under way."""
        return self._order is not None

    @property
    def left(self) -> bool:
        """Whether the pass may have recipients in no shard yet."""
        return self.open and not self._exhausted and self._allowance.left != 0

    def begin(self, order: PassOrder) -> None:
        """Begin a pass."""
        history = self._run.history
        date, first = history.pass_at, history.first_unsettled()
        due = (number for number in history.due(date, first) if order.includes(number))
        self._store.begin(due, sum(map(order.includes, history.due(date, first))), few=order.few)
        self._order, self._exhausted, self.written = order, False, 0

    def end(self) -> None:
        """Lease nothing more."""
        self._order = None

    def lease(self) -> Lease | None:
        """The next shard; None if this pass has no more."""
        left = self._allowance.left
        if not self.open or not left:
            return None
        lease = self._store.lease(min(left, LARGEST) if left > 0 else LARGEST)
        self._exhausted = lease is None
        if lease is not None:
            self._allowance.spend(len(lease.numbers))
        return lease

    def follow(self) -> None:
        """Merge what senders wrote since the last call."""
        self._count(self._store.follow())

    def finish(self, shard: int) -> None:
        """Merge the rest of a shard that its sender has left."""
        self._closed(self._store.finish(shard))

    def take_back(self, shard: int) -> int:
        """Merge the rest of a shard whose sender has ended; returns how many of its letters are in doubt by that."""
        history = self._run.history
        self.follow()
        before = history.tally()[Verdict.IN_DOUBT]
        self._closed(self._store.take_back(shard))
        return history.tally()[Verdict.IN_DOUBT] - before

    def close(self) -> None:
        """Clean up after the last sender."""
        self._store.close()

    def _closed(self, shard: Closed) -> None:
        """Count what was recorded last, and let those who had no turn have one in a later shard."""
        self._count(shard.lines)
        if shard.returned:
            self._allowance.refund(shard.returned)
            self._exhausted = False

    def _count(self, lines: Sequence[Line]) -> None:
        verdicts = [line.record for line in lines if isinstance(line.record, VerdictRecord)]
        if verdicts:
            self.proved = True
            self.written += len(verdicts)
            self._allowance.refund(sum(one.verdict == Verdict.WITHDRAWN for one in verdicts))
            self._counts.take(self._run.history.tally())
            self._heard()
