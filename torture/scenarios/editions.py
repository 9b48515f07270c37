"""The same edition sent again: re-sorted, grown, shrunk, and by two timers at once. Only newcomers get a letter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torture import audit, books
from torture.audit import Tally
from torture.bench import Bench, dice
from torture.case import Case
from torture.scene import Scene, address

KINDS = ("re-sorted", "grown", "shrunk", "all of it", "two timers", "killed and grown")
TIMES = 30


def cases(kills: int) -> list[Case]:
    """Thirty re-sends."""
    each = max(TIMES * kills // 200 // len(KINDS), 1)
    return [
        Case("the same edition sent again", f"edition {kind}", again, {"kind": kind, "times": each}, cost=each * 1.5)
        for kind in KINDS
    ]


def again(bench: Bench, folder: Path, seed: int, tally: Tally, *, kind: str, times: int) -> None:
    """One edition after another; each is sent, changed, sent again, and once more."""
    for turn in range(times):
        chance, here = dice(seed, kind, turn), folder / f"turn-{turn}"
        people = list(range(chance.randint(20, 60)))
        scene = Scene(here, bench.port, people, connections=chance.choice((1, 10)))
        several = chance.random() < 0.4
        scene.change("delivery", "processes", "2" if several else "1")
        bench.scene(here, delay=(0.0, 0.004), seed=turn)
        first: dict[str, Any] = (
            {"point": "merged after" if several else "dot after", "nth": 1 if several else chance.randint(1, 15)}
            if kind == "killed and grown"
            else {}
        )
        bench.bear(here, "send", str(scene.file), **first).wait()
        bench.settled()
        scene.people = _changed(kind, people, chance)
        scene.write()
        tally.number += 1
        _send_again(bench, scene, tally, 2 if kind == "two timers" else 1)
        everybody = {address(n) for n in [*people, *scene.people]}
        if kind == "killed and grown":
            # The first command continues the run that was killed; the next one finds the newcomers.
            _send_again(bench, scene, tally, 1)
        audit.closing(tally, scene)
        _served(tally, scene, everybody)
        before = bench.counters()[2]
        _send_again(bench, scene, tally, 1)
        tally.must(bench.counters()[2] == before, "a third command sent letters although everybody was served")


def _changed(kind: str, people: list[int], chance: object) -> list[int]:
    import random

    assert isinstance(chance, random.Random)
    changed = list(people)
    if kind in {"re-sorted", "all of it", "two timers"}:
        chance.shuffle(changed)
    if kind in {"shrunk", "all of it"}:
        changed = changed[: len(changed) // 2]
    if kind != "re-sorted" and kind != "shrunk":
        changed[chance.randrange(len(changed)) : 0] = range(100, 100 + chance.randint(1, 20))
    return changed


def _send_again(bench: Bench, scene: Scene, tally: Tally, processes: int) -> None:
    senders = [bench.bear(scene.folder, "send", str(scene.file)) for _ in range(processes)]
    codes = sorted(sender.wait() for sender in senders)
    # Two timers: one works and the other exits 75; or it comes when all is done, finds nobody left, and exits 0.
    tally.must(set(codes) <= ({0, 4} if processes == 1 else {0, 75}), f"exit codes {codes}")
    for sender in senders:
        audit.no_traceback(tally, sender.words(), sender.said)


def _served(tally: Tally, scene: Scene, everybody: set[str]) -> None:
    oracle = books.read_oracle(scene.folder / "oracle.log")
    doubtful = {run.planned[number] for run in books.read_runs(scene.runs) for number in run.doubts}
    tally.must(
        everybody - set(oracle.taken) <= doubtful, f"{len(everybody - set(oracle.taken) - doubtful)} were not served"
    )
    twice = [one for one, copies in oracle.taken.items() if len(copies) > 1]
    tally.must(not twice, f"{len(twice)} got the same edition twice")
