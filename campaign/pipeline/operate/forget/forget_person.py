"""Forgetting a person, on one page: what a ledger directory keeps about them is erased, and nobody else notices.

After a kill at any point the same command completes it; `erase_person.py` says in which order.
"""

from __future__ import annotations

from contextlib import nullcontext

from campaign.config import Settings
from campaign.ledger.forget_recipient import finish_replacing
from campaign.ledger.postgres.runs.copy_mark import refuse_in_copies
from campaign.pipeline.command_context import prepare
from campaign.pipeline.operate.forget.erase_ledger import erase_ledger
from campaign.pipeline.operate.forget.erase_person import ForgetResult
from campaign.pipeline.operate.forget.held_ledger import held_ledger, ledger_runs
from campaign.pipeline.operate.forget.known_person import find_person
from campaign.pipeline.operate.forget.remaining_traces import listed_lines, traces_left


def forget(settings: Settings, text: str, *, dry_run: bool = False) -> ForgetResult:
    """Erase the person with the address ``text`` from the ledger directory of ``settings``, and from its store.

    Raises InputError if it is no address, UnfinishedError if a process is at work there, DamageError and StorageError;
    then nothing is lost, and the same command continues.
    """
    job = prepare(settings)
    directory = job.directory
    if settings.ledger.store:
        from campaign.pipeline.workers.forgotten.forget_stored import forget_in_store  # with its library

        return forget_in_store(job, text, dry_run=dry_run)
    refuse_in_copies(directory)
    with nullcontext() if dry_run else held_ledger(directory):
        runs = ledger_runs(directory)
        for run in runs if not dry_run else ():
            finish_replacing(run)
        person = find_person(text, settings.audience.provider_rules, runs)
        result = ForgetResult(person.address, dry_run)
        waiting = erase_ledger(job, person, runs, result)
        result.counts = +result.counts
        result.listed = list(listed_lines(job, person, result.notes))
        if not dry_run:
            result.left = traces_left(directory, person, waiting, result.notes)
    return result
