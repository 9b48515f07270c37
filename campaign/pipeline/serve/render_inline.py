"""Rendering in the sender's own process, several letters in a row instead of one between every two socket calls.

The code and data for composing fill a processor's cache; fetching them again for each letter costs more than the
letter. But while letters are rendered no reply is read. So only a sender that has nothing to wait for renders many of
them in a row; one that waits for distant relays renders few, in less time than a reply takes. Measured on the reference
message of `benchmarks`, everything included: 255 us of CPU a letter in portions, 289 one by one in a row.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice

from campaign.compose.composer import Composer
from campaign.model import Letter, Recipient, Unrenderable

#: Letters rendered ahead at most: while the sender never waits, and while it waits for relays.
MANY, FEW = 64, 8
#: Letters that go through each rendering step together at most; fewer if the first took long.
PORTION = 64
#: The sender counts as never waiting if rendering took at least this share of the time since it last began.
BUSY = 0.25
#: Seconds, and octets, after which no further letter is begun, as connections wait meanwhile.
LONGEST, HEAVIEST = 0.01, 4_000_000


class InlineRenderer:
    """Renders letters together whose recipients were taken together. Belongs to one thread."""

    def __init__(
        self, composer: Composer, date_of: Callable[[int], int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._composer, self._date_of, self._clock = composer, date_of, clock
        self._raw: deque[Recipient] = deque()
        self._done: dict[int, Letter | Unrenderable] = {}
        self._began = self._ended = 0.0

    def recipients(self, source: Iterator[Recipient]) -> Iterator[Recipient]:
        """The recipients of ``source``, in order, taken several at a time."""
        self._done.clear()
        while batch := tuple(islice(source, MANY)):
            self._raw = deque(batch)
            yield from batch

    def compose(self, recipient: Recipient) -> Letter | Unrenderable:
        """The letter of ``recipient``, rendered ahead, or else now together with some of those that follow it."""
        made = self._done.pop(recipient.number, None)
        if made is None:
            now = self._clock()
            busy = self._ended - self._began >= BUSY * (now - self._began)
            self._began = now
            made = self._make(recipient, MANY if busy else FEW)
            self._ended = self._clock()
        return made

    def _make(self, first: Recipient, most: int) -> Letter | Unrenderable:
        """The letter of ``first``; up to ``most`` that follow are rendered with it, in portions, as time allows."""
        made, until, octets_left = self._together([first])[0], self._began + LONGEST, HEAVIEST
        portion = largest = min(PORTION, int(LONGEST / max(self._clock() - self._began, 1e-6)))
        while portion and octets_left > 0 and self._clock() < until:
            letters = self._together(self._following(first, min(largest, most - len(self._done))))
            self._done.update((one.number, one) for one in letters)
            octets_left -= sum(len(one.content) for one in letters if isinstance(one, Letter))
            portion = len(letters)
        return made

    def _together(self, recipients: list[Recipient]) -> list[Letter | Unrenderable]:
        return self._composer.compose_all([(one, float(self._date_of(one.number))) for one in recipients])

    def _following(self, first: Recipient, most: int) -> list[Recipient]:
        found: list[Recipient] = []
        while self._raw and len(found) < most:
            if (one := self._raw.popleft()).number > first.number:
                found.append(one)
        return found
