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
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field

from campaign.delivery.control_file import Control
from campaign.delivery.embedded_mailbox import EmbeddedMailbox
from campaign.delivery.pacing.shared_throttle import SharedThrottle, open_throttle
from campaign.delivery.relays.relay import Relay, open_relays
from campaign.delivery.send.connection_pool import Rest
from campaign.delivery.send.dispatcher import Dispatcher
from campaign.errors import CampaignError, InternalError, RelayError
from campaign.exit_codes import ExitCode, of_error
from campaign.model import Letter, Recipient, Unrenderable, Verdict
from campaign.pipeline.command_context import Options
from campaign.pipeline.serve.canary import Canary, Release
from campaign.pipeline.serve.fresh_suppression import FreshSuppression
from campaign.pipeline.serve.open_run import OpenRun
from campaign.pipeline.serve.outcome_recorder import CheckpointRecorder
from campaign.pipeline.serve.render_inline import InlineRenderer
from campaign.pipeline.serve.render_pool import RenderPool, workers_for
from campaign.pipeline.serve.stop_triggers import Stopping, StopTriggers
from campaign.report.live.event_log import Log
from campaign.report.live.progress import Counts, Progress
from campaign.report.telemetry.tracing import span

WATCH_SECONDS = 0.25
#: A pass without any verdict is followed by this pause, and this many such passes end the run.
IDLE_PASS_SECONDS, IDLE_PASSES = 5.0, 3
LOOK_AT_CLOCK_SECONDS = 60.0


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
        job, chosen, checkpoint = run.job, run.chosen, run.checkpoint
        self._job, self._options, self._chosen, self._checkpoint = job, options, chosen, checkpoint
        self._progress, self._counts, self._log = progress, counts, log
        self._recorder = CheckpointRecorder(run, counts)
        self._control = Control(chosen.folder)
        self._ending = Ending()
        self._stop = asyncio.Event()
        stopping = Stopping(self._halt, self._abort, self._stop.is_set, progress.note)
        self._triggers = StopTriggers(job.settings, self._control, options.max_duration, log, stopping)
        self._left = options.limit if options.limit is not None else -1
        self._suppression = FreshSuppression(job.suppression)
        self._dispatcher: Dispatcher | None = None
        self._pool: RenderPool | None = None
        self._inline = InlineRenderer(chosen.composer, checkpoint.date_of)
        canary = Canary.of(job.settings.delivery, chosen.plan.size)
        self._release = Release(canary, chosen.folder, self._control, progress.note, self._pause)
        self._canary_only = False

    async def serve(self) -> Ending:
        """Make all passes, with everything in flight recorded at the end. Errors are in the ending, not raised."""
        self._triggers.watch_signals()
        watches = (self._look_around, self._suppression.look)  # apart: a slow list must not delay an operator
        helpers = [asyncio.create_task(one) for one in (*map(self._watch, watches), self._progress.paint())]
        try:
            await self._with_relays()
        except CampaignError as error:
            self._ending.fail(error)
        finally:
            for task in helpers:
                task.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
        self._ending.rests = self._dispatcher.rests if self._dispatcher else ()
        return self._ending

    async def _with_relays(self) -> None:
        delivery, base = self._job.settings.delivery, self._job.settings.base
        workers = workers_for(self._job.settings.compose.processes)
        async with contextlib.AsyncExitStack() as stack:
            if workers:
                brief = self._chosen.composer.brief
                pool = RenderPool(brief, self._chosen.composer.inlining, workers, self._checkpoint.date_of)
                self._pool = stack.enter_context(pool)
            box = None
            if "mailbox" in delivery.urls:
                box = await stack.enter_async_context(EmbeddedMailbox(self._chosen.folder / "mailbox"))
            relays = await open_relays(delivery, base, os.environ, box.url if box else None)

            def throttle(relay: Relay) -> SharedThrottle:
                account = "mailbox" if box and relay.name == box.url else relay.account
                limited = delivery.model_copy(update={"rate": (*delivery.rate, *relay.limits)})
                found = open_throttle(limited, self._job.directory, account, base)
                if found.shared and found.limits:
                    self._progress.note(f"another process sends through {account.lstrip('@')}: its rate is for both")
                return stack.enter_context(contextlib.closing(found))

            resent = self._checkpoint.history.digests.__contains__
            dispatcher = Dispatcher(
                delivery, relays, self._recorder, control=self._control, throttles=throttle, resent=resent
            )
            self._dispatcher = dispatcher
            await self._passes(dispatcher)

    async def _passes(self, dispatcher: Dispatcher) -> None:
        history, idle, first = self._checkpoint.history, 0, self._checkpoint.history.passes
        while not self._stop.is_set():
            due_at = history.next_due()
            if due_at is None:
                return
            if not self._left:
                self._halt(ExitCode.UNFINISHED)
                return
            if not await self._wait_for_pass(due_at):
                return
            step = await self._release.step(history)
            if step in {"stop", "left"}:
                self._halt(*[ExitCode.HELD] if step == "stop" else [])
                return
            # After the wait for a later pass or for the canary, in which an unsubscribe may have come.
            await self._suppression.before_pass(first=history.passes == first)
            self._canary_only = step == "canary"
            self._checkpoint.expect_few(self._canary_only)
            self._checkpoint.begin_pass()
            self._log.event("pass begun", number=history.passes, waiting=history.tally()["waiting"])
            before = self._recorder.written
            with span("pass", number=history.passes):
                renderer, compose = (
                    (self._pool, self._compose_elsewhere) if self._pool else (self._inline, self._compose)
                )
                await dispatcher.serve_pass(renderer.recipients(self._due()), compose)
            idle = 0 if self._recorder.written != before else idle + 1
            await self._refuse_idling(idle)

    async def _refuse_idling(self, idle: int) -> None:
        if idle >= IDLE_PASSES:
            raise RelayError(
                "Several passes in a row got nobody an answer, so the run stops.",
                next_step="look at the relay's log, then run the same command again; it continues where it stopped",
            )
        if idle:
            await self._pause(IDLE_PASS_SECONDS)

    def _due(self) -> Iterator[Recipient]:
        """The recipients of this pass, taken one by one, as many as ``--limit`` allows; some ahead of their turn."""
        first = self._checkpoint.history.first_unsettled()
        for recipient in self._chosen.plan.recipients(self._is_due, first):
            if self._stop.is_set() or not self._left:
                return
            self._checkpoint.reserve(recipient.number)
            self._left -= 1
            yield recipient

    def _is_due(self, number: int) -> bool:
        due = self._checkpoint.history.is_due(number)
        return due and (not self._canary_only or self._release.canary.includes(number))

    def _compose(self, recipient: Recipient) -> Letter | None:
        """The recipient's letter, or None if it was settled here instead."""
        return self._settled_or_letter(recipient, self._inline.compose(recipient))

    async def _compose_elsewhere(self, recipient: Recipient) -> Letter | None:
        assert self._pool is not None  # noqa: S101 - for the type checker
        return self._settled_or_letter(recipient, await self._pool.compose(recipient))

    def _settled_or_letter(self, recipient: Recipient, letter: Letter | Unrenderable) -> Letter | None:
        number = letter.number
        # Checked now and not when the recipient was taken: an unsubscribe that came in between wins.
        if reason := self._suppression.covers(recipient.address):
            self._left += 1
            self._recorder.settle(number, Verdict.WITHDRAWN, reason)
            return None
        if isinstance(letter, Unrenderable):
            self._recorder.settle(number, Verdict.UNRENDERABLE, letter.reason)
            return None
        if not self._checkpoint.history.may_go(number, letter.digest):
            reason = "the letter cannot be made again with the bytes that are in doubt, so it is not sent again"
            self._recorder.settle(number, Verdict.IN_DOUBT, reason)
            return None
        return letter

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
            if notice := self._checkpoint.look_at_clock():
                self._progress.note(notice)
                due_at = self._checkpoint.history.next_due() or 0.0
        self._counts.next_pass = 0.0
        return not self._stop.is_set()

    def _halt(self, *codes: ExitCode) -> None:
        """Take no more recipients; what is in flight is finished and recorded."""
        self._ending.codes.update(codes)
        self._stop.set()
        if self._dispatcher:
            self._dispatcher.drain()

    def _abort(self) -> None:
        """Cut every connection."""
        if self._dispatcher:
            self._dispatcher.abort()

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
        self._counts.waiting = self._dispatcher.waiting if self._dispatcher else ""
