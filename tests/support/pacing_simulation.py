"""Workers that share limits through a store, in played time: each with a clock, a latency and a pace of its own."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from campaign.config.units import Rate
from campaign.delivery.pacing.server_clock import ServerClock
from campaign.delivery.pacing.slot_lanes import SlotBook, SlotLane

#: What the store answers to (ask, its clock, its start).
Store = Callable[[Mapping[str, Any], float, str], Mapping[str, Any]]
EPOCH = 1.8e9
STEP = 0.004


@dataclass
class PlayedWorker:
    """One worker: ``skew`` and ``drift`` of its clock, the longest ``latency`` each way, and where its letters go."""

    book: SlotBook
    clock: ServerClock
    skew: float
    drift: float
    latency: float
    groups: Sequence[str]
    dies: float
    stuck: float = 0.01
    asking: bool = False
    uses: list[tuple[float, str]] = field(default_factory=list)

    def local(self, now: float) -> float:
        return now * (1 + self.drift) + self.skew


class Simulation:
    """Plays workers against a store until ``end``; `uses` are the true times at which letters left, and to whom."""

    def __init__(self, store: Store, seed: int, restarts: Sequence[float] = (), forget: Callable[[float], None] = id):
        self._store, self._random = store, random.Random(seed)
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._count = itertools.count()
        self._restarts, self._boot, self._forget = restarts, 0, forget
        self.workers: list[PlayedWorker] = []

    @property
    def uses(self) -> list[tuple[float, str]]:
        return sorted(use for worker in self.workers for use in worker.uses)

    def add(
        self,
        limits: Sequence[Rate],
        domains: Mapping[str, Sequence[Rate]] | None = None,
        *,
        groups: Sequence[str] = ("a.example",),
        skew: float = 0.0,
        drift: float = 0.0,
        latency: float = 0.001,
        dies: float = 1e9,
        stuck: float = 0.01,
    ) -> PlayedWorker:
        clock = ServerClock()
        lanes = [SlotLane(name, tuple(many)) for name, many in (domains or {}).items()]
        book = SlotBook(SlotLane("", tuple(limits)), lanes, clock)
        worker = PlayedWorker(book, clock, skew, drift, latency, groups, dies, stuck)
        self.workers.append(worker)
        return worker

    def run(self, end: float) -> None:
        for worker in self.workers:
            asked, answered = sorted(self._random.uniform(-worker.latency, 0) for _ in range(2))
            worker.clock.observe(worker.local(asked), worker.local(0.0), EPOCH + answered)
            self._at(self._random.uniform(0, STEP), self._step(worker))
        for restart in self._restarts:
            self._at(restart, self._restart)
        while self._events and self._events[0][0] < end:
            now, _, act = heapq.heappop(self._events)
            act(now)

    def _at(self, when: float, act: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (when, next(self._count), act))

    def _restart(self, now: float) -> None:
        self._forget(now)
        self._boot += 1

    def _step(self, worker: PlayedWorker) -> Callable[[float], None]:
        def step(now: float) -> None:
            if now >= worker.dies:
                return
            for _ in range(3):
                group = self._random.choice(worker.groups)
                local = worker.local(now)
                if worker.book.take(group, local):
                    worker.uses.append((now, group))
                worker.book.wait(group, local)
            if not worker.asking and (ask := worker.book.ask(worker.local(now))):
                self._question(worker, ask, now)
            # Once in a while a worker does something else for longer than a slot lasts.
            pause = STEP if self._random.random() < 0.99 else worker.stuck
            self._at(now + self._random.uniform(0.2, 1) * pause, step)

        return step

    def _question(self, worker: PlayedWorker, ask: dict[str, Any], now: float) -> None:
        worker.asking = True

        def arrives(then: float) -> None:
            answer = self._store(ask, EPOCH + then, str(self._boot))

            def returns(later: float) -> None:
                worker.asking = False
                worker.clock.observe(worker.local(now), worker.local(later), answer["clock"])
                worker.book.answered(ask, answer, worker.local(later))

            self._at(then + self._random.uniform(0.1, 1) * worker.latency, returns)

        self._at(now + self._random.uniform(0.1, 1) * worker.latency, arrives)


def fullest(uses: Sequence[tuple[float, str]], per: float, group: str | None = None) -> int:
    """The most letters that left in any ``per`` seconds, to ``group`` or at all."""
    times = sorted(when for when, to in uses if group in (None, to))
    most = first = 0
    for place, when in enumerate(times):
        while times[first] <= when - per:
            first += 1
        most = max(most, place - first + 1)
    return most
