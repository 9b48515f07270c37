"""Where connections wait for their next item: the throttle, the backlog and stop signs in one place.

An item is drawn when its content may leave within `LEAD`, so that its envelope travels while its turn comes;
the turn itself is taken, exactly, when the content leaves. One waiter of each account watches the clock, its others
queue behind it. The module moves no letter and knows no relay but its account's throttle.
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

#: Seconds before its turn that a recipient may be drawn, besides what the relay takes to answer an envelope. Longer
#: would have letters wait in connections that could carry others; shorter would waste turns.
LEAD = 0.02
#: Longest answer to an envelope that counts for that (seconds).
SLOWEST = 1.0
#: A letter whose turn is further away than this does not hold a connection in DATA.
PATIENCE = 20.0
#: Longest nap, so that stop and pause are noticed.
NAP = 0.25
#: A limit that holds everybody up for longer than this is told (seconds).
TOLD_AFTER = 5.0


class TurnTooFar(Exception):  # noqa: N818 - nothing is wrong
    """The letter's turn is too far away, or the run pauses: it is put back, and nobody is to blame."""


class RelayAccount:
    """One relay account: its throttle, and how many letters are drawn whose content has not left yet."""

    def __init__(self, throttle: Throttle) -> None:
        self.throttle = throttle
        self.reopening = Reopening()
        self.drawn = 0
        #: Workers that wait for an item of this account; one of them watches the clock, the others queue behind it.
        self.idle = 0
        self.line = asyncio.Lock()
        #: Told of a limit that holds for long (seconds): 0 where another account serves, else how long none can.
        self.stuck: Callable[[float], float] = lambda seconds: seconds
        #: Seconds the relay took to answer envelopes lately.
        self.answering = 0.0

    def hold(self, domain: str, now: float, seconds: float) -> str:
        """Nothing to ``domain`` and its group for so long, and little at first after it. A sentence for the log."""
        self.reopening.held(self.throttle.group(domain), now + seconds)
        return self.throttle.hold(domain, now, seconds) + ", then one letter at a time, and slowly more"

    def answered(self, seconds: float) -> None:
        """An envelope was answered after ``seconds``."""
        seconds = min(seconds, SLOWEST)
        self.answering = self.answering * 0.9 + seconds * 0.1 if self.answering else seconds

    def wait(self, now: float) -> float:
        """Seconds until a letter to anybody may be drawn, 0 or less for now."""
        lead = self.lead()
        if self.drawn and self.throttle.limits and self.drawn >= self._turns_in(lead):
            return NAP  # a turn taken rings the bell sooner
        return self.throttle.wait("", now) - lead

    def limit_wait(self, now: float, wall: float) -> str:
        """Which limit holds everybody up and until when (``wall`` is POSIX seconds now); empty where none does."""
        _, limit, seconds = self.throttle.held_by("", now)
        if limit is None or seconds < TOLD_AFTER:
            return ""
        return f"waiting for the limit of {limit} until {time.strftime('%H:%M:%S', time.localtime(wall + seconds))}"

    def lead(self) -> float:
        """Seconds before its turn that a letter may be drawn."""
        return LEAD + 1.5 * self.answering

    def _turns_in(self, seconds: float) -> float:
        """How many turns come up in so many seconds, at least one."""
        paced = [one.per_second for one in self.throttle.limits if one.per <= SlidingWindow.PACED_UP_TO]
        return max(1, min(paced) * seconds) if paced else math.inf


class Admission:
    """Hands out items. ``closed``: no more are handed out. ``paused``: none for the time being."""

    def __init__(self, backlog: Backlog, clock: Callable[[], float], limit_wait: float) -> None:
        self.backlog = backlog
        self.closed = False
        self.paused = False
        self.idle = 0
        #: Seconds a limit holds everything up, once it is longer than anybody should wait for.
        self.stuck = 0.0
        self._clock = clock
        self._limit_wait = limit_wait
        self._bells: set[asyncio.Future[None]] = set()
        self._under_way: set[QueueItem] = set()

    def draw_now(self, account: RelayAccount) -> QueueItem | float | None:
        """An item, or the seconds until there may be one, or ``None`` when this admission has no more."""
        if self.closed:
            return None
        if self.paused:
            return NAP
        now = self._clock()
        everybody = account.wait(now)
        if everybody > 0:
            return everybody if self.backlog.more() else None

        def beyond(domain: str) -> float:
            seconds = account.throttle.wait(domain, now) - account.lead()
            return seconds if seconds > 0 and seconds > everybody else self._crowded(account, domain, now)

        by_domain = account.throttle.by_domain or account.reopening
        found = self.backlog.take(now, beyond if by_domain else _none)
        if isinstance(found, QueueItem):
            found.account = account
            account.drawn += 1
            self._under_way.add(found)
        return found

    def _crowded(self, account: RelayAccount, domain: str, now: float) -> float:
        """Seconds to wait because as many letters are under way to a domain as may be, shortly after a hold."""
        group = account.throttle.group(domain)
        most = account.reopening.most(group, now) if account.reopening else None
        if most is None:
            return 0.0
        return NAP if sum(one.group == group for one in self._under_way) >= most else 0.0

    async def draw(self, account: RelayAccount, dismissed: Callable[[], bool] = lambda: False) -> QueueItem | None:
        """Wait for the next item; ``None`` when there will be none, or when ``dismissed`` says so."""
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
        """Return when the content may leave, the turn taken. Raises TurnTooFar."""
        while not self.take_turn(item):
            wait = item.account.throttle.wait(item.domain, self._clock())
            if self.closed or self.paused or wait > PATIENCE:
                raise TurnTooFar
            await asyncio.sleep(min(wait, NAP))

    def release(self, item: QueueItem) -> None:
        """The item holds no place among the drawn any more: its turn is taken or it needs none."""
        self.backlog.settle(item)
        if item.account is not None:
            item.account.drawn -= 1
            item.account = None
            if self._bells:
                self.ring()

    def end(self, item: QueueItem) -> None:
        """The item is over: it has its verdict, or it will get none."""
        self._under_way.discard(item)
        self.release(item)

    def put_back(self, item: QueueItem) -> None:
        """The item goes back to be drawn again, before all others."""
        self.end(item)
        self.backlog.put_back(item)
        self.ring()

    def close(self) -> None:
        """Hand out no more."""
        self.closed = True
        self.ring()

    def ring(self) -> None:
        """Something changed: whoever waits should look again."""
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
    """Seconds that any domain has to wait beyond the others."""
    return 0.0


def _strike(bell: asyncio.Future[None]) -> None:
    if not bell.done():
        bell.set_result(None)
