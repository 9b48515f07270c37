"""The state of a run, as `campaign status` shows it: finished, running, waiting, stopped, and why."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from campaign.delivery.control_file import Control, State
from campaign.ledger.journal import journal_reader
from campaign.ledger.postgres.runs.copy_mark import is_copy
from campaign.ledger.recovery import read_history
from campaign.ledger.state.run_state import RunState
from campaign.model import Verdict
from campaign.report.live.live_state import LiveState, read_live_state

if TYPE_CHECKING:  # loaded only for runs in a store
    from campaign.ledger.postgres.runs.stored_runs import StoredStanding


class Standing(msgspec.Struct, frozen=True):
    """The state of a run: its history, whether a process is serving it now, and its state in a word with the reason.

    ``rate``: letters a second over the last half minute, as reported by who serves it; 0 if nobody does. ``next_due``
    is as `RecipientStates.next_due`. ``stored`` is more about a run in a store, whose history here is its tally only.
    """

    folder: Path
    history: RunState
    running: bool
    state: str
    reason: str = ""
    rate: float = 0.0
    next_due: float | None = None
    stored: StoredStanding | None = None


def run_standing(run: Path) -> Standing:
    """The state of ``run``, also while another process serves it."""
    if is_copy(run):
        return _of_stored(run)
    running = is_running(run)
    history, control = read_history(run, running=running), Control(run)
    control.poll(0.0)
    live = read_live_state(run) if running else LiveState()  # a killed process leaves a stale one
    state, reason = state_of(history, control.state, running=running, waiting=live.waiting)
    return Standing(run, history, running, state, reason, live.rate, history.next_due())


def _of_stored(run: Path) -> Standing:
    """The state of a run in a store, as its workers told within the last seconds."""
    from campaign.pipeline.command_context import job_of
    from campaign.pipeline.workers.stored_run import stored_standing

    found, history = stored_standing(job_of(run), run), read_history(run, running=True)
    history.counts = list(found.tally.values())
    waiting = next((worker.waiting for worker in found.workers if worker.waiting), "")
    state, reason = state_of(history, found.state, running=found.served, waiting=waiting)
    rate = sum(worker.rate for worker in found.workers if worker.shards)
    return Standing(run, history, found.served, state, reason, rate, found.next_due, found)


def state_of(history: RunState, wish: State, *, running: bool, waiting: str = "") -> tuple[str, str]:
    """The state of a run in a word, and the reason.

    ``wish`` is the operator's last request; ``waiting`` is what holds up the process that serves the run.
    """
    counts = history.tally()
    if running:
        words = {"pause": ("paused", "campaign resume goes on"), "run": ("waiting" if waiting else "running", waiting)}
        return words.get(wish, ("stopping", f"campaign {wish}: letters in flight are finished"))
    if history.abandoned:
        return "left behind", "a run that came later serves whoever was left"
    if history.finished:
        ended = [name for name in (Verdict.CANCELLED, Verdict.EXPIRED) if counts[name]]
        return (ended[0].value, f"{counts[ended[0]]:,} got no letter for it") if ended else ("finished", "")
    if wish in {"stop", "pause"}:
        return ("stopped" if wish == "stop" else "paused"), "campaign resume releases it"
    return "unfinished", "no process serves it"


def bring_up_to_date(run: Path) -> None:
    """If ``run`` is a copy of a run in a store, fetch what was recorded since."""
    if is_copy(run):
        from campaign.pipeline.command_context import job_of
        from campaign.pipeline.workers.stored_run import refresh_stored

        refresh_stored(job_of(run), run)


def is_running(run: Path) -> bool:
    """Whether a process holds the run's journal, or a worker one of its shards."""
    if is_copy(run):
        from campaign.pipeline.command_context import job_of
        from campaign.pipeline.workers.stored_run import workers_serve

        return workers_serve(job_of(run), run)
    try:
        descriptor = os.open(run / journal_reader.NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)
