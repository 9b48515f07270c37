"""One seed: processes, one after another, in a world of faults, until nothing is left to do.

Between two processes operators release what they held. Once nothing is left that could go wrong, a few more processes
have to suffice.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

from tests.simulation import clock, scenario
from tests.simulation.disk import Loose, lose_power
from tests.simulation.process import KILLED, Ended, edition, newest, run, steer, suppress
from tests.simulation.relay import Relay
from tests.simulation.witness import Command, Witness
from tests.simulation.world import Fault, Machine, World
from torture import audit, books

#: Processes in which faults may strike, and that have to suffice afterwards.
MOST, ENOUGH = 30, 12
DAY = 86400.0
FINISHED = frozenset({0, 3, 4})
#: Runs one process; returns the world as it is afterwards, and how the process ended.
Serve = Callable[[World, Command, Callable[[Any], int]], tuple[World, Ended]]


@dataclass
class Result:
    """What came of one seed."""

    seed: int
    broken: list[str]
    digest: str
    story: list[tuple[float, str]]
    faults: list[Fault]
    letters: int = 0
    people: int = 0
    copies: int = 0
    doubts: int = 0
    deaths: int = 0
    losses: int = 0
    processes: int = 0
    hours: float = 0.0
    seconds: float = 0.0
    trace: list[str] = field(default_factory=list)


def simulate(seed: int, without: Collection[int] = (), *, trace: bool = False, serve: Serve = run) -> Result:
    """Live through one seed, ``without`` the faults of these numbers; ``serve`` runs its processes."""
    began = time.process_time() + sum(os.times()[2:4])
    drawn, faults = scenario.draw(seed)
    faults = [one for one in faults if one.number not in without]
    folder = _folder(seed)
    try:
        world = World(seed, drawn, folder, list(faults))
        world.trace = [] if trace else None
        world.witness, world.loose = Witness(world), Loose()
        world.relays = {
            port: Relay(port, world, drawn.pipelining, think=drawn.think, sizes=seed % 2 == 0) for port in drawn.ports
        }
        world = _Seed(world, serve).live()
    finally:
        clock.run_by(None)
        Machine.act = None
        shutil.rmtree(folder, ignore_errors=True)
    return _result(world, faults, time.process_time() + sum(os.times()[2:4]) - began)


def _result(world: World, faults: list[Fault], seconds: float) -> Result:
    world.hash_trace()
    witness, told = world.witness, [text for _, text in world.story]
    letters = sum(map(len, witness.taken_at.values()))
    return Result(
        world.seed, world.broken, world.digest.hex(), world.story, faults, letters, world.scenario.people,
        letters - len(witness.taken_at), witness.doubted.total(),
        sum(" dies" in one for one in told), world.boots - 1, world.process, world.clock.true / 3600, seconds,
        world.trace or [],
    )  # fmt: skip


def _folder(seed: int) -> Path:
    """A folder whose name is the same each time, so that a replay is exact; another one if it is in use."""
    base = Path("/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()) / f"simulation-{os.getuid()}"
    for turn in range(1000):
        folder = base / f"{seed}-{turn:03d}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise RuntimeError(f"{base} is full of other simulations")


class _Seed:
    """``habits``: what operators still do once the run is finished."""

    def __init__(self, world: World, serve: Serve) -> None:
        self.world, self._serve = world, serve
        self._dice = world.dice("operators")
        self._habits = list(world.scenario.habits)
        self._verb = "send"
        self._left = MOST + ENOUGH

    def live(self) -> World:
        """Process after process."""
        scenario.write(self.world.scenario, self.world.folder)
        _knobs(self.world)
        self._boot()
        while self._left > 0 and not self.world.broken:
            self._left -= 1
            if self._left == ENOUGH:
                self.world.faults.clear()
            ended = self._process()
            if self.world.broken or self._done(ended):
                break
            self._idle()
        else:
            if not self.world.broken:
                self._by_clock()
                self.world.must(False, f"after {self.world.process} processes the run is not finished")
        if not self.world.broken:
            self._by_clock()
            _audit(self.world)
        self.world.clock.true = max(self.world.clock.true, DAY)
        return self.world

    def _process(self) -> Ended:
        world, verb = self.world, self._verb
        self._by_clock()
        bold = self._left > ENOUGH and world.process < 6 and verb == "send"
        limit = world.scenario.limit_option if bold else None
        longest = world.scenario.duration_option if bold else None
        resends = world.scenario.in_doubt == "resend" or verb == "retry in doubt"
        until = None if longest is None else world.clock.awake + longest
        command = Command(verb, world.clock.true, resends, limit, until)
        command_line = _work(world, verb, limit, longest)
        world.witness.withheld.update(world.witness.suppressed)
        self.world, ended = self._serve(world, command, command_line)
        self._dice, world = self.world.dice("operators"), self.world
        said = " ".join(ended.words.split())[-200:] if ended.code not in FINISHED | {KILLED} else ""
        world.tell(f"process {world.process} ends with {ended.code}" + (f": …{said}" if said else ""))
        if ended.code == KILLED:
            self._after_death()
        else:
            self._agrees(ended)
            if ended.code == 75 and "nothing to retry yet" in ended.words:
                self._verb = "send"  # as it says; a retry of doubts that was killed leaves an unfinished run
            left = sorted(edition(world).glob("*/shards/*"))
            world.must(world.disk_failed or not left, f"{len(left)} journals of shards are left: {left[:3]}")
        return ended

    def _after_death(self) -> None:
        world = self.world
        if world.power_gone:
            world.power_gone = False
            self._by_clock()
            lose_power(world)
            self._boot()

    def _boot(self) -> None:
        world = self.world
        world.boots += 1
        if world.set_clock:
            world.unsure_until = world.clock.true
        world.clock.boot()
        (world.folder / "boot_id").write_text(f"boot-{world.boots}\n", encoding="ascii")

    def _idle(self) -> None:
        """Time passes without a process; whatever falls into it happens."""
        world = self.world
        self._by_clock()
        world.clock.true += 10 ** self._dice.uniform(-1, 3.3)
        world.strike_by_time()

    def _by_clock(self) -> None:
        clock.run_by(self.world.clock)
        Machine.act = self._act

    def _act(self, fault: Fault) -> None:
        """What an operator does, no process being there."""
        does = fault.args.get("does", "")
        if fault.kind == "resume" or does == "pause":
            steer(self.world, state="run")
        elif does in {"stop", "cancel"}:
            steer(self.world, state=does)
        elif fault.kind == "suppress":
            suppress(self.world, fault.args["numbers"])

    def _done(self, ended: Ended) -> bool:
        """Whether nothing is left to do; else what to do next."""
        world, code = self.world, ended.code
        world.signalled = False
        if code == 5 or (self._left < ENOUGH and world.witness.wish.state in {"pause", "stop"}):
            self._by_clock()
            steer(world, state="run")
        if code not in FINISHED:
            return code == 78
        if world.witness.wish.state == "cancel":
            world.witness.wish.state = "run"
        self._verb = self._habits.pop(0) if self._habits else ""
        return not self._verb

    def _agrees(self, ended: Ended) -> None:
        """Hold an exit code against the journals."""
        world, code = self.world, ended.code
        runs = books.read_runs(edition(world))
        # Under resend a command may go on with an older run, whose doubts are left.
        served = [one for one in runs if str(one.folder / "checkpoint.journal") == world.witness.journal] or runs[-1:]
        tally = served[0].tally() if served else {}
        open_ones = tally.get("waiting", 0) + tally.get("deferred", 0)
        if code in FINISHED and "Nobody is left" not in ended.words and self._verb in {"send", "retry"}:
            world.must(not open_ones, f"exit {code}, and {open_ones} are not served")
            expected = audit.expected_code(tally, world.scenario.in_doubt)
            world.must(code == expected, f"exit {code} and not {expected} for {tally}")
        may = {
            70: False, 74: False, 65: False, 77: False, -1: False,
            5: world.witness.wish.state == "stop" or bool(world.scenario.canary),
            73: world.disk_failed, 130: True, 143: True,
            78: world.scenario.not_after is not None,
        }  # fmt: skip
        world.must(may.get(code, True), f"exit {code}: {ended.words[-1500:]}")


def _work(world: World, verb: str, limit: int | None, longest: float | None) -> Callable[[Any], int]:
    """What a process does: a command of the product."""

    def work(console: Any) -> int:
        from campaign.config import load
        from campaign.pipeline.command_context import Options
        from campaign.pipeline.operate.manage import resolve
        from campaign.pipeline.send import retry, send

        file = world.folder / "sim.toml"
        if verb == "send":
            return send(load(file), Options(limit=limit, max_duration=longest), console)
        if verb.startswith("retry"):
            return retry(load(file), Options(in_doubt="resend" if verb == "retry in doubt" else None), console)
        folder, accepted = newest(world), world.folder / "accepted.txt"
        accepted.write_text("\n".join(world.witness.identities.values()), encoding="utf-8")
        if folder is not None:
            resolve(folder, accepted)
        return 0

    return work


def _audit(world: World) -> None:
    """What must hold when nothing is left to do, by the auditor's own reading of the journals."""
    runs, witness = books.read_runs(edition(world)), world.witness
    people = audit.People.of(runs)
    resent = world.scenario.in_doubt == "resend" or "retry in doubt" in world.scenario.habits
    for address, verdict in people.verdict.items():
        copies, doubts = len(witness.taken_at.get(address, ())), people.doubts[address] + witness.doubted[address]
        world.must(verdict not in {"waiting", "deferred"}, f"{address} is lost: {verdict} when all is over")
        world.must(address not in people.accepted or copies > 0, f"{address} is lost: accepted, and no relay has it")
        known = address in people.accepted or verdict == "in_doubt" or doubts > 0
        world.must(not copies or known, f"{address} has a letter, and the journals say {verdict} without a doubt")
        world.must(copies <= 1 + (doubts if resent else 0), f"{address} has {copies} letters and {doubts} doubts")
    everybody = {world.scenario.address(number) for number in range(world.scenario.people)}
    left_out = everybody - people.verdict.keys() - witness.suppressed.keys()
    world.must(not runs or not left_out, f"{len(left_out)} were never planned: {sorted(left_out)[:3]}")
    strangers = witness.taken_at.keys() - people.verdict.keys()
    world.must(not strangers, f"letters to people of no plan: {sorted(strangers)[:3]}")
    if runs and runs[-1].finished:
        told = books.summary(runs[-1].folder)
        world.must(bool(told["balanced"]), f"the books do not balance: {told['complaints']}")
        said = {verdict: count for verdict, count in told["verdicts"].items() if count}
        world.must(said == runs[-1].tally(), f"summary.json says {said}, the journal {runs[-1].tally()}")


class _Datetime(datetime):
    """Its ``now`` follows ``time.time``, which is virtual here."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Any:
        """The present moment."""
        return cls.fromtimestamp(time.time(), tz)


def _knobs(world: World) -> None:
    """Let the product look at files as seldom as the seed has it, and draw nothing that the seed does not."""
    from types import SimpleNamespace

    from campaign.delivery import control_file
    from campaign.delivery.queue import admission
    from campaign.delivery.send import connection_pool, dispatcher
    from campaign.ledger.shards import shard_store
    from campaign.pipeline import command_context
    from campaign.pipeline.serve import canary, serve_loop
    from campaign.pipeline.serve.senders import sender_process
    from campaign.pipeline.start import choose_run
    from campaign.report.live import progress
    from campaign.system import boot

    look = world.scenario.look
    serve_loop.WATCH_SECONDS = control_file.EVERY = canary.LOOK_SECONDS = look  # type: ignore[assignment]
    admission.NAP = dispatcher.NAP = connection_pool.NAP = look  # type: ignore[assignment]
    progress.PUBLISH = 10 * look
    sender_process.WATCH_SECONDS = look  # type: ignore[assignment]
    shard_store.SMALLEST, shard_store.LARGEST = world.scenario.shard
    boot._IDENTITY = world.folder / "boot_id"
    choose_run.datetime = command_context.datetime = _Datetime  # type: ignore[misc]
    choose_run.uuid4 = lambda: SimpleNamespace(hex=f"{world.seed:032x}")  # type: ignore[assignment,return-value]
