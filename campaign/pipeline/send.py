"""The run on one page: choose or make it, serve it, settle what is left, collect the facts, return the exit code."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from campaign.config import Settings
from campaign.delivery.control_file import Control, write_control
from campaign.delivery.pacing.effective_rate import pace_of
from campaign.delivery.relays.relay_rewrites import drops_second_copies
from campaign.errors import ConfigError, UnfinishedError
from campaign.exit_codes import ExitCode, first_of
from campaign.ledger import run_folder
from campaign.model import Books, Verdict
from campaign.pipeline.command_context import Job, Options, lay_over, prepare
from campaign.pipeline.finish.close_run import close_run
from campaign.pipeline.operate.publish_metrics import publish_idle
from campaign.pipeline.serve.gc_tuning import seldom
from campaign.pipeline.serve.live_metrics import Observer
from campaign.pipeline.serve.open_run import OpenRun, open_run
from campaign.pipeline.serve.pass_loop import Ending, PassLoop
from campaign.pipeline.start.already_served import FAILED
from campaign.pipeline.start.choose_run import (
    ChosenRun,
    choose,
    continues,
    refuse_changed_plan,
    refuse_changes,
    takes_up_doubts,
)
from campaign.pipeline.start.nothing_to_retry import nothing_to_retry
from campaign.pipeline.start.past_runs import clear_unbegun, fingerprints, kind_in_words, newest
from campaign.pipeline.start.unfinished_editions import FINISHED, unfinished_edition
from campaign.report.formatting import counted, duration_text
from campaign.report.live.console import Console, path_text
from campaign.report.live.event_log import open_log
from campaign.report.live.live_state import LiveState, remove_live_state, write_live_state
from campaign.report.live.logging_handler import passed_on
from campaign.report.live.progress import Counts, Progress
from campaign.report.summary import books_text, rows_text
from campaign.report.telemetry.tracing import span, traced
from campaign.system.own_files import refuse_foreign


@seldom()
def send(settings: Settings, options: Options, console: Console) -> ExitCode:
    """Send to everyone who has not been served yet in this edition. Raises CampaignError if it cannot begin."""
    settings = lay_over(settings, options)
    wait_for_start(settings, options, console)
    job = prepare(settings)
    refuse_foreign(job.directory, job.folder)
    run_folder.make_folder(job.folder)
    with traced(settings.report), run_folder.locked(job.folder):
        refuse_late(job, options)
        if left := unfinished_edition(job):
            console.tell(left)
        chosen = choose(job, options, console.loading)
        if isinstance(chosen, Books):
            console.say(nobody_left(job, chosen, retry=options.retry))
            for complaint in publish_idle(job, time.time()):
                console.tell(complaint)
            return ExitCode.DONE
        refuse_changed_inputs(job, options, chosen)
        with open_run(job, chosen) as run:
            announce(run, console)
            accept_changed_inputs(run, options)
            ending = held(chosen) or over(job, console) or serve(run, options, console)
            run.checkpoint.settle_pending()
            settle_the_rest(run, ending)
            return close_run(run, ending, console)


def retry(settings: Settings, options: Options, console: Console) -> ExitCode:
    """Serve again only those who failed, and with ``in_doubt="resend"`` first those left in doubt."""
    options = replace(options, retry=True)
    doubts_first = takes_up_doubts(prepare(lay_over(settings, options)), options)
    first = send(settings, options, console)
    if not doubts_first or first not in FINISHED:
        return first
    return first_of({first, send(settings, replace(options, in_doubt=None), console)})


def is_late(settings: Settings) -> bool:
    """Whether ``not_after`` has passed."""
    moment = settings.campaign.not_after
    return moment is not None and time.time() >= moment.timestamp()


def refuse_late(job: Job, options: Options) -> None:
    """Raise ConfigError if ``not_after`` has passed, so that no stale newsletter goes out after an outage.

    An unfinished run is continued nevertheless, so that the rest of it expires.
    """
    if not is_late(job.settings):
        return
    clear_unbegun(job)
    _, history = newest(job)
    if history is None or options.run or not continues(options, history):
        raise ConfigError(
            "The time for this campaign is over, so nothing is sent.",
            evidence=f"campaign.not_after = {job.settings.campaign.not_after}",
            next_step=f"set a later not_after in {path_text(job.settings.file)} if it should still go out",
        )


def wait_for_start(settings: Settings, options: Options, console: Console) -> None:
    """Sleep until ``not_before``; with ``--no-wait`` raise UnfinishedError instead."""
    moment = settings.campaign.not_before
    if moment is None or time.time() >= moment.timestamp():
        return
    if not options.wait:
        raise UnfinishedError(
            "The time for this campaign has not come.",
            evidence=f"campaign.not_before = {moment.isoformat()}",
            next_step="run the same command again then, or without --no-wait to have it wait",
        )
    console.say(f"waiting until {moment.isoformat()} (campaign.not_before)")
    while (left := moment.timestamp() - time.time()) > 0:
        time.sleep(min(left, 60.0))


def announce(run: OpenRun, console: Console) -> None:
    """Print which run this is and what was found in it."""
    job, chosen, plan = run.job, run.chosen, run.plan
    tally = run.history.tally()
    if kind := kind_in_words(job, new=not chosen.continued):
        console.say(kind)
    for note in (*chosen.notes, *run.checkpoint.notices):
        console.say(note)
    if not chosen.continued:
        console.say(
            f"new run {path_text(chosen.folder)}: {counted(plan.size, 'recipient')} planned of "
            f"{rows_text(plan.books, ' read')}"
        )
        return
    settled = plan.size - tally["waiting"] - tally["deferred"] - tally["in_doubt"]
    console.say(
        f"continuing run {path_text(chosen.folder)}: {settled:,} of {plan.size:,} settled earlier, "
        f"{tally['in_doubt']:,} in doubt, {tally['waiting'] + tally['deferred']:,} to go"
    )
    if tally["in_doubt"]:
        console.say(f"in doubt: {DOUBT_WORDS[job.settings.ledger.in_doubt]}")
        if job.settings.ledger.in_doubt == "resend" and (told := dropped_twice(run, time.time())):
            console.say(told)


def dropped_twice(run: OpenRun, now: float) -> str:
    """For which letters in doubt the relay itself drops a second copy, in a sentence; ``""`` if for none."""
    seconds = drops_second_copies(run.job.settings.delivery)
    doubts = list(run.history.numbers(Verdict.IN_DOUBT))
    safe = sum(now - run.history.dates[number] < seconds for number in doubts)
    if not safe:
        return ""
    return (
        f"  {safe:,} of these {counted(len(doubts), 'letter')} cannot arrive twice: the relay drops a second copy "
        f"within {duration_text(seconds)}"
    )


def nobody_left(job: Job, books: Books, *, retry: bool) -> str:
    """The message for an empty run: where the rows went, and what the newest run still leaves to the operator."""
    text = "Nobody is left to be served: everybody in the list has a verdict in this edition, or is screened out."
    rows = books_text(books)
    text = nothing_to_retry(job, rows) if retry else f"{text}\n  {rows}"
    if not books.already and not retry:
        text += "\nNext: look at where and suppress under [audience]; nobody of this list has been served yet"
    if job.rehearsal:
        text += (
            f"\n  this is a rehearsal; to send the letters: campaign send {path_text(job.settings.file)} --relay URL"
        )
    last, history = newest(job)
    tally = history.tally() if history else {}
    failed, doubts = sum(tally.get(verdict, 0) for verdict in FAILED), tally.get(Verdict.IN_DOUBT, 0)
    if failed and retry:
        text += (
            f"\n  {failed:,} failed, and none of them can be tried again: their addresses are suppressed "
            f"(see {job.command('suppression')} --why ADDRESS) or not in the list any more"
        )
    elif failed:
        text += f"\n  {failed:,} failed; to try them again: {job.command('retry')}"
    if doubts and last:
        text += f"\n  {doubts:,} in doubt; from the relay's log: campaign resolve {path_text(last)} --accepted LIST"
    return text


DOUBT_WORDS = {
    "hold": "they are listed and not sent again (in_doubt = hold); the others go on",
    "resend": "they are sent again with the same Message-ID and bytes (in_doubt = resend)",
    "skip": "they are never sent again (in_doubt = skip)",
}


def refuse_changed_inputs(job: Job, options: Options, chosen: ChosenRun) -> None:
    """Refuse to resume with changed inputs unless ``--accept-changes`` is given. Raises ConfigError naming them.

    Called before the journal is opened: a run that has ended would otherwise count as resumed.
    """
    if chosen.history is None:
        return
    refuse_changed_plan(chosen.folder, chosen.history, chosen.plan)
    if not options.accept_changes:
        refuse_changes(chosen.history, fingerprints(job, chosen.composer), job.command("send"), chosen.folder)


def accept_changed_inputs(run: OpenRun, options: Options) -> None:
    """Record the inputs of the remaining letters if the operator accepted changes."""
    current = fingerprints(run.job, run.chosen.composer)
    if options.accept_changes and current != run.history.fingerprints:
        run.checkpoint.accept_changes(current, run.job.domain)


def held(chosen: ChosenRun) -> Ending | None:
    """The ending of a run that an operator stopped and has not released."""
    control = Control(chosen.folder)
    control.poll(time.monotonic())
    if control.state == "cancel":
        return Ending()
    return Ending({ExitCode.HELD}) if control.state == "stop" else None


def over(job: Job, console: Console) -> Ending | None:
    """The ending of a run whose campaign's time is over: nothing more is sent."""
    if not is_late(job.settings):
        return None
    console.say("not_after has passed: nothing more is sent, the rest expire")
    return Ending()


def serve(run: OpenRun, options: Options, console: Console) -> Ending:
    """Make all passes of this process, with progress on the console and events in the log."""
    job, chosen, history = run.job, run.chosen, run.history
    if job.settings.ledger.in_doubt == "resend":
        history.reopen_doubts()
    counts = counts_of(run)
    progress = Progress(
        counts,
        stream=console.stream,
        is_terminal=console.is_terminal,
        label=f"{job.settings.campaign.name} {job.edition}".strip(),
        interval=job.settings.report.interval,
        quiet=options.quiet,
        publish=lambda pace: write_live_state(chosen.folder, LiveState(round(pace, 2), counts.waiting)),
    )
    with open_log(
        chosen.folder,
        history.opened.trace,
        secrets=[job.secret],
        show_addresses=job.settings.report.show_addresses,
    ) as log:
        log.event("run started", run=str(chosen.folder), recipients=counts.total, done_before=counts.done_before)
        progress.start()
        try:
            with passed_on(log, progress.note), span("serve"):
                passes = PassLoop(run, options, progress, counts, log)
                return asyncio.run(Observer(run).beside(passes.serve()))
        finally:
            progress.finish()
            remove_live_state(chosen.folder)
            log.event("run left", tally=history.tally())


def counts_of(run: OpenRun) -> Counts:
    """The numbers on the screen as this process finds them."""
    tally = run.history.tally()
    limit = pace_of(run.job.settings.delivery, tally["waiting"] + tally["deferred"])
    counts = Counts(total=sum(tally.values()), limit=limit)
    counts.take(tally)
    counts.done_before = counts.done
    return counts


def settle_the_rest(run: OpenRun, ending: Ending) -> None:
    """Expire waiting recipients once the campaign's time is over; after ``campaign cancel``, cancel them.

    That fulfils the request to cancel, which then no longer blocks anything, such as sending doubts again. A run that
    was resumed while its last letters were under way is no longer held, only unfinished.
    """
    job, control = run.job, Control(run.folder)
    control.poll(time.monotonic())
    if control.state == "cancel":
        verdict, reason = Verdict.CANCELLED, "campaign cancel ended the run before this letter was sent"
    elif is_late(job.settings):
        moment = job.settings.campaign.not_after
        verdict, reason = Verdict.EXPIRED, f"not_after ({moment}) passed before this letter was sent"
    else:
        if ExitCode.HELD in ending.codes and control.state != "stop":
            ending.codes = ending.codes - {ExitCode.HELD} | {ExitCode.UNFINISHED}
        return
    for number in list(run.history.numbers(Verdict.WAITING, Verdict.DEFERRED)):
        run.checkpoint.settle(number, verdict, reason)
    ending.codes -= {ExitCode.HELD, ExitCode.UNFINISHED}  # stopped earlier: nothing is held or left now
    if control.state == "cancel":
        write_control(run.folder, state="run")
