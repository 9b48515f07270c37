"""`campaign move`: a campaign's runs, and what came back, go from files into its store, edition after edition.

In this order, so that after a kill at any point the same command completes it and nobody is lost or served twice: the
events; then for each edition what killed processes left is settled in the files, the folder is marked, the runs are put
into the store in one transaction, and their folders are noted as copies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import msgspec

from campaign.audience.plan.plan_reader import Plan
from campaign.config import Settings
from campaign.delivery.control_file import Control
from campaign.errors import UnfinishedError
from campaign.ledger import run_folder
from campaign.ledger.checkpoint import Checkpoint
from campaign.ledger.feedback.feedback_store import read_events
from campaign.ledger.journal import journal_reader
from campaign.ledger.postgres.edition_lease import StoreConnection, hold_edition
from campaign.ledger.postgres.runs.copy_mark import mark_edition, runs_on_files
from campaign.ledger.postgres.runs.move_in import note_moved, put_runs, runs_to_put, stored_stamps
from campaign.ledger.postgres.runs.stored_runs import Requests
from campaign.ledger.recovery import read_history
from campaign.ledger.shards.shard_reader import shard_journals
from campaign.ledger.state.run_state import RunState
from campaign.model import Verdict
from campaign.pipeline.collect.collect_lock import collecting
from campaign.pipeline.command_context import Job, prepare
from campaign.pipeline.serve.canary import stored_canary
from campaign.pipeline.start.past_runs import refuse_changed_plan
from campaign.pipeline.workers.campaign_store import needed_store, refuse_unsuited, store_of
from campaign.pipeline.workers.feedback.shared_feedback import share_feedback
from campaign.pipeline.workers.join_run import OpenStore, open_store
from campaign.report.live.console import path_text
from campaign.system.own_files import refuse_foreign
from campaign.system.postgres import connect, store_errors


class MovedEdition(msgspec.Struct, frozen=True):
    """An edition's runs that were, or would be, moved: how many, and their recipients by verdict.

    ``unfinished`` is the run that the next `send` continues, or ``""``.
    """

    edition: str
    runs: int
    unfinished: str
    verdicts: Mapping[str, int]


class MoveResult(msgspec.Struct):
    """What was or, if ``dry_run``, would be moved into ``store``. ``events`` is how many the ledger knows."""

    file: Path
    store: str
    dry_run: bool
    events: int = 0
    editions: list[MovedEdition] = msgspec.field(default_factory=list)


def move(settings: Settings, *, dry_run: bool = False) -> MoveResult:
    """Move all runs of the campaign that are on files into its store.

    Raises UnfinishedError if a process is at work on one of its editions, ConfigError if there is no store or
    an edition is in both, and DamageError; the same command continues after any of them.
    """
    address, job = needed_store(settings), prepare(settings)
    refuse_unsuited(job)
    result = MoveResult(settings.file, address.text, dry_run)
    if dry_run:
        _foresee(job, result)
        return result
    with _held_campaign(job):
        share_feedback(job)
        result.events = _events(job)
        with open_store(job) as store:
            for label, folder in _editions(job):
                if runs := runs_on_files(folder):
                    _move_edition(store, label, folder, runs)
                    result.editions.append(_told(label, runs))
    return result


def _editions(job: Job) -> list[tuple[str, Path]]:
    """The campaign's editions in the ledger's directory: label and folder of each."""
    place = job.directory / job.settings.campaign.name
    below = [folder for folder in run_folder.folders_below(place, 1) if not run_folder.has_run(folder)]
    return [("", place), *((folder.name, folder) for folder in sorted(below) if not folder.name.startswith("."))]


@contextmanager
def _held_campaign(job: Job) -> Iterator[None]:
    """Hold the locks of all editions of the campaign, and that of `campaign collect`. Raises UnfinishedError."""
    with ExitStack() as stack:
        stack.enter_context(collecting(job.directory))
        for _, folder in _editions(job):
            if not run_folder.runs(folder):
                continue
            refuse_foreign(job.directory, folder)
            try:
                stack.enter_context(run_folder.locked(folder))
            except UnfinishedError:
                raise UnfinishedError(
                    "A process is at work on an edition of this campaign, so nothing is moved yet.",
                    evidence=str(folder),
                    next_step=f"let it finish, or: campaign stop {path_text(folder)}; then run the same command again",
                ) from None
        yield


def _move_edition(store: OpenStore, label: str, folder: Path, runs: Sequence[Path]) -> None:
    job, name = store.job, store.job.settings.campaign.name
    with hold_edition(store.address, store.connection, name, label, lambda _: False) as lease:
        with store_errors(store.address):
            stored = stored_stamps(store.connection, name, label)
        missing = runs_to_put(runs, stored)
        for run in missing:
            _settle_files(run)
        mark_edition(folder, store.address.text, job.settings.file)
        with store_errors(store.address):
            if missing:
                requests = {run.name: _requests(run) for run in missing}
                put_runs(store.connection, lease, folder, requests, partial(stored_canary, job.settings.delivery))
                stored = stored_stamps(store.connection, name, label)
            note_moved(store.connection, runs, stored)


def _settle_files(run: Path) -> None:
    """Have a run's journal say all that is to be known of it: what killed processes left is merged, doubts recorded."""
    history = read_history(run)
    refuse_changed_plan(run, history, Plan.open(run / run_folder.PLAN))
    if history.interrupted or not _left_in_order(run):
        Checkpoint(run).close()


def _left_in_order(run: Path) -> bool:
    return not shard_journals(run) and journal_reader.last_word(run / journal_reader.NAME) is not None


def _requests(run: Path) -> Requests:
    """What an operator asked for, by the run's control file."""
    control = Control(run)
    control.poll(0.0)
    rates = None if control.rate is None else [str(one) for one in control.rate]
    return Requests(control.state, rates, control.connections, 1)


def _foresee(job: Job, result: MoveResult) -> None:
    """What a move would do; nothing is changed, neither in the files nor in the store."""
    result.events, name, address = _events(job), job.settings.campaign.name, store_of(job.settings)
    with connect(address) as connection, store_errors(address):
        made = _is_made(connection)
        for label, folder in _editions(job):
            if runs := runs_on_files(folder):
                runs_to_put(runs, stored_stamps(connection, name, label) if made else {})
                result.editions.append(_told(label, runs))


def _is_made(connection: StoreConnection) -> bool:
    """Whether the store's schema was made; the first command that uses it makes it."""
    return connection.execute("SELECT to_regclass('campaign.run')").fetchone() != (None,)


def _events(job: Job) -> int:
    return sum(1 for _ in read_events(job.directory))


def _told(label: str, runs: Sequence[Path]) -> MovedEdition:
    verdicts, unfinished = Counter[str](), ""
    for run in runs:
        history: RunState = read_history(run)
        verdicts.update(history.tally())
        if not history.finished and not history.rehearsal:
            unfinished = run.name
    return MovedEdition(label, len(runs), unfinished, {one.value: verdicts[one.value] for one in Verdict})
