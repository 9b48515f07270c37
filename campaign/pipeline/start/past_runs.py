"""Past runs of an edition: those that a command may continue, and those whose recipients it leaves out.

A run into the embedded mailbox is a rehearsal. Only its journal decides that, not, for instance, the relay's address. A
run through a relay ignores rehearsals: it continues none and leaves out no recipient because of one. A rehearsal
continues no run through a relay, and leaves out recipients whom one has served, as `send` would.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from campaign.audience.plan.plan_reader import Plan
from campaign.compose.composer import Composer
from campaign.errors import ConfigError, UnfinishedError
from campaign.ledger import recovery, run_folder
from campaign.ledger.forget_recipient import replacing_was_interrupted
from campaign.ledger.journal.journal_records import IN_MAILBOX, REHEARSAL
from campaign.ledger.postgres.runs.copy_mark import is_copy
from campaign.ledger.state.run_state import RunState
from campaign.pipeline.command_context import Job
from campaign.report.live.console import path_text
from campaign.report.printed_commands import command_text


def opened_runs(job: Job) -> list[Path]:
    """The edition's runs that have a journal, newest first."""
    return [run for run in reversed(run_folder.runs(job.folder)) if run_folder.has_journal(run)]


def clear_unbegun(job: Job) -> None:
    """Delete plans whose journal was never opened, which served no one. Raises DamageError if one was opened."""
    for run in [run for run in run_folder.runs(job.folder) if not run_folder.has_journal(run)]:
        run_folder.refuse_lost_journal(run)
        shutil.rmtree(run)


def continuable(job: Job, *, rehearsal: bool | None = None) -> Iterator[tuple[Path, RunState]]:
    """Runs of the kind that this command makes, or of the other kind, newest first. Raises DamageError."""
    wanted = job.rehearsal if rehearsal is None else rehearsal
    for run in opened_runs(job):
        if wanted and not run_folder.began_as_rehearsal(run):
            continue  # skipped without reading all of it
        history = recovery.read_history(run)
        if history.rehearsal == wanted:
            yield run, history


def newest(job: Job, *, rehearsal: bool | None = None) -> tuple[Path | None, RunState | None]:
    """The first of `continuable`, or ``(None, None)``."""
    return next(continuable(job, rehearsal=rehearsal), (None, None))


def served(job: Job, generation: int) -> Iterator[tuple[RunState, Plan]]:
    """Every opened run of this edition and generation that counts for this command, with its plan.

    Raises as `refuse_changed_plan`: a plan that was changed does not say who was served.
    """
    for run in reversed(opened_runs(job)):
        history = recovery.read_history(run)
        if history.opened.generation == generation and (job.rehearsal or not history.rehearsal):
            plan = Plan.open(run / run_folder.PLAN)
            refuse_changed_plan(run, history, plan)
            yield history, plan


def refuse_changed_plan(run: Path, history: RunState, plan: Plan) -> None:
    """Raise ConfigError if the plan changed, even with ``--accept-changes``: the journal refers to its numbers.

    Raises UnfinishedError if `campaign forget` was killed while it replaced the plan.
    """
    if plan.sha256() != history.opened.plan:
        if replacing_was_interrupted(run):
            raise UnfinishedError(
                "A campaign forget was ended while it erased somebody from this run, so nothing is sent yet.",
                evidence=str(run),
                next_step="run the same campaign forget again; it completes what it began",
            )
        raise ConfigError(
            "The frozen plan of this run was changed, so nothing is sent.",
            evidence=str(run / run_folder.PLAN),
            next_step=f"fetch it from the store again: {command_text('repair', path_text(run))}"
            if is_copy(run)
            else "restore it from a backup; the journal knows recipients by their number in it",
        )


def current_generation(job: Job) -> int:
    """0 for an edition without runs. A rehearsal belongs to the latest generation, of either kind."""
    kinds = (False, True) if job.rehearsal else (False,)
    found = [newest(job, rehearsal=kind)[1] for kind in kinds]
    return max((history.opened.generation for history in found if history), default=0)


def fingerprints(job: Job, composer: Composer) -> Mapping[str, str]:
    """The fingerprints of everything that shapes the letters, and whether they are a rehearsal."""
    return {**composer.fingerprints(), **({REHEARSAL: IN_MAILBOX} if job.rehearsal else {})}


def kind_in_words(job: Job, *, new: bool) -> str:
    """One line if a rehearsal begins or continues, or if a new run passes one over; otherwise empty."""
    if job.rehearsal:
        left, history = newest(job, rehearsal=False) if new else (None, None)
        besides = (
            f"; {path_text(left)} is unfinished and is left to a relay" if left and not history_over(history) else ""
        )
        return f"a rehearsal: letters go into the embedded mailbox and nobody gets one{besides}"
    passed_over = _rehearsal_before(job) if new else None
    return f"{path_text(passed_over)} was a rehearsal: nobody counts as served by it" if passed_over else ""


def _rehearsal_before(job: Job) -> Path | None:
    """The rehearsal just before the newest run; None if that run serves everybody again, whoever was served."""
    rehearsal = newest(job, rehearsal=True)[0]
    if rehearsal is None:  # nearly always: then no other run is read for this
        return None
    run = newest(job)[1]
    if run and run.opened.by == "again":
        return None
    return rehearsal if rehearsal in opened_runs(job)[:2] else None


def history_over(history: RunState | None) -> bool:
    """Whether no recipient is left in it."""
    return history is None or history.finished
