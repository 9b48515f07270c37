"""Operations on a run that exists: its state, steering, cancelling, settling doubts, its report, its repair.

Nothing here sends a letter. A run that another process is serving is only read, or steered through its control file.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from campaign.audience.plan.plan_reader import Plan
from campaign.config import load
from campaign.config.units import Rate
from campaign.delivery.control_file import Control, State, write_control
from campaign.errors import ConfigError, UnfinishedError
from campaign.exit_codes import ExitCode, first_of
from campaign.ledger import run_folder
from campaign.ledger.checkpoint import Checkpoint
from campaign.ledger.journal import journal_reader
from campaign.ledger.recovery import read_history
from campaign.ledger.state.run_state import RunState
from campaign.model import Verdict
from campaign.pipeline.command_context import Job, prepare
from campaign.pipeline.finish.close_run import gather_facts, verdict_codes, walk, write_all
from campaign.pipeline.operate.accepted_list import accepted_message_ids, refuse_run_files
from campaign.pipeline.operate.forget.letter_id import letter_id
from campaign.pipeline.operate.publish_metrics import began_since, is_asked_for, publish_last
from campaign.pipeline.operate.suppress_dead import suppress_missing
from campaign.report.facts import RunFacts
from campaign.report.live.live_state import LiveState, read_live_state
from campaign.system.own_files import refuse_foreign


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of a run: its history, whether a process is serving it now, and its state in a word with the reason.

    ``rate``: letters a second over the last half minute, as reported by the process that serves it; 0 if none does.
    """

    folder: Path
    history: RunState
    running: bool
    state: str
    reason: str = ""
    rate: float = 0.0


def run_standing(run: Path) -> Standing:
    """The state of ``run``, also while another process serves it."""
    running = is_running(run)
    history, control = read_history(run, running=running), Control(run)
    control.poll(0.0)
    live = read_live_state(run) if running else LiveState()  # a killed process leaves a stale one
    state, reason = state_of(history, control.state, running=running, waiting=live.waiting)
    return Standing(run, history, running, state, reason, live.rate)


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


def is_running(run: Path) -> bool:
    """Whether a process holds the run's journal."""
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


def steer(
    run: Path, *, state: State | None = None, rate: tuple[Rate, ...] | None = None, connections: int | None = None
) -> bool:
    """Write the run's control file; returns whether a process is there to obey it now."""
    refuse_foreign(run.absolute().parent, run.absolute())
    write_control(run, state=state, rate=rate, connections=connections)
    return is_running(run)


def cancel(run: Path) -> tuple[bool, ExitCode]:
    """End the run permanently. A process that serves it does so (True); otherwise it is done here."""
    if steer(run, state="cancel"):
        return True, ExitCode.SOME_FAILED
    with run_folder.locked(run.resolve().parent), checkpoint_of(run) as checkpoint:
        refuse_left_behind(run, checkpoint.history)
        for number in list(checkpoint.history.numbers(Verdict.WAITING, Verdict.DEFERRED)):
            checkpoint.settle(number, Verdict.CANCELLED, "campaign cancel ended the run before its turn")
        code = first_of(verdict_codes(checkpoint.history, "hold"))
        checkpoint.end(int(code))
        write_control(run, state="run")  # fulfilled: doubts may be sent again on request
    report(run)
    return False, code


def refuse_left_behind(run: Path, history: RunState) -> None:
    """Raise ConfigError for a run that ``--fresh`` left behind: its waiting recipients were planned again."""
    if history.abandoned:
        raise ConfigError(
            "Another run has taken over from this one, so there is nothing in it to cancel.",
            evidence=str(run),
            next_step=f"cancel the one that came later: campaign status {run.parent}",
        )


def resolve(run: Path, accepted: Path) -> tuple[int, int]:
    """Settle doubts from a list of accepted Message-IDs; returns how many were settled, and how many are left."""
    # The part before the @ is a keyed hash and suffices; the rest follows campaign.from, which may have changed.
    known = {one.partition("@")[0] for one in accepted_message_ids(accepted)}
    job = job_of(run)
    with run_folder.locked(run.resolve().parent), checkpoint_of(run) as checkpoint:
        plan, history = Plan.open(run / run_folder.PLAN), checkpoint.history
        if not history.rehearsal:
            refuse_run_files(accepted)
        identity = job.identity(history.opened.generation)
        doubtful = list(history.numbers(Verdict.IN_DOUBT))
        for number in doubtful:
            if letter_id(identity, "example.com", plan.recipient(number)).partition("@")[0] in known:
                checkpoint.settle(number, Verdict.ACCEPTED, f"found in {accepted.name}")
        left = history.tally()[Verdict.IN_DOUBT]
        checkpoint.end(int(first_of(verdict_codes(history, "hold"))))
    report(run)
    return len(doubtful) - left, left


def report(run: Path) -> RunFacts:
    """Write the report and summary again, from plan, journal and feedback alone.

    Metrics are those of the campaign's newest run, so they are published again only if this is it.
    """
    job, plan = job_of(run), Plan.open(run / run_folder.PLAN)
    running = is_running(run)
    history = read_history(run, running=running)
    if not running:
        suppress_missing(job, run, history)
    stream = walk(run)
    facts = gather_facts(job, run, plan, history, stream)
    write_all(job, run, plan, history, stream, facts)
    if is_asked_for(job) and not began_since(job, facts.started):
        publish_last(job, run, facts)
    return facts


def job_of(run: Path) -> Job:
    """The campaign that a run belongs to, from the file named in its journal, with the run's own name and edition.

    Raises ConfigError.
    """
    opened = read_history(run, running=True).opened
    if not opened.file or not Path(opened.file).exists():
        raise ConfigError(
            "The campaign file of this run is gone.",
            evidence=f"{run}: {opened.file or 'no file recorded'}",
            next_step="put it back; its secret and settings are needed",
        )
    job = prepare(load(Path(opened.file)))
    named = job.settings.campaign.model_copy(update={"name": opened.campaign})
    settings = job.settings.model_copy(update={"campaign": named})
    return Job(settings, opened.edition, job.directory, run.parent, job.secret)


@contextmanager
def checkpoint_of(run: Path) -> Iterator[Checkpoint]:
    """The run's checkpoint. Raises UnfinishedError if another process holds it."""
    if is_running(run):
        raise UnfinishedError(
            "A process is serving this run.", evidence=str(run), next_step=f"campaign stop {run}, then again"
        )
    refuse_foreign(run.absolute().parent, run.absolute())
    checkpoint = Checkpoint(run)
    try:
        yield checkpoint
    finally:
        checkpoint.close()
