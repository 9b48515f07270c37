"""The runs that a store lists: which there are, where each stands, and what an operator asks of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

import msgspec

from campaign.ledger.postgres.edition_lease import StoreConnection
from campaign.ledger.postgres.segments import StoredShard, records_of, unpack
from campaign.ledger.state.recipient_states import VERDICTS
from campaign.ledger.state.run_state import RunState

#: What an operator may ask of a run.
Wanted = Literal["run", "pause", "stop", "cancel"]
#: Seconds without a sign of life after which a shard's holder counts as silent, and a worker as gone.
SILENT_SECONDS, GONE_SECONDS = 10, 60


class StoredRun(msgspec.Struct, frozen=True):
    """A run as the store lists it."""

    run: int
    stamp: str
    open: bool
    exit_code: int | None
    server: str


def newest_stored(connection: StoreConnection, name: str, label: str) -> StoredRun | None:
    """The newest run of an edition; None if there is none."""
    row = connection.execute(
        "SELECT r.run, r.stamp, r.open, r.exit_code, r.server FROM campaign.run r "
        "JOIN campaign.edition e USING (edition) WHERE e.name = %s AND e.label = %s ORDER BY r.run DESC LIMIT 1",
        (name, label),
    ).fetchone()
    return None if row is None else StoredRun(*row)


def is_stored(connection: StoreConnection, run: int, stamp: str) -> bool:
    """Whether the store has a run of this number and stamp; another store may have another run of the number."""
    found = connection.execute("SELECT FROM campaign.run WHERE run = %s AND stamp = %s", (run, stamp)).fetchone()
    return found is not None


def runs_of_campaign(connection: StoreConnection, name: str) -> list[tuple[str, int, str]]:
    """All runs of a campaign, oldest first: the edition's label, the run's number, and its stamp."""
    return connection.execute(
        "SELECT e.label, r.run, r.stamp FROM campaign.run r JOIN campaign.edition e USING (edition) "
        "WHERE e.name = %s ORDER BY r.run",
        (name,),
    ).fetchall()


def run_records(connection: StoreConnection, run: int) -> RunState:
    """The state of a run by its own records alone (inputs, changes, endings), not those of its shards."""
    rows = connection.execute(
        "SELECT data FROM campaign.segment WHERE run = %s AND shard = 0 ORDER BY seq", (run,)
    ).fetchall()
    lines = b"".join(unpack(row[0]) for row in rows)
    return RunState.replay(record for _, record in records_of(StoredShard(run, 0, 0, 0), lines))


def stored_tally(connection: StoreConnection, run: int) -> dict[str, int]:
    """How many recipients of a run have each verdict, as its workers told within the last seconds."""
    rows = connection.execute(
        "SELECT sum(tally[n]) FROM campaign.shard, generate_series(1, %s) n "
        "WHERE run = %s AND shard > 0 GROUP BY n ORDER BY n",
        (len(VERDICTS), run),
    ).fetchall()
    return {verdict.value: int(total) for verdict, (total,) in zip(VERDICTS, rows, strict=True)}


def last_segment(connection: StoreConnection, run: int) -> tuple[int, int]:
    """The highest id of a run's segments, and how many there are."""
    row = connection.execute(
        "SELECT coalesce(max(id), 0), count(*) FROM campaign.segment WHERE run = %s", (run,)
    ).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


class Requests(msgspec.Struct, frozen=True):
    """What an operator asks of a run; None is as in the campaign file. ``changed`` counts the requests."""

    state: Wanted
    rates: list[str] | None
    connections: int | None
    changed: int


class WorkerStanding(msgspec.Struct, frozen=True):
    """One worker: its name (host, process), letters a second, what it waits for, seconds since it was heard of."""

    name: str
    shards: int
    rate: float
    waiting: str
    silent: float
    append_ms: float


class StoredStanding(msgspec.Struct, frozen=True):
    """Where a run in a store stands: verdicts, shards, an operator's last request, and its workers.

    ``canary`` is how many go first, 0 once the rest may go. ``silent`` are shards whose holder has not been heard of;
    another worker takes them when their lease runs out.
    """

    open: bool
    state: Wanted
    tally: dict[str, int]
    shards: int
    done: int
    held: int
    silent: int
    next_due: float | None
    canary: int
    workers: Sequence[WorkerStanding]

    @property
    def served(self) -> bool:
        """Whether workers are there, also if they have nothing to send now."""
        return self.held > 0 or any(one.silent < SILENT_SECONDS for one in self.workers)


def requests_of(connection: StoreConnection, run: int) -> Requests:
    """What an operator asks of a run."""
    row = connection.execute(
        "SELECT state, rate, connections, changed FROM campaign.run WHERE run = %s", (run,)
    ).fetchone()
    if row is None:
        return Requests("run", None, None, 0)
    return Requests(row[0], json.loads(row[1]) if row[1] else None, row[2], row[3])


def record_request(
    connection: StoreConnection, run: int, state: Wanted | None, rates: Sequence[str] | None, connections: int | None
) -> None:
    """Record a request for all workers; what is None stays as it is. A pause outlasts the hold of a canary."""
    connection.execute(
        "UPDATE campaign.run SET changed = changed + 1, state = coalesce(%(state)s, state), "
        "rate = coalesce(%(rate)s, rate), connections = coalesce(%(connections)s, connections), canary_held = CASE "
        "WHEN %(state)s = 'pause' AND canary_held IS NOT NULL THEN 'infinity' ELSE canary_held END WHERE run = %(run)s",
        {
            "state": state,
            "rate": None if rates is None else json.dumps(list(rates)),
            "connections": connections,
            "run": run,
        },
    )


def shards_left_and_held(connection: StoreConnection, run: int) -> tuple[int, int]:
    """How many shards are not done, and how many are held by workers."""
    row = connection.execute(
        "SELECT count(*) FILTER (WHERE NOT done), count(*) FILTER (WHERE until > clock_timestamp()) "
        "FROM campaign.shard WHERE run = %s",
        (run,),
    ).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def standing_of(connection: StoreConnection, run: int) -> StoredStanding | None:
    """Where a run stands, by what its workers told within the last seconds; None if there is no such run."""
    row = connection.execute(
        "SELECT r.open, r.state, count(*), count(*) FILTER (WHERE s.done), "
        "count(*) FILTER (WHERE s.until > clock_timestamp()), "
        "count(*) FILTER (WHERE NOT s.done AND s.holder IS NOT NULL "
        "AND s.until < clock_timestamp() + m.lease - make_interval(secs => %s)), "
        "extract(epoch FROM min(s.due) FILTER (WHERE NOT s.done AND s.due > clock_timestamp() AND isfinite(s.due)))"
        "::float8, "
        "count(*) FILTER (WHERE NOT s.done AND s.due <= clock_timestamp()), CASE WHEN r.open THEN r.canary ELSE 0 END "
        "FROM campaign.meta m, campaign.run r JOIN campaign.shard s USING (run) WHERE r.run = %s AND s.shard > 0 "
        "GROUP BY r.open, r.state, r.canary",
        (SILENT_SECONDS, run),
    ).fetchone()
    if row is None:
        return None
    is_open, state, shards, done, held, silent, due, free, canary = row
    workers = connection.execute(
        "SELECT w.name, (SELECT count(*) FROM campaign.shard s WHERE s.run = w.run AND s.holder = w.name), "
        "w.rate, w.waiting, extract(epoch FROM clock_timestamp() - w.beat)::float8, w.append_ms "
        "FROM campaign.worker w WHERE w.run = %s AND w.beat > clock_timestamp() - make_interval(secs => %s) "
        "ORDER BY w.name",
        (run, GONE_SECONDS),
    ).fetchall()
    tally, next_due = stored_tally(connection, run), 0.0 if free else due
    standing = [WorkerStanding(*one) for one in workers]
    return StoredStanding(is_open, state, tally, shards, done, held, silent, next_due, canary, standing)
