"""Operations on a run that exists: steering, cancelling, settling doubts, its report.

Nothing here sends a letter. A run that another process is serving is only read, or steered through its control file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from campaign.audience.plan.plan_reader import Plan
from campaign.config.units import Rate
from campaign.delivery.control_file import State, write_control
from campaign.errors import ConfigError, UnfinishedError
from campaign.exit_codes import ExitCode, first_of
from campaign.ledger import run_folder
from campaign.ledger.checkpoint import Checkpoint
from campaign.ledger.postgres.runs.copy_mark import is_copy
from campaign.ledger.recovery import read_history
from campaign.ledger.state.run_state import RunState
from campaign.model import Verdict
from campaign.pipeline.command_context import job_of
from campaign.pipeline.finish.close_run import gather_facts, verdict_codes, walk, write_all
from campaign.pipeline.operate.accepted_list import accepted_message_ids, refuse_run_files
from campaign.pipeline.operate.forget.letter_id import letter_id
from campaign.pipeline.operate.publish_metrics import began_since, is_asked_for, publish_last
from campaign.pipeline.operate.run_standing import bring_up_to_date, is_running
from campaign.pipeline.operate.suppress_dead import suppress_missing
from campaign.report.facts import RunFacts
from campaign.system.own_files import refuse_foreign


def steer(
    run: Path, *, state: State | None = None, rate: tuple[Rate, ...] | None = None, connections: int | None = None
) -> bool:
    """Record a request in the run's control file, or its store; returns whether a process obeys it now."""
    refuse_foreign(run.absolute().parent, run.absolute())
    if is_copy(run):
        from campaign.pipeline.workers.stored_run import steer_stored

        return steer_stored(job_of(run), run, state, rate, connections)
    write_control(run, state=state, rate=rate, connections=connections)
    return is_running(run)


def cancel(run: Path) -> tuple[bool, ExitCode]:
    """End the run permanently. A process that serves it does so (True); otherwise it is done here."""
    if steer(run, state="cancel"):
        return True, ExitCode.SOME_FAILED
    with alone(run), checkpoint_of(run) as checkpoint:
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
    with alone(run), checkpoint_of(run) as checkpoint:
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
    job, plan, running = job_of(run), Plan.open(run / run_folder.PLAN), is_running(run)
    bring_up_to_date(run)
    history = read_history(run, running=running)
    if not running:
        suppress_missing(job, run, history)
    stream = walk(run)
    facts = gather_facts(job, run, plan, history, stream)
    write_all(job, run, plan, history, stream, facts)
    if is_asked_for(job) and not began_since(job, facts.started):
        publish_last(job, run, facts)
    return facts


def alone(run: Path) -> AbstractContextManager[None]:
    """A block in which nobody else changes the run or its edition. Raises UnfinishedError if somebody does."""
    if is_copy(run):
        from campaign.pipeline.workers.stored_run import whole_run

        return whole_run(job_of(run), run)
    return run_folder.locked(run.resolve().parent)


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
