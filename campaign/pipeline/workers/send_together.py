"""The run of a worker on one page: join or make it, serve free shards, and close it if this worker is the last."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from campaign.delivery.control_file import Control
from campaign.exit_codes import ExitCode, first_of
from campaign.ledger.postgres.runs.check_in import WorkersError
from campaign.ledger.postgres.segment_writer import PATIENCE_SECONDS
from campaign.ledger.postgres.worker_session import WorkerSession
from campaign.ledger.state.run_state import RunState
from campaign.model import Books
from campaign.pipeline.command_context import Job, Options
from campaign.pipeline.finish.close_run import close_run
from campaign.pipeline.finish.settle_rest import settle_the_rest
from campaign.pipeline.serve.open_run import open_run
from campaign.pipeline.serve.pass_order import Allowance
from campaign.pipeline.serve.serve_loop import Ending, logged, progress_of
from campaign.pipeline.start.campaign_time import is_late
from campaign.pipeline.start.run_announcement import nobody_left
from campaign.pipeline.workers.campaign_store import refuse_unsuited, store_of
from campaign.pipeline.workers.feedback.shared_feedback import feedback_shared, share_feedback
from campaign.pipeline.workers.join_run import JoinedRun, OpenStore, join_run, open_store
from campaign.pipeline.workers.logged_session import LoggedSession
from campaign.pipeline.workers.store_sender import StoreSender
from campaign.pipeline.workers.worker_loop import WorkerLoop
from campaign.pipeline.workers.worker_metrics import WorkerObserver, note_left
from campaign.report.live.console import Console
from campaign.report.live.progress import Counts
from campaign.system.process_name import process_name

#: Seconds for which a worker that ends a run waits for others to leave it, and between two looks.
LEAVE_SECONDS, LOOK_SECONDS = 60.0, 0.3


def send_together(job: Job, options: Options, console: Console) -> ExitCode:
    """Serve the edition's run in the store, beside whoever serves it already. Raises CampaignError."""
    refuse_unsuited(job)
    share_feedback(job)
    with open_store(job, console) as store:
        joined = join_run(store, options)
        if isinstance(joined, Books):
            console.say(nobody_left(job, joined, retry=options.retry))
            return ExitCode.DONE
        ending = over_or_stopped(store, joined)
    if ending is None:
        ending = serve_beside_others(job, joined, options, console)
    # the first connection may have been lost meanwhile
    with open_store(job, console, PATIENCE_SECONDS) as store, feedback_shared(job):
        return leave(store, joined, ending, console)


def over_or_stopped(store: OpenStore, joined: JoinedRun) -> Ending | None:
    """The ending of a run that an operator stopped, or whose time is over."""
    state = store.heed_requests(joined)
    if state == "stop":
        return Ending({ExitCode.HELD})
    return Ending() if state == "cancel" or is_late(store.job.settings) else None


def serve_beside_others(job: Job, joined: JoinedRun, options: Options, console: Console) -> Ending:
    """Serve free shards until none is left or this worker is to stop, with progress on the console."""
    address, chosen, me = store_of(job.settings), joined.chosen, process_name()
    counts, allowance = Counts(total=chosen.plan.size), Allowance(options.limit)
    resend = job.settings.ledger.in_doubt == "resend"
    progress = progress_of(job, options, console, counts)

    def session(history: RunState, activity: Callable[[], tuple[int, str]]) -> WorkerSession:
        place = address, joined.run, joined.opened, me, history
        return LoggedSession(log, *place, resend=resend, activity=activity)

    async def serve() -> Ending:
        sender = StoreSender(job, chosen, joined.opened, session, counts, allowance)
        loop = WorkerLoop(job, options, Control(chosen.folder), sender, allowance, progress, counts, log)
        return await WorkerObserver(job, joined).beside(loop.serve())

    with logged(job, chosen.folder, joined.opened.trace, progress, run=joined.opened.run, worker=me) as log:
        log.event("worker started")
        try:
            return asyncio.run(serve())
        finally:
            log.event("worker left")


def leave(store: OpenStore, joined: JoinedRun, ending: Ending, console: Console) -> ExitCode:
    """Close the run if no other worker serves it, else leave it to them; returns this command's exit code."""
    _await_others(store, joined)
    with store.held() as lease:
        newest = store.newest()
        if newest and newest.run == joined.run and not newest.open and not ending.codes:
            store.say("the run is over; another worker has written its report")
            return _left(store, joined, first_of(code for code in ExitCode if code == newest.exit_code))
        try:
            with store.checked_out(lease) as copies:
                store.heed_requests(joined)
                with open_run(store.job, joined.chosen) as run:
                    run.checkpoint.settle_pending()
                    settle_the_rest(run, ending)
                    code = close_run(run, ending, console)
                store.check_in(lease, copies, states={run.folder.name: run.history})
                return code
        except WorkersError:
            if ending.error:
                console.tell(str(ending.error))
            store.say("this worker has left; others go on with the run")
            return _left(store, joined, first_of(ending.codes or {ExitCode.UNFINISHED}))


def _left(store: OpenStore, joined: JoinedRun, code: ExitCode) -> ExitCode:
    note_left(store.job, joined, code, time.time())
    return code


def _await_others(store: OpenStore, joined: JoinedRun) -> None:
    """If the run ends for all workers, wait a moment until the others have left it, so that the last one closes it."""
    patience = time.monotonic() + LEAVE_SECONDS
    while time.monotonic() < patience:
        left, held = store.shards_left_and_held(joined)
        ends = not left or store.heed_requests(joined) == "cancel" or is_late(store.job.settings)
        if not ends or not held:
            return
        time.sleep(LOOK_SECONDS)
