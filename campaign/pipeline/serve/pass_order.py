"""What one pass is over, and how many letters the command may still send."""

from __future__ import annotations

from collections.abc import Callable

import msgspec


class PassOrder(msgspec.Struct, frozen=True):
    """Of those who are due, a pass serves whom it ``includes``, by number. ``few``: these are few of many."""

    includes: Callable[[int], bool]
    few: bool


class Allowance:
    """How many letters this command may still send (``--limit``); ``left`` is -1 if there is no limit."""

    def __init__(self, limit: int | None) -> None:
        self.left = -1 if limit is None else limit

    def spend(self, letters: int) -> None:
        """Count recipients as taken."""
        if self.left > 0:
            self.left -= letters

    def refund(self, letters: int = 1) -> None:
        """Count recipients as not taken after all."""
        if self.left >= 0:
            self.left += letters
