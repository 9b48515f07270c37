"""What the pipeline needs of a ledger, in three interfaces; a ledger that many machines share offers the same.

* `SenderLedger`: one sender's view. It records what happens to the letters of the recipients it holds.
* `ShardLeases`: hands out the shards of a pass to several senders, and takes them back.
* `RunLedger`: the run as a whole: its state, its passes, its end.

On files, `Checkpoint` is a `RunLedger` and, for a single sender, also its `SenderLedger`; with several senders
`ShardStore` and `ShardLedger` are the other two.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Protocol

from campaign.ledger.shards.lease import Closed, Lease
from campaign.ledger.shards.shard_reader import Line
from campaign.ledger.state.run_state import RunState
from campaign.model import Letter, Outcome, Verdict


class SenderLedger(Protocol):
    """Records intents and verdicts of recipients whom this sender holds. Methods raise StorageError."""

    @property
    def history(self) -> RunState:
        """Where these recipients stand."""

    def reserve(self, number: int) -> None:
        """Call before ``number`` is taken, so that it counts as possibly taken after a loss of power."""

    def date_of(self, number: int) -> int:
        """The Date of this recipient's letter, in POSIX seconds."""

    def intent(self, letter: Letter, relay: str) -> Awaitable[None] | None:
        """Record that the dot is about to leave; await the result, if any, before it does."""

    def verdict(self, outcome: Outcome, not_before: float = 0.0) -> None:
        """Record the outcome of an attempt."""

    def settle(self, number: int, verdict: Verdict, reason: str) -> Verdict:
        """Record a verdict that needed no attempt; returns the recorded one."""


class ShardLeases(Protocol):
    """The shards of a pass. Methods raise StorageError."""

    def begin(self, numbers: Iterable[int], count: int, *, few: bool) -> None:
        """Begin a pass over ``numbers``, ascending, about ``count`` of them; ``few``: of many."""

    def lease(self, most: int) -> Lease | None:
        """The next shard, of ``most`` recipients at most; None if nobody is left."""

    def follow(self) -> Sequence[Line]:
        """Bring the run's state up to date with what senders recorded; returns it."""

    def finish(self, shard: int) -> Closed:
        """Release a shard that its sender has left."""

    def take_back(self, shard: int) -> Closed:
        """As `finish`, of a sender that died: its letters between dot and reply become in doubt."""

    def close(self) -> None:
        """Clean up after the last sender."""


class RunLedger(Protocol):
    """A run that this process holds. Methods raise StorageError."""

    @property
    def history(self) -> RunState:
        """Where each recipient stands."""

    def begin_pass(self) -> int:
        """Begin a pass over all that is due now; returns its date in POSIX seconds."""

    def look_at_clock(self) -> str:
        """Notice a clock that was set back; returns the consequence in words, or ``""``."""

    def settle(self, number: int, verdict: Verdict, reason: str) -> Verdict:
        """Record a verdict that needed no attempt; returns the recorded one."""

    def settle_pending(self) -> None:
        """When sending is over, mark recipients in doubt whose intent has no verdict."""

    def accept_changes(self, fingerprints: Mapping[str, str], domain: str = "") -> None:
        """Record that the operator accepted changed inputs."""

    def end(self, exit_code: int, *, abandoned: bool = False, notes: Sequence[str] | None = None) -> None:
        """Leave the run in good order, durably."""
