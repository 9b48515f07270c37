"""The relays' response times to the final dot, tallied in constant memory, as percentiles or buckets.

The same tally serves the live metrics of a run and its report, so that a bucket never shrinks between the two.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter

import msgspec

#: Upper bounds of the exported buckets, in seconds.
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, math.inf)
PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
_FINE = 400  # steps of 5 % over nine decades: exact enough for percentiles


class SendTimes(msgspec.Struct):
    """A tally of seconds."""

    steps: Counter[int] = msgspec.field(default_factory=Counter)
    bounds: list[int] = msgspec.field(default_factory=lambda: [0] * len(BOUNDS))
    sum: float = 0.0
    longest: float = 0.0

    def add(self, seconds: float) -> None:
        """Add a letter that took ``seconds`` from its dot to the reply."""
        self.steps[math.floor(math.log10(max(seconds, 1e-6)) * _FINE / 9)] += 1
        self.bounds[bisect_left(BOUNDS, seconds)] += 1
        self.sum += seconds
        self.longest = max(self.longest, seconds)

    def percentiles(self) -> dict[str, float]:
        """``p50``, ``p90``, ``p99`` and ``max`` in seconds; empty if nothing was added."""
        total, seen, found = self.steps.total(), 0, dict[str, float]()
        for step, count in sorted(self.steps.items()):
            seen += count
            for name, share in PERCENTILES.items():
                if name not in found and seen >= share * total:
                    found[name] = min(10 ** ((step + 0.5) * 9 / _FINE), self.longest)
        return {**found, "max": self.longest} if found else {}

    def buckets(self) -> dict[float, int]:
        """How many took at most each of `BOUNDS` and more than the bound before (not cumulative)."""
        return dict(zip(BOUNDS, self.bounds, strict=True))
