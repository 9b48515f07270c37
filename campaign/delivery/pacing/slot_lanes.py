"""The slots that one worker holds, and those it asks for next. Pure arithmetic, without a store or an event loop.

A lane is the relay account (`ACCOUNT`) or a group of domains that has limits of its own. A slot is a turn: a letter may
leave from its start until its end or not at all. A slot of a domain includes a turn of the account, if that has limits;
in the second half of its time it may serve any other letter, so that no turn of the account is lost.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, TypeAlias

import msgspec

from campaign.config.units import Ramp, Rate
from campaign.delivery.pacing.server_clock import ServerClock
from campaign.delivery.pacing.sliding_window import SlidingWindow
from campaign.delivery.pacing.throttle import ACCOUNT

#: Turns are asked for at most this many seconds ahead. A worker that dies loses no more.
HORIZON = 0.3
#: Slots ahead: of a worker whose last ones went unused, at first, and at most.
FEW, SOME, MOST = 2.0, 8.0, 512.0
#: A domain of which no letter waits for this long (seconds) gets no slots.
WANTED = 1.0
#: Seconds until a worker without a slot looks again.
SOON = 0.01
#: Longest pause (seconds) of a worker that did not use its slots.
PAUSE = 0.25
#: A slot lasts this share of the shortest limit, at most `WIDEST` seconds, and as long as our doubt about the clock.
WIDTH, WIDEST = 1 / 50, 0.05
#: Doubt is rounded up to one of these (seconds), as a lane keeps to the longest slot of its workers for a while.
DOUBTS = (0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.12, 0.25, 0.5, 1.0, 2.0)

Ask: TypeAlias = dict[str, Any]


class Turn(msgspec.Struct, frozen=True):
    """One turn, on our clock. ``stops`` are its ends on the server's, by lane, to hand it back if it is not used."""

    start: float
    end: float
    lane: str
    era: int
    stops: Mapping[str, float]


class SlotLane(msgspec.Struct):
    """The limits of one lane, and how much of it is wanted here."""

    name: str
    limits: tuple[Rate, ...] = ()
    ramp: Ramp | None = None
    warmup: tuple[int, ...] = ()
    #: When a letter last waited, and when the next slot can be had and which limit keeps it back, as the store said.
    wanted: float = -math.inf
    first: float = -math.inf
    blocked: Rate | None = None
    used: int = 0
    lost: int = 0
    cap: float = SOME
    pace: float = 0.0
    spent: int = 0
    windows: list[tuple[float, float, Rate]] = msgspec.field(default_factory=list)

    def __post_init__(self) -> None:
        self.limit(self.limits)

    def limit(self, limits: Sequence[Rate]) -> None:
        """Replace the limits."""
        self.limits = tuple(limits)
        self.windows = sorted((_whole(limit) for limit in self.limits), key=lambda one: (one[1], one[0]))

    @property
    def limited(self) -> bool:
        """Whether letters need slots of this lane."""
        return bool(self.windows or self.ramp or self.warmup)

    @property
    def paced(self) -> bool:
        """Whether slots keep a distance; else they are counted only, and the store must not forget them."""
        return bool(self.windows) and self.windows[0][1] <= SlidingWindow.PACED_UP_TO

    @property
    def per_second(self) -> float:
        """The full pace in letters a second; 0.0 if there is none."""
        return self.windows[0][0] / self.windows[0][1] if self.paced else 0.0

    def adapt(self, seconds: float) -> None:
        """Learn from how the slots of the last ``seconds`` were used."""
        if seconds > 0:
            weight = min(1.0, seconds / 0.3)
            self.pace += (self.used / seconds - self.pace) * weight
        if self.lost > self.used:
            self.cap = max(FEW, self.cap / 2)
        elif self.used:
            self.cap = min(MOST, max(SOME, self.cap * 2))
        self.used = self.lost = 0

    def target(self, round_trip: float) -> int:
        """The number of slots to have ahead."""
        return math.ceil(min(self.cap, SOME + self.pace * (0.1 + 2 * round_trip)))

    def ask(self, want: int) -> Ask:
        """The question for so many slots."""
        spent, self.spent = self.spent, 0
        asked: Ask = {"name": self.name, "want": want, **self.asked()}
        if self.ramp is not None:
            asked["ramp"] = [self.ramp.start.per_second, self.ramp.end.per_second, self.ramp.over]
        if self.warmup:
            asked["warmup"] = self.warmup
        return asked | ({"spent": spent} if spent else {})

    def asked(self) -> Ask:
        """The limits as the store is told them."""
        return {"counts": [count for count, _, _ in self.windows], "pers": [per for _, per, _ in self.windows]}

    def told(self, first: float, blocked: int | None) -> None:
        """The store said when the next slot can be had, and which limit keeps it back."""
        self.first = first
        self.blocked = self.windows[blocked - 1][2] if blocked and blocked <= len(self.windows) else None


class SlotBook:
    """The slots of one account at one worker. Times are local."""

    def __init__(self, account: SlotLane, domains: Sequence[SlotLane], clock: ServerClock) -> None:
        self.account, self.clock = account, clock
        self.domains = {lane.name: lane for lane in domains}
        self._slots: dict[str, deque[Turn]] = {}
        self._back: list[Ask] = []
        self._adapted = 0.0
        self._pause = 0.0
        self._not_before = -math.inf

    @property
    def unlimited(self) -> bool:
        """Whether no letter needs a slot."""
        return not (self.domains or self.account.limited)

    def lane(self, group: str) -> SlotLane | None:
        """The lane whose slots a letter to ``group`` needs; ``None`` if it needs none."""
        return self.domains.get(group) or (self.account if self.account.limited else None)

    def hungry(self, lane: SlotLane, now: float) -> bool:
        """Whether it is time to ask for more."""
        held = len(self._slots.get(lane.name, ())) if lane.name else self._held()
        return 2 * held < lane.target(self.clock.round_trip) and now >= self._not_before

    def wait(self, group: str, now: float) -> float:
        """Seconds until a letter to ``group`` may have a turn; 0.0 = now."""
        lane = self.lane(group)
        if lane is None:
            return 0.0
        lane.wanted = self.account.wanted = now
        self._expire(now)
        found = self._next(lane, group)
        if found is not None:
            return max(0.0, found[0] - now)
        return max(SOON, lane.first - now, self.account.first - now if self.account.limited else 0.0)

    def take(self, group: str, now: float) -> bool:
        """Use a slot for a letter to ``group`` that leaves now; False if there is none."""
        lane = self.lane(group)
        if lane is None:
            return True
        lane.wanted = self.account.wanted = now
        self._expire(now)
        found = self._next(lane, group)
        if found is None or found[0] > now:
            return False
        slot = self._slots[found[1]].popleft()
        self.account.used += 1
        if slot.lane:
            self.domains[slot.lane].used += slot.lane == lane.name
            if slot.lane != lane.name:
                self._return(slot, slot.lane)
        self._pause, self._not_before = 0.0, -math.inf
        return True

    def spend(self, group: str) -> None:
        """Count a letter that has left without a turn."""
        for lane in {id(one): one for one in (self.account, self.lane(group)) if one and one.limited}.values():
            lane.spent += 1

    def ask(self, now: float) -> Ask:
        """What to ask the store for now; empty for nothing."""
        self._expire(now)
        lanes = [self.account, *self.domains.values()]
        wanted = [one for one in lanes if one.limited and now - one.wanted <= WANTED]
        ask: Ask = {}
        if now >= self._not_before and any(self.hungry(one, now) for one in wanted):
            wasted = self.account.lost > 0 and not self.account.used
            if wasted:
                self._pause = min(PAUSE, 2 * self._pause or SOON)
                self._not_before = now + self._pause
            for one in {id(one): one for one in (self.account, *wanted)}.values():
                one.adapt(now - self._adapted)
            self._adapted = now
            ask = {} if wasted else self._wishes(wanted)
        for told in [one.ask(0) for one in lanes if one.spent]:
            ask |= {"domains": [*ask.get("domains", ()), told]} if told["name"] else {"account": told}
        back, self._back = self._back, []
        ask |= {"back": back} if back else {}
        if not ask:
            return ask
        return ask | self._measures()

    def answered(self, ask: Ask, answer: Mapping[str, Any], now: float) -> None:
        """Take in what the store granted to ``ask``; the clock was told before."""
        era = answer["era"] or 0
        if "account" in ask and ask["account"] | self.account.asked() != ask["account"]:  # the limits were changed
            for _, stop, lane_name, account_stop in answer["slots"]:
                ends = {ACCOUNT: account_stop} | ({lane_name: stop} if lane_name else {})
                self._back += [{"lane": name, "era": era, "stop": end} for name, end in ends.items()]
            return
        for name, (first, blocked) in answer["lanes"].items():
            lane = self.domains[name] if name else self.account
            lane.told(self.clock.surely_from(first), blocked)
        for start, stop, lane_name, account_stop in answer["slots"]:
            stops = {ACCOUNT: account_stop} if account_stop is not None else {}
            slot = Turn(
                self.clock.surely_from(start),
                self.clock.surely_until(stop),
                lane_name,
                era,
                stops | ({lane_name: stop} if lane_name else {}),
            )
            self._slots.setdefault(lane_name, deque()).append(slot)
        if answer["lanes"] and not answer["slots"]:
            again = min(self.clock.surely_from(first) for first, _ in answer["lanes"].values()) - HORIZON / 2
            self._not_before = max(self._not_before, min(max(again, now + SOON), now + 1.0))

    def unanswered(self, ask: Ask) -> None:
        """Nobody knows whether the store has heard ``ask``: count letters again, and hand no turn back twice."""
        for told in filter(None, (ask.get("account"), *ask.get("domains", ()))):
            lane = self.domains[told["name"]] if told["name"] else self.account
            lane.spent += told.get("spent", 0)

    def drop(self, name: str = ACCOUNT) -> None:
        """Give up the slots of a lane; those of the account are all."""
        for one in [name] if name else list(self._slots):
            for slot in self._slots.pop(one, ()):
                self._return(slot, *slot.stops)

    def _measures(self) -> Ask:
        lanes = [one for one in (self.account, *self.domains.values()) if one.limited]
        width = min([WIDEST, *(one.windows[0][1] * WIDTH for one in lanes if one.windows)])
        doubt = next((step for step in DOUBTS if step >= self.clock.doubt), DOUBTS[-1])
        return {
            "grace": width + doubt,
            "lead": self.clock.round_trip + 0.002,
            "horizon": HORIZON,
            "durable": not all(one.paced for one in lanes),
        }

    def _wishes(self, wanted: Sequence[SlotLane]) -> Ask:
        trip = self.clock.round_trip
        domains = []
        for one in wanted:
            missing = one.target(trip) - len(self._slots.get(one.name, ()))
            if one.name and missing > 0:
                domains.append(one.ask(missing))
        domains.sort(key=lambda asked: len(self._slots.get(asked["name"], ())))
        ask: Ask = {"domains": domains} if domains else {}
        if self.account.limited:
            ask["account"] = self.account.ask(max(1, self.account.target(trip) - self._held()))
        return ask

    def _held(self) -> int:
        return sum(map(len, self._slots.values()))

    def _next(self, lane: SlotLane, group: str) -> tuple[float, str] | None:
        """When the next slot for a letter begins, and the lane it was granted for."""
        if lane.name:
            own = self._slots.get(lane.name)
            return (own[0].start, lane.name) if own else None
        found = None
        for name, slots in self._slots.items():
            if slots:
                slot = slots[0]
                start = (slot.start + slot.end) / 2 if name and group else slot.start
                if ACCOUNT in slot.stops and (found is None or start < found[0]):
                    found = start, name
        return found

    def _expire(self, now: float) -> None:
        for slots in self._slots.values():
            while slots and slots[0].end <= now:
                slot = slots.popleft()
                self._return(slot, *slot.stops)
                self.account.lost += 1
                if slot.lane:
                    self.domains[slot.lane].lost += 1

    def _return(self, slot: Turn, *lanes: str) -> None:
        self._back += [{"lane": lane, "era": slot.era, "stop": slot.stops[lane]} for lane in lanes]


def _whole(limit: Rate) -> tuple[float, float, Rate]:
    """A limit as whole letters in so many seconds: 2.5/s is 5 in 2 s."""
    share = Fraction(limit.count).limit_denominator(1000)
    return float(max(1, share.numerator)), limit.per * share.denominator, limit
