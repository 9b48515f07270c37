"""A short form of `make demo-workers`: three workers share a run, one is killed half-way, and the books balance."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.servers.databases import PLACES
from tests.support.stand import ROOT, clean_environment


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not shutil.which("initdb", path=PLACES), reason="PostgreSQL is not installed")
def test_workers_share_a_run_and_one_is_killed_half_way(tmp_path: Path) -> None:
    command = [sys.executable, "sample_data/workers_demo.py", "--letters", "2000", "--workers", "3"]
    done = subprocess.run(
        [*command, "--folder", str(tmp_path / "demo")],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is killed (kill -9)" in done.stdout
    counted = dict(re.findall(r"^  (planned|lost|unlisted extra) +([\d,]+)", done.stdout, re.MULTILINE))
    assert counted == {"planned": "2,000", "lost": "0", "unlisted extra": "0"}
    [report] = re.findall(r"^The report: (.+)$", done.stdout, re.MULTILINE)
    assert Path(report).is_file()
