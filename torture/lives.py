"""One life of a command with several senders: some of them die while it works, and then it ends in one of five ways."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass

from torture import audit, books, family
from torture.audit import Tally
from torture.bench import Bench, Sender
from torture.scene import Scene

#: How a life ends. With one process there is no sender beside the command itself.
ENDS = ("parent", "all", "sender, then parent", "SIGTERM")
ALONE = ("parent", "parent", "SIGTERM")
#: The share of ends aimed at any time after the start, not only while letters are on their way.
ANY_TIME = 0.12
#: What a sender that was not killed may exit with, where the server breaks as well.
FORESEEN = frozenset({0, 3, 4, 69, 75})


@dataclass
class Life:
    """A command that sends, and the deaths in it. ``bound``: how many letters these can have put in doubt."""

    bench: Bench
    scene: Scene
    tally: Tally
    chance: random.Random
    processes: int
    bound: int = 0

    def begin(self) -> None:
        """Start the command."""
        log = self.scene.folder / "oracle.log"
        self._doubts, self._log_at, self._taken = _doubts(self.scene), log.stat().st_size, self.bench.counters()[2]
        self.sender: Sender = self.bench.start(self.scene.folder, "send", str(self.scene.file))

    @property
    def share(self) -> int:
        """The most connections that one sender has."""
        return -(-self.scene.connections // min(self.processes, self.scene.connections))

    def aim(self, letters: int) -> None:
        """Wait until the oracle has so many letters more, and then a little longer."""
        wanted, end = self.bench.counters()[2] + letters, time.monotonic() + 60.0
        while self.bench.counters()[2] < wanted and time.monotonic() < end and self.sender.alive():
            time.sleep(0.0005)
        time.sleep(self.chance.uniform(0.0, 0.006))

    def some_time(self) -> None:
        """Wait for as long as chance has it, from the start of the interpreter to well after the first letter."""
        end = time.monotonic() + self.chance.uniform(0.0, 1.5 + 0.5 * self.processes)
        while time.monotonic() < end and self.sender.alive():
            time.sleep(0.005)

    def kill_a_sender(self) -> bool:
        """One sender dies; False where there is none."""
        found = family.senders(self.scene.folder)
        if not found:
            return False
        self._count()
        family.kill([self.chance.choice(found)])
        self.bound += self.share
        self.tally.notes["senders killed"] += 1
        return True

    def end(self, how: str) -> bool:
        """End it; False if it had ended by itself. Everything it has started has ended then, too."""
        known, finished = family.senders(self.scene.folder), not self.sender.alive()
        if not finished:
            self._end_now(how, known)
        code = self.sender.wait()
        left = family.wait_for_end(self.scene.folder)
        self.tally.must(not left, f"{len(left)} senders still run long after their parent ended by {how}")
        family.kill(left)
        self.bench.settled()
        # A signal that comes before anybody listens for it ends the interpreter.
        early = code == -signal.SIGTERM and self.bench.counters()[2] == self._taken
        ended = early or code == (143 if how == "SIGTERM" else -9)
        self.tally.must(ended or code in FORESEEN, f"exit {code} after {how}: {self.sender.words()[-300:]}")
        return ended

    def audit(self) -> None:
        """What must hold after every life; doubts are bounded by what died and, where the server breaks, by that."""
        audit.no_traceback(self.tally, self.sender.words(), self.sender.said)
        audit.midway(self.tally, self.scene)
        log = self.scene.folder / "oracle.log"
        with log.open("rb") as file:
            file.seek(self._log_at)
            broke = file.read().count(b'"is": "broke"')
        new = _doubts(self.scene) - self._doubts
        self.tally.must(new <= self.bound + broke, f"{new} new doubts, where {self.bound} and {broke} are explained")
        most = "most in doubt by one life of a command"
        self.tally.notes[most] = max(self.tally.notes[most], new)

    def _end_now(self, how: str, known: list[int]) -> None:
        self._count(kill=how != "SIGTERM")
        match how:
            case "SIGTERM":
                self.sender.signal(signal.SIGTERM)
            case "all":
                family.kill(self.chance.sample([self.sender.pid, *known], len(known) + 1))
                self.bound += self.scene.connections
            case "sender, then parent":
                family.kill([self.chance.choice([*known, self.sender.pid])])
                self.sender.kill()
                self.bound += self.share
            case _:
                self.sender.kill()
                self.bound += 0 if self.processes > 1 else self.scene.connections
        self.tally.notes[f"ended by {how}, {self.processes} processes"] += 1

    def _count(self, *, kill: bool = True) -> None:
        self.tally.number += 1
        self.tally.kills += kill
        self.tally.open_kills += kill and self.bench.counters()[1] > 0


def ends(processes: int) -> Sequence[str]:
    """The ways in which a command with so many processes can end."""
    return ENDS if processes > 1 else ALONE


def _doubts(scene: Scene) -> int:
    return sum(sum(run.doubts.values()) for run in books.read_runs(scene.runs))
