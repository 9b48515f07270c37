"""Operators who type whatever there is, in any order, while it runs and between: nobody is lost, nobody is doubled.

Each turn is one edition and some commands drawn at random: sends that are killed, limited, started afresh or told to
send doubts again; stop, cancel, resume, retry, resolve, repair on any run; a list that grows; another key.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from pathlib import Path

from torture import audit, books, family
from torture.audit import Tally
from torture.bench import Bench, Sender, dice
from torture.case import Case
from torture.scene import Scene, address

SCENARIO = "commands in any order"
TURNS = 12
BLOCK = 2
STEPS = 7
#: Exit codes that a command may end in here: what the contract has for verdicts, holds, locks and refusals.
FORESEEN = frozenset({0, 3, 4, 5, 69, 75, 78, -9})
#: One letter in twelve meets a relay that breaks after its dot, and may have it or not.
BREAKS = [{"stage": "dot", "kind": kind, "chance": 0.04} for kind in ("fin", "rst", "garbage")]
SENDS = (
    (), (), ("--limit", "9"), ("--fresh",), ("--fresh", "--limit", "5"), ("--in-doubt", "resend"),
    ("--in-doubt", "resend", "--limit", "4"), ("--max-duration", "1s"),
)  # fmt: skip


def cases(kills: int) -> list[Case]:
    """Twelve turns, in blocks."""
    blocks = max(TURNS * kills // 200 // BLOCK, 1)
    return [
        Case(SCENARIO, f"commands {at}", typing, {"turns": BLOCK, "at": at}, cost=BLOCK * 12.0) for at in range(blocks)
    ]


@dataclass
class Desk:
    """One turn: the scene, what was typed, and whether anybody asked for doubts to be sent again."""

    bench: Bench
    scene: Scene
    tally: Tally
    chance: random.Random
    typed: list[str] = field(default_factory=list)
    resent: bool = False

    def type(self, *words: str) -> Sender:
        """One command, begun."""
        self.typed.append(" ".join(Path(word).name for word in words))
        self.resent |= "resend" in words or "--in-doubt" in words
        return self.bench.bear(self.scene.folder, *words)

    def done(self, sender: Sender) -> int:
        """Its end, looked at."""
        code = sender.wait()
        self.tally.must(code in FORESEEN, f"exit {code} after {self.typed}: {sender.words()[-300:]}")
        audit.no_traceback(self.tally, sender.words(), sender.said)
        return code

    def some_run(self) -> str:
        """Any run of the edition, or \"\"."""
        return str(self.chance.choice([run.folder for run in books.read_runs(self.scene.runs)] or [""]))


def typing(bench: Bench, folder: Path, seed: int, tally: Tally, *, turns: int, at: int) -> None:
    """Some turns, each audited after every command and at its end."""
    for turn in range(turns):
        chance = dice(seed, "operators", at, turn)
        scene = Scene(folder / f"turn-{turn}", bench.port, range(chance.randint(20, 40)))
        scene.connections = chance.choice((1, 2, 5))
        scene.settings["audience"] = {}
        scene.settings["delivery"] = {"processes": str(chance.choice((1, 1, 2)))}
        scene.write()
        bench.scene(scene.folder, delay=(0.0, 0.02), seed=seed + turn, misdeeds=BREAKS)
        desk = Desk(bench, scene, tally, chance)
        for _ in range(STEPS):
            _step(desk)
            family.wait_for_end(scene.folder)
            bench.settled()
            audit.midway(tally, scene)
        tally.number += 1
        _to_the_end(desk)


def _step(desk: Desk) -> None:
    what = desk.chance.choice(("send", "send", "send", "steer", "resolve", "retry", "list", "repair"))
    match what:
        case "send":
            _send(desk)
        case "steer" if run := desk.some_run():
            desk.done(desk.type(desk.chance.choice(("stop", "cancel", "resume", "pause")), run))
            desk.done(desk.type("resume", run)) if desk.typed[-1].startswith("pause") else None
        case "resolve" if run := desk.some_run():
            _resolve(desk, run, desk.chance.random())
        case "retry":
            desk.done(desk.type("retry", str(desk.scene.file), *desk.chance.choice(((), ("--in-doubt",)))))
        case "repair" if run := desk.some_run():
            desk.done(desk.type("repair", run))
        case "list":
            desk.scene.people = [*desk.scene.people, len(desk.scene.people)]
            key = desk.chance.choice(('""', '"number"'))
            desk.typed.append(f"key = {key}")
            desk.scene.change("audience", "key", key)


def _send(desk: Desk) -> None:
    """Left alone, killed after some letters, or steered from another terminal meanwhile."""
    before, chance = desk.bench.counters()[2], desk.chance
    sender = desk.type("send", str(desk.scene.file), *chance.choice(SENDS))
    fate, letters = chance.choice(("alone", "killed", "steered")), chance.randint(1, 15)
    end = time.monotonic() + 3.0
    while fate != "alone" and desk.bench.counters()[2] < before + letters and time.monotonic() < end:
        if not sender.alive():
            break
        time.sleep(0.001)
    if fate == "killed":
        sender.kill()
    elif fate == "steered" and (run := desk.some_run()):
        for word in chance.sample(("stop", "cancel", "resume"), 2):
            desk.done(desk.type(word, run))
    code = desk.done(sender)
    desk.tally.kills += code == -9


def _resolve(desk: Desk, run: str, share: float) -> None:
    """With the relay's log, or with a part of it."""
    taken = books.read_oracle(desk.scene.folder / "oracle.log").taken
    known = [copies[0][0] for copies in taken.values() if desk.chance.random() < share]
    log = desk.scene.folder / "relay.log"
    log.write_text("\n".join(f"message-id={one}" for one in known) + "\n", encoding="utf-8")
    desk.done(desk.type("resolve", run, "--accepted", str(log)))


def _to_the_end(desk: Desk) -> None:
    """The relay is well, everything is released, cancelled people are retried: who is left out then is lost."""
    file, tally = str(desk.scene.file), desk.tally
    desk.bench.faults()
    for _ in range(8):
        if run := _newest(desk):
            desk.done(desk.type("resume", run))
        sender = desk.type("send", file)
        # The first may continue a run that was frozen before the list grew; the next one serves the newcomers.
        if desk.done(sender) not in {5, 75} and "Nobody is left" in sender.words():
            break
    for _ in range(3):
        desk.done(desk.type("retry", file))
    for one in books.read_runs(desk.scene.runs):
        if "in_doubt" in one.tally():
            _resolve(desk, str(one.folder), 1.0)
    broken = len(tally.broken)
    people = audit.People.of(books.read_runs(desk.scene.runs))
    audit.closing(tally, desk.scene, resent=desk.resent, unserved=0, doubts_stay=True)
    missing = {address(n) for n in desk.scene.people} - set(books.read_oracle(desk.scene.folder / "oracle.log").taken)
    doubtful = {one for one, count in people.doubts.items() if count}
    tally.must(
        missing <= doubtful, f"{len(missing - doubtful)} were left out, such as {sorted(missing - doubtful)[:3]}"
    )
    if len(tally.broken) > broken:
        tally.broken.append(f"by these commands: {desk.typed}")


def _newest(desk: Desk) -> str:
    runs = books.read_runs(desk.scene.runs)
    return str(runs[-1].folder) if runs else ""
