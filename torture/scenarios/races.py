"""Two to twenty processes at once on one checkpoint: one sends, the rest exit 75 within a second and send nothing."""

from __future__ import annotations

from pathlib import Path

from torture import audit, books
from torture.audit import Tally
from torture.bench import Bench, dice
from torture.case import Case
from torture.scene import Scene

RACES = 50
BLOCK = 10
PEOPLE = 40
#: Seconds within which a rival has to see that it is one too many, without those in which it was given no core.
WITHIN = 1.0


def cases(kills: int) -> list[Case]:
    """Fifty races, in blocks."""
    blocks = max(RACES * kills // 200 // BLOCK, 1)
    return [
        Case("2 to 20 processes at once", f"races {at}", racing, {"races": BLOCK, "at": at}, cost=BLOCK * 1.5)
        for at in range(blocks)
    ]


def racing(bench: Bench, folder: Path, seed: int, tally: Tally, *, races: int, at: int) -> None:
    """Races for a new run, and for one that was killed in the middle, whose senders may still be at work."""
    chance = dice(seed, "races", at)
    for turn in range(races):
        here = folder / f"race-{turn}"
        scene = Scene(here, bench.port, range(PEOPLE), connections=5)
        several = turn % 4 == 3
        scene.change("delivery", "processes", "2" if several else "1")
        # Slow enough for every rival to come while somebody sends.
        bench.scene(here, delay=(0.15, 0.25), seed=seed + turn)
        if turn % 2:
            point = (
                {"point": "merged after", "nth": 1} if several else {"point": "dot after", "nth": chance.randint(1, 8)}
            )
            bench.bear(here, "send", str(scene.file), **point).wait()
            if not several:
                bench.settled()
        count = chance.randint(2, 20)
        rivals = [bench.bear(here, "send", str(scene.file)) for _ in range(count)]
        codes = [rival.wait() for rival in rivals]
        tally.number += 1
        doubts = sum(len(run.doubts) for run in books.read_runs(scene.runs))
        winner = 4 if doubts else 0
        tally.must(sorted(codes) == sorted([winner, *[75] * (count - 1)]), f"{count} at once exited {sorted(codes)}")
        losers = [rival for rival in rivals if rival.code == 75]
        slowest = max((one.seconds - one.queued for one in losers), default=0.0)
        tally.must(slowest < WITHIN, f"one of {count} exited 75 after {slowest:.2f} s")
        tally.notes["processes started"] += count
        tally.must(len(books.read_runs(scene.runs)) == 1, f"{len(books.read_runs(scene.runs))} runs were made")
        for rival in rivals:
            audit.no_traceback(tally, rival.words(), rival.said)
        audit.closing(tally, scene)
