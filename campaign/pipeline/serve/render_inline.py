"""Rendering in the sender's own process, some letters in a row rather than one between every two socket calls.

The code and data that composing needs fill a processor's cache; fetched anew for each letter they cost more than the
letter. But while letters are made no reply is read, so only a sender that has nothing to wait for makes many of them
in a row; one that waits for relays far away makes few, in less time than a reply takes. Measured on the reference
message of `benchmarks`, all told: 255 us of CPU a letter in portions, 289 one by one in a row.
Rendering in other processes is `render_pool.py`, which offers the same two verbs.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice

from campaign.compose.composer import Composer
from campaign.model import Letter, Recipient, Unrenderable

#: Letters made ahead at most: where nothing is waited for, and where relays are.
MANY, FEW = 64, 8
#: Letters that take each step of their making together; a slow template holds up so many of them at most.
PORTION = 16
#: Making letters took at least this share of the time since they were begun the last time: nothing is waited for.
BUSY = 0.25
#: Seconds after which no further letter is begun, and octets: connections wait meanwhile.
LONGEST, HEAVIEST = 0.01, 4_000_000


class InlineRenderer:
    """Letters of the recipients that were drawn together are made together. Belongs to one thread."""

    def __init__(
        self, composer: Composer, date_of: Callable[[int], int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._composer, self._date_of, self._clock = composer, date_of, clock
        self._raw: deque[Recipient] = deque()
        self._done: dict[int, Letter | Unrenderable] = {}
        self._began = self._ended = 0.0

    def recipients(self, source: Iterator[Recipient]) -> Iterator[Recipient]:
        """The recipients of ``source``, in order, drawn some at a time."""
        self._done.clear()
        while batch := tuple(islice(source, MANY)):
            self._raw = deque(batch)
            yield from batch

    def compose(self, recipient: Recipient) -> Letter | Unrenderable:
        """The letter made ahead for ``recipient``; made now, with some of those that follow it, where there is none."""
        made = self._done.pop(recipient.number, None)
        if made is None:
            now = self._clock()
            busy = self._ended - self._began >= BUSY * (now - self._began)
            self._began = now
            made = self._make(recipient, MANY if busy else FEW)
            self._ended = self._clock()
        return made

    def _make(self, first: Recipient, most: int) -> Letter | Unrenderable:
        """The letter of ``first``; up to ``most`` that follow are made in the same go, in portions, as time allows."""
        made, until, room, portion = self._together([first])[0], self._began + LONGEST, HEAVIEST, PORTION
        while portion and room > 0 and self._clock() < until:
            letters = self._together(self._following(first, min(PORTION, most - len(self._done))))
            self._done.update((one.number, one) for one in letters)
            room -= sum(len(one.content) for one in letters if isinstance(one, Letter))
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
