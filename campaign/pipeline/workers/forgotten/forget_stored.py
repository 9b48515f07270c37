"""`campaign forget` with a store, on one page: first the store, in one transaction, then this machine's own files.

Nobody works meanwhile: the command holds all editions, the lock of `campaign collect`, and this ledger directory. Runs
that name the person are copied into a folder for the moment, erased there as on files, and put back. Killed before the
commit, nothing has changed but that shards were taken over; killed after it, this machine erases its copies like any
other.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from campaign.errors import UnfinishedError
from campaign.ledger.forget_recipient import finish_replacing
from campaign.ledger.postgres.edition_lease import EditionLease, StoreConnection, hold_every_edition
from campaign.ledger.postgres.feedback_exchange import FeedbackExchange, one_collect
from campaign.ledger.postgres.forgotten.forgotten_mark import last_forgetting, note_heeded
from campaign.ledger.postgres.forgotten.replace_stored import clear_dead_rows, names_in_run
from campaign.ledger.postgres.runs.check_in import check_out
from campaign.ledger.postgres.runs.copy_mark import is_copy, refuse_other_stores
from campaign.pipeline.command_context import Job
from campaign.pipeline.operate.forget.erase_ledger import erase_ledger
from campaign.pipeline.operate.forget.erase_person import ForgetResult
from campaign.pipeline.operate.forget.forgotten_events import suppressing_entry
from campaign.pipeline.operate.forget.held_ledger import held_ledger, ledger_runs
from campaign.pipeline.operate.forget.known_person import KnownPerson, find_person
from campaign.pipeline.operate.forget.remaining_traces import WAITS, listed_lines, traces_left
from campaign.pipeline.operate.suppressed_export import export_suppressed
from campaign.pipeline.workers.forgotten.erase_copies import erase_forgotten, fetch_changed
from campaign.pipeline.workers.forgotten.stored_erasure import StoredErasure
from campaign.pipeline.workers.join_run import OpenStore, open_store
from campaign.system.atomic_file import make_folders
from campaign.system.postgres import store_errors

#: Below ``feedback``: copies of runs while somebody is erased from them.
_SCRATCH = "forgetting-"
_KEPT = "the store still has it: a setting of the campaign, such as from or reply_to"


def forget_in_store(job: Job, text: str, *, dry_run: bool = False) -> ForgetResult:
    """Erase the person from the store, and from this machine's ledger directory.

    Raises InputError, ConfigError, UnfinishedError if anybody is at work, DamageError and StorageError; the same
    command continues.
    """
    directory, rules = job.directory, job.settings.audience.provider_rules
    refuse_other_stores(directory, job.settings.ledger.store)
    with ExitStack() as stack:
        store = stack.enter_context(open_store(job))
        lease = None if dry_run else stack.enter_context(_nobody_at_work(store))
        runs = ledger_runs(directory)
        for run in runs if not dry_run else ():
            finish_replacing(run)
        person = find_person(text, rules, runs)
        result = ForgetResult(person.address, dry_run)
        scratch = stack.enter_context(_scratch(directory, dry_run=dry_run))
        with store_errors(store.address):
            erasure = StoredErasure(store, person, scratch, result)
            erasure.prepare()
        suppressed = _erase_stored(store, lease, erasure, person, dry_run=dry_run)
        waiting = erase_ledger(job, person, runs, result, suppressed=suppressed)
        if not dry_run:
            _catch_up(store, [run for run in runs if is_copy(run)], result)
            result.left = traces_left(directory, person, waiting, result.notes)
            _look_again(store, erasure, person, result)
        _tell(job, person, result)
    return result


def _erase_stored(
    store: OpenStore, lease: EditionLease | None, erasure: StoredErasure, person: KnownPerson, *, dry_run: bool
) -> bool:
    """Erase the person from the store; returns whether a hash of the address goes on suppressing it."""
    directory, settings = store.job.directory, store.job.settings
    if dry_run:
        with store_errors(store.address):
            erasure.foresee()
        return False
    export_suppressed(directory, settings)  # takes in what people wrote into the list
    with FeedbackExchange(store.address, directory) as exchange:
        while True:
            with store_errors(store.address):
                known = erasure.last_event()
            exchange.exchange()
            suppressed = suppressing_entry(directory, settings, person) is not None
            with store_errors(store.address):
                if erasure.commit(lease, suppressed=suppressed, known=known):
                    return suppressed


@contextmanager
def _nobody_at_work(store: OpenStore) -> Iterator[EditionLease | None]:
    """Hold this ledger directory, the store's lock of `campaign collect` and all editions, with every shard."""
    with ExitStack() as stack:
        stack.enter_context(held_ledger(store.job.directory))
        try:
            stack.enter_context(one_collect(store.address))
            lease = stack.enter_context(hold_every_edition(store.address, store.connection))
            with store_errors(store.address):
                _refuse_workers(store.connection)
                for held in lease.editions if lease else ():
                    check_out(store.connection, held)
        except UnfinishedError as error:
            raise _at_work(error.evidence) from None
        with store_errors(store.address):
            erase_forgotten(store.job, store.connection)
        yield lease


def _refuse_workers(connection: StoreConnection) -> None:
    rows = connection.execute(
        "SELECT name FROM campaign.worker WHERE beat > clock_timestamp() - (SELECT lease FROM campaign.meta)"
    ).fetchall()
    if rows:
        raise _at_work([str(row[0]) for row in rows])


def _at_work(evidence: object) -> UnfinishedError:
    return UnfinishedError(
        "Commands are at work on this store, so nobody is forgotten yet.",
        evidence=[str(one) for one in evidence] if isinstance(evidence, list | tuple) else str(evidence),
        next_step="let them finish, or end them with campaign stop FILE; then run the same command again",
    )


@contextmanager
def _scratch(directory: Path, *, dry_run: bool) -> Iterator[Path]:
    """A folder for copies, removed with all that killed commands left; for a dry run outside of the ledger."""
    if dry_run:
        with tempfile.TemporaryDirectory(prefix="campaign-") as folder:
            yield Path(folder)
        return
    place = directory / "feedback"
    make_folders(place)
    for leftover in place.glob(f"{_SCRATCH}*"):
        shutil.rmtree(leftover)
    with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=place) as folder:
        yield Path(folder)


def _catch_up(store: OpenStore, copies: list[Path], result: ForgetResult) -> None:
    """Note that this machine has erased the person, fetch what the store has now, and clear dead rows there."""
    with store_errors(store.address):
        fetch_changed(store.connection, copies)
        note_heeded(store.job.directory, last_forgetting(store.connection))
        if result.stored and (refused := clear_dead_rows(store.connection)):
            result.notes.append(f"the store's dead rows were not cleared, so have VACUUM run there: {refused}")


def _look_again(store: OpenStore, erasure: StoredErasure, person: KnownPerson, result: ForgetResult) -> None:
    with store_errors(store.address):
        for run in erasure.runs:
            if names_in_run(store.connection, run.number, person.mask.found):
                result.left[f"{run.name} in the store"] = WAITS if run.number in erasure.waiting else _KEPT


def _tell(job: Job, person: KnownPerson, result: ForgetResult) -> None:
    result.counts = +result.counts
    result.listed = list(listed_lines(job, person, result.notes))
