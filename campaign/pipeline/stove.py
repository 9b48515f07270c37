"""Rendering in the sender's own process, a few letters in a row rather than one between every two socket calls.

The code and data that composing needs fill a processor's cache; fetched anew for each letter they cost more than the
letter. Measured on the reference message of `benchmarks`: 398 us of CPU a letter all told, against 486. Rendering in
other processes is `kitchen.py`, which offers the same two verbs.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice

from campaign.compose.composer import Composer
from campaign.model import Letter, Recipient, Unrenderable

#: Letters made ahead at most, and the seconds after which no further one is begun: connections wait meanwhile.
AHEAD, LONGEST = 32, 0.01


class Stove:
    """Letters of the recipients that were drawn together are made together. Belongs to one thread."""

    def __init__(
        self, composer: Composer, date_of: Callable[[int], int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._composer, self._date_of, self._clock = composer, date_of, clock
        self._raw: deque[Recipient] = deque()
        self._done: dict[int, Letter | Unrenderable] = {}

    def recipients(self, source: Iterator[Recipient]) -> Iterator[Recipient]:
        """The recipients of ``source``, in order, drawn some at a time."""
        self._done.clear()
        while batch := tuple(islice(source, AHEAD)):
            self._raw = deque(batch)
            yield from batch

    def compose(self, recipient: Recipient) -> Letter | Unrenderable:
        """The letter made ahead for ``recipient``; made now, with some of those that follow it, where there is none."""
        made = self._done.pop(recipient.number, None)
        if made is None:
            made = self._make(recipient)
            self._make_ahead(recipient)
        return made

    def _make(self, recipient: Recipient) -> Letter | Unrenderable:
        return self._composer.compose(recipient, float(self._date_of(recipient.number)))

    def _make_ahead(self, first: Recipient) -> None:
        raw, done, until = self._raw, self._done, self._clock() + LONGEST
        while raw and len(done) < AHEAD and self._clock() < until:
            following = raw.popleft()
            if following.number > first.number:
                done[following.number] = self._make(following)
