"""External stop triggers of a run: signals, an operator's request, the longest duration, ``not_after``."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable

import msgspec

from campaign.config import Settings
from campaign.delivery.control_file import Control
from campaign.exit_codes import ExitCode
from campaign.report.live.event_log import Log

#: A signal this soon (seconds) after another is its echo: timeout(1) signals its child and then the whole group.
ECHO_SECONDS = 0.2
_SIGNAL_CODES = {
    signal.SIGINT: ExitCode.INTERRUPTED,
    signal.SIGTERM: ExitCode.TERMINATED,
    signal.SIGHUP: ExitCode.TERMINATED,  # the terminal is gone
}


class Stopping(msgspec.Struct):
    """How a session ends: ``gently``, with the exit codes that apply, takes no more recipients; ``at_once`` aborts.

    ``stopped`` returns whether it is ending already; ``note`` informs the person at the terminal.
    """

    gently: Callable[..., None]
    at_once: Callable[[], None]
    stopped: Callable[[], bool]
    note: Callable[[str], None]


class StopTriggers:
    """One per session. ``longest`` is ``--max-duration`` in seconds, or None."""

    def __init__(
        self, settings: Settings, control: Control, longest: float | None, log: Log, stopping: Stopping
    ) -> None:
        self._control, self._log, self._stopping = control, log, stopping
        self._not_after, self._longest = settings.campaign.not_after, longest
        self._began = time.monotonic()
        self._last_signal = float("-inf")
        self._signalled = False

    def watch_signals(self) -> None:
        """Handle signals from now on: the first stops gently, a second one at once."""
        loop = asyncio.get_running_loop()
        for number in _SIGNAL_CODES:
            if signal.getsignal(number) is signal.SIG_IGN:  # nohup
                continue
            loop.add_signal_handler(number, self._on_signal, number)

    def look(self) -> None:
        """Check for an operator's request and for the end of the time. Call it a few times a second."""
        self._look_at_control()
        if not self._stopping.stopped():
            self._look_at_clock()

    def _on_signal(self, number: signal.Signals) -> None:
        now = time.monotonic()
        if now - self._last_signal < ECHO_SECONDS:
            return
        self._last_signal = now
        if self._signalled:
            self._stopping.note("stopping at once; letters between dot and reply are listed as in doubt")
            self._stopping.at_once()
            return
        self._signalled = True
        self._log.event("stopping", signal=signal.Signals(number).name)
        self._stopping.note("stopping: letters in flight are finished and recorded (once more: stop at once)")
        self._stopping.gently(_SIGNAL_CODES[signal.Signals(number)])

    def _look_at_control(self) -> None:
        if self._control.poll(time.monotonic()):
            self._log.event("steered", state=self._control.state)
        if self._control.state in {"stop", "cancel"} and not self._stopping.stopped():
            self._stopping.note(f"an operator asked to {self._control.state}: letters in flight are finished")
            self._stopping.gently(*[ExitCode.HELD] if self._control.state == "stop" else [])

    def _look_at_clock(self) -> None:
        if self._longest is not None and time.monotonic() - self._began >= self._longest:
            self._stopping.note("the longest duration asked for is over: letters in flight are finished")
            self._stopping.gently(ExitCode.UNFINISHED)
        if self._not_after is not None and time.time() >= self._not_after.timestamp():
            self._stopping.note("not_after has passed: nothing more is sent, the rest expire")
            self._stopping.gently()
