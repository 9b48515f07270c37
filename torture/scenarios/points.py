"""SIGKILL at every named point of the run, and at every call on its files while it recovers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torture import audit, books, points
from torture.audit import Tally
from torture.bench import Bench, dice
from torture.case import Case
from torture.scene import Scene

PEOPLE = 12
REPEATS = 5
RECOVERIES = 30


def cases(kills: int) -> list[Case]:
    """Each point five times (more in the long form), and thirty kills during recovery."""
    repeats = max(REPEATS * kills // 200, 1)
    named = [
        Case(
            "SIGKILL at each named point",
            f"point {point}",
            at_point,
            {"point": point, "repeats": repeats},
            cost=repeats,
        )
        for point in points.ALL
    ]
    lives = max(RECOVERIES * kills // 200, 10)
    return [
        *named,
        *(
            Case("SIGKILL during recovery itself", f"recovery {at}", recovering, {"kills": 10, "at": at}, cost=8.0)
            for at in range(lives // 10)
        ),
    ]


def at_point(bench: Bench, folder: Path, seed: int, tally: Tally, *, point: str, repeats: int) -> None:
    """Die at ``point``, with one connection, so that it is known how many may be in doubt."""
    chance = dice(seed, point)
    for turn in range(repeats):
        here = folder / f"turn-{turn}"
        policy, durability = chance.choice(("hold", "resend", "skip")), chance.choice(("process", "power"))
        if point.startswith("sync"):
            durability = "process"
        scene = Scene(here, bench.port, range(PEOPLE), connections=1, in_doubt=policy, durability=durability).write()
        bench.scene(here)
        nth = 1 if point in points.ONCE else chance.randint(1, 2 if point.startswith("sync") else PEOPLE - 2)
        sender = bench.bear(here, "send", str(scene.file), point=point, nth=nth)
        code = sender.wait()
        bench.settled()
        tally.number += 1
        tally.must(code == -9, f"{point} was not reached the {nth}. time: exit {code}: {sender.words()[-300:]}")
        tally.kills += code == -9
        tally.open_kills += bool(books.read_oracle(here / "oracle.log").lost)
        audit.midway(tally, scene)
        _doubts(tally, scene, point)
        resume(bench, scene, tally, policy)


def _doubts(tally: Tally, scene: Scene, point: str) -> None:
    found = sum(len(run.doubts) for run in books.read_runs(scene.runs))
    wanted = int(point in points.IN_DOUBT)
    tally.must(found == wanted, f"{point}: {found} in doubt, {wanted} expected")


def resume(bench: Bench, scene: Scene, tally: Tally, policy: str, *, intents_kept: bool = True, **orders: Any) -> None:
    """Run the same command again to the end, and audit."""
    sender = bench.bear(scene.folder, "send", str(scene.file), **orders)
    code = sender.wait()
    audit.no_traceback(tally, sender.words(), sender.said)
    ended_well(tally, scene, policy, code, sender.words())
    audit.closing(tally, scene, resent=policy == "resend", intents_kept=intents_kept)


def ended_well(tally: Tally, scene: Scene, policy: str, code: int, words: str) -> None:
    """The exit code is what the verdicts ask for; where an earlier command has finished, that nobody is left is 0."""
    runs = books.read_runs(scene.runs)
    wanted = 0 if "Nobody is left" in words else audit.expected_code(runs[-1].tally() if runs else {}, policy)
    tally.must(code == wanted, f"run again, it exited {code}, not {wanted}: {words[-300:]}")


def recovering(bench: Bench, folder: Path, seed: int, tally: Tally, *, kills: int, at: int) -> None:
    """Kill in the middle; then kill each recovery a call later than the last one, whole or in the middle of a write."""
    chance = dice(seed, "recovery", at)
    scene = Scene(folder, bench.port, range(120), connections=10, in_doubt=chance.choice(("hold", "resend"))).write()
    bench.scene(folder, delay=(0.02, 0.04), seed=seed)
    first = bench.bear(folder, "send", str(scene.file), point="dot after", nth=chance.randint(15, 40))
    first.wait()
    for nth in range(1, kills + 1):
        doomed = {
            "under": str(folder / "runs"), "kind": "any", "nth": nth * 2 - chance.randrange(2),
            "how": chance.choice(("die", "tear")),
        }  # fmt: skip
        sender = bench.bear(folder, "send", str(scene.file), refuse=doomed)
        code = sender.wait()
        bench.settled()
        tally.must(code == -9, f"a recovery was to be killed at call {doomed['nth']} and exited {code}")
        tally.number += 1
        tally.kills += code == -9
        audit.midway(tally, scene)
    resume(bench, scene, tally, scene.in_doubt)
