"""A few seeds of the simulation, that a seed replays exactly, and that planted faults are found and shrunk.

The simulation replaces the clocks of its interpreter, so it runs in one of its own.
"""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

SEEDS = 8


def simulated(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.simulation", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)


def test_some_seeds_hold() -> None:
    ended = simulated("--seeds", str(SEEDS), "--processes", "1")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"{SEEDS} seeds" in ended.stdout
    assert ": 0 seeds in which something did not hold" in ended.stdout


@pytest.mark.parametrize("seed", [3, 22, 38])
def test_a_seed_replays_exactly(seed: int) -> None:
    hashes = [re.findall(r"trace (\w{32})", simulated("--seed", str(seed)).stdout) for _ in range(2)]
    assert len(hashes[0]) == 1
    assert hashes[0] == hashes[1]


FAULTS = [
    "no intent is written",
    "doubts are forgotten at recovery",
    "the canary is ignored",
    "doubts of a sender that died are forgotten",
]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str) -> None:
    ended = simulated("--planted", fault, "--seeds", "60", "--processes", "1")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "1 planted, 0 not found" in ended.stdout


def test_a_failing_seed_is_shrunk_to_the_faults_that_matter() -> None:
    from tests.simulation.shrink import shrink
    from tests.simulation.simulate import Result
    from tests.simulation.world import Fault

    faults = [Fault(number, "time", 1.0, "clock") for number in range(12)]
    asked: list[set[int]] = []

    def again(seed: int, without: object) -> Result:
        left = [one for one in faults if one.number not in without]  # type: ignore[operator]
        asked.append({one.number for one in left})
        broken = ["2.0 s: u1@a is lost"] if {3, 8} <= asked[-1] else []
        return Result(seed, broken, "", [], left)

    found = shrink(Result(5, ["1.0 s: u7@a is lost"], "", [], faults), again)
    assert [one.number for one in found.faults] == [3, 8]
    assert len(asked) < 60
