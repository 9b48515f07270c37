"""Detection of slow relays, from medians over their last greetings and their last answers to the final dot.

A relay that takes ten seconds to greet is overloaded, and one more letter does not help it; one that takes long to
answer each letter holds up a connection meanwhile. `failover` acts on it: such a relay is paused while another can
serve, and never given up for slowness. Arithmetic on an injected clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import msgspec

#: Seconds a slow relay is paused at first, and at most; doubled each time it is slow again.
FIRST_REST = 30.0
LONGEST_REST = 600.0
#: Greetings in the median, at most and at least: one slow greeting proves nothing.
WINDOW = 9
ENOUGH = 3
#: The same for answers to the final dot. Many arrive in a second, so they must be slow for `DOT_SECONDS` as well.
DOT_WINDOW = 25
DOT_ENOUGH = 9
DOT_SECONDS = 10.0


class Median(msgspec.Struct):
    """One relay's response times of one kind, in seconds. ``until`` is the end of its latest rest.

    A rest begins with one more slow time once the median of the last ``window``, ``enough`` at least, was above
    ``limit`` for ``lasting`` seconds. After a rest, ``again`` times decide whether another one follows.
    """

    limit: float
    window: int
    enough: int
    again: int
    lasting: float = 0.0
    until: float = 0.0
    _seen: deque[float] = msgspec.field(default_factory=deque)
    _slow_since: float | None = None
    _rests: int = 0

    def note(self, seconds: float, now: float) -> float:
        """Record another response time. Returns the median if a rest begins with it; otherwise 0."""
        self._seen.append(seconds)
        if len(self._seen) > self.window:
            self._seen.popleft()
        if len(self._seen) < (self.again if self._rests else self.enough):
            return 0.0
        from statistics import median as middle_of  # when a relay has answered often enough

        median = middle_of(self._seen)
        if median <= self.limit:
            self._rests, self._slow_since = 0, None
            return 0.0
        if self._slow_since is None:
            self._slow_since = now
        lasts = self._rests > 0 or now - self._slow_since >= self.lasting
        if seconds <= self.limit or not lasts:
            return 0.0
        self.until = now + min(LONGEST_REST, FIRST_REST * 2**self._rests)
        self._rests, self._slow_since = self._rests + 1, None
        self._seen.clear()
        return median


@dataclass(slots=True)
class Slowness:
    """How slow one relay is. ``limit`` 0: nothing is too slow. Times measured during a rest do not count."""

    limit: float
    _greetings: Median = field(init=False)
    _dots: Median = field(init=False)

    def __post_init__(self) -> None:
        self._greetings = Median(self.limit, WINDOW, ENOUGH, again=1)
        self._dots = Median(self.limit, DOT_WINDOW, DOT_ENOUGH, again=DOT_ENOUGH, lasting=DOT_SECONDS)

    @property
    def until(self) -> float:
        """The end of its latest rest."""
        return max(self._greetings.until, self._dots.until)

    def greeted(self, seconds: float, now: float) -> float:
        """Record a greeting after ``seconds``. Returns the median if a rest begins with it; otherwise 0."""
        return self._greetings.note(seconds, now) if self.limit and now >= self.until else 0.0

    def answered(self, seconds: float, now: float) -> float:
        """The same for an answer to a final dot."""
        return self._dots.note(seconds, now) if self.limit and now >= self.until else 0.0
