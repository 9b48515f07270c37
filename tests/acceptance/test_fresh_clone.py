"""A new user with Python and make: `make`, then `make demo`, killed in the middle and typed again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from tests.support.stand import ROOT, clean_environment, recipient

#: Seconds for the installation; the network decides.
INSTALLING = 600.0


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("fresh") / "campaign"
    subprocess.run(["git", "-c", "safe.directory=*", "clone", "--quiet", ROOT, place], check=True, timeout=60)
    return place


def environment() -> dict[str, str]:
    """That of a shell in which no virtual environment was ever entered."""
    ours = clean_environment()
    ours.pop("VIRTUAL_ENV", None)
    ours.pop("MAKEFLAGS", None)
    ours.pop("PYTHONPATH")
    ours["PATH"] = os.pathsep.join(
        one for one in ours["PATH"].split(os.pathsep) if not Path(one).is_relative_to(ROOT / ".venv")
    )
    return ours


def make(clone: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *words], cwd=clone, env=environment(), capture_output=True, text=True, timeout=INSTALLING
    )


def kept(clone: Path) -> list[Path]:
    return sorted(clone.glob("sample_data/runs/gazette/2026-12/*/mailbox/new/*"))


def newest(clone: Path) -> Path:
    return max(clone.glob("sample_data/runs/gazette/2026-12/*/plan.jsonl")).parent


@pytest.mark.parametrize("words", [[], ["help"]], ids=["make", "make help"])
def test_make_prints_its_help_and_touches_nothing(clone: Path, words: list[str]) -> None:
    done = make(clone, *words)
    assert done.returncode == 0, done.stderr
    for target in ("demo", "test", "check", "preview", "send", "status", "report", "retry", "ci"):
        assert re.search(rf"^ +make {target} +\S", done.stdout, re.MULTILINE), done.stdout
    status = subprocess.run(["git", "status", "--porcelain", "--ignored"], cwd=clone, capture_output=True, text=True)
    assert status.stdout == ""


@pytest.mark.slow
@pytest.mark.timeout(INSTALLING + 120)
def test_make_demo_is_killed_and_typed_again(clone: Path) -> None:
    with (clone / "talk").open("wb") as talk:
        first = subprocess.Popen(
            ["make", "demo"], cwd=clone, env=environment(), stdout=talk, stderr=talk, start_new_session=True
        )
    deadline = time.monotonic() + INSTALLING
    while len(kept(clone)) < 200:
        assert time.monotonic() < deadline
        assert first.poll() is None, (clone / "talk").read_text(encoding="utf-8")
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait(10)

    second = make(clone, "demo")
    found = re.search(r"([\d,]+) of ([\d,]+) settled earlier, ([\d,]+) in doubt, ([\d,]+) to go", second.stderr)
    assert found is not None, second.stderr
    settled, planned, doubts, left = (int(number.replace(",", "")) for number in found.groups())
    assert 200 - 8 <= settled < planned
    assert settled + doubts + left == planned
    assert doubts <= 8
    assert second.returncode == (2 if doubts else 0), second.stdout
    assert bool(doubts) == ("not sent again (in_doubt = hold)" in second.stderr)
    people = [recipient(path.read_bytes()) for path in kept(clone)]
    assert len(people) == len(set(people))
    verdicts = json.loads((newest(clone) / "summary.json").read_text(encoding="utf-8"))["verdicts"]
    assert verdicts["accepted"] + verdicts["in_doubt"] + verdicts["unrenderable"] == planned
    assert verdicts["accepted"] <= len(people) <= verdicts["accepted"] + verdicts["in_doubt"]

    third = make(clone, "demo")
    assert third.returncode == 0, third.stderr
    assert "Exit code 3 is right" in third.stdout
    assert f"{planned:,} recipients planned" in third.stderr
    assert "they balance" in third.stderr
    assert (newest(clone) / "report.html").is_file()
    assert len(kept(clone)) == len(people) + planned - 1


@pytest.mark.slow
@pytest.mark.timeout(INSTALLING + 120)
def test_the_wheel_holds_every_file_of_the_package_and_its_marker_for_types(clone: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, clone]
    subprocess.run(command, check=True, timeout=INSTALLING)
    [wheel] = tmp_path.glob("campaign-*.whl")
    listed = subprocess.run(["git", "ls-files", "campaign"], cwd=clone, capture_output=True, text=True, check=True)
    held = set(zipfile.ZipFile(wheel).namelist())
    assert "campaign/py.typed" in held
    assert not set(listed.stdout.split()) - held
    assert {name.partition("/")[0] for name in held if not name.startswith("campaign/")} == {wheel_info(wheel)}


def wheel_info(wheel: Path) -> str:
    return "-".join(wheel.name.split("-")[:2]) + ".dist-info"
