"""The pass loop: passes over those who wait, until none is left or the run is stopped.

Each recipient is taken only when a slot is free, then rendered, and recorded by the checkpoint before the dot and after
the reply. A retry is a later pass, never a sleeping letter. Delivery sends the letters; `close_run.py` adds up the
verdicts.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Protocol

from campaign.delivery.control_file import Control
from campaign.exit_codes import ExitCode
from campaign.pipeline.command_context import Job, Options
from campaign.pipeline.serve.canary import Canary, Release
from campaign.pipeline.serve.open_run import OpenRun
from campaign.pipeline.serve.pass_order import Allowance, PassOrder
from campaign.pipeline.serve.senders.single_sender import SingleSender
from campaign.pipeline.serve.serve_loop import LetterSenders, ServeLoop
from campaign.report.live.event_log import Log
from campaign.report.live.progress import Counts, Progress
from campaign.report.telemetry.tracing import span

if TYPE_CHECKING:  # the interface, and what it names, are for readers and the type checker
    from campaign.ledger.protocol import RunLedger

LOOK_AT_CLOCK_SECONDS = 60.0
#: A pass over all who are due.
EVERYBODY = PassOrder(lambda _: True, few=False)


class RunSenders(LetterSenders, Protocol):
    """What makes the passes of a run that this process holds."""

    async def serve_pass(self, order: PassOrder) -> int:
        """Make one pass; returns how many verdicts were recorded. Raises as `Dispatcher.serve_pass`."""

    async def before_pass(self, *, first: bool) -> None:
        """Get ready for a pass; ``first``: of this process."""


class PassLoop(ServeLoop):
    """One process's session on a run: `serve` makes passes until none is left, or until it is stopped."""

    def __init__(
        self,
        run: OpenRun,
        options: Options,
        progress: Progress,
        counts: Counts,
        log: Log,
    ) -> None:
        job, folder, control = run.job, run.folder, Control(run.folder)
        self._ledger: RunLedger = run.checkpoint
        self._allowance = Allowance(options.limit)
        self._senders: RunSenders = senders_of(run, counts, self._allowance)
        super().__init__(job, options, control, self._senders, progress, counts, log)
        canary = Canary.of(job.settings.delivery, run.plan.size)
        self._release = Release(canary, folder, control, progress.note, self._pause)

    async def _passes(self) -> None:
        history, idle, first = self._ledger.history, 0, self._ledger.history.passes
        while not self._stop.is_set():
            due_at = history.next_due()
            if due_at is None:
                return
            if not self._allowance.left:
                self._halt(ExitCode.UNFINISHED)
                return
            if not await self._wait_for_pass(due_at):
                return
            step = await self._release.step(history)
            if step in {"stop", "left"}:
                self._halt(*[ExitCode.HELD] if step == "stop" else [])
                return
            # After the wait for a later pass or for the canary, in which an unsubscribe may have come.
            await self._senders.before_pass(first=history.passes == first)
            order = PassOrder(self._release.canary.includes, few=True) if step == "canary" else EVERYBODY
            self._ledger.begin_pass()
            self._log.event("pass begun", number=history.passes, waiting=history.tally()["waiting"])
            with span("pass", number=history.passes):
                written = await self._senders.serve_pass(order)
            idle = 0 if written else idle + 1
            await self._refuse_idling(idle)

    async def _wait_for_pass(self, due_at: float) -> bool:
        """Wait for a POSIX time, reading the clock each minute in case it is set. False if the run is stopped."""
        while not self._stop.is_set() and (left := due_at - time.time()) > 0:
            self._counts.next_pass = due_at
            await self._pause(min(left, LOOK_AT_CLOCK_SECONDS))
            if notice := self._ledger.look_at_clock():
                self._progress.note(notice)
                due_at = self._ledger.history.next_due() or 0.0
        self._counts.next_pass = 0.0
        return not self._stop.is_set()


def senders_of(run: OpenRun, counts: Counts, allowance: Allowance) -> RunSenders:
    """One sender here, or several processes, as ``delivery.processes`` asks. A rehearsal has one."""
    processes = wanted_processes(run.job)
    if processes > 1:
        from campaign.pipeline.serve.senders.sender_pool import SenderPool  # with all that several processes need

        return SenderPool(run, counts, allowance, processes)
    return SingleSender(run, counts, allowance)


def wanted_processes(job: Job) -> int:
    """How many processes are to send; ``auto`` is one for each core that this process may use."""
    wanted = job.settings.delivery.processes
    return 1 if job.rehearsal else len(os.sched_getaffinity(0)) if wanted == "auto" else wanted
