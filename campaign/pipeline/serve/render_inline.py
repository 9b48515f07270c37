"""Rendering in the sender's own process, several letters together instead of one between every two socket calls.

What is done once for a portion of letters is the larger part of composing: in portions of 64 or 32 a letter takes about
0.6 of the CPU that it takes in one of 8. But while letters are rendered no reply is read. So only a sender that has
nothing to wait for renders as many as it can; one that waits for distant relays renders fewer, in less time than a
reply takes.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

from campaign.compose.composer import Composer
from campaign.model import Letter, Recipient, Unrenderable


class InARow(NamedTuple):
    """How many letters are rendered in a row at most, and for how many seconds no further one is begun."""

    letters: int
    seconds: float


#: While the sender never waits, and while it waits for relays.
MANY, FEW = InARow(64, 0.04), InARow(32, 0.01)
#: Letters that go through each rendering step together at most; fewer if the latest took long.
PORTION = 64
#: The sender counts as never waiting if rendering took at least this share of the time since it last began.
BUSY = 0.25
#: Octets after which no further letter is begun.
HEAVIEST = 4_000_000


class InlineRenderer:
    """Renders letters together whose recipients were taken together. Belongs to one thread."""

    def __init__(
        self, composer: Composer, date_of: Callable[[int], int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._composer, self._date_of, self._clock = composer, date_of, clock
        self._raw: deque[Recipient] = deque()
        self._done: dict[int, Letter | Unrenderable] = {}
        self._began = self._ended = 0.0
        self._each = MANY.seconds  # seconds that each of the latest letters took: the first is rendered alone

    def recipients(self, source: Iterator[Recipient]) -> Iterator[Recipient]:
        """The recipients of ``source``, in order, taken several at a time."""
        self._done.clear()
        while batch := tuple(islice(source, MANY.letters)):
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

    def _make(self, first: Recipient, most: InARow) -> Letter | Unrenderable:
        """The letter of ``first``, rendered with those that follow, in portions, as time allows."""
        until, octets_left, rest = self._began + most.seconds, HEAVIEST, most.letters
        made: list[Letter | Unrenderable] = []
        recipients = [first, *self._following(first, self._portion(rest, most.seconds) - 1)]
        while recipients:
            letters = self._together(recipients)
            made = made or letters[:1]
            self._done.update((one.number, one) for one in letters if one is not made[0])
            rest -= len(letters)
            octets_left -= sum(len(one.content) for one in letters if isinstance(one, Letter))
            time_left = until - self._clock()
            more = rest > 0 and octets_left > 0 and time_left > 0
            recipients = self._following(first, self._portion(rest, time_left)) if more else []
        return made[0]

    def _portion(self, most: int, seconds: float) -> int:
        """How many letters are rendered together now: as many as take ``seconds`` if they are like the latest."""
        return max(1, min(most, PORTION, int(seconds / max(self._each, 1e-6))))

    def _together(self, recipients: list[Recipient]) -> list[Letter | Unrenderable]:
        began = self._clock()
        letters = self._composer.compose_all([(one, float(self._date_of(one.number))) for one in recipients])
        self._each = (self._clock() - began) / len(letters)
        return letters

    def _following(self, first: Recipient, most: int) -> list[Recipient]:
        found: list[Recipient] = []
        while self._raw and len(found) < most:
            if (one := self._raw.popleft()).number > first.number:
                found.append(one)
        return found
