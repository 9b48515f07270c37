"""Notices of earlier editions that were left unfinished when the date pattern moved on.

The operator decides whether last month's letter should still go out.
"""

from __future__ import annotations

from pathlib import Path

from campaign.audience.plan.plan_reader import Plan
from campaign.errors import DamageError, StorageError
from campaign.exit_codes import ExitCode
from campaign.ledger import run_folder
from campaign.ledger.journal import journal_reader
from campaign.ledger.recovery import read_history
from campaign.ledger.state.run_state import RunState
from campaign.pipeline.command_context import Job
from campaign.report.live.console import path_text

#: Exit codes of a run in which no recipient is left to be served.
FINISHED = frozenset({ExitCode.DONE, ExitCode.SOME_FAILED, ExitCode.IN_DOUBT})


def unfinished_edition(job: Job) -> str:
    """A sentence if the newest run of the other editions is unfinished; only a date pattern can leave one behind."""
    if "%" not in job.settings.campaign.edition:
        return ""
    try:
        newest = newest_elsewhere(job.folder, rehearsal=job.rehearsal)
        ended = journal_reader.last_word(newest / journal_reader.NAME) if newest else None
    except (DamageError, StorageError):
        return ""  # a damaged run of another edition holds up its own edition, not this one
    if newest is None or (ended is not None and (ended.abandoned or ended.exit_code in FINISHED)):
        return ""
    again = f"CAMPAIGN__CAMPAIGN__EDITION={newest.parent.name} {job.command('send')}"
    return (
        f"The edition {newest.parent.name} was left unfinished: {path_text(newest)}\n"
        f"  to go on with it: {again}\n  to end it: campaign cancel {path_text(newest)}"
    )


def killed_elsewhere(job: Job) -> tuple[Path, RunState] | None:
    """The newest run of the other editions and its history, if it was never left in good order."""
    if not job.edition:
        return None  # the folders beside it belong to other campaigns
    try:
        newest = newest_elsewhere(job.folder)
        if newest is None or journal_reader.last_word(newest / journal_reader.NAME) is not None:
            return None
        Plan.open(newest / run_folder.PLAN)  # raises if it is visibly damaged
        return newest, read_history(newest, running=True)
    except (DamageError, StorageError):
        return None  # as above


def newest_elsewhere(folder: Path, *, rehearsal: bool = False) -> Path | None:
    """The newest run of the other edition worked on last; rehearsals only if ``rehearsal``."""
    others = [one for one in folder.parent.iterdir() if one.is_dir() and one.name != folder.name]
    for one in sorted(others, key=lambda one: one.stat().st_mtime, reverse=True):
        runs = [run for run in run_folder.runs(one) if run_folder.has_journal(run)]
        if found := [run for run in runs if run_folder.began_as_rehearsal(run) == rehearsal]:
            return found[-1]
    return None
