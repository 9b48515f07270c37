"""Rehearsals in the embedded mailbox before and between the parts of a real run, killed or not, count for nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torture import audit, books, family
from torture.audit import Tally
from torture.bench import Bench, dice
from torture.case import Case
from torture.scenarios.points import resume
from torture.scene import Scene

SCENARIO = "rehearsals around a run, killed or not"
PEOPLE = 16
TIMES = 12
#: Who is killed: the rehearsal, the run through the relay, both, or nobody.
KINDS = ("nobody", "rehearsal", "run", "both")
AT = ("dot after", "verdict before", "verdict after", "intent before", "content after")


def cases(kills: int) -> list[Case]:
    """Each kind some times."""
    times = max(TIMES * kills // 200 // len(KINDS), 1)
    return [
        Case(SCENARIO, f"rehearsal {kind}", rehearsed, {"kind": kind, "times": times}, cost=4.0 * times)
        for kind in KINDS
    ]


def rehearsed(bench: Bench, folder: Path, seed: int, tally: Tally, *, kind: str, times: int) -> None:
    """Rehearse, begin the run, rehearse again, finish the run; everybody has one letter through the relay."""
    for turn in range(times):
        chance, here = dice(seed, kind, turn), folder / f"turn-{turn}"
        scene = Scene(here, bench.port, range(PEOPLE), connections=1)
        scene.change("delivery", "processes", chance.choice(("1", "1", "2")))  # a rehearsal has one all the same
        bench.scene(here)
        for killed in (kind in {"rehearsal", "both"}, False):
            _rehearse(bench, scene, tally, chance.choice(AT) if killed else "", chance.randint(1, PEOPLE - 4))
        if kind in {"run", "both"}:
            _kill(bench, scene, tally, chance.choice(AT), chance.randint(1, PEOPLE - 4))
            _rehearse(bench, scene, tally, "", 1)
        resume(bench, scene, tally, scene.in_doubt)
        tally.number += 1
        _judge(bench, scene, tally)


def _rehearse(bench: Bench, scene: Scene, tally: Tally, point: str, nth: int) -> None:
    before = bench.counters()[2]
    orders = {"point": point, "nth": nth} if point else {}
    sender = bench.bear(scene.folder, "send", str(scene.file), "--relay", "mailbox", **orders)
    code = sender.wait()
    tally.kills += code == -9
    tally.must(code == -9 if point else code in {0, 4}, f"a rehearsal exited {code}: {sender.words()[-300:]}")
    tally.must(bench.counters()[2] == before, "a letter of a rehearsal went through the relay")
    audit.midway(tally, scene)


def _kill(bench: Bench, scene: Scene, tally: Tally, point: str, nth: int) -> None:
    several = scene.settings["delivery"]["processes"] != "1"
    orders: dict[str, Any] = {"point": "merged after", "nth": 1} if several else {"point": point, "nth": nth}
    sender = bench.bear(scene.folder, "send", str(scene.file), **orders)
    code = sender.wait()
    family.wait_for_end(scene.folder)
    bench.settled()
    tally.kills += code == -9
    tally.must(code == -9, f"{point} was not reached the {nth}. time: exit {code}: {sender.words()[-300:]}")
    audit.midway(tally, scene)


def _judge(bench: Bench, scene: Scene, tally: Tally) -> None:
    """Everybody has a letter or is listed in doubt by the run; no rehearsal's letter settles such a doubt."""
    runs, rehearsals = books.read_runs(scene.runs), books.read_runs(scene.runs, rehearsals=True)
    tally.must(len(runs) == 1, f"{len(runs)} runs through the relay, where one goes on until it is done")
    tally.must(bool(rehearsals), "no journal says that it is a rehearsal")
    if not (runs and rehearsals):
        return
    taken = set(books.read_oracle(scene.folder / "oracle.log").taken)
    without = [
        run.planned[n] for run in runs for n in run.planned if run.planned[n] not in taken and n not in run.doubts
    ]
    tally.must(not without, f"{sorted(without)} were rehearsed and never served")
    box = rehearsals[-1].folder / "mailbox"
    sender = bench.bear(scene.folder, "resolve", str(runs[-1].folder), "--accepted", str(box))
    tally.must(sender.wait() == 65, f"letters of a rehearsal were taken for accepted: exit {sender.code}")
