"""Admission of recipients to connections, by the throttle, the backlog, and stop and pause requests.

An item is taken when its content may leave within `LEAD` seconds, so that its envelope travels before its turn comes.
The turn itself is taken when the content leaves. One waiter per account watches the clock; the others queue behind it.
The module sends no letter and uses nothing of a relay but its account's throttle.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

from campaign.delivery.pacing.domain_reopening import Reopening
from campaign.delivery.pacing.sliding_window import SlidingWindow
from campaign.delivery.pacing.throttle import Throttle
from campaign.delivery.queue.backlog import Backlog, QueueItem

#: Seconds before its turn that a recipient may be taken, besides the relay's time to answer an envelope. A longer lead
#: would keep letters waiting in connections that could carry others; a shorter one would waste turns.
LEAD = 0.02
#: Longest answer to an envelope that enters that average (seconds).
SLOWEST = 1.0
#: A letter whose turn is further away than this (seconds) does not hold a connection in DATA.
PATIENCE = 20.0
#: Longest nap (seconds), so that stop and pause are noticed.
NAP = 0.25
#: A limit that holds up all letters for longer than this is reported (seconds).
TOLD_AFTER = 5.0


class TurnTooFar(Exception):  # noqa: N818 - nothing is wrong
    """The letter's turn is too far away, or the run is paused: put the letter back, and count no failure."""


class RelayAccount:
    """One relay account: its throttle, and how many items were taken whose content has not left yet."""

    def __init__(self, throttle: Throttle) -> None:
        self.throttle = throttle
        self.reopening = Reopening()
        self.drawn = 0
        #: Workers that wait for an item of this account; one of them watches the clock, the others queue behind it.
        self.idle = 0
        self.line = asyncio.Lock()
        #: Called with the seconds of a long wait for a limit. Returns 0 if another account serves, else how long none
        #: can.
        self.stuck: Callable[[float], float] = lambda seconds: seconds
        #: Average seconds the relay recently took to answer envelopes.
        self.answering = 0.0

    def hold(self, domain: str, now: float, seconds: float) -> str:
        """Hold ``domain`` and its group for ``seconds``, then reopen them gradually. Returns a sentence for the log."""
        self.reopening.held(self.throttle.group(domain), now + seconds)
        return self.throttle.hold(domain, now, seconds) + ", then one letter at a time, and slowly more"

    def answered(self, seconds: float) -> None:
        """Record that an envelope was answered after ``seconds``."""
        seconds = min(seconds, SLOWEST)
        self.answering = self.answering * 0.9 + seconds * 0.1 if self.answering else seconds

    def wait(self, now: float) -> float:
        """Seconds until a letter to any domain may be taken, 0 or less for now."""
        lead = self.lead()
        if self.drawn and self.throttle.limits and self.drawn >= self._turns_in(lead):
            return NAP  # a turn taken rings the bell sooner
        return self.throttle.wait("", now) - lead

    def limit_wait(self, now: float, wall: float) -> str:
        """The limit that holds up all letters, and until when; empty if none does. ``wall`` is POSIX seconds now."""
        _, limit, seconds = self.throttle.held_by("", now)
        if limit is None or seconds < TOLD_AFTER:
            return ""
        return f"waiting for the limit of {limit} until {time.strftime('%H:%M:%S', time.localtime(wall + seconds))}"

    def lead(self) -> float:
        """Seconds before its turn that a letter may be taken."""
        return LEAD + 1.5 * self.answering

    def _turns_in(self, seconds: float) -> float:
        """The number of turns in so many seconds, at least one."""
        paced = [one.per_second for one in self.throttle.limits if one.per <= SlidingWindow.PACED_UP_TO]
        return max(1, min(paced) * seconds) if paced else math.inf


class Admission:
    """Hands out items. ``closed``: no more are handed out. ``paused``: none for the time being."""

    def __init__(self, backlog: Backlog, clock: Callable[[], float], limit_wait: float) -> None:
        self.backlog = backlog
        self.closed = False
        self.paused = False
        self.idle = 0
        #: Seconds that a limit holds up all letters, once that exceeds the longest acceptable wait.
        self.stuck = 0.0
        self._clock = clock
        self._limit_wait = limit_wait
        self._bells: set[asyncio.Future[None]] = set()
        self._under_way: set[QueueItem] = set()

    def draw_now(self, account: RelayAccount) -> QueueItem | float | None:
        """An item, the seconds until there may be one, or ``None`` if this admission has no more."""
        if self.closed:
            return None
        if self.paused:
            return NAP
        now = self._clock()
        account_wait = account.wait(now)
        if account_wait > 0:
            return account_wait if self.backlog.more() else None

        def beyond(domain: str) -> float:
            seconds = account.throttle.wait(domain, now) - account.lead()
            return seconds if seconds > 0 and seconds > account_wait else self._crowded(account, domain, now)

        by_domain = account.throttle.by_domain or account.reopening
        found = self.backlog.take(now, beyond if by_domain else _none)
        if isinstance(found, QueueItem):
            found.account = account
            account.drawn += 1
            self._under_way.add(found)
        return found

    def _crowded(self, account: RelayAccount, domain: str, now: float) -> float:
        """Seconds to wait because as many letters to the domain are under way as may be, shortly after a hold."""
        group = account.throttle.group(domain)
        most = account.reopening.most(group, now) if account.reopening else None
        if most is None:
            return 0.0
        return NAP if sum(one.group == group for one in self._under_way) >= most else 0.0

    async def draw(self, account: RelayAccount, dismissed: Callable[[], bool] = lambda: False) -> QueueItem | None:
        """Wait for the next item; ``None`` if there will be none, or ``dismissed`` returns true."""
        found = self.draw_now(account) if not account.line.locked() else 0.0
        if not isinstance(found, float):
            return found
        self.idle += 1
        account.idle += 1
        try:
            async with account.line:
                while isinstance(found := None if dismissed() else self.draw_now(account), float):
                    if found > self._limit_wait:
                        found = account.stuck(found)
                        if not found:
                            return None
                        self.stuck, self.closed = found, True
                    await self._nap(found)
                return found
        finally:
            self.idle -= 1
            account.idle -= 1

    def take_turn(self, item: QueueItem) -> bool:
        """Take the item's turn if it has come."""
        account: RelayAccount = item.account
        if self.paused or account.throttle.take(item.domain, self._clock()):
            return False
        self.release(item)
        return True

    async def turn(self, item: QueueItem) -> None:
        """Wait until the content may leave, and take the turn. Raises TurnTooFar."""
        while not self.take_turn(item):
            wait = item.account.throttle.wait(item.domain, self._clock())
            if self.closed or self.paused or wait > PATIENCE:
                raise TurnTooFar
            await asyncio.sleep(min(wait, NAP))

    def release(self, item: QueueItem) -> None:
        """Stop counting the item as taken: it has taken its turn, or needs none."""
        self.backlog.settle(item)
        if item.account is not None:
            item.account.drawn -= 1
            item.account = None
            if self._bells:
                self.ring()

    def end(self, item: QueueItem) -> None:
        """Finish the item: it has its verdict, or will get none."""
        self._under_way.discard(item)
        self.release(item)

    def put_back(self, item: QueueItem) -> None:
        """Return the item to the front of the backlog."""
        self.end(item)
        self.backlog.put_back(item)
        self.ring()

    def close(self) -> None:
        """Hand out no more."""
        self.closed = True
        self.ring()

    def ring(self) -> None:
        """Wake all waiters, to look again after a change."""
        for bell in self._bells:
            _strike(bell)

    async def _nap(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        bell = loop.create_future()
        self._bells.add(bell)
        alarm = loop.call_later(min(seconds, NAP), _strike, bell)
        try:
            await bell
        finally:
            alarm.cancel()
            self._bells.discard(bell)


def _none(_domain: str) -> float:
    """The extra wait of any domain where none has to wait longer than the others."""
    return 0.0


def _strike(bell: asyncio.Future[None]) -> None:
    if not bell.done():
        bell.set_result(None)
