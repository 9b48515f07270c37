"""The world of one seed: its scenario, clock, relays, the faults still to come, and what was seen.

It is handed from process to process, so it holds plain values only.
"""

from __future__ import annotations

import hashlib
import marshal
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.simulation.clock import Clock
from tests.simulation.relay import Relay, Weather

if TYPE_CHECKING:
    from tests.simulation.scenario import Scenario
    from tests.simulation.witness import Witness

#: Events that are hashed at once.
MANY = 4096


class Stuck(BaseException):
    """A process that will never end."""


@dataclass(frozen=True)
class Fault:
    """``kind`` happens at ``at``: a true second (``trigger == "time"``), or the so-manieth ``trigger`` that passes."""

    number: int
    trigger: str
    at: float
    kind: str
    args: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        when = f"at {self.at:,.0f} s" if self.trigger == "time" else f"at {self.trigger} no. {self.at:,.0f}"
        return " ".join(
            [f"[{self.number}]", self.kind, when, *(f"{name}={value}" for name, value in self.args.items())]
        )


@dataclass
class World:
    """See the module. ``broken``: what must hold and did not; ``story``: what happened, with true seconds."""

    seed: int
    scenario: Scenario
    folder: Path
    faults: list[Fault]
    witness: Witness = None  # type: ignore[assignment]
    clock: Clock = field(default_factory=Clock)
    relays: dict[int, Relay] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    digest: bytes = b""
    story: list[tuple[float, str]] = field(default_factory=list)
    trace: list[str] | None = None
    broken: list[str] = field(default_factory=list)
    process: int = 0
    boots: int = 0
    signalled: bool = False
    set_clock: bool = False
    disk_failed: bool = False
    unsure_until: float = -1e9
    loose: Any = None
    power_gone: bool = False
    _events: list[tuple[float, tuple[object, ...]]] = field(default_factory=list)
    _dice: dict[str, random.Random] = field(default_factory=dict)
    _next: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for fault in self.faults:
            if fault.trigger != "time":
                self._next[fault.trigger] = min(fault.at, self._next.get(fault.trigger, fault.at))

    def dice(self, use: str) -> random.Random:
        """Chance of its own for each use, so that one fault less changes little elsewhere."""
        found = self._dice.get(use)
        if found is None:
            found = self._dice[use] = random.Random(f"{self.seed}/{use}")
        return found

    def relay(self, port: int) -> Relay:
        """The relay that listens there."""
        return self.relays[port]

    def note(self, *event: object) -> None:
        """Add an event to the trace, of which only a hash is kept."""
        self._events.append((self.clock.true, event))
        if len(self._events) >= MANY:
            self.hash_trace()

    def hash_trace(self) -> None:
        """Hash the events since the last time. Before the world is handed on, and before ``digest`` is read."""
        self.digest = hashlib.blake2b(self.digest + marshal.dumps(self._events, 2), digest_size=16).digest()
        if self.trace is not None:
            self.trace += [f"{at:.6f} {event}" for at, event in self._events]
        self._events.clear()

    def tell(self, text: str) -> None:
        """Add a sentence to the story."""
        self.note(text)
        self.story.append((self.clock.true, text))

    def must(self, holds: bool, sentence: str) -> None:
        """Note a sentence where something does not hold."""
        if not holds and len(self.broken) < 20:
            self.broken.append(f"{self.clock.true:,.3f} s: {sentence}")
            self.tell(f"WRONG: {sentence}")

    def passed(self, trigger: str) -> None:
        """Count one event, and let the faults happen that wait for it."""
        count = self.counters[trigger] = self.counters.get(trigger, 0) + 1
        if count >= self._next.get(trigger, 1 << 62):
            self._strike(trigger, count)

    def add(self, trigger: str, at: float, kind: str, **args: Any) -> None:
        """One more fault, which follows from another."""
        self.faults.append(Fault(1000 + len(self.story), trigger, at, kind, args))
        if trigger != "time":
            self._next[trigger] = min(at, self._next.get(trigger, at))

    def _strike(self, trigger: str, count: int) -> None:
        due = [one for one in self.faults if one.trigger == trigger and one.at <= count]
        left = [one for one in self.faults if one not in due]
        self.faults[:] = left
        later = [one.at for one in left if one.trigger == trigger]
        self._next[trigger] = min(later) if later else 1 << 62
        for fault in due:
            act(self, fault)

    def strike_by_time(self) -> None:
        """Let the faults happen whose second has come."""
        due = sorted((one for one in self.faults if one.trigger == "time" and one.at <= self.clock.true),
                     key=lambda one: one.at)  # fmt: skip
        for fault in due:
            self.faults.remove(fault)
        for fault in due:
            act(self, fault)

    def next_by_time(self) -> float | None:
        """The true second of the next fault that waits for its time."""
        return min((one.at for one in self.faults if one.trigger == "time"), default=None)

    @property
    def quiet(self) -> bool:
        """Whether nothing is left that could go wrong."""
        over = all(one.until <= self.clock.true for relay in self.relays.values() for one in relay.forecast)
        return over and not self.faults


class Machine:
    """What the running process does when a fault strikes; `process.py` fills it in."""

    act: Any = None


def act(world: World, fault: Fault) -> None:
    """Let a fault happen."""
    world.tell(f"fault {fault}")
    if fault.kind == "weather":
        made = dict(fault.args)
        relay = world.relays.get(made.pop("port"))
        if relay is not None:
            since = world.clock.true
            weather = Weather(made.pop("what"), since, since + made.pop("lasts"), made.pop("share"), made)
            relay.forecast.append(weather)
    elif fault.kind == "clock":
        world.set_clock = True
        world.clock.offset += fault.args["by"]
    elif fault.kind == "suspend":
        world.clock.suspend(fault.args["seconds"])
    elif Machine.act is not None:
        Machine.act(fault)
