"""Distribution of letters over relays by weight, from the number given to each; no clock is involved.

Letters are given out in small portions, one to a connection at a time. A relay that could not be used meanwhile does
not catch up afterwards, or an outage would end in a burst. `failover` decides which relays can be used.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

#: Letters given to a connection at a time, and how far a relay may be ahead before connections leave it.
PORTION = 20
SLACK = 20


class Portion(msgspec.Struct, eq=False):
    """The letters given to one relay, less those taken back from broken connections. ``weight`` is above 0."""

    weight: float
    letters: float = 0.0

    @property
    def level(self) -> float:
        """Letters for each unit of weight: equal for all if the shares are kept."""
        return self.letters / self.weight


def behind(candidates: Sequence[Portion]) -> Portion:
    """The relay that gets the next portion: the one least ahead with it; the first of equals."""
    return min(candidates, key=lambda one: (one.letters + PORTION) / one.weight)


def ahead(one: Portion, candidates: Sequence[Portion]) -> float:
    """How many letters ``one`` is ahead of its share of what the candidates, itself included, have been given."""
    return one.letters - one.weight * sum(each.letters for each in candidates) / sum(each.weight for each in candidates)


def bring_forward(absent: Sequence[Portion], candidates: Sequence[Portion]) -> None:
    """Relays that cannot be used now lose their claim to what they miss."""
    level = min(one.level for one in candidates)
    for one in absent:
        one.letters = max(one.letters, one.weight * level)
