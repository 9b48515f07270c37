"""The recipients of one pass that have no slot yet: fresh, put back after a break, or waiting for their domain.

Fair over domains: a recipient whose domain may not be served now is set aside, within a bound, and the next one goes
ahead. Only recipients wait here, never letters. The caller computes when a domain may be served.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from campaign.model import Letter, Recipient

#: Most recipients set aside because their domain waits; beyond it the pass waits with them.
LOOK_AHEAD = 1000
#: Seconds between letters taken for a domain that was slowed and has no limit of its own.
SLOWED = 0.5

Wait = Callable[[str], float]


class QueueItem(msgspec.Struct, eq=False):
    """One recipient under way: its letter once composed, and how often a connection broke during its attempt.

    ``data`` is the letter as it goes over the stream, once its content was checked for that. ``group`` is the group its
    domain counts in. ``counted``: it counts among the items taken of a limited group. ``postponed``: seconds its domain
    has to wait, if that is too long for this pass.
    """

    recipient: Recipient
    domain: str
    group: str
    breaks: int = 0
    letter: Letter | None = None
    data: bytes | None = None
    composing: Any = None
    account: Any = None
    counted: bool = False
    postponed: float = 0.0


class Backlog(msgspec.Struct, eq=False):
    """The recipients left to take. ``recipients`` is advanced one at a time, and only when that one could go.

    ``intervals`` are the seconds between letters of each limited group, ``groups`` the group of a domain. A domain that
    waits for more than ``longest`` seconds waits for a later pass.
    """

    recipients: Iterator[Recipient]
    longest: float
    intervals: Mapping[str, float] = msgspec.field(default_factory=dict)
    groups: Mapping[str, str] = msgspec.field(default_factory=dict)
    look_ahead: int = LOOK_AHEAD
    exhausted: bool = False
    _returned: deque[QueueItem] = msgspec.field(default_factory=deque)
    _aside: dict[str, deque[QueueItem]] = msgspec.field(default_factory=dict)
    _aside_size: int = 0
    _due: list[tuple[float, str]] = msgspec.field(default_factory=list)
    _drawn: dict[str, int] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        self._drawn = dict.fromkeys(self.intervals, 0)

    def take(self, now: float, wait: Wait) -> QueueItem | float | None:
        """The next item that may go, the seconds until one may, or ``None`` if nothing is left.

        ``wait(domain)`` returns how many seconds that domain has to wait beyond all others. An item may come as
        ``postponed``.
        """
        found = self._from_aside(now, wait) if self._due else None
        while found is None and self._aside_size < self.look_ahead:
            item = self._returned.popleft() if self._returned else self._fresh()
            if item is None:
                break
            found = self._consider(item, now, wait)
        if found is not None:
            return found
        return max(0.001, self._due[0][0] - now) if self._due else None

    def put_back(self, item: QueueItem) -> None:
        """Return an item to the front, to be tried again in this pass."""
        item.letter, item.composing, item.data, item.postponed = None, None, None, 0.0
        self.settle(item)
        self._returned.appendleft(item)

    def settle(self, item: QueueItem) -> None:
        """Stop counting the item: its turn is taken, or it needs none any more."""
        if item.counted:
            item.counted = False
            self._drawn[item.group] -= 1

    def more(self) -> bool:
        """Whether anything may be left to take."""
        return bool(self._returned or self._aside_size or not self.exhausted)

    def _fresh(self) -> QueueItem | None:
        recipient = None if self.exhausted else next(self.recipients, None)
        if recipient is None:
            self.exhausted = True
            return None
        domain = recipient.address.rpartition("@")[2]
        return QueueItem(recipient, domain, self.groups.get(domain, domain))

    def _consider(self, item: QueueItem, now: float, wait: Wait) -> QueueItem | None:
        group = item.group
        queue = self._aside.get(group)
        if queue is None:
            seconds = self._seconds(group, item.domain, wait)
            if seconds <= 0 or seconds > self.longest:
                return self._hand_out(item, seconds)
            queue = self._aside[group] = deque()
            self._drawn.setdefault(group, 0)
            heapq.heappush(self._due, (now + seconds, group))
        queue.append(item)
        self._aside_size += 1
        return None

    def _from_aside(self, now: float, wait: Wait) -> QueueItem | None:
        while self._due and self._due[0][0] <= now:
            group = self._due[0][1]
            seconds = self._seconds(group, self._aside[group][0].domain, wait)
            later = now + seconds  # which may be rounded to now; then it may go
            if now < later and seconds <= self.longest:
                heapq.heapreplace(self._due, (later, group))
                continue
            item = self._aside[group].popleft()
            self._aside_size -= 1
            if self._aside[group]:
                heapq.heapreplace(self._due, (now, group))
            else:
                del self._aside[group]
                heapq.heappop(self._due)
            return self._hand_out(item, seconds)
        return None

    def _seconds(self, group: str, domain: str, wait: Wait) -> float:
        """Seconds a group has to wait, counting the items taken that have not left yet."""
        drawn = self._drawn.get(group, 0)
        return wait(domain) + (drawn * self.intervals.get(group, SLOWED) if drawn else 0.0)

    def _hand_out(self, item: QueueItem, seconds: float) -> QueueItem:
        if seconds > self.longest:
            item.postponed = seconds
        elif item.group in self._drawn:
            item.counted = True
            self._drawn[item.group] += 1
        return item
