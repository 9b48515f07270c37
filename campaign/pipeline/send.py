"""The run on one page: choose or make it, serve it, settle what is left, collect the facts, return the exit code."""

from __future__ import annotations

import asyncio
import time

from msgspec.structs import replace

from campaign.config import Settings
from campaign.delivery.pacing.effective_rate import pace_of
from campaign.exit_codes import ExitCode, first_of
from campaign.ledger import run_folder
from campaign.ledger.postgres.runs.copy_mark import refuse_copies
from campaign.model import Books
from campaign.pipeline.command_context import Options, lay_over, prepare
from campaign.pipeline.finish.close_run import close_run
from campaign.pipeline.finish.settle_rest import held, over, settle_the_rest
from campaign.pipeline.operate.publish_metrics import publish_idle, refuse_unpublishable
from campaign.pipeline.serve.gc_tuning import seldom
from campaign.pipeline.serve.live_metrics import Observer
from campaign.pipeline.serve.open_run import OpenRun, open_run
from campaign.pipeline.serve.pass_loop import PassLoop
from campaign.pipeline.serve.serve_loop import Ending, logged, progress_of
from campaign.pipeline.start.campaign_time import refuse_late, wait_for_start
from campaign.pipeline.start.changed_inputs import accept_changed_inputs, refuse_changed_inputs
from campaign.pipeline.start.choose_run import (
    choose,
    takes_up_doubts,
)
from campaign.pipeline.start.run_announcement import announce, nobody_left
from campaign.pipeline.start.unfinished_editions import FINISHED, unfinished_edition
from campaign.report.live.console import Console
from campaign.report.live.live_state import LiveState, remove_live_state, write_live_state
from campaign.report.live.progress import Counts
from campaign.report.telemetry.tracing import traced
from campaign.system.own_files import refuse_foreign


@seldom()
def send(settings: Settings, options: Options, console: Console) -> ExitCode:
    """Send to everyone who has not been served yet in this edition. Raises CampaignError if it cannot begin."""
    settings = lay_over(settings, options)
    wait_for_start(settings, options, console)
    job = prepare(settings)
    refuse_unpublishable(job)
    if settings.ledger.store:
        from campaign.pipeline.workers.send_together import send_together  # with its library

        with traced(settings.report):
            return send_together(job, options, console)
    refuse_copies(job.folder)
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


def serve(run: OpenRun, options: Options, console: Console) -> Ending:
    """Make all passes of this process, with progress on the console and events in the log."""
    job, chosen, history = run.job, run.chosen, run.history
    if job.settings.ledger.in_doubt == "resend":
        history.reopen_doubts()
    counts = counts_of(run)
    progress = progress_of(
        job,
        options,
        console,
        counts,
        lambda pace: write_live_state(chosen.folder, LiveState(round(pace, 2), counts.waiting)),
    )
    with logged(job, chosen.folder, history.opened.trace, progress) as log:
        log.event("run started", run=str(chosen.folder), recipients=counts.total, done_before=counts.done_before)
        try:
            passes = PassLoop(run, options, progress, counts, log)
            return asyncio.run(Observer(run).beside(passes.serve()))
        finally:
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
