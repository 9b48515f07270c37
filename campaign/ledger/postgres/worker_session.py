"""A worker's session with the store: it leases shards of one run, keeps them, and hands them back.

A session ends for good when it loses a shard or the store: what it could not record is handed in as late testimony,
and the worker begins another one. Times in the store are the server's; this process only measures differences.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import psycopg

from campaign.errors import CampaignError, InternalError, StorageError
from campaign.ledger.journal.journal_records import Opened
from campaign.ledger.postgres.edition_lease import new_token
from campaign.ledger.postgres.runs.stored_runs import Wanted
from campaign.ledger.postgres.segment_writer import SegmentWriter, lease_lost
from campaign.ledger.postgres.segments import ShardJournal, StoredShard, pack
from campaign.ledger.postgres.session_connection import SessionConnection, StoreAwayError
from campaign.ledger.postgres.store_canary import StoreCanary
from campaign.ledger.postgres.store_shard import StoreShard
from campaign.ledger.shards.lease import Lease
from campaign.ledger.shards.shard_ledger import Shard
from campaign.ledger.state.canary_members import CanaryMembers
from campaign.ledger.state.run_state import RunState
from campaign.system.postgres import StoreAddress

#: Seconds between two renewals; a lease lasts as long as the store says, ten times that.
RENEW_SECONDS = 3.0
_LEASE = """
UPDATE campaign.shard s SET holder = %(me)s, token = %(token)s,
    until = clock_timestamp() + (SELECT lease FROM campaign.meta)
FROM (
    SELECT s.run, s.shard, r.canary
    FROM campaign.shard s JOIN campaign.run r USING (run) JOIN campaign.edition e USING (edition)
    WHERE s.run = %(run)s AND NOT s.done AND s.until < clock_timestamp() AND s.due <= clock_timestamp()
      AND (s.holder IS NULL OR pg_postmaster_start_time() + (SELECT lease FROM campaign.meta) < clock_timestamp())
      AND r.open AND r.state IN ('run', 'pause') AND e.until < clock_timestamp()
    ORDER BY s.due, s.shard LIMIT 1
    FOR UPDATE OF s SKIP LOCKED FOR SHARE OF e
) free
WHERE s.run = free.run AND s.shard = free.shard
RETURNING s.shard, s.first, s.beyond, free.canary, extract(epoch FROM clock_timestamp())::float8,
    (SELECT extract(epoch FROM lease)::float8 FROM campaign.meta)
"""
#: A first segment of a new holder, if the shard has not been taken from it since.
_TAKE_OVER = """
INSERT INTO campaign.segment (run, shard, seq, token, data)
SELECT s.run, s.shard, %(seq)s, s.token, %(data)s FROM campaign.shard s
WHERE s.run = %(run)s AND s.shard = %(shard)s AND s.token = %(token)s FOR SHARE
RETURNING seq
"""
_RENEW = """
UPDATE campaign.shard s SET until = clock_timestamp() + (SELECT lease FROM campaign.meta), tally = mine.tally::bigint[]
FROM unnest(%(shards)s::int[], %(tokens)s::bigint[], %(tallies)s::text[]) mine (shard, token, tally)
WHERE s.run = %(run)s AND s.shard = mine.shard AND s.token = mine.token AND s.holder IS NOT NULL RETURNING s.shard
"""
_BEAT = """
INSERT INTO campaign.worker (name, run, rate, waiting, append_ms)
VALUES (%(me)s, %(run)s, %(rate)s, %(waiting)s, %(took)s)
ON CONFLICT (name) DO UPDATE SET beat = clock_timestamp(), rate = excluded.rate, waiting = excluded.waiting,
    append_ms = excluded.append_ms
"""
_RELEASE = """
UPDATE campaign.shard s SET holder = NULL, until = '-infinity', tally = %(tally)s,
    due = CASE WHEN %(never)s AND EXISTS (SELECT FROM campaign.run r WHERE r.run = s.run AND r.canary > 0)
        THEN 'infinity' ELSE clock_timestamp() + make_interval(secs => %(after)s) END,
    done = %(done)s AND NOT EXISTS (
        SELECT FROM campaign.late l WHERE l.run = s.run AND l.shard = s.shard AND NOT l.merged)
WHERE run = %(run)s AND shard = %(shard)s AND token = %(token)s
"""
_STANDING = """
SELECT r.open, r.exit_code, r.state, r.rate, r.connections, r.changed,
    (SELECT count(*) FROM campaign.shard s WHERE s.run = r.run AND NOT s.done),
    (SELECT count(*) FROM campaign.shard s WHERE s.run = r.run AND s.until > clock_timestamp()),
    r.canary, r.canary_held IS NOT DISTINCT FROM '-infinity' AND r.state = 'stop'
FROM campaign.run r WHERE r.run = %s
"""
_TALLY = """
SELECT array(SELECT sum(tally[n])::bigint FROM campaign.shard, generate_series(1, %(verdicts)s) n
    WHERE run = %(run)s GROUP BY n ORDER BY n)
"""


class StoreStanding(msgspec.Struct, frozen=True):
    """Where a run stands in the store. ``left``: shards not done; ``held``: shards held by a worker.

    ``state``, ``rate`` and ``connections`` are an operator's requests, which ``changed`` counts. ``canary`` is how many
    go first, 0 once the rest may go; ``failed``: too few of them were accepted, so the run is held.
    """

    open: bool
    exit_code: int | None
    state: Wanted
    rate: str | None
    connections: int | None
    changed: int
    left: int
    held: int
    canary: int
    failed: bool

    @property
    def rates(self) -> list[str] | None:
        """The limits asked for, each as in a campaign file; None: as there."""
        return None if self.rate is None else json.loads(self.rate)


class WorkerSession:
    """One session of the worker ``me`` on a run. ``history`` is the worker's, where leases are laid into.

    ``activity`` says how many letters the worker has served, and what it waits for, in words.

    Use `work` as a task while the session lasts. Methods raise StorageError once the session has failed.
    """

    def __init__(
        self,
        address: StoreAddress,
        run: int,
        opened: Opened,
        me: str,
        history: RunState,
        *,
        resend: bool,
        activity: Callable[[], tuple[int, str]] = lambda: (0, ""),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = SessionConnection(address, run)
        self._run, self._opened, self._me = run, opened, me
        self._history, self._resend, self._activity, self._clock = history, resend, activity, clock
        self._told: tuple[float, int] | None = None
        self.writer = SegmentWriter(address, run, clock)
        self._held: dict[int, StoreShard] = {}
        self._left: list[StoreShard] = []
        self._passes, self._lease_seconds = 0, 0.0
        self.failure: CampaignError | None = None
        self.canary, self.canary_is_out = StoreCanary(self._store, run), False

    # -- leases

    async def lease(self) -> Lease | None:
        """The next shard that is free and due; None if there is none now. It counts as held from now on."""
        while True:
            token, asked = new_token(), self._clock()
            row = await self._store.one(_LEASE, {"me": self._me, "token": token, "run": self._run})
            if row is None:
                return None
            shard, first, beyond, size, now, self._lease_seconds = row
            canary = CanaryMembers(size, self._opened.recipients) if size else None
            self.canary_is_out = canary is not None
            journal = await self._take_over(StoredShard(self._run, shard, first, beyond), token, now)
            if journal is None:
                continue
            self._passes += 1
            lease = journal.lease(self._passes, resend=self._resend, canary=canary)
            lines = self.writer.open(journal.span, token, journal.seq, asked + self._lease_seconds)
            counts, ahead = list(journal.history.counts), now - time.time()
            later = journal.due_later(lease) if canary is None else None
            held = StoreShard(lease, counts, lines, self.writer, self._history, ahead, later)
            self._held[shard] = held
            if lease.numbers or canary is None:
                return lease
            self._left.append(held)  # whoever of it goes first has a verdict already
            await self.hand_back()

    def open_shard(self, lease: Lease) -> Shard:
        """The shard of a lease, to record in."""
        return self._held[lease.span.shard]

    def finished(self, shard: Shard) -> None:
        """Note that a shard is to be handed back."""
        self._left.append(self._held[shard.span.shard])

    async def hand_back(self) -> None:
        """Hand back all shards that are finished, once all their lines are in the store."""
        while self._left:
            await self.writer.flush()
            shard = self._left[0]
            after = shard.seconds_to_next()
            values = {
                "run": self._run,
                "shard": shard.span.shard,
                "token": shard.lines.token,
                "tally": shard.tally(),
                "done": after is None,
                "never": after == math.inf,
                "after": after if after and after != math.inf else 0.0,
            }
            await self._store.execute(_RELEASE, values)
            self._left.remove(shard)  # not before: a shard that is not handed back would be renewed for ever
            self._forget(shard)

    async def testify(self) -> None:
        """Hand in what a failed session could not record, for whoever has its shards now."""
        for shard in list(self._held.values()):
            shard.lines.lose()
            if unsaid := b"".join(shard.lines.unsaid):
                await self._store.execute(
                    "INSERT INTO campaign.late (run, shard, token, data) VALUES (%s, %s, %s, %s)",
                    (self._run, shard.span.shard, shard.lines.token, pack(unsaid)),
                )
                await self._store.execute(
                    "UPDATE campaign.shard SET done = false WHERE run = %s AND shard = %s",
                    (self._run, shard.span.shard),
                )
            self._forget(shard)

    # -- the session

    async def work(self) -> None:
        """Append what is recorded, and renew the leases, until cancelled. An error ends the session."""
        tasks = [asyncio.create_task(self.writer.run()), asyncio.create_task(self._renew_for_ever())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            done = await asyncio.gather(*tasks, return_exceptions=True)
        broken: Any = next((one for one in done if isinstance(one, Exception)), None)
        if broken and not isinstance(broken, CampaignError):
            broken = InternalError(f"The store could not be written to: {broken!r}.")
        self.failure = self.failure or self.writer.failure or broken
        if self.failure:
            self.writer.fail(self.failure)

    async def standing(self) -> StoreStanding:
        """Where the run stands."""
        row = await self._store.one(_STANDING, (self._run,))
        if row is None:
            raise StorageError("The run is not in the store any more.", next_step="campaign status")
        return StoreStanding(*row)

    async def tally(self, verdicts: int) -> Sequence[int]:
        """How many recipients of the run have each of so many verdicts; a few seconds old at most."""
        row = await self._store.one(_TALLY, {"run": self._run, "verdicts": verdicts})
        return row[0] if row else ()

    async def close(self) -> None:
        """Close the connections."""
        await self.writer.close()
        with suppress(CampaignError):
            await self._store.execute("DELETE FROM campaign.worker WHERE name = %s", (self._me,))
        await self._store.close()

    async def _take_over(self, span: StoredShard, token: int, now: float) -> ShardJournal | None:
        """Read a shard's journal, and append to it as its new holder, so no earlier one can; None if it is lost."""
        while True:
            rows = await self._store.all(
                "SELECT seq, token, data FROM campaign.segment WHERE run = %s AND shard = %s ORDER BY seq",
                (span.run, span.shard),
            )
            late = await self._store.all(
                "SELECT id, token, data FROM campaign.late WHERE run = %s AND shard = %s AND NOT merged ORDER BY id",
                (span.run, span.shard),
            )
            journal = ShardJournal(span, self._opened, rows)
            lines = journal.interrupted(now) + journal.testify([(one[1], one[2]) for one in late]) + journal.leased(now)
            journal.seq += 1
            try:
                values = {"run": span.run, "shard": span.shard, "seq": journal.seq, "token": token, "data": pack(lines)}
                if await self._store.one(_TAKE_OVER, values) is None:
                    return None
            except psycopg.errors.UniqueViolation:
                continue  # the earlier holder wrote meanwhile
            if late:
                await self._store.execute(
                    "UPDATE campaign.late SET merged = true WHERE id = ANY(%s)", ([one[0] for one in late],)
                )
            return journal

    async def _renew_for_ever(self) -> None:
        while not self.failure:
            with suppress(StoreAwayError):  # the deadline passes by itself
                await self._renew()
            await asyncio.sleep(RENEW_SECONDS)

    async def _renew(self) -> None:
        asked, held = self._clock(), list(self._held.values())
        values = {
            "run": self._run,
            "shards": [shard.span.shard for shard in held],
            "tokens": [shard.lines.token for shard in held],
            "tallies": ["{" + ",".join(map(str, shard.tally())) + "}" for shard in held],
        }
        found = {row[0] for row in await self._store.all(_RENEW, values)} if held else set()
        await self._store.execute(_BEAT, self._beat(asked))
        for shard in held:
            if shard.span.shard in found:
                shard.lines.deadline = asked + self._lease_seconds
            elif shard.span.shard in self._held:
                shard.lines.lose()
                self.failure = lease_lost(shard.lines.span)

    def _beat(self, now: float) -> dict[str, object]:
        """What this worker tells of itself; its rate is that since the last time."""
        before, (served, waiting) = self._told, self._activity()
        self._told = (now, served)
        rate = (served - before[1]) / max(now - before[0], 0.001) if before else 0.0
        took = self.writer.took * 1000
        facts = {"me": self._me, "run": self._run}
        return {**facts, "rate": rate, "waiting": waiting, "took": took}

    def _forget(self, shard: StoreShard) -> None:
        self.writer.leave(shard.lines)
        del self._held[shard.span.shard]
