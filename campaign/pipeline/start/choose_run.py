"""Choosing the run: continue the newest unfinished one, otherwise make a new one for those not served yet.

Called with the edition's folder locked. A new run's plan is frozen and its letters' fingerprints are taken before its
journal opens; from then on only the plan is read. This module does not send.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, cast
from uuid import uuid4

import msgspec

from campaign.audience.plan.plan_codec import SCREENED
from campaign.audience.plan.plan_reader import Plan, freeze
from campaign.audience.screening.invalid_row_limit import refuse_too_many, refuse_useless
from campaign.audience.screening.suggested_settings import all_suggestions
from campaign.audience.sources.source_factory import template_columns
from campaign.compose.composer import FIRST_RENDERING, WAY_OF_RENDERING, Composer
from campaign.errors import ConfigError, UnfinishedError
from campaign.ledger import checkpoint, recovery, run_folder
from campaign.ledger.journal.journal_records import Opened
from campaign.ledger.state.run_state import RunState
from campaign.model import Books, Recipient
from campaign.pipeline.command_context import Job, Options
from campaign.pipeline.operate.suppress_dead import suppress_missing
from campaign.pipeline.start.already_served import screens
from campaign.pipeline.start.past_runs import clear_unbegun, continuable, current_generation, fingerprints
from campaign.pipeline.start.past_runs import newest as newest_run
from campaign.pipeline.start.preflight import refuse_unready
from campaign.pipeline.start.sample_letter import write_sample
from campaign.pipeline.start.unfinished_editions import killed_elsewhere
from campaign.report.formatting import counted
from campaign.report.live.console import path_text
from campaign.report.telemetry.tracing import begin, span
from campaign.system.own_files import refuse_foreign

#: Rows that decide how CSS is inlined: the first of the plan and some spread over all of it.
FIRST_ROWS, SPREAD_ROWS = 20, 30


class ChosenRun(msgspec.Struct, frozen=True):
    """A run to serve: its folder, its frozen plan, a composer that fits it, and whether it is continued.

    ``history`` is what was read of it while choosing, so that its journal need not be replayed again.
    """

    folder: Path
    plan: Plan
    composer: Composer
    generation: int
    continued: bool
    notes: tuple[str, ...] = ()
    history: RunState | None = None


def choose(job: Job, options: Options, progress: Callable[[int], None] | None = None) -> ChosenRun | Books:
    """The run that this command serves, or the row counts if no recipient is left.

    Raises ConfigError, InputError, UnfinishedError.
    """
    clear_unbegun(job)
    newest, history = newest_run(job)
    _list_the_dead(job, newest, history)
    if options.run:
        return _named(job, options, newest, history, progress)
    if newest and history and continues(options, history):
        return continue_run(job, newest, history)
    if doubtful := in_doubt_to_resend(job, options, history):
        return continue_run(job, *doubtful)
    _leave_behind(job, options, newest, history)
    generation = next_generation(options, current_generation(job))
    return _make(job, options, run_folder.new_stamp(job.folder, datetime.now(UTC)), generation, progress)


def _list_the_dead(job: Job, newest: Path | None, history: RunState | None) -> None:
    """Before planning, suppress dead addresses that a killed process learned of and did not list."""
    if newest and history:
        suppress_missing(job, newest, history)
    if killed := killed_elsewhere(job):
        suppress_missing(job, *killed)


def continues(options: Options, history: RunState) -> bool:
    """Whether these options mean the newest run. One that ended before its report is continued, to be closed."""
    wanted = next((option for option in ("fresh", "again", "retry") if getattr(options, option)), "")
    closed = history.finished and history.ended is not None
    return not closed and (not wanted or history.opened.by == wanted)


def in_doubt_to_resend(job: Job, options: Options, newest: RunState | None) -> tuple[Path, RunState] | None:
    """The run whose doubts are to be sent again: the newest of this generation with any, if nothing is unfinished.

    A run left behind by ``--fresh`` is never resumed: its waiting recipients were planned again.
    """
    wanted = job.settings.ledger.in_doubt == "resend" and (options.in_doubt == "resend" or not options.retry)
    if not wanted or options.fresh or options.again or newest is None or not newest.finished:
        return None
    for run, history in continuable(job):
        same = history.opened.generation == newest.opened.generation
        if same and not history.abandoned and history.digests:
            return run, history
    return None


def takes_up_doubts(job: Job, options: Options) -> bool:
    """Whether the next run sends a finished run's doubts again, and serves no one else. Locks the edition."""
    run_folder.make_folder(job.folder)
    with run_folder.locked(job.folder):
        clear_unbegun(job)
        _, history = newest_run(job)
        if history and continues(options, history):
            return False
        return in_doubt_to_resend(job, options, history) is not None


def next_generation(options: Options, current: int) -> int:
    """1 for the first run of an edition, where ``current`` is 0; one more with each ``--again``."""
    return current + 1 if options.again else max(current, 1)


def _named(
    job: Job, options: Options, newest: Path | None, history: RunState | None, progress: Callable[[int], None] | None
) -> ChosenRun | Books:
    folder = run_folder.named_run(job.folder, options.run)
    if not run_folder.has_run(folder):
        _leave_behind(job, options, newest, history)
        return _make(job, options, folder, next_generation(options, current_generation(job)), progress)
    if run_folder.has_journal(folder):
        refuse_other_kind(job, folder)
    if folder != newest or not history:
        raise ConfigError(
            f"{folder} is not the newest run of this edition, so it is not continued.",
            evidence=f"{newest} came later and serves whoever was left",
            next_step=job.command("send"),
        )
    return continue_run(job, folder, history)


def refuse_other_kind(job: Job, run: Path) -> None:
    """Raise ConfigError if a rehearsal would continue through a relay, or the reverse, even if named explicitly."""
    if recovery.read_history(run).rehearsal == job.rehearsal:
        return
    raise ConfigError(
        f"{run} is {'no' if job.rehearsal else 'a'} rehearsal, so this command does not continue it.",
        evidence="letters sent through a relay and letters in the embedded mailbox are never of one run",
        next_step=f"{job.command('send')}, without --run",
    )


def _leave_behind(job: Job, options: Options, newest: Path | None, history: RunState | None) -> None:
    if not newest or not history or history.finished:
        return
    if options.retry:
        raise UnfinishedError(
            "There is an unfinished run of this edition, so there is nothing to retry yet.",
            evidence=str(newest),
            next_step=job.command("send"),
        )
    with_journal = checkpoint.Checkpoint(newest)
    try:
        with_journal.end(75, abandoned=True)
    finally:
        with_journal.close()


def continue_run(job: Job, folder: Path, history: RunState) -> ChosenRun:
    """The run in ``folder``, with a composer that renders its letters as it began."""
    opened = history.opened
    begin(opened.trace, name=opened.campaign, edition=opened.edition, run=opened.run)
    with span("plan"):
        plan = Plan.open(folder / run_folder.PLAN)
        brief = job.brief(plan.columns, opened.generation, trace=opened.trace)
        composer = Composer(brief, cast("Literal['shape', 'row']", opened.inlining))
    found, why = composer.choose_inlining(list(sample(plan)))  # also reads the pictures that the fingerprints name
    differs = f"CSS by shape differs from CSS row by row ({why}); the run goes on as it began"
    notes = (differs,) if found != opened.inlining == "shape" else ()
    return ChosenRun(folder, plan, composer, opened.generation, continued=True, notes=notes, history=history)


def _make(
    job: Job, options: Options, folder: Path, generation: int, progress: Callable[[int], None] | None
) -> ChosenRun | Books:
    refuse_unready(job)
    trace = uuid4().hex
    begin(trace, name=job.settings.campaign.name, edition=job.edition, run=folder.name)
    audience, base = job.settings.audience, job.settings.base
    with all_suggestions(audience, base):
        columns = template_columns(audience, base)
    composer = Composer(job.brief(columns, generation, trace=trace))
    plan = _load(job, options, folder, generation, progress)
    screened = path_text(folder / SCREENED)
    with all_suggestions(audience, base):
        refuse_useless(plan, screened)
        refuse_too_many(plan, audience, screened)
    if not plan.size:
        shutil.rmtree(folder)
        return plan.books
    by = "again" if options.again else "fresh" if options.fresh else "retry" if options.retry else ""
    return _open(job, folder, plan, composer, by)


@span("load")
def _load(job: Job, options: Options, folder: Path, generation: int, progress: Callable[[int], None] | None) -> Plan:
    audience, base = job.settings.audience, job.settings.base
    suppression = job.suppression()
    already, only = screens(job, generation, retry=options.retry)
    refuse_foreign(job.directory, folder)
    run_folder.make_folder(folder)
    try:
        return freeze(audience, base, folder, suppression=suppression, already=already, only=only, progress=progress)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


@span("plan")
def _open(job: Job, folder: Path, plan: Plan, composer: Composer, by: str) -> ChosenRun:
    brief = replace(composer.brief, columns=plan.columns)
    if brief != composer.brief:
        composer = Composer(brief)
    inlining, why = composer.choose_inlining(list(sample(plan)))
    if inlining != "shape":
        composer = Composer(brief, inlining)
    generation, trace = brief.identity.generation, brief.trace_id
    opened = Opened(
        campaign=job.settings.campaign.name,
        edition=job.edition,
        run=folder.name,
        generation=generation,
        recipients=plan.size,
        plan=plan.sha256(),
        fingerprints=dict(fingerprints(job, composer)),
        inlining=inlining,
        at=later_than_all(job.folder),
        trace=trace,
        file=str(job.settings.file),
        by=by,
        domain=job.domain,
    )
    write_sample(folder, plan, composer, opened.at)
    checkpoint.create(folder, opened)
    notes = (f"CSS is inlined row by row: {why}",) if inlining == "row" and why else ()
    return ChosenRun(folder, plan, composer, generation, continued=False, notes=(*plan.remarks, *notes))


def later_than_all(folder: Path) -> float:
    """The time of a new run: now, but later than all earlier runs even if the clock was set back, as it orders them."""
    earlier = [run_folder.birth(run) for run in run_folder.runs(folder) if run_folder.has_journal(run)]
    return round(max([time.time(), *(at + 0.001 for at in earlier)]), 3)


def sample(plan: Plan) -> Iterator[Recipient]:
    """Some recipients of the plan: the first, and others spread evenly over the rest."""
    wanted = set(range(min(FIRST_ROWS, plan.size)))
    wanted.update(range(0, plan.size, max(plan.size // SPREAD_ROWS, 1)))
    return map(plan.recipient, sorted(wanted))


def refuse_changes(history: RunState, current: Mapping[str, str], again: str, run: Path) -> None:
    """Compare the inputs at the run's opening with the present ones. Raises ConfigError naming each difference."""
    before, now = dict(history.fingerprints), dict(current)
    ways = before.pop(WAY_OF_RENDERING, FIRST_RENDERING), now.pop(WAY_OF_RENDERING, FIRST_RENDERING)
    changed = [f"{name} changed" for name in sorted(before.keys() & now.keys()) if before[name] != now[name]]
    changed += [f"{name} is gone" for name in sorted(before.keys() - now.keys())]
    changed += [f"{name} is new" for name in sorted(now.keys() - before.keys())]
    if ways[0] != ways[1]:
        _refuse_rendering(history, ways, changed, again, run)
    if changed:
        raise ConfigError(
            "What shapes the letters changed since this run began, so nothing is sent.",
            evidence=changed,
            next_step=f"undo the change, or go on with it: {again} --accept-changes",
        )


def _refuse_rendering(history: RunState, ways: tuple[str, str], changed: list[str], again: str, run: Path) -> None:
    """Raise ConfigError: the rendering version changed, so letters in doubt may have been rendered by the other one."""
    doubts = len(history.digests)
    told = f"{counted(doubts, 'letter')} in doubt: sent again only if this version makes the same bytes"
    if doubts and history.finished:
        step = f"use the version that began it, or settle the doubts: campaign resolve {path_text(run)} --accepted LIST"
    else:
        step = f"use the version that began it, or go on with this version: {again} --accept-changes"
    raise ConfigError(
        "This version renders letters in another way than this run began with, so nothing is sent.",
        evidence=[f"rendering number {ways[0]} when it began, {ways[1]} now", *([told] if doubts else []), *changed],
        next_step=step,
    )
