"""The elapsed time of a run, robust against a clock that is set.

The journal's records carry POSIX times, and a clock that was ahead, or jumps, must not age a letter by years. So time
is added up from record to record: the step between two of them counts as `LONGEST_GAP` at most, and never as negative.
The process that writes the journal uses a clock that cannot be set.
"""

from __future__ import annotations

from collections.abc import Callable

#: Most seconds counted between two records: a pause between two processes, or a jump.
LONGEST_GAP = 4 * 3600.0
#: Seconds by which a clock has to go back to count as set back: a pass has its date in whole seconds.
SET_BACK = 60.0
#: Seconds by which the records of several senders may be out of order.
OUT_OF_ORDER = 2.0


class RunClock:
    """Adds up the time of one run. Give it each record's time in order.

    ``at`` is the time of the last record. While records are in regular order, setting it is enough.
    """

    def __init__(self, at: float) -> None:
        self.at = at
        self._offset = -at
        self._steady: Callable[[], float] | None = None
        self._zero = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since the run began, as far as they count."""
        return self.at + self._offset if self._steady is None else self._steady() - self._zero

    def tick(self, at: float) -> bool:
        """Record that the clock reads ``at``; returns whether it was set back meanwhile.

        The records of several senders are a little out of order, so a small step back is no step.
        """
        step = at - self.at
        if -OUT_OF_ORDER <= step < 0:
            return False
        self.at = at
        self._offset -= step - min(max(step, 0.0), LONGEST_GAP)
        return step < -SET_BACK

    def go_by(self, steady: Callable[[], float]) -> None:
        """Measure time by ``steady`` from now on, as this process now writes the records."""
        self._zero = steady() - self.elapsed
        self._steady = steady

    def snapshot(self) -> RunClock:
        """A copy for another process, whose time stands still until `go_by`."""
        copy = RunClock(self.at)
        copy._offset = self.elapsed - self.at
        return copy
