"""A run in a store, for commands that do not send: steering it, changing it as a whole, and where it stands."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from campaign.config.units import Rate
from campaign.delivery.control_file import State
from campaign.errors import StorageError
from campaign.ledger import run_folder
from campaign.ledger.postgres.copy_mark import is_copy, mark_edition, refuse_other_ledgers
from campaign.ledger.postgres.edition_lease import StoreConnection
from campaign.ledger.postgres.run_copies import copied, newest_stored, refresh_copy, stored_tally
from campaign.pipeline.command_context import Job
from campaign.pipeline.workers.join_run import folder_to_itself, open_store
from campaign.system.postgres import store_errors


@dataclass(frozen=True, slots=True)
class WorkerStanding:
    """One worker: its name (host, process), letters a second, what it waits for, seconds since it was heard of."""

    name: str
    shards: int
    rate: float
    waiting: str
    silent: float
    append_ms: float


@dataclass(frozen=True, slots=True)
class StoredStanding:
    """Where a run in a store stands: verdicts, shards, an operator's last request, and its workers.

    ``silent`` are shards whose holder has not been heard of; another worker takes them when their lease runs out.
    """

    open: bool
    state: State
    tally: dict[str, int]
    shards: int
    done: int
    held: int
    silent: int
    next_due: float | None
    workers: Sequence[WorkerStanding]


@contextmanager
def whole_run(job: Job, run: Path) -> Iterator[None]:
    """A run of which nobody else may change anything while the block runs: its edition is held.

    In a store it is checked out before, and what was done on the copy is checked in after. Raises UnfinishedError if
    workers serve it.
    """
    if not is_copy(run):
        with run_folder.locked(run.resolve().parent):
            yield
        return
    with open_store(job) as store, store.held() as lease, store.checked_out(lease) as copies:
        yield
        store.check_in(lease, copies)


def steer_stored(
    job: Job, run: Path, state: State | None, rate: Sequence[Rate] | None, connections: int | None
) -> bool:
    """Record an operator's requests for all workers; returns whether there is one to heed them."""
    with _store(job) as connection:
        number = _number(run)
        connection.execute(
            "UPDATE campaign.run SET changed = changed + 1, state = coalesce(%s, state), rate = coalesce(%s, rate), "
            "connections = coalesce(%s, connections) WHERE run = %s",
            (state, None if rate is None else json.dumps([str(one) for one in rate]), connections, number),
        )
        return _held(connection, number) > 0


def workers_serve(job: Job, run: Path) -> bool:
    """Whether a worker holds a shard of the run."""
    with _store(job) as connection:
        return _held(connection, _number(run)) > 0


def refresh_stored(job: Job, run: Path) -> None:
    """Bring the copy of a run up to date."""
    with _store(job) as connection, folder_to_itself(run.parent):
        refresh_copy(connection, _number(run), run)


def fetch_newest(job: Job) -> None:
    """Make a copy of the edition's newest run, unless there is one here."""
    with _store(job) as connection, folder_to_itself(job.folder):
        found = newest_stored(connection, job.settings.campaign.name, job.edition)
        if found:
            refuse_other_ledgers(job.folder)
            mark_edition(job.folder, job.settings.ledger.store, job.settings.file)
        if found and copied(job.folder / found.stamp) is None:
            refresh_copy(connection, found.run, job.folder / found.stamp)


def stored_standing(job: Job, run: Path) -> StoredStanding:
    """Where a run stands, by what its workers told within the last seconds."""
    with _store(job) as connection:
        number = _number(run)
        row = connection.execute(
            "SELECT r.open, r.state, count(*), count(*) FILTER (WHERE s.done), "
            "count(*) FILTER (WHERE s.until > clock_timestamp()), "
            "count(*) FILTER (WHERE NOT s.done AND s.holder IS NOT NULL "
            "AND s.until < clock_timestamp() + interval '20 s'), "
            "extract(epoch FROM min(s.due) FILTER (WHERE NOT s.done AND s.due > clock_timestamp()))::float8, "
            "count(*) FILTER (WHERE NOT s.done AND s.due <= clock_timestamp()) "
            "FROM campaign.run r JOIN campaign.shard s USING (run) WHERE r.run = %s AND s.shard > 0 "
            "GROUP BY r.open, r.state",
            (number,),
        ).fetchone()
        if row is None:
            raise _gone(run)
        is_open, state, shards, done, held, silent, due, free = row
        tally = stored_tally(connection, number)
        workers = connection.execute(
            "SELECT w.name, (SELECT count(*) FROM campaign.shard s WHERE s.run = w.run AND s.holder = w.name), "
            "w.rate, w.waiting, extract(epoch FROM clock_timestamp() - w.beat)::float8, w.append_ms "
            "FROM campaign.worker w WHERE w.run = %s AND w.beat > clock_timestamp() - interval '60 s' ORDER BY w.name",
            (number,),
        ).fetchall()
    next_due = 0.0 if free else due
    standing = [WorkerStanding(*one) for one in workers]
    return StoredStanding(is_open, state, tally, shards, done, held, silent, next_due, standing)


@contextmanager
def _store(job: Job) -> Iterator[StoreConnection]:
    with open_store(job) as store, store_errors(store.address):
        yield store.connection


def _number(run: Path) -> int:
    if copy := copied(run):
        return copy.run
    raise _gone(run)


def _held(connection: StoreConnection, run: int) -> int:
    row = connection.execute(
        "SELECT count(*) FROM campaign.shard WHERE run = %s AND until > clock_timestamp()", (run,)
    ).fetchone()
    return int(row[0]) if row else 0


def _gone(run: Path) -> StorageError:
    return StorageError(
        f"{run} is the copy of a run that the store does not have.",
        next_step="name the campaign file instead; campaign status FILE looks in its store",
    )
