"""An index from words to numbers of a run's recipients, in twelve octets a word, built in one pass.

A word is a Message-ID, an address, or a relay's id of the letter. Only its hash is stored, so results must be verified:
`find` may return a wrong number, but misses none. The hash is seeded per process, so collisions cannot be chosen.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable

_ROOM = 3 / 2  #: slots per word
_SAME = 2  #: numbers stored per word: enough to see that it is ambiguous
_LOWER, _UPPER = 0xFFFFFFFF, 0xFFFFFFFF00000000


class RecipientIndex:
    """An open-addressed table: each slot holds the upper half of a hash and a number above 0, or 0."""

    def __init__(self, words: Iterable[tuple[str, int]], size: int) -> None:
        """Stores the first ``size`` of ``words``, each with its recipient's number (below 2**32 - 1)."""
        self.slots = array("Q", bytes(8)) * (int(size * _ROOM) + 1)
        self._left = size
        for word, number in words:
            if not self._left:
                break
            self._put(word, number)

    def find(self, word: str) -> list[int]:
        """The numbers for this word, at most two, in the order of insertion."""
        found = []
        slots, length, mark = self.slots, len(self.slots), hash(word)
        place, upper = mark % length, mark & _UPPER
        while slot := slots[place]:
            if slot & _UPPER == upper:
                found.append((slot & _LOWER) - 1)
            place = place + 1 if place + 1 < length else 0
        return found

    def _put(self, word: str, number: int) -> None:
        slots, length, mark = self.slots, len(self.slots), hash(word)
        place, upper, same = mark % length, mark & _UPPER, 0
        while slot := slots[place]:
            if slot & _UPPER == upper:
                same += 1
                if same == _SAME or slot == upper | number + 1:
                    return
            place = place + 1 if place + 1 < length else 0
        slots[place] = upper | number + 1
        self._left -= 1
