"""Chance that repeats itself: the few ways in which the sample data picks things."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Chance:
    """A seeded source of choices, equal in every version of Python."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed).random  # noqa: S311 - sample data, not a secret

    def below(self, limit: int) -> int:
        """A whole number from 0 to ``limit`` - 1."""
        return int(self._draw() * limit)

    def pick(self, choices: Sequence[T]) -> T:
        """One of ``choices``, all equally likely."""
        return choices[self.below(len(choices))]

    def happens(self, likelihood: float) -> bool:
        """True in this share of the cases (0 to 1)."""
        return self._draw() < likelihood

    def shuffle(self, things: list[T]) -> None:
        """Puts ``things`` into a random order (Fisher and Yates)."""
        for last in range(len(things) - 1, 0, -1):
            other = self.below(last + 1)
            things[last], things[other] = things[other], things[last]
