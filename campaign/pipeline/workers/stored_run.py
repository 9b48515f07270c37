"""A run in a store, for commands that do not send: steering it, changing it as a whole, and where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from campaign.config.units import Rate
from campaign.delivery.control_file import State
from campaign.ledger import run_folder
from campaign.ledger.postgres.edition_lease import StoreConnection
from campaign.ledger.postgres.runs.copy_mark import (
    campaign_file,
    is_copy,
    mark_edition,
    refuse_other_ledgers,
)
from campaign.ledger.postgres.runs.run_copies import copied, is_current_copy, refresh_copy
from campaign.ledger.postgres.runs.stored_runs import (
    StoredStanding,
    is_stored,
    newest_stored,
    record_request,
    runs_of_campaign,
    shards_left_and_held,
    standing_of,
)
from campaign.pipeline.command_context import Job
from campaign.pipeline.workers.campaign_store import gone_run
from campaign.pipeline.workers.feedback.shared_feedback import share_feedback
from campaign.pipeline.workers.join_run import folder_to_itself, open_store
from campaign.report.live.console import path_text
from campaign.report.printed_commands import command_text
from campaign.system.postgres import store_errors


@contextmanager
def whole_run(job: Job, run: Path) -> Iterator[None]:
    """A run of which nobody else may change anything while the block runs: its edition is held.

    In a store it is checked out before, and what was done on the copy is checked in after. Raises UnfinishedError if
    workers serve it, StorageError if the store does not have it.
    """
    if not is_copy(run):
        with run_folder.locked(run.resolve().parent):
            yield
        return
    with open_store(job) as store, store.held() as lease, store.checked_out(lease) as copies:
        if run.name not in copies:
            raise gone_run(job, run)
        yield
        store.check_in(lease, copies)


def steer_stored(
    job: Job, run: Path, state: State | None, rate: Sequence[Rate] | None, connections: int | None
) -> bool:
    """Record an operator's requests for all workers; returns whether there is one to heed them."""
    with _store(job) as connection:
        number = _number(job, connection, run)
        rates = None if rate is None else [str(one) for one in rate]
        record_request(connection, number, state, rates, connections)
        found = standing_of(connection, number)
        return found is not None and found.served


def workers_serve(job: Job, run: Path) -> bool:
    """Whether a worker holds a shard of the run."""
    with _store(job) as connection:
        return shards_left_and_held(connection, _number(job, connection, run))[1] > 0


def refresh_stored(job: Job, run: Path) -> None:
    """Bring the copy of a run up to date."""
    share_feedback(job)
    with _store(job) as connection, folder_to_itself(run.parent):
        refresh_copy(connection, _number(job, connection, run), run)


def fetch_newest(job: Job) -> None:
    """Make a copy of the edition's newest run, unless there is one here."""
    with _store(job) as connection, folder_to_itself(job.folder):
        found = newest_stored(connection, job.settings.campaign.name, job.edition)
        if found:
            refuse_other_ledgers(job.folder, job.command("move"))
            mark_edition(job.folder, job.settings.ledger.store, job.settings.file)
        if found and not is_current_copy(connection, job.folder / found.stamp):
            refresh_copy(connection, found.run, job.folder / found.stamp)


def fetch_copies(job: Job, *, refresh: bool) -> None:
    """Make copies of all runs of the campaign, of all its editions; with ``refresh`` bring those here up to date."""
    name, ledger = job.settings.campaign.name, job.settings.ledger
    with _store(job) as connection:
        for label, number, stamp in runs_of_campaign(connection, name):
            folder = run_folder.edition_folder(job.directory, name, label)
            with folder_to_itself(folder):
                refuse_other_ledgers(folder, job.command("move"))
                mark_edition(folder, ledger.store, job.settings.file)
                if refresh or not is_current_copy(connection, folder / stamp):
                    refresh_copy(connection, number, folder / stamp)


def stored_standing(job: Job, run: Path) -> StoredStanding:
    """Where a run stands, by what its workers told within the last seconds."""
    with _store(job) as connection:
        found = standing_of(connection, _number(job, connection, run))
    if found is None:
        raise gone_run(job, run)
    return found


@contextmanager
def _store(job: Job) -> Iterator[StoreConnection]:
    with open_store(job) as store, store_errors(store.address):
        yield store.connection


def _number(job: Job, connection: StoreConnection, run: Path) -> int:
    """The number of the run of which ``run`` is a copy. Raises StorageError if the store does not have it."""
    if copy := copied(run):
        if not is_stored(connection, copy.run, run.name):
            raise gone_run(job, run)
        return copy.run
    if file := campaign_file(run):  # a move into the store was killed, or this run served before there was a store
        refuse_other_ledgers(run.parent, command_text("move", path_text(file)))
    raise gone_run(job, run)
