"""A whole ledger directory, with the locks of every edition in it: nobody sends, plans or collects meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from campaign.errors import UnfinishedError
from campaign.ledger import run_folder
from campaign.ledger.postgres.runs.copy_mark import is_copy
from campaign.pipeline.collect.collect_lock import collecting
from campaign.pipeline.operate.run_standing import is_running
from campaign.report.live.console import path_text
from campaign.system.own_files import refuse_foreign

LEVELS = 3  #: CAMPAIGN, EDITION, RUN


def ledger_runs(directory: Path) -> list[Path]:
    """All run folders below ``directory``, with a journal or a plan, by name. Raises StorageError."""
    return sorted(folder for folder in run_folder.folders_below(directory, LEVELS) if run_folder.has_run(folder))


@contextmanager
def held_ledger(directory: Path) -> Iterator[None]:
    """Hold the locks of all editions below ``directory``, and that of `campaign collect`.

    Raises UnfinishedError if a process holds one of them, StorageError. Workers of a store are left to the caller.
    """
    with ExitStack() as stack:
        stack.enter_context(collecting(directory))
        for folder in editions_of(directory):
            refuse_foreign(directory, folder)
            try:
                stack.enter_context(run_folder.locked(folder))
            except UnfinishedError:
                raise _at_work(folder) from None
        for run in ledger_runs(directory):
            if not is_copy(run) and is_running(run):
                raise _at_work(run)
        yield


def editions_of(directory: Path) -> list[Path]:
    """The folders whose lock a command takes that makes or serves runs in them."""
    places = {run.parent for run in ledger_runs(directory)}
    places |= {folder for folder in run_folder.folders_below(directory, LEVELS - 1) if (folder / ".lock").is_file()}
    return sorted(places - {directory})


def _at_work(place: Path) -> UnfinishedError:
    return UnfinishedError(
        "A process is at work in this ledger directory, so nobody is forgotten yet.",
        evidence=str(place),
        next_step=f"let it finish, or: campaign stop {path_text(place)}; then run the same command again",
    )
