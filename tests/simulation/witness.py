"""What was seen from outside the product: letters that left and were taken, records that reached the journal.

Each event is held against the promises at once, so that a violation is told at the moment it happens. All reading is
the auditor's own (`torture.books`); nothing of the product is used.
"""

from __future__ import annotations

import hashlib
import json
import math
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.simulation.copies import Copies

if TYPE_CHECKING:
    from tests.simulation.relay import Relay
    from tests.simulation.world import World

#: Seconds by which times may differ: of looks at files, and of arithmetic.
LOOK, TINY = 1.0, 1e-3
#: Seconds after which a list of those who unsubscribed has been read again.
READ_AGAIN = 3600.0
#: Verdicts after which nothing more happens to a recipient in its run.
LAST = frozenset({"accepted", "rejected", "unrenderable", "withdrawn", "cancelled", "expired"})


@dataclass
class Command:
    """The command that a process serves: what may and must not happen while it runs.

    Times are true seconds, ``until`` waking ones.
    """

    verb: str
    began: float
    resends: bool = False
    limit: int | None = None
    until: float | None = None
    served: set[str] = field(default_factory=set)
    passes: int = 0
    passes_of: Counter[str] = field(default_factory=Counter)


@dataclass
class Wish:
    """The operator's last wish, and since when (waking seconds)."""

    state: str = "run"
    since: float = 0.0
    rate: tuple[tuple[int, float], ...] | None = None
    rate_since: float = -1e9
    connections: int | None = None
    connections_since: float = -1e9
    connections_before: int = 0


@dataclass
class Witness:
    """One per world. Addresses stand for recipients. ``suppressed``: since when (waking seconds)."""

    world: World
    command: Command = field(default_factory=lambda: Command("", 0.0))
    wishes: dict[str, Wish] = field(default_factory=dict)
    taken_at: dict[str, list[tuple[str, str, float]]] = field(default_factory=dict)
    replies: dict[str, set[int]] = field(default_factory=dict)
    elsewhere: dict[int, set[int]] = field(default_factory=dict)
    intents: Counter[str] = field(default_factory=Counter)
    dots: Counter[str] = field(default_factory=Counter)
    loose: dict[str, set[str]] = field(default_factory=dict)
    verdict: dict[str, str] = field(default_factory=dict)
    not_before: dict[str, float] = field(default_factory=dict)
    doubted: Counter[str] = field(default_factory=Counter)
    left: dict[str, list[float]] = field(default_factory=dict)
    suppressed: dict[str, float] = field(default_factory=dict)
    withheld: set[str] = field(default_factory=set)
    resent: set[str] = field(default_factory=set)
    dead: set[str] = field(default_factory=set)
    cancelled: bool = False
    _plans: dict[str, dict[int, str]] = field(default_factory=dict)
    _parts: dict[str, bytes] = field(default_factory=dict)
    copies: Copies = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.copies = Copies(self.world.must)

    def begins(self, command: Command) -> None:
        """Another process begins."""
        self.command = command
        self.copies.begins()

    @property
    def wish(self) -> Wish:
        """What the operator wishes of the run that is served."""
        return self.wishes.setdefault(self.journal, Wish())

    def allowed(self, wish: Wish) -> int:
        """How many connections may be open at once, of all senders together, with this wish of the operator."""
        most = wish.connections or int(self.world.scenario.settings["connections"])
        heeded = self.world.clock.awake - wish.connections_since > 2 * self.world.scenario.look + LOOK
        return most if heeded else max(most, wish.connections_before)

    @property
    def connections(self) -> int:
        """How many connections may be open at once in the run that is served."""
        return self.allowed(self.wish)

    # -- at the client's end of a connection

    def connected(self, opened: list[int]) -> None:
        """One more connection, besides those which were opened when so many were allowed."""
        most = max([self.connections, *opened])
        self.world.must(len(opened) < most, f"connection no. {len(opened) + 1} is opened, {most} are allowed")

    def content_leaves(self, relay: Relay, address: str) -> None:
        """The content of a letter was handed to the network."""
        world, now = self.world, self.world.clock.true
        world.note("content", relay.port, address)
        must, command, scenario = world.must, self.command, world.scenario
        had = len(self.taken_at.get(address, ()))
        # Whom a relay put off when it was asked to take a letter in doubt again is served like others put off.
        put_off = address in self.resent and self.verdict.get(address) == "deferred"
        again = self.doubted[address] > 0 and (command.resends or put_off)
        must(not had or again, f"{address} is sent to again: a relay has its letter, and nobody said resend")
        must(self.verdict.get(address) != "in_doubt" or command.resends, f"{address} is in doubt and is sent to again")
        must(address not in self.withheld, f"{address} is sent to although it was suppressed before this pass began")
        known = world.clock.awake - self.suppressed.get(address, math.inf)
        slack = READ_AGAIN + scenario.look + self._reading
        must(known <= slack, f"{address} is sent to {known:.0f} s after it was suppressed")
        wait = self.not_before.get(address, 0.0) - world.clock.wall()
        must(world.set_clock or wait <= LOOK, f"{address} is tried again {wait:.0f} s before its time")
        awake = world.clock.awake
        held = awake - self.wish.since
        slack = scenario.look + LOOK
        must(self.wish.state != "pause" or held <= slack, f"{address} is sent to {held:.0f} s after pause")
        slack += scenario.drain
        must(self.wish.state not in {"stop", "cancel"} or held <= slack, f"{address} is sent to {held:.0f} s after "
             f"{self.wish.state}")  # fmt: skip
        must(command.until is None or awake <= command.until + slack, f"{address} is sent to after --max-duration")
        late = world.clock.wall() - (scenario.not_after or 1e12)
        must(
            world.set_clock or world.clock.slept > 0 or late <= slack,
            f"{address} is sent to {late:.0f} s after not_after",
        )
        command.served.add(address)
        must(command.limit is None or len(command.served) <= command.limit, f"{address} is one more than --limit")
        self._canary(address)
        self._windows(relay, address, now)

    def _canary(self, address: str) -> None:
        """Whoever does not belong to the canary waits until all of it have a verdict."""
        plan, size = self._plans.get(self.journal, {}), self.world.scenario.canary
        if not size or len(plan) <= size or self.canary_over == self.journal or self.world.boots > 1:
            return
        first = {one for number, one in plan.items() if (number * size) % len(plan) < size}
        if address not in first:
            verdicts = self.verdicts.get(self.journal, {})
            waiting = [one for one in first if verdicts.get(one, "waiting") == "waiting"]
            self.world.must(not waiting, f"{address} is sent to before {len(waiting)} of the canary have verdicts")
            self.canary_over = self.journal

    journal: str = ""
    canary_over: str = ""

    def _windows(self, relay: Relay, address: str, now: float) -> None:
        scenario = self.world.scenario
        domain = address.partition("@")[2]
        limits = scenario.limits if self.wish.rate is None else self.wish.rate
        self._window(f"relay {relay.port}", limits, now, self.wish.rate_since)
        if domain in scenario.domain_limits:
            self._window(f"{domain} at {relay.port}", scenario.domain_limits[domain], now, -1e9)

    def _window(self, name: str, limits: Any, now: float, since: float) -> None:
        times = self.left.setdefault(name, [])
        times.append(now)
        for count, per in limits:
            if len(times) > count and self.world.clock.awake - since > per + self.world.scenario.look + LOOK:
                span = now - times[-count - 1]
                found = f"{name}: {count + 1} letters within {span:.3f} s, {count} in {per:g} s are allowed"
                self.world.must(span >= per - TINY or self._unsure(now, per), found)

    def _unsure(self, now: float, per: float) -> bool:
        """Whether the clocks that carry limits over a boot were set meanwhile, or the machine has just woken."""
        return self.world.unsure_until + per > now

    def dot_leaves(self, relay: Relay, address: str) -> None:
        """The final dot was handed to the network."""
        world = self.world
        world.note("dot", relay.port, address)
        self.dots[address] += 1
        world.must(self.dots[address] <= self.intents[address], f"{address}: the dot leaves before its intent")
        unsynced = world.scenario.durability == "power" and any(address in one for one in self.loose.values())
        world.must(not unsynced, f"{address}: the dot leaves before its intent is synced")
        world.passed("dot")

    # -- at the relay

    def said(self, relay: Relay, address: str, code: int) -> None:
        """A relay answered."""
        if address:
            self.replies.setdefault(address, set()).add(code)
        else:
            self.elsewhere.setdefault(relay.port, set()).add(code)

    def taken(self, relay: Relay, address: str, queued: str, content: bytes) -> None:
        """A relay took a letter."""
        world, sha = self.world, hashlib.sha256(content).hexdigest()
        world.note("taken", relay.port, address, queued, sha[:8])
        copies = self.taken_at.setdefault(address, [])
        copies.append((queued, sha, world.clock.true))
        world.must(address in self.intents, f"{address} got a letter and has no intent")
        self.identities[address] = content.partition(b"Message-ID: ")[2].partition(b"\r\n")[0].decode()
        world.must(len(content) > 50, f"{address} got an empty letter")
        world.must(len({one[1] for one in copies}) == 1, f"{address} got copies that differ")
        world.must(
            len(copies) <= self.dots[address], f"{address} has {len(copies)} letters of {self.dots[address]} dots"
        )

    # -- at the journal

    def planned(self) -> set[str]:
        """The addresses of all plans read so far."""
        return {address for plan in self._plans.values() for address in plan.values()}

    def plan(self, journal: str) -> dict[int, str]:
        """Numbers to addresses, of the run whose journal this is."""
        found = self._plans.get(journal)
        if found is None:
            found = self._plans[journal] = {}
            for line in Path(journal).with_name("plan.jsonl").read_text(encoding="utf-8").splitlines():
                entry = json.loads(line)
                if isinstance(entry, list):
                    found[entry[0]] = entry[2]
        return found

    def synced(self, journal: str) -> None:
        """A journal was synced."""
        self.loose.pop(journal, None)

    def cut(self, journal: str, size: int) -> None:
        """A journal was cut back."""
        self._parts.pop(journal, None)
        self.copies.cut(Path(journal), size)

    def appended(self, journal: str, data: bytes, size: int) -> None:
        """Octets reached a journal of ``size``: that of a run, or of a shard."""
        path, of_a_shard = Path(journal), journal.endswith("/checkpoint.journal") is False
        self.journal = str(path.parent.with_name("checkpoint.journal")) if of_a_shard else journal
        before = self._parts.pop(journal, b"")
        *lines, rest = (before + data).split(b"\n")
        if rest:
            self._parts[journal] = rest
        end = size - len(before)
        for line in lines:
            end += len(line) + 1
            if line[:8] != f"{zlib.crc32(line[9:]):08x}".encode():
                continue
            record = json.loads(line[9:])
            if of_a_shard:
                self.copies.wrote(path, end, line)
            elif self.copies.is_copy(path, end, record, line):
                self.world.note("copy", record["is"], record.get("number"))
                continue
            self._record(self.journal, record, journal)

    def _record(self, journal: str, record: dict[str, Any], where: str) -> None:
        kind = record["is"]
        self.world.note("record", kind, record.get("number"), record.get("verdict"))
        if kind == "intent":
            address = self.plan(journal)[record["number"]]
            self.intents[address] += 1
            for one in self.loose.values():  # an earlier try is over
                one.discard(address)
            self.loose.setdefault(where, set()).add(address)
        elif kind == "verdict":
            self._verdict(journal, self.plan(journal)[record["number"]], record)
        elif kind == "pass":
            self.command.passes += 1
            self.command.passes_of[journal] += 1
            before = self.world.clock.awake - self._reading
            self._nobody_is_passed_over(journal)
            if self.command.passes > 1:
                self.withheld.update(one for one, at in self.suppressed.items() if at < before)

    def _nobody_is_passed_over(self, journal: str) -> None:
        """A pass before this one of the same run and process has tried everybody, unless it was over a few of them."""
        if (
            self.command.passes_of[journal] == 1
            or self.command.limit is not None
            or self.world.scenario.canary
            or self.world.boots > 1
        ):
            return
        verdicts = self.verdicts.get(journal, {})
        waiting = [one for one in self.plan(journal).values() if verdicts.get(one, "waiting") == "waiting"]
        self.world.must(not waiting, f"a pass begins, and {len(waiting)} were not tried in the last: {waiting[:3]}")

    @property
    def _reading(self) -> float:
        """Seconds that reading a list takes, at most."""
        return self.world.scenario.thread_delay * 2 + LOOK

    def _verdict(self, journal: str, address: str, record: dict[str, Any]) -> None:
        must, verdict, code = self.world.must, record["verdict"], record.get("code", 0)
        reason, before = record.get("reason", ""), self.verdicts.setdefault(journal, {}).get(address, "waiting")
        must(before not in LAST, f"{address} was {before} and becomes {verdict}")
        relay = int(record.get("relay", ":0").rpartition(":")[2] or 0)
        said = self.replies.get(address, set()) | self.elsewhere.get(relay, set())
        must(not code or code in said, f"{address}: recorded {code}, no relay said that")
        copies = self.taken_at.get(address, [])
        if verdict == "accepted":
            must(bool(copies), f"{address} is recorded as accepted, and no relay has its letter")
            known = not code or any(queued in reason for queued, _, _ in copies)
            must(known, f"{address} is accepted as {reason!r}, which is another letter's answer")
        elif verdict == "rejected":
            must(code >= 500 or reason.startswith("given up") or not code, f"{address} is rejected for {code} {reason}")
            must(code != 421, f"{address} is rejected for 421")
        elif verdict == "expired":
            over = self.world.set_clock or self.world.clock.wall() >= (self.world.scenario.not_after or 1e12)
            must(over, f"{address} has expired before not_after")
        elif verdict == "cancelled":
            must(self.cancelled, f"{address} is cancelled, and nobody asked for it")
        elif verdict == "withdrawn":
            must(address in self.suppressed or address in self.dead, f"{address} is withdrawn, and no list names it")
        must(code != 421 or record.get("counted") is False, f"{address}: 421 is counted against the recipient")
        if record.get("dead"):
            self.dead.add(address)
        if verdict == "deferred" and self.command.resends and self.doubted[address]:
            self.resent.add(address)
        if verdict == "in_doubt":
            self.doubted[address] += 1
            must(self.intents[address] > 0 or self.world.boots > 0, f"{address} is in doubt and was never sent to")
        self.verdict[address] = self.verdicts[journal][address] = verdict
        self.not_before[address] = record.get("not_before", 0.0) if verdict == "deferred" else 0.0

    verdicts: dict[str, dict[str, str]] = field(default_factory=dict)
    identities: dict[str, str] = field(default_factory=dict)

    def power_lost(self) -> None:
        """What was written and not synced may be gone; the next process says what it makes of the rest."""
        self.verdict.clear()
        self.verdicts.clear()
        self.not_before.clear()
        self._parts.clear()
        self.loose.clear()
        for edition in {Path(one).parents[1] for one in self._plans} | self.copies.editions():
            self.copies.power_lost(edition)
