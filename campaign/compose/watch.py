"""How much of its time a row has used up: asked between the steps of making a letter, so that no row holds up a run.

Counts the CPU time of the thread, not the clock on the wall: a row is not to blame for a machine that stood still.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from campaign.compose.bounds import TooMuch


class Watch:
    """Started once for each row; ``clock`` counts seconds. Before the first start there is no limit."""

    __slots__ = ("_clock", "_deadline", "_seconds")

    def __init__(self, seconds: float, clock: Callable[[], float] = time.thread_time) -> None:
        self._seconds, self._clock, self._deadline = seconds, clock, float("inf")

    def start(self) -> None:
        """The time of the next row begins."""
        self._deadline = self._clock() + self._seconds

    def check(self) -> None:
        """Raises TooMuch when the row's time is over."""
        if self._clock() > self._deadline:
            raise TooMuch(f"it took longer than compose.row_timeout, {self._seconds:g} s, to make this row's letter")
