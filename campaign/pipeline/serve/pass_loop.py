"""The pass loop: passes over those who wait, until none is left or the run is stopped.

Each recipient is taken only when a slot is free, then rendered, and recorded by the checkpoint before the dot and after
the reply. A retry is a later pass, never a sleeping letter. Delivery sends the letters; `close_run.py` adds up the
verdicts.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from campaign.delivery.control_file import Control
from campaign.delivery.send.connection_pool import Rest
from campaign.errors import CampaignError, InternalError, RelayError
from campaign.exit_codes import ExitCode, of_error
from campaign.ledger.protocol import RunLedger
from campaign.pipeline.command_context import Job, Options
from campaign.pipeline.serve.canary import Canary, Release
from campaign.pipeline.serve.open_run import OpenRun
from campaign.pipeline.serve.pass_order import Allowance, PassOrder
from campaign.pipeline.serve.senders.sender_pool import SenderPool
from campaign.pipeline.serve.senders.single_sender import SingleSender
from campaign.pipeline.serve.stop_triggers import Stopping, StopTriggers
from campaign.report.live.event_log import Log
from campaign.report.live.progress import Counts, Progress
from campaign.report.telemetry.tracing import span

WATCH_SECONDS = 0.25
#: A pass without any verdict is followed by this pause, and this many such passes end the run.
IDLE_PASS_SECONDS, IDLE_PASSES = 5.0, 3
LOOK_AT_CLOCK_SECONDS = 60.0
#: A pass over all who are due.
EVERYBODY = PassOrder(lambda _: True, few=False)


@dataclass(slots=True)
class Ending:
    """Why the passes ended: the exit codes that apply, the error if there was one, and which relays had to rest."""

    codes: set[ExitCode] = field(default_factory=set)
    error: CampaignError | None = None
    rests: Sequence[Rest] = ()

    def fail(self, error: CampaignError) -> None:
        """Record an error; the first one is kept."""
        self.codes.add(of_error(error))
        self.error = self.error or error


class RunSenders(Protocol):
    """What makes the passes: one sender in this process, or several in processes of their own."""

    def opened(self, control: Control, note: Callable[[str], None]) -> AbstractAsyncContextManager[None]:
        """Open the relays' accounts, and start what is needed."""

    async def serve_pass(self, order: PassOrder) -> int:
        """Make one pass; returns how many verdicts were recorded. Raises as `Dispatcher.serve_pass`."""

    async def before_pass(self, *, first: bool) -> None:
        """Get ready for a pass; ``first``: of this process."""

    async def look(self) -> None:
        """Called a few times a second."""

    @property
    def waiting(self) -> str:
        """The outage or limit that holds up all letters, in words; empty if there is none."""

    @property
    def rests(self) -> Sequence[Rest]:
        """When relays were paused because they were slow."""

    def drain(self) -> None:
        """Take no more recipients; what is in flight is finished and recorded."""

    def abort(self) -> None:
        """Cut every connection."""


class PassLoop:
    """One process's session on a run: `serve` makes passes until none is left, or until it is stopped."""

    def __init__(
        self,
        run: OpenRun,
        options: Options,
        progress: Progress,
        counts: Counts,
        log: Log,
    ) -> None:
        job, folder = run.job, run.folder
        self._ledger: RunLedger = run.checkpoint
        self._progress, self._counts, self._log = progress, counts, log
        self._control = Control(folder)
        self._ending = Ending()
        self._stop = asyncio.Event()
        stopping = Stopping(self._halt, self._abort, self._stop.is_set, progress.note)
        self._triggers = StopTriggers(job.settings, self._control, options.max_duration, log, stopping)
        self._allowance = Allowance(options.limit)
        self._senders: RunSenders = senders_of(run, counts, self._allowance)
        canary = Canary.of(job.settings.delivery, run.plan.size)
        self._release = Release(canary, folder, self._control, progress.note, self._pause)

    async def serve(self) -> Ending:
        """Make all passes, with everything in flight recorded at the end. Errors are in the ending, not raised."""
        self._triggers.watch_signals()
        watches = (self._look_around, self._senders.look)  # apart: a slow list must not delay an operator
        helpers = [asyncio.create_task(one) for one in (*map(self._watch, watches), self._progress.paint())]
        try:
            async with self._senders.opened(self._control, self._progress.note):
                await self._passes()
        except CampaignError as error:
            self._ending.fail(error)
        finally:
            for task in helpers:
                task.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
        self._ending.rests = self._senders.rests
        return self._ending

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

    async def _refuse_idling(self, idle: int) -> None:
        if idle >= IDLE_PASSES:
            raise RelayError(
                "Several passes in a row got nobody an answer, so the run stops.",
                next_step="look at the relay's log, then run the same command again; it continues where it stopped",
            )
        if idle:
            await self._pause(IDLE_PASS_SECONDS)

    async def _pause(self, seconds: float) -> bool:
        """Wait for so many seconds; False if the run is stopped first."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)
        return not self._stop.is_set()

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

    def _halt(self, *codes: ExitCode) -> None:
        """Take no more recipients; what is in flight is finished and recorded."""
        self._ending.codes.update(codes)
        self._stop.set()
        self._senders.drain()

    def _abort(self) -> None:
        """Cut every connection."""
        self._senders.abort()

    async def _watch(self, look: Callable[[], Awaitable[None]]) -> None:
        """Call ``look`` a few times a second."""
        try:
            while True:
                await look()
                await asyncio.sleep(WATCH_SECONDS)
        except Exception as error:  # noqa: BLE001 - an unwatched run would obey neither operator nor clock
            unforeseen = InternalError(f"The run could not be watched any more: {error!r}.")
            self._ending.fail(error if isinstance(error, CampaignError) else unforeseen)
            self._halt()

    async def _look_around(self) -> None:
        self._triggers.look()
        self._counts.paused = self._control.state == "pause"
        self._counts.waiting = self._senders.waiting


def senders_of(run: OpenRun, counts: Counts, allowance: Allowance) -> RunSenders:
    """One sender here, or several processes, as ``delivery.processes`` asks. A rehearsal has one."""
    processes = wanted_processes(run.job)
    if processes > 1:
        return SenderPool(run, counts, allowance, processes)
    return SingleSender(run, counts, allowance)


def wanted_processes(job: Job) -> int:
    """How many processes are to send; ``auto`` is one for each core that this process may use."""
    wanted = job.settings.delivery.processes
    return 1 if job.rehearsal else len(os.sched_getaffinity(0)) if wanted == "auto" else wanted
