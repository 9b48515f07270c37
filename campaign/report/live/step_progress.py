"""Progress of a check or of reading a list: a line repainted on a terminal, a line at intervals everywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from campaign.report import formatting
from campaign.report.live.console import Console
from campaign.report.live.terminal_width import width_of

PERIOD, INTERVAL = 0.2, 10.0  #: seconds between two updates, on a terminal and elsewhere
_CLEAR = "\r\x1b[K"


class StepProgress:
    """A context around the loop; call `at` with the number done, as often as you like.

    ``verb`` and ``noun`` name the work and its objects; ``total`` is None if unknown.
    """

    def __init__(
        self,
        console: Console,
        total: int | None,
        verb: str = "checked",
        noun: str = "letter",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console, self._total, self._clock = console, total, clock
        self._verb, self._noun = verb, noun
        self._period = PERIOD if console.is_terminal else INTERVAL
        self._began = self._last = clock()
        self._painted = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._painted:
            self._write(_CLEAR)

    def at(self, done: int) -> None:
        """Print how far it is, if it is time to."""
        now = self._clock()
        if now - self._last < self._period or self._console.quiet:
            return
        self._last = now
        text = f"{self._verb} {step_standing(done, self._total, now - self._began, self._noun)}"
        if self._console.is_terminal:
            self._painted = True
            self._write(_CLEAR + text[: (width_of(self._console.stream) or len(text) + 1) - 1])  # else it would wrap
        else:
            self._console.say(text)

    def _write(self, text: str) -> None:
        self._console.stream.write(text)
        self._console.stream.flush()


def step_standing(done: int, total: int | None, seconds: float, noun: str) -> str:
    """``40,000 of 100,000 letters (40.0 %) · 3,210/s · 19s left``; without a total, ``40,000 letters · 3,210/s``."""
    if total is None:
        pace = f" · {formatting.rate_text(done / seconds)}" if done and seconds > 0 else ""
        return f"{formatting.counted(done, noun)}{pace}"
    text = f"{done:,} of {formatting.counted(total, noun)} ({formatting.percentage(done, total)})"
    if not done or seconds <= 0:
        return text
    per_second = done / seconds
    return f"{text} · {formatting.rate_text(per_second)} · {formatting.duration_text((total - done) / per_second)} left"
