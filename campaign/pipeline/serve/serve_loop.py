"""What every session on a run has in common: it watches for its end, and stops in good order.

`pass_loop.py` makes the passes of a run that one process holds; a worker that shares a run with others has a loop of
its own. Delivery sends the letters; `close_run.py` adds up the verdicts.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

import msgspec

from campaign.delivery.control_file import Control
from campaign.delivery.send.connection_pool import Rest
from campaign.errors import CampaignError, InternalError, RelayError
from campaign.exit_codes import ExitCode, of_error
from campaign.pipeline.command_context import Job, Options
from campaign.pipeline.serve.stop_triggers import Stopping, StopTriggers
from campaign.report.live.console import Console
from campaign.report.live.event_log import Log, open_log
from campaign.report.live.logging_handler import passed_on
from campaign.report.live.progress import Counts, Progress
from campaign.report.telemetry.tracing import span

WATCH_SECONDS = 0.25
#: A pass without any verdict is followed by this pause, and this many such passes end the run.
IDLE_PASS_SECONDS, IDLE_PASSES = 5.0, 3


class Ending(msgspec.Struct):
    """Why the passes ended: the exit codes that apply, the error if there was one, and which relays had to rest."""

    codes: set[ExitCode] = msgspec.field(default_factory=set)
    error: CampaignError | None = None
    rests: Sequence[Rest] = ()

    def fail(self, error: CampaignError) -> None:
        """Record an error; the first one is kept."""
        self.codes.add(of_error(error))
        self.error = self.error or error


class LetterSenders(Protocol):
    """What sends: in this process, or in processes of their own."""

    def opened(self, control: Control, note: Callable[[str], None]) -> AbstractAsyncContextManager[None]:
        """Open the relays' accounts, and start what is needed."""

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


class ServeLoop:
    """One process's session on a run. A subclass sends in `_passes` until nothing is left, or `_stop` is set."""

    def __init__(
        self,
        job: Job,
        options: Options,
        control: Control,
        senders: LetterSenders,
        progress: Progress,
        counts: Counts,
        log: Log,
    ) -> None:
        self._control, self._progress, self._counts, self._log = control, progress, counts, log
        self._sending = senders
        self._ending = Ending()
        self._stop = asyncio.Event()
        stopping = Stopping(self._halt, self._abort, self._stop.is_set, progress.note)
        self._triggers = StopTriggers(job.settings, control, options.max_duration, log, stopping)

    async def serve(self) -> Ending:
        """Send, with everything in flight recorded at the end. Errors are in the ending, not raised."""
        self._triggers.watch_signals()
        watches = (self._look_around, self._sending.look)  # apart: a slow list must not delay an operator
        helpers = [asyncio.create_task(one) for one in (*map(self._watch, watches), self._progress.paint())]
        try:
            async with self._sending.opened(self._control, self._progress.note):
                await self._passes()
        except CampaignError as error:
            self._ending.fail(error)
        finally:
            for task in helpers:
                task.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
        self._ending.rests = self._sending.rests
        return self._ending

    async def _passes(self) -> None:
        raise NotImplementedError

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

    def _halt(self, *codes: ExitCode) -> None:
        """Take no more recipients; what is in flight is finished and recorded."""
        self._ending.codes.update(codes)
        self._stop.set()
        self._sending.drain()

    def _abort(self) -> None:
        """Cut every connection."""
        self._sending.abort()

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
        self._counts.waiting = self._sending.waiting


def progress_of(
    job: Job, options: Options, console: Console, counts: Counts, publish: Callable[[float], None] = lambda _: None
) -> Progress:
    """The progress of a session, as this command shows it."""
    return Progress(
        counts,
        stream=console.stream,
        is_terminal=console.is_terminal,
        label=f"{job.settings.campaign.name} {job.edition}".strip(),
        interval=job.settings.report.interval,
        quiet=options.quiet,
        events=console.events,
        publish=publish,
    )


@contextlib.contextmanager
def logged(job: Job, folder: Path, trace: str, progress: Progress, **always: str) -> Iterator[Log]:
    """The event log of a run while a session serves it, with its progress shown and warnings passed on.

    ``always`` are facts of every line.
    """
    report = job.settings.report
    with open_log(folder, trace, secrets=[job.secret], show_addresses=report.show_addresses, always=always) as log:
        progress.start()
        try:
            with passed_on(log, progress.note), span("serve"):
                yield log
        finally:
            progress.finish()
