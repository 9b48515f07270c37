"""One simulated process: a fork of this one that serves one command in the world, until it ends or dies.

A real fork dies as a killed process does: nothing of it runs afterwards, and the kernel takes its locks and
descriptors. What the world saw meanwhile comes back through a pipe.
"""

from __future__ import annotations

import asyncio
import builtins
import gc
import io
import os
import pickle
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.simulation import clock
from tests.simulation.disk import Disk
from tests.simulation.loop import VirtualLoop
from tests.simulation.member import CURRENT, NOBODY, Member
from tests.simulation.scenario import EDITION, NAME, per_window
from tests.simulation.senders import Family
from tests.simulation.witness import Command, Wish
from tests.simulation.world import Fault, Machine, Stuck, World

_getpid = os.getpid
#: Exit codes that no command has: it was killed, or it hangs.
KILLED, HANGS = -9, -1
#: Seconds of CPU that a process may take, whatever the virtual clock shows. None of them waits for anything real.
PATIENCE = 120


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code, and what it printed."""

    code: int
    words: str


def run(world: World, command: Command, work: Callable[[Any], int]) -> tuple[World, Ended]:
    """Serve one command in a process of its own; returns the world as it is afterwards."""
    world.process += 1
    world.witness.begins(command)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        signal.setitimer(signal.ITIMER_PROF, PATIENCE)
        _Process(world, command, work, writer).live()
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    if not told:
        world.must(False, f"the process of the simulation itself ended with status {status}")
        return world, Ended(HANGS, "")
    after, ended = pickle.loads(told)
    return after, ended


def run_here(world: World, command: Command, work: Callable[[Any], int]) -> tuple[World, Ended]:
    """Serve one command in this very process, which must not die on the way, and put back what it replaces."""
    from campaign.delivery.pacing import pacing_file
    from campaign.pipeline.serve import pass_loop

    before = [(owner, dict(vars(owner))) for owner in (os, io, builtins, pacing_file, pass_loop)]
    world.process += 1
    world.witness.begins(command)
    try:
        return world, _Process(world, command, work, -1).serve()
    finally:
        for owner, values in before:
            for name in [one for one in values if vars(owner).get(one) is not values[one]]:
                setattr(owner, name, values[name])
        CURRENT.set(None)
        asyncio.set_event_loop_policy(None)


class _Process:
    """The child's side."""

    def __init__(self, world: World, command: Command, work: Callable[[Any], int], writer: int) -> None:
        self.world, self._command, self._work, self._writer = world, command, work, writer
        self._console = io.StringIO()
        self.loop: VirtualLoop | None = None
        self._pid = _getpid()
        self.disk = Disk(world, self.die)
        self.family = Family(world, 1000 + world.process, self._all_have_ended)

    def live(self) -> None:
        """Serve the command, and end this process."""
        try:
            gc.disable()
            self._end(self.serve())
        except BaseException:  # noqa: BLE001 - a fault of the simulation, told where it can be seen
            self.world.must(False, f"the simulation failed: {traceback.format_exc()}")
            self._end(Ended(HANGS, ""))

    def serve(self) -> Ended:
        """Serve the command."""
        self._settle_in()
        self.world.tell(f"process {self.world.process} begins: {self._command.verb}")
        code = self._serve()
        return Ended(code, self._console.getvalue())

    def die(self, *, power: bool) -> None:
        """End as a killed process does, or as a machine without power."""
        if _getpid() != self._pid:
            os._exit(9)
        world = self.world
        world.tell(f"process {world.process} dies{' as power is lost' if power else ''}")
        if self.loop is not None:
            self.loop.network.end(power=power)
        world.power_gone = power
        self._end(Ended(KILLED, self._console.getvalue()))

    def _all_have_ended(self) -> None:
        """The run's own process was killed, and its senders have ended by themselves."""
        self.world.tell(f"process {self.world.process} and all its senders are gone")
        self._end(Ended(KILLED, self._console.getvalue()))

    def _settle_in(self) -> None:
        world = self.world
        clock.run_by(world.clock, self._wait)
        Machine.act = self._act
        os.getpid = _answer(_getpid, self.family.own)
        self._launch_in_here()
        asyncio.set_event_loop_policy(_Policy(self))
        self.disk.install()
        CURRENT.set(self.family.own)

    def _launch_in_here(self) -> None:
        """Let senders be members of this process, in place of processes of their own."""
        from campaign.pipeline.serve.senders import sender_pool

        sender_pool.SenderPool = partial(sender_pool.SenderPool, launch=self.family.launch)  # type: ignore[assignment,misc]

    def _serve(self) -> int:
        from campaign.errors import CampaignError
        from campaign.exit_codes import of_error
        from campaign.report.live.console import Console

        try:
            return int(self._work(Console(stream=self._console)))
        except CampaignError as error:
            self._console.write(f"{error}\n")
            return int(of_error(error))
        except Stuck as stuck:
            self.world.must(False, str(stuck))
            return HANGS
        except Exception:  # noqa: BLE001 - a traceback is what nobody may ever see
            self.world.must(False, f"a traceback: {traceback.format_exc()}")
            return HANGS

    def _end(self, ended: Ended) -> None:
        clock.run_by(None)
        Machine.act = None
        self.world.hash_trace()
        data = pickle.dumps((self.world, ended), pickle.HIGHEST_PROTOCOL)
        while data:
            data = data[os.write(self._writer, data) :]
        os._exit(0)

    def _wait(self, seconds: float) -> None:
        self.world.clock.true += seconds

    # -- faults

    def watch_time(self) -> None:
        """Have the faults happen whose time comes while the loop runs."""
        world, loop = self.world, self.loop
        assert loop is not None
        world.strike_by_time()
        due = world.next_by_time()
        if due is not None:
            loop.call_later(max(0.0, due - world.clock.true) + 1e-6, self.watch_time, context=NOBODY)

    def _act(self, fault: Fault) -> None:
        args = fault.args
        match fault.kind:
            case "death" if "whom" in args:
                self._kill_one(args["whom"], args["when"])
            case "death":
                if args["when"] == "now":
                    self.die(power=args["power"])
                self.disk.death = args["when"], args["power"]
            case "disk":
                until = self.world.clock.true + args["lasts"]
                self.disk.failing = {"errno": args["errno"], "left": args["left"], "until": until}
            case "signal":
                self._signal(args["name"], twice=args["twice"])
            case "operator":
                self._operate(args)
            case "resume":
                self._steer(state="run")
            case "suppress":
                self.disk.operator = True
                suppress(self.world, args["numbers"])
                self.disk.operator = False

    def _kill_one(self, whom: str, when: str) -> None:
        """A sender dies, or the run's own process before them: now, or at the call of the disk that is under way."""
        member = self.family.named(whom)
        if member is None or member.dead or not self.family.living or self.loop is None or not self.loop.is_running():
            return
        if when != "now" and CURRENT.get() is member:
            self.disk.victim = member, when, self.family.die
        else:
            self.family.die(member)

    def _signal(self, name: str, *, twice: bool) -> None:
        found = self.loop and self.loop.signals.get(getattr(signal, name))
        if not found or self.loop is None:
            return
        self.world.signalled = True
        self.loop.call_soon(found[0], *found[1], context=NOBODY)
        if twice:
            self.loop.call_later(0.5, found[0], *found[1], context=NOBODY)

    def _operate(self, args: dict[str, Any]) -> None:
        does = args["does"]
        if does == "second process":
            self._second()
        elif does == "rate":
            self._steer(rate=args["rate"])
        elif does == "connections":
            self._steer(connections=args["connections"])
        else:
            self._steer(state=does)
            if does == "pause" and self.loop is not None:
                self.world.add("time", self.world.clock.true + args["lasts"], "resume")
                self.loop.call_soon(self.watch_time, context=NOBODY)

    def _steer(self, **wish: Any) -> None:
        self.disk.operator = True
        try:
            steer(self.world, **wish)
        finally:
            self.disk.operator = False

    def _second(self) -> None:
        """Another process with the same command, in the middle of this one: it must send nothing and say 75."""
        child = os.fork()
        if child == 0:
            try:
                code = self._other()
            except BaseException:  # noqa: BLE001 - seen as a wrong code
                code = 99
            os._exit(code)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        self.world.must(code == 75, f"a second process exits {code} and not 75")

    def _other(self) -> int:
        from campaign.config import load
        from campaign.errors import CampaignError
        from campaign.exit_codes import of_error
        from campaign.pipeline.command_context import Options
        from campaign.pipeline.send import send
        from campaign.report.live.console import Console

        self.disk.operator = True
        try:
            return int(send(load(self.world.folder / "sim.toml"), Options(), Console(stream=io.StringIO())))
        except CampaignError as error:
            return int(of_error(error))


class _Policy(asyncio.DefaultEventLoopPolicy):
    """Makes virtual loops."""

    def __init__(self, process: _Process) -> None:
        super().__init__()
        self._process = process

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """A loop, with the faults that wait for their time."""
        process = self._process
        process.loop = VirtualLoop(process.world)
        process.loop.call_soon(process.watch_time, context=NOBODY)
        return process.loop


def _answer(real: Callable[[], int], parent: Member) -> Callable[[], int]:
    """``os.getpid`` of a simulated process."""
    own = real()
    return lambda: (CURRENT.get() or parent).pid if real() == own else real()


def edition(world: World) -> Path:
    """The folder of the runs."""
    return world.folder / "runs" / NAME / EDITION


def newest(world: World) -> Path | None:
    """The newest run that has a journal."""
    found = [one.parent for one in edition(world).glob("*/checkpoint.journal")]
    return max(found, key=lambda one: one.name, default=None)


def steer(world: World, **wish: Any) -> None:
    """What an operator wishes of the newest run, if there is one."""
    from campaign.config.units import rates
    from campaign.errors import CampaignError
    from campaign.pipeline.operate.manage import steer as steer_run

    folder = newest(world)
    if folder is None:
        return
    asked = dict(wish)
    if "rate" in asked:
        asked["rate"] = rates(asked["rate"])
    try:
        steer_run(folder, **asked)
    except CampaignError as error:
        world.tell(f"an operator was refused: {error.what}")
        return
    witness, now = world.witness, world.clock.awake
    known = witness.wishes.setdefault(str(folder / "checkpoint.journal"), Wish())
    if "state" in wish:
        witness.cancelled |= wish["state"] == "cancel"
        known.state, known.since = wish["state"], now
    if "connections" in wish:
        known.connections_before = witness.allowed(known)
        known.connections, known.connections_since = wish["connections"], now
    if "rate" in wish:
        known.rate, known.rate_since = (per_window(wish["rate"]),), now


def suppress(world: World, numbers: list[int]) -> None:
    """Some people unsubscribe."""
    gone = [world.scenario.address(number) for number in numbers]
    with open(world.folder / "gone.csv", "a", encoding="utf-8") as file:
        file.write("".join(f"{one}\n" for one in gone))
    for one in gone:
        world.witness.suppressed.setdefault(one, world.clock.awake)
