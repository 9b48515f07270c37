"""The clock jumps by years, forward and back, within a run and between two processes of it."""

from __future__ import annotations

import json
from pathlib import Path

from torture import audit, books
from torture.audit import Tally
from torture.bench import Bench
from torture.case import Case
from torture.launch import SENDERS
from torture.scene import Scene, address

SCENARIO = "the clock jumps by ten years"
PEOPLE, PUT_OFF = 24, 8
#: Recipients of a shard at least, so that both senders have some who are put off.
SMALLEST = 3
YEARS = 10 * 365 * 86400.0
RIGHT, AHEAD, BEHIND = 0.0, YEARS, -YEARS
#: Name -> what the clock says in each process, as (at first, once half of those put off were).
JUMPS = {
    "ahead and set right": [(AHEAD, RIGHT)],
    "right and ahead": [(RIGHT, AHEAD)],
    "right and behind": [(RIGHT, BEHIND)],
    "ahead until the process ends": [(AHEAD, AHEAD), (RIGHT, RIGHT)],
    "ahead in the second process": [(RIGHT, RIGHT), (AHEAD, AHEAD), (RIGHT, RIGHT)],
}


def cases(_kills: int) -> list[Case]:
    """Each kind of jump with one sender, and with two."""
    return [
        Case(SCENARIO, f"clock {name} {processes}", jumping, {"clocks": clocks, "processes": processes}, cost=8.0)
        for name, clocks in JUMPS.items()
        for processes in (1, 2)
    ]


def jumping(
    bench: Bench, folder: Path, seed: int, tally: Tally, *, clocks: list[tuple[float, float]], processes: int
) -> None:
    """Some are put off in each process. Nobody is given up for his age, and nobody waits for years."""
    scene = Scene(folder, bench.port, range(PEOPLE), connections=2)
    scene.settings["delivery"] = {
        "retry_after": '"2s"',
        "attempts": "9",
        "give_up_after": '"24h"',
        "processes": str(processes),
    }
    scene.write()
    replies = {"rcpt": {address(n): ["450 try later"] * len(clocks) for n in range(PUT_OFF)}}
    bench.scene(folder, replies=replies, seed=seed)
    for turn, (start, later) in enumerate(clocks, 1):
        jumped = str(folder / f"jumped-{turn}")
        clock = {"start": start, "later": later, "deferrals": PUT_OFF // 2 // processes, "jumped": jumped}
        last = turn == len(clocks)
        limit = [] if last else ["--max-duration", "1s"]
        told = {SENDERS: json.dumps({"clock": clock})}
        sender = bench.bear(folder, "send", str(scene.file), *limit, environment=told, clock=clock, smallest=SMALLEST)
        code = sender.wait(60.0)
        audit.no_traceback(tally, sender.words(), sender.said)
        tally.must(code == (0 if last else 75), f"process {turn} exited {code}: {sender.words()[-300:]}")
    tally.number += 1
    tally.must(books.read_runs(scene.runs)[-1].tally() == {"accepted": PEOPLE}, "somebody was not served")
    audit.closing(tally, scene)
