"""`campaign repair` of a run in a store: what is damaged there is replaced, and whom that may concern is in doubt.

It holds the edition, and is refused while workers serve it. The damaged octets are kept in the run's folder here.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from campaign.config import load
from campaign.errors import ConfigError
from campaign.ledger import run_folder
from campaign.ledger.journal.journal_file import write_whole
from campaign.ledger.postgres.edition_lease import StoreConnection
from campaign.ledger.postgres.runs.check_in import refuse_held
from campaign.ledger.postgres.runs.copy_mark import campaign_file, mark_edition, refuse_other_ledgers
from campaign.ledger.postgres.runs.move_in import stored_stamps
from campaign.ledger.postgres.runs.run_copies import renew_copy
from campaign.ledger.postgres.runs.stored_files import damaged_files, put_files, refuse_lost_plan
from campaign.ledger.postgres.runs.stored_runs import newest_stored
from campaign.ledger.postgres.runs.stored_salvage import StoredSalvage, salvage_stored, save_stored
from campaign.ledger.repair import Repaired, kept_name
from campaign.pipeline.command_context import Job, prepare
from campaign.pipeline.workers.campaign_store import gone_run
from campaign.pipeline.workers.join_run import OpenStore, open_store
from campaign.system.own_files import refuse_foreign
from campaign.system.postgres import store_errors


def repair_newest(job: Job, *, dry_run: bool) -> Repaired | None:
    """Repair the newest run of the job's edition; None if that has none in the store. Raises as `repair_stored_run`."""
    name = job.settings.campaign.name
    with open_store(job) as store:
        refuse_other_ledgers(job.folder, job.command("move"))
        with store_errors(store.address):
            newest = newest_stored(store.connection, name, job.edition)
        return _repair(store, newest.run, job.folder / newest.stamp, dry_run=dry_run) if newest else None


def repair_stored_run(run: Path, *, dry_run: bool) -> Repaired:
    """Repair the run of which the folder ``run`` is a copy, which may be damaged itself.

    Raises DamageError if nothing can be saved, UnfinishedError if workers serve it.
    """
    job = _job_of_copy(run)
    with open_store(job) as store:
        refuse_other_ledgers(job.folder, job.command("move"))
        with store_errors(store.address):
            stamps = stored_stamps(store.connection, job.settings.campaign.name, job.edition)
        if run.name not in stamps:
            raise gone_run(job, run)
        return _repair(store, stamps[run.name], run, dry_run=dry_run)


def _job_of_copy(run: Path) -> Job:
    """The campaign of a copy, by the mark beside it."""
    file = campaign_file(run)
    if file is None or not file.exists():
        raise ConfigError(
            "The campaign file of this run is gone.",
            evidence=f"{run}: {file}",
            next_step="put it back; its secret and settings are needed",
        )
    job = prepare(load(file))
    place = job.directory / job.settings.campaign.name
    label = "" if run.absolute().parent == place.absolute() else run.absolute().parent.name
    return replace(job, edition=label, folder=run.parent)


def _repair(store: OpenStore, run: int, folder: Path, *, dry_run: bool) -> Repaired:
    connection, job = store.connection, store.job
    if dry_run:
        with store_errors(store.address):
            return _outcome(folder, *_inspected(connection, run, folder))
    refuse_foreign(job.directory, folder)
    run_folder.make_folder(folder)
    with store.held() as lease, store_errors(store.address):
        refuse_held(connection, lease)
        found, files = _inspected(connection, run, folder)
        mark_edition(job.folder, store.address.text, job.settings.file)

        def keep(name: str, octets: bytes) -> None:
            write_whole(kept_name(folder / name), octets)

        put_files(connection, lease, run, folder, files, keep)
        save_stored(connection, lease, found, keep)
        renew_copy(connection, run, folder)
    return _outcome(folder, found, files)


def _inspected(connection: StoreConnection, run: int, folder: Path) -> tuple[StoredSalvage, list[str]]:
    found = salvage_stored(connection, run)
    files = damaged_files(connection, run, found.opened.plan)
    refuse_lost_plan(files, folder, found.opened.plan)
    return found, files


def _outcome(folder: Path, found: StoredSalvage, files: list[str]) -> Repaired:
    lost = [*found.lost, *(f"the file {name}" for name in files)]
    return Repaired(folder, found.lines, lost, found.in_doubt, found.failed_over)
