"""Relays by weight: whose turn is it for the next letters? Arithmetic on what each has been given, no clock.

Letters are given out in small portions, one to a connection at a time. A relay that could not be used meanwhile does
not catch up afterwards, or an outage would end in a burst. Which relays can be used is `failover`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: Letters that a connection is given at a time, and by how many a relay may be ahead before connections leave it.
PORTION = 20
SLACK = 20


@dataclass(eq=False, slots=True)
class Portion:
    """What one relay has been given: letters, those of broken connections taken back. ``weight`` is above 0."""

    weight: float
    letters: float = 0.0

    @property
    def level(self) -> float:
        """Letters for each unit of weight: equal for all where the shares are kept."""
        return self.letters / self.weight


def behind(candidates: Sequence[Portion]) -> Portion:
    """Who is given the next portion: the one who would be least ahead with it; the first of equals."""
    return min(candidates, key=lambda one: (one.letters + PORTION) / one.weight)


def ahead(one: Portion, candidates: Sequence[Portion]) -> float:
    """By how many letters ``one`` is ahead of its share of what the candidates, itself among them, have been given."""
    return one.letters - one.weight * sum(each.letters for each in candidates) / sum(each.weight for each in candidates)


def bring_forward(absent: Sequence[Portion], candidates: Sequence[Portion]) -> None:
    """Those who cannot be used now lose their claim to what they miss."""
    level = min(one.level for one in candidates)
    for one in absent:
        one.letters = max(one.letters, one.weight * level)
