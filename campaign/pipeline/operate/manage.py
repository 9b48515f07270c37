"""Operations on a run that exists: steering, cancelling, settling doubts, its report.

Nothing here sends a letter. A run that another process is serving is only read, or steered through its control file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from campaign.audience.plan.plan_reader import Plan
from campaign.config import load
from campaign.config.units import Rate
from campaign.delivery.control_file import State, write_control
from campaign.errors import ConfigError, UnfinishedError
from campaign.exit_codes import ExitCode, first_of
from campaign.ledger import run_folder
from campaign.ledger.checkpoint import Checkpoint
from campaign.ledger.recovery import read_history
from campaign.ledger.state.run_state import RunState
from campaign.model import Verdict
from campaign.pipeline.command_context import Job, prepare
from campaign.pipeline.finish.close_run import gather_facts, verdict_codes, walk, write_all
from campaign.pipeline.operate.accepted_list import accepted_message_ids, refuse_run_files
from campaign.pipeline.operate.forget.letter_id import letter_id
from campaign.pipeline.operate.publish_metrics import began_since, is_asked_for, publish_last
from campaign.pipeline.operate.run_standing import is_running
from campaign.pipeline.operate.suppress_dead import suppress_missing
from campaign.report.facts import RunFacts
from campaign.system.own_files import refuse_foreign


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
            checkpoint.settle(number, Verdict.CANCELLED, "campaign cancel ended the run before this letter was sent")
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
