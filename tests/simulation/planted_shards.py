"""Faults planted in what makes several processes send one run; `planted.py` registers them with the others.

They are found only where ``delivery.processes`` is more than 1, which is in two seeds of five.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: The words of the table, and what puts the fault in place.
OF_SHARDS: dict[str, Callable[[Any], None]] = {}


def plant(name: str) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Register a fault."""

    def register(put: Callable[[Any], None]) -> Callable[[Any], None]:
        OF_SHARDS[name] = put
        return put

    return register


@plant("a merge of a shard is made twice")
def _(patch: Any) -> None:
    from campaign.ledger.checkpoint import Checkpoint

    def merge(self: Any, span: Any, lines: Any, *, closed: bool = False) -> None:
        before(self, span, lines, closed=False)
        before(self, span, lines, closed=closed)

    before = patch.set(Checkpoint, "merge", merge)


@plant("a shard that is closed is merged again")
def _(patch: Any) -> None:
    from campaign.ledger import recovery
    from campaign.ledger.shards import held_leftovers

    def leftovers(run: Any, reading: Any, boot: str) -> Any:
        reading.closed.clear()
        return before(run, reading, boot)

    before = patch.set(recovery, "leftovers", leftovers)
    patch.set(held_leftovers, "leftovers", leftovers)


@plant("lines of a shard that are merged are not counted at recovery")
def _(patch: Any) -> None:
    from campaign.ledger import recovery
    from campaign.ledger.shards import held_leftovers

    def leftovers(run: Any, reading: Any, boot: str) -> Any:
        reading.merged.clear()
        return before(run, reading, boot)

    before = patch.set(recovery, "leftovers", leftovers)
    patch.set(held_leftovers, "leftovers", leftovers)


@plant("a torn merge of a shard counts as whole")
def _(patch: Any) -> None:
    from campaign.ledger.journal.journal_reader import Reading

    def end_merge(self: Any, _lines: int) -> None:
        if self._merging is not None:
            before(self, self._merging[1] + self._merging[0].lines)

    before = patch.set(Reading, "end_merge", end_merge)


@plant("doubts of a sender that died are forgotten")
def _(patch: Any) -> None:
    from campaign.ledger.checkpoint import Checkpoint

    def take_back(self: Any, leftover: Any) -> None:
        self.merge(leftover.span, leftover.lines)
        self.history.pending.clear()
        self.merge(leftover.span, (), closed=True)
        self.sync()

    patch.set(Checkpoint, "take_back", take_back)


@plant("a shard is leased to two senders")
def _(patch: Any) -> None:
    from campaign.ledger.journal import journal_file
    from campaign.ledger.shards.shard_store import ShardStore

    def lease(self: Any, most: int) -> Any:
        last = self.__dict__.pop("_given", None)
        if last is not None and last.span.shard in self._held:
            return last
        found = before(self, most)
        self.__dict__["_given"] = found
        return found

    before = patch.set(ShardStore, "lease", lease)
    patch.set(journal_file, "lock", lambda *_: True)


@plant("who comes back from a shard is forgotten")
def _(patch: Any) -> None:
    from campaign.ledger.shards.shard_store import ShardStore

    def release(self: Any, held: Any) -> int:
        held.open.clear()
        return int(before(self, held))

    before = patch.set(ShardStore, "_release", release)


@plant("the shards of a sender that died are not taken back")
def _(patch: Any) -> None:
    from campaign.pipeline.serve.senders.sender_pool import SenderPool

    def release(self: Any, slot: Any) -> None:
        slot.shards.clear()
        before(self, slot)

    before = patch.set(SenderPool, "_release", release)


@plant("the frontier of a shard is ignored after a loss of power")
def _(patch: Any) -> None:
    from campaign.ledger.shards.shard_reader import Leftover

    patch.set(Leftover, "taken", lambda *_: [])


@plant("no block of a shard is reserved before it is taken")
def _(patch: Any) -> None:
    from campaign.ledger.shards.shard_ledger import ShardLedger

    patch.set(ShardLedger, "reserve", lambda *_: None)


@plant("the journal of a shard is removed before its merge is synced")
def _(patch: Any) -> None:
    from campaign.ledger.shards.shard_store import ShardStore

    def finish(self: Any, shard: int) -> Any:
        sync, self._checkpoint.sync = self._checkpoint.sync, lambda: None
        try:
            return before(self, shard)
        finally:
            self._checkpoint.sync = sync

    before = patch.set(ShardStore, "finish", finish)


@plant("--limit counts for each sender, and not for all together")
def _(patch: Any) -> None:
    from campaign.pipeline.serve.pass_order import Allowance
    from campaign.pipeline.serve.senders.sender_pool import SenderPool

    def answer(self: Any, slot: Any) -> None:
        limit, own = self.__dict__.setdefault("_own", (self._allowance.left, {}))
        self._shards._allowance = own.setdefault(slot.index, Allowance(None if limit < 0 else limit))
        before(self, slot)
        self._shards._allowance = self._allowance

    before = patch.set(SenderPool, "_answer", answer)


@plant("each sender has all connections")
def _(patch: Any) -> None:
    from campaign.pipeline.serve.senders import sender_slots

    patch.set(sender_slots, "connection_share", lambda total, _index, _senders: total)
