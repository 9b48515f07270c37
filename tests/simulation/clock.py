"""The virtual clocks of a simulated machine, in place of those of the module ``time``.

`install` has to run before anything of the product is imported, because some functions take ``time.time`` as a default.
While no world is set, all functions answer as the real ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

#: What the wall clock shows when a world begins (November 2027).
EPOCH = 1_826_000_000.0


@dataclass
class Clock:
    """``true``: seconds since the world began, which nobody can set. All others are derived from it.

    ``slept``: how many of them the machine was suspended, since the world began.
    """

    true: float = 0.0
    booted: float = -30.0
    suspended: float = 0.0
    slept: float = 0.0
    offset: float = 0.0

    def wall(self) -> float:
        """POSIX seconds, as far as the wall clock is right."""
        return EPOCH + self.true + self.offset

    def steady(self) -> float:
        """Seconds since boot, time of suspension excluded."""
        return self.true - self.booted - self.suspended

    @property
    def awake(self) -> float:
        """``true`` without all time of suspension: only then can a process look at anything."""
        return self.true - self.slept

    def since_boot(self) -> float:
        """Seconds since boot, time of suspension included."""
        return self.true - self.booted

    def suspend(self, seconds: float) -> None:
        """Let the machine sleep."""
        self.true += seconds
        self.suspended += seconds
        self.slept += seconds

    def boot(self) -> None:
        """Begin to count anew, as after a loss of power."""
        self.booted, self.suspended = self.true - 20.0, 0.0


class _Now:
    clock: Clock | None = None
    wait: Callable[[float], None] | None = None


def run_by(clock: Clock | None, wait: Callable[[float], None] | None = None) -> None:
    """Let this process run by ``clock``; ``wait`` is what sleeping does."""
    _Now.clock, _Now.wait = clock, wait


def install() -> None:
    """Replace the functions of ``time`` for the rest of this process."""
    wall, steady, get, sleep = time.time, time.monotonic, time.clock_gettime, time.sleep

    def clock_gettime(which: int) -> float:
        if _Now.clock is None:
            return get(which)
        if which == time.CLOCK_BOOTTIME:
            return _Now.clock.since_boot()
        return _Now.clock.wall() if which == time.CLOCK_REALTIME else _Now.clock.steady()

    def pause(seconds: float) -> None:
        if _Now.clock is None:
            sleep(seconds)
        elif _Now.wait is not None:
            _Now.wait(seconds)
        else:
            _Now.clock.true += seconds

    time.time = lambda: wall() if _Now.clock is None else _Now.clock.wall()
    time.monotonic = lambda: steady() if _Now.clock is None else _Now.clock.steady()
    time.clock_gettime, time.sleep = clock_gettime, pause
