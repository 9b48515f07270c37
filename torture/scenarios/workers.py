"""Workers over a store: killed at random and at named points, frozen, cut off, the store killed or failed over."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from torture import books, store_books, store_points, stores
from torture.audit import Tally
from torture.bench import Bench, dice
from torture.case import Case
from torture.crew import CONNECTIONS, EDITION, LEASE, Crew
from torture.scene import number_of
from torture.stores import Store
from torture.wire import CUTS, Wire

KILLS = "workers: SIGKILL at random times"
NAMED = "workers: SIGKILL at each named point"
FROZEN = "workers: SIGSTOP past the lease"
OVERTAKEN = "workers: SIGSTOP at a named point past the lease"
RESTARTS = "workers: the store stopped or killed"
WIRES = "workers: the wire to the store cut"
FAILOVER = "workers: a synchronous standby promoted"
COMMANDS = "workers: commands from two machines"
CANARIES = "workers: killed while a canary is out"
BATCH = 10
#: Beside those of `store_points`: points of any sender that a worker passes, and whether a letter may be in doubt.
OTHERS = ("content before", "content after", "dot before", "dot after", "reply after", "report before", "report torn",
          "report after", "ended before", "ended torn", "ended after")  # fmt: skip
POINTS = store_points.ALL + OTHERS
#: Where a command holds an edition, and a worker a shard that it has not appended to.
HOLDING = (*store_points.TAKING, *store_points.RUNS, *store_points.SHARDS[:2])
FREEZES, STOPS, CUT_WIRES, FAILOVERS, ORDERS, HELD = 20, 10, 5, 5, 6, 6
FIRST = 50  # of SOME
#: Few are three shards: one of two workers has two of them.
MANY, SOME, FEW = 2000, 800, 300


def cases(kills: int) -> list[Case]:
    """With 200: 300 kills, 20 workers frozen, 10 restarts, 5 wires cut, 5 fail-overs; none without PostgreSQL."""
    if not stores.installed():
        return []

    def so_many(number: float) -> range:
        return range(max(round(number * kills / 200), 1))

    steps = 10 if kills >= 100 else 5
    return [
        *(Case(KILLS, f"workers killed {at}", killed, {"kills": BATCH, "at": at}, 25.0)
          for at in so_many(300 / BATCH)),
        *(Case(NAMED, f"workers point {point}", at_point, {"point": point, "repeats": max(kills // 200, 1)}, 12.0)
          for point in POINTS),
        *(Case(FROZEN, f"workers frozen {at}", frozen, {"at": at}, 22.0) for at in so_many(FREEZES / 2)),
        *(Case(OVERTAKEN, f"workers overtaken {point}", overtaken, {"point": point}, 22.0) for point in HOLDING),
        *(Case(RESTARTS, f"workers store {at}", restarted, {"at": at}, 25.0) for at in so_many(STOPS / 2)),
        *(Case(WIRES, f"workers wire {at}", cut_off, {"at": at}, 22.0) for at in so_many(CUT_WIRES)),
        *(Case(FAILOVER, f"workers failover {at}", failed_over, {"at": at}, 30.0) for at in so_many(FAILOVERS)),
        *(Case(COMMANDS, f"workers commands {at}", commanded, {"at": at, "steps": steps}, 40.0)
          for at in so_many(ORDERS)),
        *(Case(CANARIES, f"workers canary {at}", canaried, {"at": at}, 25.0) for at in so_many(HELD)),
    ]  # fmt: skip


def _crew(bench: Bench, folder: Path, tally: Tally, chance: random.Random, people: int, machines: int = 3) -> Crew:
    if not bench.store.running:
        bench.store.start()
    url = bench.store.url(bench.store.database())
    policy = chance.choice(("hold", "hold", "resend"))
    return Crew(bench, folder, tally, chance, people, url, [url] * machines, policy)


def killed(bench: Bench, folder: Path, seed: int, tally: Tally, *, kills: int, at: int) -> None:
    """Two to four workers; one or all of them die, others come in their place, until ``kills`` are dead."""
    chance = dice(seed, "workers killed", at)
    machines = chance.randint(2, 4)
    crew = _crew(bench, folder, tally, chance, MANY, machines)
    crew.scene(0.0, 0.02)
    crew.start(*range(machines))
    share = int(MANY * 0.85 / kills)
    while tally.kills < kills and crew.at_work:
        if chance.random() < 0.1:
            time.sleep(chance.uniform(0.0, 1.5))  # also while it starts, waits or ends
            crew.tend()
        else:
            crew.aim(chance.randrange(1, share))
        alive = list(crew.at_work)
        if not alive:
            break
        all_of_them = chance.random() < 0.15
        crew.kill(*(alive if all_of_them else [chance.choice(alive)]))
        if all_of_them:
            bench.settled()
            crew.midway()  # nobody lives who could add an intent to a letter after the fact
        crew.start(*(one for one in range(machines) if one not in crew.at_work))
    crew.close()


def at_point(bench: Bench, folder: Path, seed: int, tally: Tally, *, point: str, repeats: int) -> None:
    """Of two workers the one that comes first to ``point`` dies; then another takes its place."""
    for turn in range(repeats):
        chance = dice(seed, "workers point", point, turn)
        crew = _crew(bench, folder / f"turn-{turn}", tally, chance, FEW, 2)
        crew.scene(0.0, 0.02)
        struck = crew.folder / "struck"
        often = point.startswith(("intent", "verdict", "content", "dot", "reply"))
        crew.orders = {"point": point, "nth": chance.randint(1, 40) if often else 1, "once": str(struck)}
        if point.startswith(("takeover", "release")):
            crew.orders["nth"] = chance.randint(1, 2)
        crew.start(0, 1)
        end = time.monotonic() + 60.0
        while crew.at_work and not struck.exists() and time.monotonic() < end:
            crew.tend()
            time.sleep(0.002)
        tally.must(struck.exists(), f"{point} was not reached, the {crew.orders['nth']}. time")
        tally.number += 1
        tally.kills += struck.exists()
        crew.bound += CONNECTIONS if often or point.startswith(("takeover", "release")) else 0
        tally.open_kills += bench.counters()[1] > 0
        time.sleep(0.05)
        crew.tend()
        crew.midway()
        crew.orders = {"point": "none", "nth": 0}  # the dead may still be judged
        crew.start(*(one for one in (0, 1) if one not in crew.at_work))
        crew.close()


def frozen(bench: Bench, folder: Path, seed: int, tally: Tally, *, at: int) -> None:
    """Two workers of three are stopped, one after the other: past the lease, or until the others have ended."""
    chance = dice(seed, "workers frozen", at)
    crew = _crew(bench, folder, tally, chance, SOME)
    crew.scene(0.03, 0.08)
    crew.start(0, 1, 2)
    for turn in range(2):
        crew.aim(chance.randint(20, 150))
        if not crew.at_work:
            break
        zombie = chance.choice(list(crew.at_work))
        sender = crew.at_work.pop(zombie)
        sender.signal(signal.SIGSTOP)
        tally.number += 1
        tally.open_kills += bench.counters()[1] > 0
        crew.bound += CONNECTIONS
        if turn and at % 2:
            for other in list(crew.at_work.values()):
                other.wait()
            tally.notes["frozen until the others had ended"] += 1
        else:
            time.sleep(LEASE + chance.uniform(0.5, 2.5))
        sender.signal(signal.SIGCONT)
        crew.at_work[zombie] = sender
        crew.midway()
        crew.tend()
    crew.close()


def overtaken(bench: Bench, folder: Path, seed: int, tally: Tally, *, point: str) -> None:
    """Of two, one stands still at ``point`` until its lease is over and the other has gone on; then it goes on, too."""
    chance = dice(seed, "workers overtaken", point)
    crew = _crew(bench, folder, tally, chance, FEW, 2)
    crew.scene(0.0, 0.02)
    struck = crew.folder / "struck"
    orders = {"point": point, "nth": 1, "once": str(struck), "end": signal.SIGSTOP}
    words = ["send", str(crew.scenes[1].file)]
    if not point.startswith(("close", "takeover")):  # it makes a run in place of an unfinished one
        crew.command(0, "send", str(crew.scenes[0].file), "--limit", str(chance.randint(20, 100)))
        words.append("--fresh")
    zombie = crew.run(1, *words, **orders)
    end = time.monotonic() + 60.0
    while zombie.alive() and not struck.exists() and time.monotonic() < end:
        time.sleep(0.002)
    tally.must(struck.exists(), f"{point} was not reached")
    tally.number += 1
    crew.bound += CONNECTIONS
    time.sleep(max(LEASE, EDITION) + chance.uniform(0.5, 1.0))
    crew.start(0)
    crew.aim(chance.randint(20, 150), seconds=10.0)
    zombie.signal(signal.SIGCONT)
    crew.at_work[1] = zombie
    crew.midway()
    crew.close()


def restarted(bench: Bench, folder: Path, seed: int, tally: Tally, *, at: int) -> None:
    """The store is stopped in one of three ways, twice, and started again; a worker may die meanwhile."""
    chance = dice(seed, "workers store", at)
    crew = _crew(bench, folder, tally, chance, SOME)
    crew.scene(0.01, 0.05)
    crew.start(0, 1, 2)
    for turn in range(2):
        crew.aim(chance.randint(20, 150))
        way = stores.WAYS[(at * 2 + turn) % len(stores.WAYS)]
        bench.store.stop(way)
        tally.number += 1
        tally.notes[f"stopped: {way}"] += 1
        crew.bound += CONNECTIONS * len(crew.at_work)
        crew.quiet(chance.uniform(0.5, 4.0))
        if chance.random() < 0.4 and crew.at_work:
            crew.kill(chance.choice(list(crew.at_work)))
        bench.store.start()
        crew.midway()
        crew.tend()
        crew.start(*(one for one in range(3) if one not in crew.at_work))
    crew.close()


def cut_off(bench: Bench, folder: Path, seed: int, tally: Tally, *, at: int) -> None:
    """The wire of one worker is held, swallows or is reset, for less than its lease and for more."""
    chance = dice(seed, "workers wire", at)
    if not bench.store.running:
        bench.store.start()
    database, wire = bench.store.database(), Wire(bench.store.port)
    url = bench.store.url(database)
    policy = chance.choice(("hold", "resend"))
    crew = Crew(bench, folder, tally, chance, SOME, url, [bench.store.url(database, wire.port), url], policy)
    crew.scene(0.03, 0.08)
    crew.start(0, 1)
    for turn in range(2):
        crew.aim(chance.randint(20, 120))
        how = CUTS[(at + turn) % len(CUTS)]
        wire.cut(how)
        tally.number += 1
        tally.notes[f"cut: {how}"] += 1
        crew.bound += CONNECTIONS
        time.sleep(chance.uniform(0.5, 1.5) if turn == 0 else LEASE + chance.uniform(0.5, 3.0))
        wire.mend()
        crew.midway()
        crew.tend()
        crew.start(*(one for one in range(2) if one not in crew.at_work))
    crew.close()
    wire.close()


def failed_over(bench: Bench, folder: Path, seed: int, tally: Tally, *, at: int) -> None:
    """The standby lags for a moment, the primary is killed, the standby promoted; both are in the workers' address."""
    chance = dice(seed, "workers failover", at)
    primary, standby = bench.borrowed.enter_context(_pair())
    database = primary.database()
    both = primary.url(database, primary.port, standby.port)
    crew = Crew(
        bench, folder, tally, chance, SOME, primary.url(database), [both] * 3, chance.choice(("hold", "resend"))
    )
    crew.scene(0.01, 0.05)
    crew.start(0, 1, 2)
    crew.aim(chance.randint(50, 300))
    if at % 2 == 0:
        standby.signal(signal.SIGSTOP)
        crew.quiet(1.0)
    primary.stop("kill")
    standby.signal(signal.SIGCONT)
    tally.number += 1
    crew.bound += CONNECTIONS * len(crew.at_work)
    if chance.random() < 0.5 and crew.at_work:
        crew.kill(chance.choice(list(crew.at_work)))
    standby.promote()
    crew.database = standby.url(database)
    crew.midway()
    crew.tend()
    crew.start(*(one for one in range(3) if one not in crew.at_work))
    crew.close()


@contextmanager
def _pair() -> Iterator[tuple[Store, Store]]:
    """A primary whose commits wait for its standby."""
    primary, standby = Store(), Store()
    try:
        primary.initialise()
        standby.follow(primary)
        with psycopg.connect(primary.url("postgres"), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            connection.execute("SELECT pg_reload_conf()")
        yield primary, standby
    finally:
        standby.close()
        primary.close()


def canaried(bench: Bench, folder: Path, seed: int, tally: Tally, *, at: int) -> None:
    """Three workers share a canary; some die while it is out and while the rest is held, and the store may, too."""
    chance = dice(seed, "workers canary", at)
    crew = _crew(bench, folder, tally, chance, SOME)
    for scene in crew.scenes:
        scene.change("delivery", "canary", str(FIRST))
    crew.scene(0.02, 0.1)
    crew.start(0, 1, 2)
    for _ in range(3):
        crew.aim(chance.randint(3, 12), 2.0)
        if crew.at_work:
            crew.kill(chance.choice(list(crew.at_work)))
        crew.start(*(one for one in range(3) if one not in crew.at_work))
    _await_hold(crew)
    if at % 2:
        crew.kill(*crew.at_work)
        bench.store.stop(chance.choice(stores.WAYS))
        bench.store.start()
    found = crew.midway()
    tried = {number for number, verdict in found.runs[-1].verdicts.items() if verdict != "waiting"}
    reached = {number_of(found) for found in books.read_oracle(crew.log).taken}
    first = set(range(0, SOME, SOME // FIRST))
    tally.must(reached <= first, f"{len(reached - first)} of the rest have a letter while they are held")
    tally.must(tried == first, f"{len(tried & first)} of the canary were tried, and {len(tried - first)} of the rest")
    _say(crew, chance.randrange(3), "resume")
    crew.start(*(one for one in range(3) if one not in crew.at_work))
    crew.close()


def _await_hold(crew: Crew, seconds: float = 60.0) -> None:
    """Wait until the store says that the rest is held."""
    end = time.monotonic() + seconds
    held = False
    while not held and time.monotonic() < end:
        crew.tend()
        with psycopg.connect(crew.database) as connection:
            row = connection.execute("SELECT canary_held IS NOT NULL FROM campaign.run").fetchone()
        held = bool(row and row[0])
        time.sleep(0.05)
    crew.tally.must(held, "the rest was not held once the canary was out")


#: What each command may exit with beside 0.
CODES = {"stop": {75}, "resume": {75}, "pause": {75}, "status": set(), "report": {3, 4, 5, 75}, "resolve": {4, 75},
         "set": {75}, "send": {3, 4, 5, 75}, "cancel": {3, 4, 75}, "retry": {3, 4, 75}}  # fmt: skip


def commanded(bench: Bench, folder: Path, seed: int, tally: Tally, *, at: int, steps: int) -> None:
    """Two machines, a worker on each, and commands from either in any order; at the end perhaps cancel and retry."""
    chance = dice(seed, "workers commands", at)
    crew = _crew(bench, folder, tally, chance, SOME, 2)
    crew.scene(0.01, 0.05)
    crew.start(0, 1)
    crew.aim(20)
    for _ in range(steps):
        _one_command(crew, chance)
        crew.tend()
        if chance.random() < 0.2 and crew.at_work:
            crew.kill(chance.choice(list(crew.at_work)))
        crew.midway()
        crew.start(*(one for one in range(2) if one not in crew.at_work and chance.random() < 0.7))
        crew.aim(chance.randrange(1, 60), 1.0)
    if at % 2:
        _say(crew, chance.randrange(2), "cancel")
        crew._await_all()
        crew.midway()
        crew.start(chance.randrange(2))  # whoever comes closes what was cancelled
        crew._await_all()
        _say(crew, chance.randrange(2), "retry")
        tally.notes["cancelled and tried again"] += 1
    else:
        _say(crew, chance.randrange(2), "resume")
        crew._await_all()
    crew.close()


def _one_command(crew: Crew, chance: random.Random) -> None:
    machine = chance.randrange(2)
    word = chance.choice(("stop", "resume", "pause", "resume", "status", "report", "resolve", "set"))
    more: list[str] = []
    if word == "resolve":
        listing = crew.folder / "relay.log"
        ids = [copies[0][0] for copies in books.read_oracle(crew.log).taken.values()]
        listing.write_text("\n".join(ids) + "\n", encoding="utf-8")
        more = ["--accepted", str(listing)]
        _say(crew, machine, "report")  # which makes a copy of the run, if there is none on this machine
    if word == "set":
        more = [f"rate={chance.choice((100, 200, 400))}/s"]
    _say(crew, machine, word, *more)


def _say(crew: Crew, machine: int, word: str, *more: str) -> None:
    target = str(crew.scenes[machine].file)
    if word == "resolve":
        runs = store_books.read(crew.database).runs
        target = str(crew.scenes[machine].runs / runs[-1].folder.name)
    done = crew.command(machine, word, target, *more)
    crew.tally.number += 1
    over = done.code == 78 and "is over" in done.words()  # the workers were through before the command came
    crew.tally.must(
        over or done.code in {0, *CODES[word]}, f"{word} on machine {machine} exited {done.code}: {done.words()[-300:]}"
    )
