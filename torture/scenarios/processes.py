"""Two and four senders: some are killed and replaced, their parent is killed beside them, another number goes on."""

from __future__ import annotations

from pathlib import Path

from torture.audit import Tally
from torture.bench import Bench, dice
from torture.case import Case
from torture.lives import Life
from torture.scenarios.kills import CHAOS, finish, one_life
from torture.scene import Scene

SCENARIO = "senders and their parent are killed"
PEOPLE = 1600
BATCH = 20
#: How many senders die in a life before its end; more than three in a row without a letter would end it.
DEATHS = (0, 1, 1, 2, 3)
#: Connections, durability, what is done about doubts, and whether the server breaks at random as well.
MIXES = (
    (8, "process", "hold", False), (8, "power", "resend", False), (20, "process", "resend", True),
    (4, "power", "hold", True), (20, "power", "hold", False), (3, "process", "resend", False),
)  # fmt: skip


def cases(kills: int) -> list[Case]:
    """As many kills as there are at random times, in batches of one campaign each."""
    batches = max(round(kills / BATCH), 1)
    each = max(kills // batches, 1)
    return [
        Case(SCENARIO, f"processes {at}", killed, {"kills": each, "mix": MIXES[at % len(MIXES)]}, cost=each * 2.5 + 10)
        for at in range(batches)
    ]


def killed(bench: Bench, folder: Path, seed: int, tally: Tally, *, kills: int, mix: tuple[int, str, str, bool]) -> None:
    """Each life has a number of processes of its own; the last one finishes what all have left."""
    connections, durability, policy, chaos = mix
    chance = dice(seed, folder.name)
    scene = Scene(folder, bench.port, range(PEOPLE), connections=connections, durability=durability, in_doubt=policy)
    scene.write()
    bench.scene(folder, delay=(0.004, 0.02), seed=seed, misdeeds=CHAOS if chaos else [])
    share = PEOPLE * 0.9 / (kills + 2)
    while tally.kills < kills:
        processes, before = chance.choice((2, 4)), tally.kills
        scene.change("delivery", "processes", str(processes))
        deaths = min(chance.choice(DEATHS), kills - tally.kills)
        one_life(Life(bench, scene, tally, chance, processes), share, deaths)
        if tally.kills == before:
            tally.notes["lives that finished before they could be ended"] += 1
            if _is_over(scene):
                break
    scene.change("delivery", "processes", str(chance.choice((1, 2, 4))))
    finish(bench, scene, tally, policy)


def _is_over(scene: Scene) -> bool:
    from torture import books

    return all(run.finished for run in books.read_runs(scene.runs))
