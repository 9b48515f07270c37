"""The recipients of one sweep that have no slot yet: fresh, put back after a break, or waiting for their domain.

Fair over domains: a recipient whose domain may not be served now is set aside, within a bound, and the next one
goes ahead. Only recipients wait here, never letters. When a domain may be served is somebody else's arithmetic.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from campaign.model import Letter, Recipient

#: Recipients set aside at most because their domain waits; beyond it the sweep waits with them.
LOOK_AHEAD = 1000
#: How soon a domain is looked at again that has as many letters drawn as it may.
AGAIN = 0.05

Wait = Callable[[str], float]


@dataclass(eq=False, slots=True)
class Errand:
    """One recipient under way: its letter once composed, and how often a connection broke under it."""

    recipient: Recipient
    domain: str
    breaks: int = 0
    letter: Letter | None = None
    ready: bool = False
    composing: Any = None
    account: Any = None
    set_aside: bool = False
    postponed: float = 0.0


@dataclass(eq=False, slots=True)
class Backlog:
    """What is left to draw. ``recipients`` is asked for one at a time, and only when that one could go."""

    recipients: Iterator[Recipient]
    may_draw: Callable[[str], int]
    longest: float
    look_ahead: int = LOOK_AHEAD
    exhausted: bool = False
    _returned: deque[Errand] = field(default_factory=deque)
    _aside: dict[str, deque[Errand]] = field(default_factory=dict)
    _aside_size: int = 0
    _due: list[tuple[float, str]] = field(default_factory=list)
    _drawn: dict[str, int] = field(default_factory=dict)

    def take(self, now: float, wait: Wait) -> Errand | float | None:
        """The next errand that may go, or the seconds until one may, or ``None`` when nothing is left.

        An errand whose domain waits for more than ``longest`` seconds comes as ``postponed``, for a later pass.
        ``wait(domain)`` says how many seconds that domain has to wait; the empty domain stands for all.
        """
        everybody = wait("")
        if everybody > 0:
            return everybody if self.more() else None
        if self._returned:
            return self._returned.popleft()
        found = self._from_aside(now, wait) if self._due else None
        while found is None and not self.exhausted and self._aside_size < self.look_ahead:
            found = self._fresh(now, wait)
        if found is not None:
            return found
        return max(0.001, self._due[0][0] - now) if self._due else None

    def put_back(self, errand: Errand) -> None:
        """Give an errand another turn in this sweep, before all others."""
        errand.letter, errand.composing, errand.ready, errand.postponed = None, None, False, 0.0
        self.settle(errand)
        self._returned.appendleft(errand)

    def settle(self, errand: Errand) -> None:
        """The errand's turn is spent, or it needs none any more."""
        if errand.set_aside:
            errand.set_aside = False
            self._drawn[errand.domain] -= 1

    def more(self) -> bool:
        """Whether anything may be left to draw."""
        return bool(self._returned or self._aside_size or not self.exhausted)

    def _fresh(self, now: float, wait: Wait) -> Errand | None:
        recipient = next(self.recipients, None)
        if recipient is None:
            self.exhausted = True
            return None
        errand = Errand(recipient, recipient.address.rpartition("@")[2])
        seconds = wait(errand.domain)
        if seconds > self.longest:
            errand.postponed = seconds
            return errand
        if seconds <= 0 and errand.domain not in self._drawn:
            return errand
        if (
            seconds <= 0
            and self._drawn[errand.domain] < self.may_draw(errand.domain)
            and errand.domain not in self._aside
        ):
            return self._mark(errand)
        self._set_aside(errand, now + seconds)
        return None

    def _set_aside(self, errand: Errand, due: float) -> None:
        queue = self._aside.get(errand.domain)
        if queue is None:
            queue = self._aside[errand.domain] = deque()
            self._drawn.setdefault(errand.domain, 0)
            heapq.heappush(self._due, (due, errand.domain))
        queue.append(errand)
        self._aside_size += 1

    def _from_aside(self, now: float, wait: Wait) -> Errand | None:
        while self._due and self._due[0][0] <= now:
            domain = self._due[0][1]
            seconds = wait(domain)
            if seconds <= 0 and self._drawn[domain] >= self.may_draw(domain):
                seconds = AGAIN
            if 0 < seconds <= self.longest:
                heapq.heapreplace(self._due, (now + seconds, domain))
                continue
            errand = self._pop(domain, now)
            errand.postponed = max(0.0, seconds)
            return errand if errand.postponed else self._mark(errand)
        return None

    def _pop(self, domain: str, now: float) -> Errand:
        errand = self._aside[domain].popleft()
        self._aside_size -= 1
        if self._aside[domain]:
            heapq.heapreplace(self._due, (now, domain))
        else:
            del self._aside[domain]
            heapq.heappop(self._due)
        return errand

    def _mark(self, errand: Errand) -> Errand:
        errand.set_aside = True
        self._drawn[errand.domain] += 1
        return errand
