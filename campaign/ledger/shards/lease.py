"""A lease: the recipients of a shard, and where each stands, as they are handed to the sender process that serves them.

Plain values only, as it travels through a pipe; about fourteen octets a recipient, besides what is known of letters in
doubt.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

import msgspec

from campaign.ledger.journal.journal_records import Opened
from campaign.ledger.shards.shard_reader import Line, ShardSpan
from campaign.ledger.state.recipient_states import CODE, NEVER
from campaign.ledger.state.run_state import RunState
from campaign.model import Verdict


class Lease(msgspec.Struct, frozen=True):
    """``numbers`` are the recipients, ascending; the arrays are aligned with them, as in `RecipientStates`.

    ``ages`` are seconds since a relay first put them off, as `RunState.age`; -1 if none did: each process measures by a
    clock of its own. ``few``: they are few of many, so intents are synced. The mappings are those of `RunState`, for
    letters in doubt.
    """

    span: ShardSpan
    passes: int
    pass_at: int
    few: bool
    numbers: array[int]
    state: bytes
    attempts: bytes
    dates: array[int]
    not_before: array[int]
    ages: array[int]
    digests: dict[int, str]
    shaped_by: dict[int, dict[str, str]]

    @classmethod
    def of(cls, history: RunState, shard: int, numbers: Sequence[int], *, few: bool) -> Self:
        """The lease of these recipients in the current pass."""
        doubtful = history.digests.keys() & set(numbers) if history.digests else ()
        return cls(
            ShardSpan(shard, numbers[0], numbers[-1] + 1),
            history.passes,
            history.pass_at,
            few,
            array("I", numbers),
            bytes(history.state[number] for number in numbers),
            bytes(history.attempts[number] for number in numbers),
            array("I", (history.dates[number] for number in numbers)),
            array("I", (history.not_before[number] for number in numbers)),
            ages_of(history, numbers),
            {number: history.digests[number] for number in doubtful},
            {number: history.shaped_by[number] for number in doubtful if number in history.shaped_by},
        )

    def lay_into(self, history: RunState) -> None:
        """Let ``history``, of the sender, say what this lease says."""
        if history.passes != self.passes:
            history.passes, history.pass_at = self.passes, self.pass_at
        elapsed = int(history.run_clock.elapsed)
        for position, number in enumerate(self.numbers):
            history.state[number] = self.state[position]
            history.attempts[number] = self.attempts[position]
            history.dates[number] = self.dates[position]
            history.not_before[number] = self.not_before[position]
            age = self.ages[position]
            history.first_put_off[number] = NEVER if age < 0 else elapsed - age
        history.digests.update(self.digests)
        history.shaped_by.update(self.shaped_by)


def ages_of(history: RunState, numbers: Iterable[int]) -> array[int]:
    """The ages of these recipients, as a lease has them."""
    return array("i", (-1 if history.first_put_off[n] == NEVER else int(history.age(n)) for n in numbers))


def nobody_due(opened: Opened) -> RunState:
    """A state in which nobody is due: leases say who is."""
    history = RunState(opened)
    history.state[:] = bytes([CODE[Verdict.ACCEPTED]]) * len(history.state)
    return history


class Closed(NamedTuple):
    """Of a shard that is over: what was recorded last, and how many had no turn and are in a later one."""

    lines: list[Line]
    returned: int
