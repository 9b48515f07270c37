"""A minute of the torture: some cases of every scenario, with a fixed seed. `make torture` is the whole of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SEED = "20261124"


@pytest.mark.timeout(400)
def test_the_guarantee_holds_through_a_minute_of_kills_breaks_and_full_disks(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torture", "--kills", "10", "--share", "0.05", "--seed", SEED),
            *("--workers", "2", "--evidence", str(tmp_path / "evidence")),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "Everything held." in done.stdout
    everything = [cell.strip() for cell in done.stdout.split("| all ")[1].split("\n")[0].strip(" |").split("|")]
    number, kills, open_kills, letters, lost, _extra, not_predicted, _doubts, holds = everything
    assert (lost, not_predicted, holds) == ("0", "0", "yes")
    assert int(number.replace(",", "")) > 1000
    assert int(kills) >= 10
    assert int(open_kills) > 0
    assert int(letters.replace(",", "")) > 2000
