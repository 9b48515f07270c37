"""How much of its time a row has used up: asked between the steps of making a letter, so that no row holds up a run.

What counts is the CPU time of the thread, not the clock on the wall: a row is not to blame for a machine that stood
still. But asking for it takes longer than many a step, and nobody has used more of it than went by on the wall, so it
is counted from the moment at which a row's time on the wall is over. A row may take its time twice, then, never more.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from campaign.compose.template.operation_limits import TooMuch


class RowTimer:
    """Started for a row, or goes on with one that has been begun; both clocks count seconds. Not started: no limit."""

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
        """The time of a row begins."""
        self._now = self._clock()
        self.go_on(0.0)

    def go_on(self, used: float) -> None:
        """The time of a row that has ``used`` some of it goes on, from the moment of `start` or of the last `used`."""
        self._began = self._now - used
        self._deadline, self._cpu_deadline = self._began + self._seconds, 0.0

    def used(self) -> float:
        """Seconds on the wall that the row has taken."""
        self._now = self._clock()
        return self._now - self._began

    def check(self) -> None:
        """Raises TooMuch when the row's time is over."""
        if self._clock() <= self._deadline:
            return
        if not self._cpu_deadline:
            self._cpu_deadline = self._cpu() + self._seconds
        elif self._cpu() > self._cpu_deadline:
            raise TooMuch(f"it took longer than compose.row_timeout, {self._seconds:g} s, to make this row's letter")
