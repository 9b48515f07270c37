"""The canary of a run in a store: how far it is, and what holds back or releases the others.

While it is out, only shards with somebody of it who waits are due; any other is due in infinity. Each step is one
statement, so that of several workers one makes it, and any of them can make the next after a kill.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from campaign.ledger.postgres.session_connection import SessionConnection
from campaign.ledger.state.recipient_states import CODE
from campaign.model import Verdict

#: Only members were tried while the canary is out, so the run's verdicts are theirs.
_LOOK = """
SELECT EXISTS (SELECT FROM campaign.shard s WHERE s.run = r.run AND NOT s.done AND s.due < 'infinity'),
    r.canary_held IS NOT NULL,
    (SELECT sum(tally[n])::bigint FROM campaign.shard s, unnest(%(accepted)s::int[]) n WHERE s.run = r.run),
    (SELECT sum(tally[n])::bigint FROM campaign.shard s, unnest(%(answered)s::int[]) n WHERE s.run = r.run)
FROM campaign.run r WHERE r.run = %(run)s AND r.canary > 0
"""
#: Held until an operator releases it (infinity: they paused it; -infinity: too few were accepted), or since a time.
_HOLD = """
UPDATE campaign.run r SET changed = changed + 1, state = %(state)s, canary_held = CASE
    WHEN %(state)s = 'stop' THEN '-infinity' WHEN state = 'pause' THEN 'infinity' ELSE clock_timestamp() END
WHERE run = %(run)s AND canary > 0 AND canary_held IS NULL AND state IN ('run', 'pause')
    AND NOT EXISTS (SELECT FROM campaign.shard s WHERE s.run = r.run AND NOT s.done AND s.due < 'infinity')
RETURNING run
"""
_RELEASE = """
WITH released AS (
    UPDATE campaign.run r SET canary = 0, canary_held = NULL, state = 'run', changed = changed + 1
    WHERE run = %(run)s AND canary > 0 AND canary_held IS NOT NULL
        AND NOT EXISTS (SELECT FROM campaign.shard s WHERE s.run = r.run AND NOT s.done AND s.due < 'infinity')
        AND (state = 'run' OR state = 'pause'
            AND canary_held + make_interval(secs => %(after)s::float8) <= clock_timestamp())
    RETURNING run
), freed AS (
    UPDATE campaign.shard s SET due = clock_timestamp() FROM released
    WHERE s.run = released.run AND NOT s.done AND s.due = 'infinity'
)
SELECT run FROM released
"""
#: Places of verdicts in a tally, whose first is 1.
_ACCEPTED = [CODE[Verdict.ACCEPTED] + 1]
_ANSWERED = [CODE[one] + 1 for one in (Verdict.ACCEPTED, Verdict.REJECTED, Verdict.DEFERRED)]


class CanaryStanding(msgspec.Struct, frozen=True):
    """How far a canary is: whether some of it are still to go, whether the others are held, what share was accepted."""

    out: bool
    held: bool
    share: float


class StoreCanary:
    """The canary of one run. Methods raise StoreAwayError."""

    def __init__(self, store: SessionConnection, run: int) -> None:
        self._store, self._run = store, run

    async def standing(self) -> CanaryStanding | None:
        """How far it is; None once the others may go."""
        row = await self._store.one(_LOOK, {"run": self._run, "accepted": _ACCEPTED, "answered": _ANSWERED})
        if row is None:
            return None
        out, held, accepted, answered = row
        return CanaryStanding(out, held, accepted / answered if answered else 1.0)

    async def hold(self, state: Literal["pause", "stop"]) -> bool:
        """Hold the others back; False if another worker has done so, or some of the canary are to go after all."""
        return await self._store.one(_HOLD, {"run": self._run, "state": state}) is not None

    async def release(self, after: float | None) -> bool:
        """Let the others go if an operator released them, or ``after`` so many seconds; whether this call did."""
        return await self._store.one(_RELEASE, {"run": self._run, "after": after}) is not None
