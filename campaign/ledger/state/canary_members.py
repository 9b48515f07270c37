"""Who goes first in a canary: so many recipients, spread evenly over the plan. It follows from the two sizes alone."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec


class CanaryMembers(msgspec.Struct, frozen=True):
    """The ``size`` of so many ``recipients`` who go first; nobody does if it is 0."""

    size: int
    recipients: int

    def includes(self, number: int) -> bool:
        """Whether this recipient goes first: every ``recipients / size``-th does."""
        return bool(self.size) and (number * self.size) % self.recipients < self.size

    def numbers(self, first: int = 0, beyond: int | None = None) -> Iterator[int]:
        """The numbers of all who go first, ascending; only those from ``first`` up to ``beyond``."""
        beyond = self.recipients if beyond is None else beyond
        if not self.size:
            return
        for one in range((first - 1) * self.size // self.recipients + 1, self.size):
            number = -(-one * self.recipients // self.size)
            if number >= beyond:
                return
            yield number
