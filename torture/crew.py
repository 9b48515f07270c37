"""Workers on machines of their own, which serve one campaign from a store: started, killed, brought to an end."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg

from torture import audit, books, store_books
from torture.audit import Tally
from torture.bench import Bench, OracleProcess, Sender
from torture.scene import Scene
from torture.store_books import StoreBooks

#: Seconds that a lease of a shard lasts, and of an edition; and between two renewals.
LEASE, EDITION, RENEW = 3, 4.0, 0.5
CONNECTIONS = 4
#: What a worker may exit with that was neither killed nor stopped: done, doubts, held, the store away, to be continued.
FORESEEN = frozenset({0, 3, 4, 5, 73, 75})
ROUNDS = 8


@dataclass
class Crew:
    """``database`` is the auditor's way to the store, ``ways`` each machine's. ``bound``: doubts that are explained.

    ``oracles`` and ``sites`` (network namespaces) are each machine's, where they are not the bench's and ours.
    """

    bench: Bench
    folder: Path
    tally: Tally
    chance: random.Random
    people: int
    database: str
    ways: list[str]
    policy: str = "hold"
    bound: int = 0
    oracles: list[OracleProcess] = field(default_factory=list)
    sites: list[str] = field(default_factory=list)
    orders: dict[str, Any] = field(default_factory=dict)
    at_work: dict[int, Sender] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.hasten = {"renew": RENEW, "edition": EDITION}
        self.oracles = self.oracles or [self.bench.oracle] * len(self.ways)
        self._each = list(dict.fromkeys(self.oracles))
        self.folder.mkdir(parents=True, exist_ok=True)
        secret = self.folder / "secret"
        secret.write_text("one secret for all machines, of some length\n", encoding="utf-8")
        secret.chmod(0o600)
        self.scenes = [self._machine(at, way) for at, way in enumerate(self.ways)]
        make_schema(self.database)

    def _machine(self, at: int, way: str) -> Scene:
        scene = Scene(self.folder / f"m{at}", self.oracles[at].port, range(self.people), CONNECTIONS, self.policy)
        scene.settings = {"campaign": {"secret_file": '"../secret"'}, "ledger": {"store": f'"{way}"'}}
        return scene.write()

    @property
    def log(self) -> Path:
        """The oracle's log."""
        return self.folder / "oracle.log"

    def scene(self, low: float, high: float) -> None:
        """A new log for the oracles, which answer a dot after ``low`` to ``high`` seconds."""
        for oracle in self._each:
            oracle.scene(self.folder, delay=(low, high), seed=self.chance.randrange(1000))

    def taken(self) -> int:
        """How many letters the oracles have."""
        return sum(oracle.counters()[2] for oracle in self._each)

    def start(self, *machines: int, **orders: Any) -> None:
        """A worker on each of these machines, on which there is none."""
        for at in machines:
            self.at_work[at] = self.run(at, "send", str(self.scenes[at].file), **{**self.orders, **orders})

    def run(self, at: int, *arguments: str, **orders: Any) -> Sender:
        """Any command on a machine."""
        if self.sites:
            orders["site"] = self.sites[at]
        return self.bench.bear(self.scenes[at].folder, *arguments, hasten=self.hasten, **orders)

    def command(self, at: int, *arguments: str) -> Sender:
        """Any command on a machine, to its end."""
        sender = self.run(at, *arguments)
        sender.wait()
        audit.no_traceback(self.tally, sender.words(), sender.said)
        return sender

    def tend(self) -> None:
        """Look who has ended by himself, and judge the exit code."""
        for at, sender in list(self.at_work.items()):
            if not sender.alive():
                del self.at_work[at]
                self._judge(sender)

    def aim(self, letters: int, seconds: float = 20.0) -> None:
        """Wait for so many letters more, or until all workers have ended."""
        wanted, end = self.taken() + letters, time.monotonic() + seconds
        while self.taken() < wanted and time.monotonic() < end:
            self.tend()
            if not self.at_work:
                return
            time.sleep(0.001)
        time.sleep(self.chance.uniform(0.0, 0.006))

    def kill(self, *machines: int) -> None:
        """SIGKILL, all at once; each may leave as many doubts as it has connections."""
        self.tend()
        open_ones = sum(oracle.counters()[1] for oracle in self._each)
        doomed = [self.at_work.pop(at) for at in machines if at in self.at_work]
        for sender in doomed:
            sender.kill()
        for sender in doomed:
            died = sender.wait() == -9
            self.tally.number += died
            self.tally.kills += died
            self.tally.open_kills += died and open_ones > 0
            self.bound += CONNECTIONS * died
            audit.no_traceback(self.tally, sender.words(), sender.said)

    def midway(self) -> StoreBooks:
        """What must hold at any moment."""
        found = store_books.midway(self.tally, self.database, self.log)
        self.judge_doubts(found)
        return found

    def judge_doubts(self, found: StoreBooks) -> None:
        """No more than the deaths explain."""
        doubts = found.doubts - (found.pending if self.at_work else 0)
        self.tally.must(doubts <= self.bound, f"{doubts} in doubt, where {self.bound} are explained")

    def to_the_end(self) -> None:
        """Let the workers finish; start others until the store says that nothing is left."""
        for oracle in self._each:
            oracle.faults(delay=(0.0, 0.01))
        self._await_all()
        for _ in range(ROUNDS):
            found = store_books.read(self.database)
            if found.runs and not found.open and not found.left:
                break
            self.start(*self.chance.sample(range(len(self.scenes)), min(2, len(self.scenes))))
            self._await_all()
        last = self.command(self.chance.randrange(len(self.scenes)), "send", str(self.scenes[0].file.name))
        verdicts = store_books.read(self.database).runs[-1].tally()
        wanted = 0 if "Nobody is left" in last.words() else audit.expected_code(verdicts, self.policy)
        self.tally.must(last.code == wanted, f"at the end it exited {last.code}, not {wanted}: {last.words()[-300:]}")

    def close(self, *, resent: bool | None = None) -> StoreBooks:
        """Finish, and audit; then settle what is in doubt by the oracle's log."""
        self.to_the_end()
        resent = self.policy == "resend" if resent is None else resent
        found = store_books.closing(self.tally, self.database, self.log, resent=resent)
        self.judge_doubts(found)
        self.tally.letters += books.read_oracle(self.log).copies
        most = "most in doubt by one case"
        self.tally.notes[most] = max(self.tally.notes[most], found.doubts)
        self.tally.notes["doubts"] += found.doubts
        self.report(found)
        if found.runs and "in_doubt" in found.runs[-1].verdicts.values():
            self.settle(found)
        return found

    def report(self, found: StoreBooks) -> None:
        """The report as any machine writes it says what the segments say."""
        if not found.runs:
            return
        at = self.chance.randrange(len(self.scenes))
        told = self.command(at, "report", str(self.scenes[at].file))
        self.tally.must(told.code in {0, 3, 4}, f"report exited {told.code}: {told.words()[-300:]}")
        last = found.runs[-1]
        audit._reports(self.tally, replace(last, folder=self.scenes[at].runs / last.folder.name))

    def settle(self, found: StoreBooks) -> None:
        """`resolve` on one machine with the oracle's Message-IDs, `retry --in-doubt` on another: exactly one each."""
        here, there = self.chance.sample(range(len(self.scenes)), 2)
        stamp, listing = found.runs[-1].folder.name, self.folder / "relay.log"
        ids = [copies[0][0] for copies in books.read_oracle(self.log).taken.values()]
        listing.write_text("\n".join(ids) + "\n", encoding="utf-8")
        report = self.command(here, "report", str(self.scenes[here].file))
        self.tally.must(report.code in {0, 3, 4}, f"report exited {report.code}: {report.words()[-300:]}")
        run = str(self.scenes[here].runs / stamp)
        resolved = self.command(here, "resolve", run, "--accepted", str(listing))
        self.tally.must(resolved.code in {0, 3, 4}, f"resolve exited {resolved.code}: {resolved.words()[-300:]}")
        retried = self.command(there, "retry", str(self.scenes[there].file), "--in-doubt")
        self.tally.must(retried.code == 0, f"retry --in-doubt exited {retried.code}: {retried.words()[-300:]}")
        after = books.read_oracle(self.log)
        if self.policy == "hold":
            twice = [address for address, copies in after.taken.items() if len(copies) > 1]
            self.tally.must(not twice, f"after the doubts were settled by the log {len(twice)} have two copies")
        lacking = self.people - len(after.taken)
        self.tally.must(not lacking, f"{lacking} have no letter at the end")

    def quiet(self, seconds: float) -> None:
        """While the store is away no letter leaves, but for those whose dot had left or whose intent was durable."""
        time.sleep(0.8)
        before = self.taken()
        time.sleep(seconds)
        more = self.taken() - before
        self.tally.must(not more, f"{more} letters left while the store was away")

    def _await_all(self) -> None:
        for sender in self.at_work.values():
            sender.wait()
        self.tend()
        for oracle in self._each:
            oracle.settled()

    def _judge(self, sender: Sender) -> None:
        audit.no_traceback(self.tally, sender.words(), sender.said)
        code = sender.code
        killed = code == -9 and "point" in self.orders
        self.tally.must(killed or code in FORESEEN, f"a worker exited {code}: {sender.words()[-400:]}")


def make_schema(url: str) -> None:
    """The product's schema, with short leases."""
    from campaign.ledger.postgres.schema import ensure_schema

    with psycopg.connect(url, autocommit=True) as connection:
        ensure_schema(connection)
        connection.execute("UPDATE campaign.meta SET lease = make_interval(secs => %s)", (LEASE,))
