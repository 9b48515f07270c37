"""The sliding window of one account or domain group: when its letters left, its pace, and how far it was slowed.

The state is one row of float64 cells, so that the same arithmetic works on memory and on a file that several processes
map. Times are kept at several resolutions: level ``i`` holds, for the last 4096 chunks of ``2**i`` letters, when the
last letter of each chunk left. A window of up to 4095 letters is exact; a longer one counts a chunk as old when its
*last* letter is, which errs by less than 1/2000 and only on the safe side.

    cells: [sent, next, last, factor, slowed, base, held, began, born, flushed, promised, 5 spare]
           [4096 times] * 16 levels
"""

from __future__ import annotations

import math
import mmap
from array import array
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, ClassVar, TypeAlias

from campaign.config.units import Ramp, Rate
from campaign.errors import ConfigError

#: `CELLS` numbers of float64, in memory or in a mapped file.
Cells: TypeAlias = "memoryview[float]"

RING = 4096
LEVELS = 16
HEADER = 16
CELLS = HEADER + RING * LEVELS
_MASK = RING - 1

# Positions in the header.
SENT, NEXT, LAST, FACTOR, SLOWED, BASE, HELD, BEGAN, BORN, FLUSHED, PROMISED = range(11)
#: Header positions that hold a time, which must be converted when the state passes to another boot.
TIMES = (NEXT, LAST, SLOWED, HELD, BEGAN, BORN)

DAY = 86400.0


def in_memory(_name: str = "") -> Cells:
    """Private cells in memory; untouched pages cost nothing."""
    return memoryview(mmap.mmap(-1, CELLS * 8)).cast("d")


class SlidingWindow:
    """One account or group of domains. Times are absolute seconds; ``due`` errs only on the safe side."""

    #: The shortest window is paced evenly up to this length: 1000/h goes out one by one, 2000/day as fast as it may.
    PACED_UP_TO: ClassVar[float] = 3600.0
    #: A letter that leaves late by at most this many seconds does not delay the next ones; timers are coarse.
    CATCH_UP: ClassVar[float] = 0.1
    #: After a cut the pace recovers by this share of the full pace, once per `STEP_EVERY` seconds.
    STEP: ClassVar[float] = 0.1
    STEP_EVERY: ClassVar[float] = 30.0
    #: Cuts within this many seconds of the last one are the same event.
    SAME_EVENT: ClassVar[float] = 5.0
    LEAST_FACTOR: ClassVar[float] = 0.01

    def __init__(
        self, cells: Cells, limits: Sequence[Rate], ramp: Ramp | None = None, warmup: Sequence[int] = ()
    ) -> None:
        self.cells = cells
        self._ramp = ramp
        self._warmup = tuple(warmup)
        self.set_limits(limits)

    def set_limits(self, limits: Sequence[Rate]) -> None:
        """Replace the limits; letters already recorded count under the new ones."""
        self.limits = tuple(limits)
        self._windows = tuple(_window(limit) for limit in self.limits)
        self._free = not self.limits and not self._warmup
        shortest = min(self.limits, key=lambda limit: (limit.per, limit.count), default=None)
        self._interval = 1 / shortest.per_second if shortest and shortest.per <= self.PACED_UP_TO else 0.0

    def due(self, now: float) -> float:
        """The time at which the next letter may go; it may go now if that is not after ``now``."""
        cells = self.cells
        plain = not cells[FACTOR] and self._ramp is None
        if plain and self._free:
            return cells[HELD]  # the fast path: asked twice for each letter
        due = cells[NEXT]
        paced = cells[LAST] + (self._interval if plain else self._pace(now))
        due = min(due, paced)
        sent = int(cells[SENT])
        for count, per, level, base in self._windows:
            if sent >= count:
                free = cells[base + (((sent - count) >> level) & _MASK)] + per
                due = max(due, free)
        if self._warmup:
            due = max(due, self._warm(sent, now))
        return max(cells[HELD], due)

    def spend(self, now: float) -> None:
        """Record a letter that leaves now. Written so that a kill half-way errs on the safe side."""
        cells = self.cells
        if now < cells[LAST]:
            now = cells[LAST]
        sent = index = int(cells[SENT])
        at = HEADER
        cells[at + (index & _MASK)] = now
        while index & 1 and at < CELLS - RING:  # the letter also ends a chunk of the next level
            index >>= 1
            at += RING
            cells[at + (index & _MASK)] = now
        if not sent:
            cells[BORN] = now
        if cells[FACTOR] and self._factor(now) >= 1.0:
            cells[FACTOR] = 0.0
        if self._ramp is not None:
            self._begin_ramp(now)
        interval = self._interval if not cells[FACTOR] and self._ramp is None else self._pace(now)
        planned = cells[NEXT]
        cells[NEXT] = (planned if now - planned <= self.CATCH_UP else now) + interval
        cells[LAST] = now
        cells[SENT] = sent + 1

    def held_by(self, now: float) -> tuple[Rate | None, float]:
        """The limit that delays the next letter longest (``None`` for pace, hold or warm-up), and until when."""
        longest: tuple[Rate | None, float] = (None, self.due(now))
        sent = int(self.cells[SENT])
        for limit, (count, per, level, base) in zip(self.limits, self._windows, strict=True):
            if sent >= count:
                free = self.cells[base + (((sent - count) >> level) & _MASK)] + per
                if free > now and free >= longest[1]:
                    longest = (limit, free)
        return longest

    def per_second(self, now: float) -> float:
        """The present pace: as limited, or else as measured over the last ten seconds; 0.0 if neither is known."""
        pace = self._pace(now)
        return 1 / pace if pace else self._seen(now, 10.0)

    def slow(self, now: float, factor: float, base: float) -> tuple[float, float] | None:
        """Multiply the pace by ``factor``; returns (before, after) in letters a second, or ``None`` if just cut."""
        cells = self.cells
        if cells[FACTOR] and now - cells[SLOWED] < self.SAME_EVENT:
            return None
        current = self._factor(now)
        if current >= 1.0:
            cells[BASE] = base or 1.0
        cells[SLOWED] = now
        cells[FACTOR] = max(self.LEAST_FACTOR, current * factor)
        cells[NEXT] = now + self._pace(now)
        return cells[BASE] * current, cells[BASE] * cells[FACTOR]

    def recovery(self) -> str:
        """How the pace recovers, in words."""
        steps = math.ceil((1 - self.cells[FACTOR]) / self.STEP)
        return f"back to {self.cells[BASE]:.3g}/s in {steps} steps of {self.STEP_EVERY:.0f} s"

    def hold(self, until: float) -> None:
        """Let no letter go before ``until``; an earlier, longer hold stays."""
        self.cells[HELD] = max(self.cells[HELD], until)

    def idle(self, now: float) -> bool:
        """True for a window that no longer limits anything."""
        return not self.limits and self._factor(now) >= 1 and self.cells[HELD] <= now

    def shift(self, seconds: float) -> None:
        """Shift every recorded time, when another clock replaces the one they were taken from."""
        cells, sent = self.cells, int(self.cells[SENT])
        for place in TIMES:
            if cells[place] or (sent and place in (NEXT, LAST, BORN)):
                cells[place] += seconds
        for level in range(LEVELS):
            base = HEADER + level * RING
            for at in range(base, base + min(RING, sent >> level)):
                cells[at] += seconds

    def state(self) -> dict[str, list[float] | list[list[float]]]:
        """The used cells as plain lists."""
        sent = int(self.cells[SENT])
        used = [(HEADER + level * RING, min(RING, sent >> level)) for level in range(LEVELS)]
        return {"header": list(self.cells[:HEADER]), "times": [list(self.cells[at : at + n]) for at, n in used if n]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Replace the recorded letters by those of a `state`."""
        self.cells[:HEADER] = array("d", state["header"])
        for level, times in enumerate(state["times"]):
            base = HEADER + level * RING
            self.cells[base : base + len(times)] = array("d", times)

    def _factor(self, now: float) -> float:
        """The share of the full pace allowed now."""
        factor = self.cells[FACTOR]
        if not factor:
            return 1.0
        steps = max(0.0, (now - self.cells[SLOWED]) // self.STEP_EVERY)
        return min(1.0, factor + self.STEP * steps)

    def _pace(self, now: float) -> float:
        """Seconds between two letters now: from the shortest limit, the ramp, and how far the window was slowed."""
        pace, cells = self._interval, self.cells
        if self._ramp is not None:
            begun = cells[BEGAN] and now - cells[LAST] <= self._ramp.over
            pace = max(pace, 1 / self._ramp.per_second(now - cells[BEGAN] if begun else 0.0))
        factor = self._factor(now)
        if factor < 1.0:
            return max(pace, 1 / (cells[BASE] * factor))
        return pace

    def _begin_ramp(self, now: float) -> None:
        """Start the ramp with the first letter, and again after the window was idle for the ramp's length."""
        assert self._ramp is not None  # noqa: S101 - for the type checker; the caller has asked
        if not self.cells[BEGAN] or now - self.cells[LAST] > self._ramp.over:
            self.cells[BEGAN] = now

    def _warm(self, sent: int, now: float) -> float:
        """When today's cap of the warm-up plan lets the next letter go; days count from the first letter ever."""
        day = int((now - self.cells[BORN]) // DAY) if sent else 0
        if day >= len(self._warmup):
            return 0.0
        count, per, level, base = _window(Rate(self._warmup[day], DAY))
        return self.cells[base + (((sent - count) >> level) & _MASK)] + per if sent >= count else 0.0

    def _seen(self, now: float, seconds: float) -> float:
        """Letters a second that left within the last ``seconds``, as far as they are recorded individually."""
        sent, cells = int(self.cells[SENT]), self.cells
        young, old = 0, min(sent, RING)
        while young < old:
            middle = (young + old + 1) // 2
            if now - cells[HEADER + ((sent - middle) & _MASK)] < seconds:
                young = middle
            else:
                old = middle - 1
        return young / seconds


def _window(limit: Rate) -> tuple[int, float, int, int]:
    """A limit as (letters, seconds, level of resolution, where that level begins). 2.5/s is kept as 5 in 2 s."""
    share = Fraction(limit.count).limit_denominator(1000)
    count, per = max(1, share.numerator), limit.per * share.denominator
    level = max(0, math.ceil(math.log2(count / (RING - 1))))
    if level >= LEVELS:
        raise ConfigError(f"The limit {limit} is too large to be kept exactly.", next_step="write it per second")
    return count, per, level, HEADER + level * RING
