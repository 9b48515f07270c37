"""SIGTERM, SIGINT, two SIGINTs, and cron's ``timeout``: nothing is lost and nothing is doubled."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from torture import audit, books, family
from torture.audit import Tally
from torture.bench import ENVIRONMENT, Bench, Sender, dice
from torture.case import Case
from torture.scenarios.points import resume
from torture.scene import Scene

PEOPLE = 150
KINDS = ("SIGTERM", "SIGINT", "SIGINT twice", "timeout")
TIMES = 40
#: Seconds for ``timeout``: long enough to be sending on a busy machine, too short for 600 letters at 20 ms.
TIMEOUT = "3"


def cases(kills: int) -> list[Case]:
    """Forty stops (more in the long form), ten of each kind."""
    each = max(TIMES * kills // 200, 4) // len(KINDS)
    return [
        Case(
            "SIGTERM, SIGINT, twice SIGINT, timeout", f"signal {kind}", stopped,
            {"kind": kind, "times": each}, cost=each * (4.5 if kind == "timeout" else 1.2),
        )
        for kind in KINDS
    ]  # fmt: skip


def stopped(bench: Bench, folder: Path, seed: int, tally: Tally, *, kind: str, times: int) -> None:
    """Stop it in the middle by ``kind``, look at the exit code and at doubts, run it again."""
    chance = dice(seed, kind)
    for turn in range(times):
        here = folder / f"turn-{turn}"
        people, connections = (600, 2) if kind == "timeout" else (PEOPLE, chance.choice((1, 5, 20)))
        scene = Scene(here, bench.port, range(people), connections=connections)
        scene.change("delivery", "processes", chance.choice(("1", "2")))
        # Where a second signal comes a quarter of a second later, the letters in flight must still be waiting then.
        bench.scene(here, delay=(0.5, 0.8) if kind == "SIGINT twice" else (0.01, 0.03), seed=seed + turn)
        if kind == "timeout":
            code, words = _under_timeout(scene)
        else:
            sender = bench.bear(here, "send", str(scene.file))
            _until_sending(bench, sender, chance.randrange(1, 40 if kind != "SIGINT twice" else 4))
            sender.signal(signal.SIGTERM if kind == "SIGTERM" else signal.SIGINT)
            if kind == "SIGINT twice":
                time.sleep(chance.uniform(0.25, 0.3))
                sender.signal(signal.SIGINT)
            code, words = sender.wait(), sender.words()
        left = family.wait_for_end(here)
        tally.must(not left, f"{len(left)} processes still run after {kind}")
        bench.settled()
        tally.number += 1
        # timeout(1) passes SIGTERM on and says 124 itself.
        wanted = {"SIGTERM": 143, "timeout": 124}.get(kind, 130)
        # A second Ctrl-C in the last moment ends the interpreter by the signal itself; a shell calls that 130 as well.
        code = 130 if kind == "SIGINT twice" and code == -signal.SIGINT else code
        tally.must(code == wanted, f"{kind}: exit {code}, not {wanted}: {words[-300:]}")
        audit.no_traceback(tally, words, here)
        audit.midway(tally, scene)
        doubts = sum(len(run.doubts) for run in books.read_runs(scene.runs))
        tally.must(
            kind == "SIGINT twice" or not doubts, f"{kind}: {doubts} in doubt, although letters in flight may finish"
        )
        bench.faults()
        resume(bench, scene, tally, scene.in_doubt)


def _until_sending(bench: Bench, sender: Sender, letters: int) -> None:
    end = time.monotonic() + 20.0
    while bench.counters()[2] < letters and time.monotonic() < end and sender.alive():
        time.sleep(0.001)


def _under_timeout(scene: Scene) -> tuple[int, str]:
    """``timeout 3 campaign send`` as cron has it; a machine without timeout(1) has no cron that uses it."""
    program = shutil.which("timeout") or "timeout"
    done = subprocess.run(
        [program, TIMEOUT, sys.executable, "-m", "campaign", "send", str(scene.file)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=scene.folder,
        env={**os.environ, **ENVIRONMENT}, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout.decode("utf-8", "replace")
