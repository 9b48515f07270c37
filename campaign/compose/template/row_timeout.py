"""The time limit of a row, checked between the steps of composing a letter so that no row holds up a run.

The limit is on the thread's CPU time, so that a stalled machine does not count against a row. But reading that clock
takes longer than many of the steps, and CPU time never exceeds wall time. So CPU time is only measured from the moment
at which the row has used its limit in wall time. A row may therefore take up to twice its limit, never more.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from campaign.compose.template.operation_limits import TooMuch


class RowTimer:
    """Measures the time of a row, or resumes one begun before; both clocks count seconds. Not started: no limit."""

    __slots__ = ("_began", "_clock", "_cpu", "_cpu_deadline", "_deadline", "_now", "_seconds")

    def __init__(
        self,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.thread_time,
    ) -> None:
        self._seconds, self._clock, self._cpu = seconds, clock, cpu
        self._began, self._deadline, self._cpu_deadline = 0.0, float("inf"), float("inf")
        self._now = 0.0

    def start(self) -> None:
        """Begin the time of a row."""
        self._now = self._clock()
        self.go_on(0.0)

    def go_on(self, used: float) -> None:
        """Resume a row that has ``used`` so many seconds, from the moment of the last `start` or `used`."""
        self._began = self._now - used
        self._deadline, self._cpu_deadline = self._began + self._seconds, 0.0

    def used(self) -> float:
        """The row's wall time so far, in seconds."""
        self._now = self._clock()
        return self._now - self._began

    def check(self) -> None:
        """Raise TooMuch if the row has exceeded its limit."""
        if self._clock() <= self._deadline:
            return
        if not self._cpu_deadline:
            self._cpu_deadline = self._cpu() + self._seconds
        elif self._cpu() > self._cpu_deadline:
            raise TooMuch(f"it took longer than compose.row_timeout, {self._seconds:g} s, to make this row's letter")
