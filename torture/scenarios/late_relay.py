"""Nobody listens at the relay's port when a run starts: it comes while it is waited for, or only after that."""

from __future__ import annotations

import time
from pathlib import Path

from torture import audit
from torture.audit import Tally
from torture.bench import Bench, dice
from torture.case import Case
from torture.door import Door
from torture.scene import Scene

SCENARIO = "the start without a relay"
PEOPLE = 12
REPEATS = 3
PATIENT, IMPATIENT = 30.0, 1.0  #: seconds


def cases(kills: int) -> list[Case]:
    """Each of the two some times."""
    repeats = max(REPEATS * kills // 200, 1)
    return [
        Case(SCENARIO, f"relay comes {when}", started, {"patience": patience, "repeats": repeats}, cost=3.0 * repeats)
        for when, patience in (("in time", PATIENT), ("too late", IMPATIENT))
    ]


def started(bench: Bench, folder: Path, seed: int, tally: Tally, *, patience: float, repeats: int) -> None:
    """Start, wait, open the port; where patience was over, the same command once more."""
    for turn in range(repeats):
        chance, here = dice(seed, folder.name, turn), folder / f"turn-{turn}"
        door = Door(bench.port)
        scene = Scene(here, door.port, range(PEOPLE), connections=chance.randint(1, 4))
        scene.settings["delivery"] = {"relay_patience": f'"{patience:g}s"'}
        scene.write()
        bench.scene(here)
        sender = bench.bear(here, "send", str(scene.file))
        try:
            if patience == IMPATIENT:
                code = sender.wait()
                tally.must(code == 75, f"nobody listened and the exit code is {code}: {sender.words()[-300:]}")
                audit.midway(tally, scene)
                door.open()
                sender = bench.bear(here, "send", str(scene.file))
            else:
                time.sleep(chance.uniform(0.2, 1.5))
                door.open()
            code = sender.wait()
        finally:
            door.close()
        audit.no_traceback(tally, sender.words(), sender.said)
        tally.number += 1
        tally.must(code == 0, f"the relay came and the exit code is {code}: {sender.words()[-300:]}")
        audit.closing(tally, scene)
