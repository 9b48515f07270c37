"""Is a relay too slow to greet? A median over its last greetings, as arithmetic on an injected clock.

A relay that takes ten seconds to say hello has more to do than it can, and one more letter does not help it. What
follows is `failover`'s business: such a relay is left alone while another can serve, and never given up for it.
"""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass, field

#: Greetings that the median looks back on, and how many there must be: one slow greeting proves nothing.
WINDOW = 9
ENOUGH = 3
#: Seconds a slow relay is left alone at first, and at most; doubled each time it is slow again.
FIRST_REST = 30.0
LONGEST_REST = 600.0


@dataclass(slots=True)
class Greetings:
    """What one relay took to greet, in seconds. ``limit`` 0: nothing is too slow. ``until`` is when it was rested to.

    After a rest a single greeting decides whether another one follows.
    """

    limit: float
    until: float = 0.0
    _seen: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    _rests: int = 0

    def note(self, seconds: float, now: float) -> float:
        """A connection was greeted after ``seconds``. The median, where a rest begins by it; otherwise 0."""
        if not self.limit or now < self.until:
            return 0.0
        self._seen.append(seconds)
        if len(self._seen) < (1 if self._rests else ENOUGH):
            return 0.0
        median = statistics.median(self._seen)
        if median <= self.limit:
            self._rests = 0
            return 0.0
        self.until = now + min(LONGEST_REST, FIRST_REST * 2**self._rests)
        self._rests += 1
        self._seen.clear()
        return median
