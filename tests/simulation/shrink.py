"""A failing seed with as few faults as possible: delta debugging over the drawn list."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from tests.simulation.simulate import Result, simulate

#: Replays, at most.
MOST = 60


def shrink(first: Result, again: Callable[[int, Sequence[int]], Result] = simulate) -> Result:
    """The same seed with the fewest faults with which the same promise is broken."""
    everything = [one.number for one in first.faults]
    best, kept, parts, replays = first, everything, 2, 0
    while len(kept) > 0 and replays < MOST:
        size = max(1, len(kept) // parts)
        for start in range(0, len(kept), size):
            left = kept[:start] + kept[start + size :]
            replays += 1
            found = again(first.seed, [one for one in everything if one not in left])
            if found.broken and kind(found) == kind(first):
                best, kept, parts = found, left, max(2, parts - 1)
                break
        else:
            if size == 1:
                break
            parts = min(len(kept), parts * 2)
    return best


def kind(result: Result) -> str:
    """Which promise was broken first, without names and numbers."""
    return re.sub(r"\S*\d\S*", "#", result.broken[0].splitlines()[0])[:60] if result.broken else ""
