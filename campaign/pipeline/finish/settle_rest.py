"""How a run ends without sending: held by an operator, over by the clock, or cancelled; who waits is settled."""

from __future__ import annotations

import time

from campaign.delivery.control_file import Control, write_control
from campaign.exit_codes import ExitCode
from campaign.model import Verdict
from campaign.pipeline.command_context import Job
from campaign.pipeline.serve.open_run import OpenRun
from campaign.pipeline.serve.serve_loop import Ending
from campaign.pipeline.start.campaign_time import is_late
from campaign.pipeline.start.choose_run import (
    ChosenRun,
)
from campaign.report.live.console import Console


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
        run.checkpoint.sync()  # else a loss of power could take the verdicts back, and not the request's end
        write_control(run.folder, state="run")
