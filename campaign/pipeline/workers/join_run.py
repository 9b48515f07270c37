"""Joining the run of an edition in a store, or making it: the first command makes it, the others wait and join."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import msgspec

from campaign.delivery.control_file import write_control
from campaign.errors import DamageError, StorageError, UnfinishedError
from campaign.ledger import run_folder
from campaign.ledger.journal.journal_records import Opened
from campaign.ledger.postgres.edition_lease import EditionLease, StoreConnection, hold_edition
from campaign.ledger.postgres.runs.check_in import (
    NO_STATES,
    States,
    check_in,
    check_out,
    failed_over,
    server_identity,
)
from campaign.ledger.postgres.runs.copy_mark import mark_edition, refuse_other_ledgers
from campaign.ledger.postgres.runs.run_copies import (
    RunCopy,
    copied,
    is_current_copy,
    mark_copies,
    refresh_copies,
    refresh_copy,
)
from campaign.ledger.postgres.runs.stored_runs import (
    StoredRun,
    Wanted,
    is_stored,
    newest_stored,
    requests_of,
    run_records,
    shards_left_and_held,
    stored_tally,
)
from campaign.ledger.postgres.schema import ensure_schema
from campaign.ledger.postgres.segment_writer import AGAIN_SECONDS
from campaign.model import Books
from campaign.pipeline.command_context import Job, Options
from campaign.pipeline.serve.canary import stored_canary
from campaign.pipeline.serve.open_run import open_run
from campaign.pipeline.start.campaign_time import refuse_late
from campaign.pipeline.start.changed_inputs import accept_changed_inputs, refuse_changed_inputs
from campaign.pipeline.start.choose_run import ChosenRun, choose, continue_run, continues
from campaign.pipeline.start.run_announcement import planned_facts
from campaign.pipeline.workers.campaign_store import gone_run, store_of
from campaign.pipeline.workers.forgotten.erase_copies import erase_forgotten
from campaign.report.formatting import counted
from campaign.report.live.console import Console, path_text
from campaign.system.postgres import StoreAddress, connect, store_errors

#: Seconds between two tries for an edition's folder that another worker on this machine uses for a moment.
FOLDER_SECONDS = 0.2


class JoinedRun(msgspec.Struct, frozen=True):
    """A run that this worker serves beside others: its number in the store, and its copy here."""

    run: int
    chosen: ChosenRun
    opened: Opened


class OpenStore(msgspec.Struct, frozen=True):
    """A campaign with its store: what every step of a worker needs. Without a console nothing waits for others."""

    job: Job
    address: StoreAddress
    connection: StoreConnection
    console: Console | None = None

    def say(self, text: str) -> None:
        """Tell the person at the terminal."""
        if self.console:
            self.console.say(text)

    def planned(self, text: str, chosen: ChosenRun, run: int) -> None:
        """Tell the person, or the program, at the terminal which run this is."""
        if self.console:
            with store_errors(self.address):
                verdicts = stored_tally(self.connection, run)
            self.console.planned(text, planned_facts(self.job, chosen, verdicts))

    @contextlib.contextmanager
    def held(self) -> Iterator[EditionLease]:
        """The edition, held in the store and on this machine. While another command holds it, wait or refuse."""
        told: set[str] = set()

        def wait(holder: str) -> bool:
            if holder not in told:
                told.add(holder)
                self.say(f"waiting for {holder}, which is at work on this edition")
            return self.console is not None

        job = self.job
        with hold_edition(self.address, self.connection, job.settings.campaign.name, job.edition, wait) as lease:
            self.erase_forgotten()  # nobody else is forgotten while the edition is held
            with folder_to_itself(job.folder):
                yield lease

    def erase_forgotten(self) -> None:
        """Erase from this machine's copies whoever was forgotten on another one."""
        with store_errors(self.address):
            erase_forgotten(self.job, self.connection)

    def newest(self) -> StoredRun | None:
        """The newest run of the edition in the store."""
        with store_errors(self.address):
            return newest_stored(self.connection, self.job.settings.campaign.name, self.job.edition)

    def shards_left_and_held(self, joined: JoinedRun) -> tuple[int, int]:
        """How many shards are not done, and how many are held by workers."""
        with store_errors(self.address):
            return shards_left_and_held(self.connection, joined.run)

    def heed_requests(self, joined: JoinedRun) -> Wanted:
        """Take an operator's requests into this machine's control file; returns the state asked for."""
        with store_errors(self.address):
            asked = requests_of(self.connection, joined.run)
        if asked.changed:
            write_control(joined.chosen.folder, state=asked.state, rate=asked.rates, connections=asked.connections)
        return asked.state

    @contextlib.contextmanager
    def checked_out(self, lease: EditionLease) -> Iterator[dict[str, RunCopy]]:
        """The copies of the edition's runs, up to date, with every shard taken over."""
        with store_errors(self.address):
            check_out(self.connection, lease)
            mark_copies(self.job.folder, self.address.text, self.job.settings.file, self.job.command("move"))
            copies = refresh_copies(self.connection, lease.edition, self.job.folder)
        yield copies

    def check_in(
        self, lease: EditionLease, copies: dict[str, RunCopy], *, to_serve: str = "", states: States = NO_STATES
    ) -> dict[str, RunCopy]:
        """As `check_in.check_in`, with the campaign's settings."""
        with store_errors(self.address):
            settings = self.job.settings
            return check_in(
                self.connection,
                lease,
                self.job.folder,
                copies,
                to_serve=to_serve,
                resend=bool(to_serve) and settings.ledger.in_doubt == "resend",
                canary=partial(stored_canary, settings.delivery),
                states=states,
            )


@contextlib.contextmanager
def open_store(job: Job, console: Console | None = None, patience: float = 0.0) -> Iterator[OpenStore]:
    """A connection to the campaign's store, whose schema is made if need be; tries for ``patience`` seconds."""
    address = store_of(job.settings)
    with _connected(address, time.monotonic() + patience) as connection:
        with store_errors(address):
            ensure_schema(connection)
        store = OpenStore(job, address, connection, console)
        store.erase_forgotten()
        yield store


def _connected(address: StoreAddress, until: float) -> StoreConnection:
    while True:
        try:
            return connect(address)
        except StorageError:
            if time.monotonic() >= until:
                raise
            time.sleep(AGAIN_SECONDS)


def join_run(store: OpenStore, options: Options) -> JoinedRun | Books:
    """The run that this command serves; the row counts if nobody is left. Raises CampaignError if it cannot begin."""
    refuse_other_ledgers(store.job.folder, store.job.command("move"))
    _refuse_gone(store)
    while True:
        if joined := _join(store, options):
            return joined
        with store.held() as lease:
            found = store.newest()
            if found is None or not _may_join(store, found, options):
                if found and found.open:
                    refuse_forgetful(store, found)
                return _make(store, options, lease)


def _refuse_gone(store: OpenStore) -> None:
    """Raise StorageError for a copy whose run the store does not have: it may lack whom other workers served."""
    for run in run_folder.runs(store.job.folder):
        with store_errors(store.address):
            if (copy := copied(run)) and not is_stored(store.connection, copy.run, run.name):
                raise gone_run(store.job, run)


def _may_join(store: OpenStore, found: StoredRun, options: Options) -> bool:
    """Whether these options mean the newest run, and it is open to be served."""
    if not found.open or options.run or options.accept_changes:
        return False
    return continues(options, run_records(store.connection, found.run))


def _join(store: OpenStore, options: Options) -> JoinedRun | None:
    found, job = store.newest(), store.job
    if found is None:
        return None
    with store_errors(store.address):
        if not _may_join(store, found, options):
            return None
        refuse_forgetful(store, found)
        history = run_records(store.connection, found.run)
    folder = job.folder / found.stamp
    with folder_to_itself(job.folder), store_errors(store.address):
        mark_edition(job.folder, store.address.text, job.settings.file)
        if not is_current_copy(store.connection, folder):
            refresh_copy(store.connection, found.run, folder)
    chosen = continue_run(job, folder, history)
    refuse_changed_inputs(job, options, chosen)
    planned = counted(history.opened.recipients, "recipient")
    store.planned(f"joining run {path_text(folder)}: {planned} planned", chosen, found.run)
    return JoinedRun(found.run, chosen, history.opened)


def _make(store: OpenStore, options: Options, lease: EditionLease) -> JoinedRun | Books:
    """Choose or make the run as on files, in the copies, and check it in."""
    job = store.job
    with store.checked_out(lease) as copies:
        refuse_late(job, options)
        chosen = choose(job, options, store.console.loading if store.console else None)
        if isinstance(chosen, Books):
            store.check_in(lease, copies)
            return chosen
        refuse_changed_inputs(job, options, chosen)
        _accept_changes(job, options, chosen)
        copies = store.check_in(lease, copies, to_serve=chosen.folder.name)
    copy = copies[chosen.folder.name]
    opened = run_records(store.connection, copy.run).opened
    for note in chosen.notes:
        store.say(note)
    kind = "continuing" if chosen.continued else "new"
    planned = counted(chosen.plan.size, "recipient")
    store.planned(f"{kind} run {path_text(chosen.folder)}: {planned} planned", chosen, copy.run)
    return JoinedRun(copy.run, chosen, opened)


def _accept_changes(job: Job, options: Options, chosen: ChosenRun) -> None:
    if options.accept_changes and chosen.continued:
        with open_run(job, chosen) as run:
            accept_changed_inputs(run, options)


def refuse_forgetful(store: OpenStore, found: StoredRun) -> None:
    """Raise DamageError if the store failed over to a standby for which its commits had not waited."""
    with store_errors(store.address):
        now = server_identity(store.connection)
    if failed_over(found.server, now):
        raise DamageError(
            "The store is another server, or has failed over, and what it had confirmed may be missing in it.",
            evidence=f"run {found.stamp} began on {found.server}, and this is {now}",
            next_step=f"bring the old server back, or see who may be in doubt: {store.job.command('repair')} --dry-run",
        )


@contextlib.contextmanager
def folder_to_itself(folder: Path) -> Iterator[None]:
    """The edition's folder on this machine; waits while another worker uses it."""
    run_folder.make_folder(folder)
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(run_folder.locked(folder))
                break
            except UnfinishedError:
                time.sleep(FOLDER_SECONDS)
        yield
