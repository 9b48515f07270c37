"""A throttle shared by machines: turns are slots that PostgreSQL grants to all of them in sum.

`pace.sql` decides about the pace, `slot_lanes` keeps the slots of this worker, and a task of the event loop asks for
more. `wait` and `take` never wait for the store; without it there are no slots, so no letter leaves. Slowing down and
holding take effect here at once, and everywhere within a second or two. An account without limits needs no slots; its
worker only asks each second what others have heard.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from campaign.config.delivery import DeliverySection
from campaign.config.units import Ramp, Rate
from campaign.delivery.pacing.server_clock import ServerClock
from campaign.delivery.pacing.shared_throttle import account_limits
from campaign.delivery.pacing.sliding_window import BASE, FACTOR, NEXT, SLOWED
from campaign.delivery.pacing.slot_lanes import Ask, SlotBook, SlotLane
from campaign.delivery.pacing.throttle import ACCOUNT, Throttle
from campaign.errors import StorageError
from campaign.system.postgres import StoreAddress, connect_async, store_errors

log = logging.getLogger(__name__)

#: Seconds between two looks at what other workers ask for, from one attempt to connect to the next, and until a
#: question without an answer is given up.
POLL, RETRY, SILENCE = 1.0, 0.5, 5.0
#: Seconds between two questions at least.
REST = 0.003
#: Slow-downs that began within this many seconds of each other are the same.
SAME = 1.0
_TAKE = "SELECT campaign.take(%s, %s::jsonb)"


class SlotThrottle(Throttle):
    """A throttle of one relay account whose limits hold for all machines together. Close it after use.

    Times are on ``clock``, which is the event loop's.
    """

    #: Whether another process already had the account open; nobody can tell for all machines.
    shared = False

    def __init__(
        self,
        address: StoreAddress,
        account: str,
        limits: Sequence[Rate],
        domain_limits: Mapping[str, Sequence[Rate]] | None = None,
        *,
        groups: Mapping[str, str] | None = None,
        ramp: Ramp | None = None,
        warmup: Sequence[int] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__((), groups=groups)  # its windows keep what is held and slowed; limits are the slots'
        self.limits = tuple(limits)
        self._clock = clock
        self._server = ServerClock()
        lanes = [SlotLane(name, tuple(many)) for name, many in self.by_window(domain_limits or {}).items() if many]
        self._book = SlotBook(SlotLane(ACCOUNT, self.limits, ramp, tuple(warmup)), lanes, self._server)
        self._steer: list[Ask] = []
        self._link = _StoreLink(address, account, self)

    @property
    def by_domain(self) -> bool:
        """As `Throttle.by_domain`."""
        return bool(self._book.domains) or super().by_domain

    def wait(self, domain: str, now: float) -> float:
        """As `Throttle.wait`; another worker may be given the next turn."""
        self._link.start()
        if held := super().wait(domain, now):
            return held
        if self._book.unlimited:
            return 0.0
        group = self.group(domain)
        wait = self._book.wait(group, now)
        self._look(group, now)
        return wait

    def take(self, domain: str, now: float) -> float:
        """As `Throttle.take`, and never more than one worker is given a turn."""
        self._link.start()
        if held := super().wait(domain, now):
            return held
        if self._book.unlimited:
            super().spend(domain, now)
            return 0.0
        group = self.group(domain)
        if self._book.take(group, now):
            super().spend(domain, now)
            self._look(group, now)
            return 0.0
        self._look(group, now)
        return self._book.wait(group, now) or REST

    def spend(self, domain: str, now: float) -> None:
        """As `Throttle.spend`; the store is told with the next question."""
        super().spend(domain, now)
        self._book.spend(self.group(domain))
        self._link.hungry.set()

    def held_by(self, domain: str, now: float) -> tuple[str, Rate | None, float]:
        """As `Throttle.held_by`."""
        found = super().held_by(domain, now)
        lane = self._book.lane(self.group(domain))
        for one in (lane, self._book.account) if lane else ():
            if one.blocked and one.first - now > found[2]:
                found = one.name, one.blocked, one.first - now
        return found

    def slow(self, domain: str | None, now: float, factor: float = 0.5) -> str:
        """As `Throttle.slow`; all workers on this account slow down."""
        self._forget_recovered(now)
        name = ACCOUNT if domain is None else self.group(domain)
        window = self._window_to_steer(name)
        full = self._full_pace(name)
        seen = window.per_second(now) or self._account.per_second(now)
        change = window.slow(now, factor, full or seen)
        if change is None:
            return ""
        self._ask_others({"lane": name, "slow": factor, "base": full or None, "seen": seen or 1.0})
        return f"{name or 'the relay'}: slowed from {change[0]:.3g}/s to {change[1]:.3g}/s; {window.recovery()}"

    def hold(self, domain: str | None, now: float, seconds: float) -> str:
        """As `Throttle.hold`; all workers hold."""
        sentence = super().hold(domain, now, seconds)
        self._ask_others({"lane": ACCOUNT if domain is None else self.group(domain), "hold": seconds})
        return sentence

    def set_rate(self, limits: Iterable[Rate]) -> None:
        """As `Throttle.set_rate`, for this worker; the others are told by whoever tells this one."""
        self.limits = tuple(limits)
        self._book.account.limit(self.limits)
        self._book.drop()
        self._link.hungry.set()

    def close(self) -> None:
        """Hand back what was not used, and end the task."""
        self._book.drop()
        self._link.close()

    def now(self) -> float:
        """The time on the throttle's clock."""
        return self._clock()

    def question(self, now: float) -> Ask:
        """What to ask the store for; empty for nothing."""
        ask = self._book.ask(now)
        return ask | ({"steer": list(self._steer)} if self._steer else {})

    def answered(self, ask: Ask, answer: Mapping[str, Any], asked: float, answered: float) -> None:
        """Take in the answer to ``ask``, a question at ``asked``."""
        del self._steer[: len(ask.get("steer", ()))]
        self._server.observe(asked, answered, answer["clock"])
        pending = {one["lane"] for one in self._steer}
        for name, factor, slowed, base, held in answer["steered"] or ():
            if name not in pending:
                self._follow(name, factor, slowed - self._server.low, base)
                self._window_to_steer(name).hold(held - self._server.low)
        self._book.answered(ask, answer, answered)

    def unanswered(self, ask: Ask) -> None:
        """There was no answer to ``ask``; what is to be told is told again."""
        self._book.unanswered(ask)

    def learn_clock(self, asked: float, answered: float, shown: float) -> None:
        """A new connection showed the server's clock: what was known of another one is void."""
        self._server.forget()
        self._server.observe(asked, answered, shown)

    def _look(self, group: str, now: float) -> None:
        lane = self._book.lane(group)
        wanted = [one for one in (lane, self._book.account) if one is not None and one.limited]
        if any(self._book.hungry(one, now) for one in wanted):
            self._link.hungry.set()

    def _full_pace(self, name: str) -> float:
        lane = self._book.domains.get(name) if name else self._book.account
        return lane.per_second if lane else 0.0

    def _ask_others(self, steer: Ask) -> None:
        self._steer.append(steer)
        self._book.drop(steer["lane"])
        self._link.hungry.set()

    def _follow(self, name: str, factor: float, slowed: float, base: float) -> None:
        """Slow down as another worker did, who may be this one."""
        if not factor:
            return
        now = self._clock()
        window = self._window_to_steer(name)
        cells = window.cells
        if cells[FACTOR] == factor and abs(cells[SLOWED] - slowed) <= SAME:
            return
        if not cells[FACTOR]:
            cells[BASE] = self._full_pace(name) or window.per_second(now) or self._account.per_second(now) or base
            log.info("%s: slowed to %.0f %%, as another worker was asked to", name or "the relay", 100 * factor)
        cells[FACTOR], cells[SLOWED], cells[NEXT] = factor, slowed, now


class _StoreLink:
    """The task that asks the store for slots, over one connection at a time."""

    def __init__(self, address: StoreAddress, account: str, throttle: SlotThrottle) -> None:
        self._address, self._account, self._throttle = address, account, throttle
        self.hungry = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = self._away = False
        self._polled = -math.inf

    def start(self) -> None:
        """Begin, if an event loop runs."""
        if self._task is None and not self._closed:
            with contextlib.suppress(RuntimeError):
                self._task = asyncio.get_running_loop().create_task(self._work())

    def close(self) -> None:
        """Ask a last time, and end."""
        self._closed = True
        self.hungry.set()

    async def _work(self) -> None:
        while not self._closed:
            try:
                await self._serve()
            except StorageError as error:
                if not self._away and not self._closed:
                    log.warning("the store does not answer, so no letter has a turn: %s", " ".join(error.evidence))
                self._away = True
                await asyncio.sleep(RETRY)

    async def _serve(self) -> None:
        connection = await connect_async(self._address)
        try:
            asked = self._throttle.now()
            row = await self._say(connection, "SELECT extract(epoch FROM clock_timestamp())::float8")
            self._throttle.learn_clock(asked, self._throttle.now(), row)
            while not self._closed:
                await self._ask(connection)
                await self._rest()
        finally:
            with contextlib.suppress(Exception, asyncio.CancelledError):
                if self._closed:
                    await self._ask(connection, closing=True)
            with contextlib.suppress(Exception, asyncio.CancelledError):
                await connection.close()

    async def _ask(self, connection: Any, *, closing: bool = False) -> None:
        asked = self._throttle.now()
        ask = self._throttle.question(asked)
        if not ask and asked - self._polled < POLL:
            return
        if closing:
            for lane in filter(None, (ask.get("account"), *ask.get("domains", ()))):
                lane["want"] = 0
        try:
            answer = await self._say(connection, _TAKE, (self._account, json.dumps(ask)))
        except StorageError:
            self._throttle.unanswered(ask)
            raise
        if self._away:
            log.warning("the store answers again, so letters have turns again")
            self._away = False
        self._polled = self._throttle.now()
        self._throttle.answered(ask, answer, asked, self._polled)

    async def _say(self, connection: Any, statement: str, values: tuple[str, ...] = ()) -> Any:
        """The only value of the only row. Raises StorageError, also if there is no answer for `SILENCE` seconds."""
        with store_errors(self._address):
            async with asyncio.timeout(SILENCE):
                return (await (await connection.execute(statement, values)).fetchone())[0]

    async def _rest(self) -> None:
        await asyncio.sleep(REST)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL):
                await self.hungry.wait()
        self.hungry.clear()


def open_slots(
    settings: DeliverySection,
    address: StoreAddress,
    account: str,
    base: Path,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> SlotThrottle:
    """As `open_throttle`, for the account that all workers of the store at ``address`` share.

    Raises ConfigError (warm-up file).
    """
    return SlotThrottle(address, account, **account_limits(settings, base), clock=clock)
