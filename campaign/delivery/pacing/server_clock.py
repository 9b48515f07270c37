"""The clock of a server, as far as questions and answers show it. Pure arithmetic; local times are the caller's.

The server read its clock between the question and the answer, so each answer bounds the difference of the two clocks.
Whoever acts after the latest, and before the earliest, that a time of the server can be here, is never wrong about it,
however slow the answers and however wrong the clocks are.
"""

from __future__ import annotations

import math

#: Seconds that two clocks may drift apart in a second.
DRIFT = 0.0005


class ServerClock:
    """What is known of a server's clock: it shows between ``low`` and ``high`` more than ours."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew: the next answer may come from another machine."""
        self.low, self.high, self._seen, self.round_trip = -math.inf, math.inf, 0.0, 0.0

    def observe(self, asked: float, answered: float, shown: float) -> None:
        """An answer came: the server's clock showed ``shown`` at some time from ``asked`` to ``answered``."""
        drift = DRIFT * max(0.0, answered - self._seen)
        known = max(self.low - drift, shown - answered), min(self.high + drift, shown - asked)
        if known[0] > known[1]:  # the server's clock was set
            known = shown - answered, shown - asked
        self.low, self.high = known
        self._seen = answered
        self.round_trip = max(answered - asked, self.round_trip * 0.8)

    @property
    def doubt(self) -> float:
        """Seconds between the earliest and the latest that a time of the server can be here."""
        return self.high - self.low

    def surely_from(self, shown: float) -> float:
        """The local time from which the server's clock certainly shows ``shown`` or more."""
        return shown - self.low

    def surely_until(self, shown: float) -> float:
        """The local time until which it certainly shows less than ``shown``."""
        return shown - self.high
