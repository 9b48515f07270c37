"""Numbers of a run's recipients by a word each is found by, in twelve octets a word, made in one walk.

A word is a Message-ID, an address, or what a relay called the letter. Only its hash is kept, so whatever is found has
to be looked at: `find` may give a number too many, and never one too few. The hash is seeded anew in each process;
nobody outside can choose words that collide.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable

_ROOM = 3 / 2  #: slots for each word
_SAME = 2  #: numbers that are kept of one word: enough to see that it stands for more than one recipient
_LOWER, _UPPER = 0xFFFFFFFF, 0xFFFFFFFF00000000


class RecipientIndex:
    """An open-addressed table: each slot is a hash's upper half and a number above 0, or 0."""

    def __init__(self, words: Iterable[tuple[str, int]], size: int) -> None:
        """Of ``words``, each with the number of its recipient (below 2**32 - 1), the first ``size`` are kept."""
        self.slots = array("Q", bytes(8)) * (int(size * _ROOM) + 1)
        self._left = size
        for word, number in words:
            if not self._left:
                break
            self._put(word, number)

    def find(self, word: str) -> list[int]:
        """The numbers under this word, at most two, those put in first before others."""
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
