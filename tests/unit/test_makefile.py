"""`make` as a newcomer's machine may be."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OLD_PYTHON = '#!/bin/sh\necho asked "$1" >> asked\nexit 1\n'


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


@pytest.mark.parametrize("target", ["demo", "test", "setup"])
def test_a_python_that_is_too_old_or_missing_is_named_before_anything_is_made(target: str, copy: Path) -> None:
    old = copy / "python3.9"
    old.write_text(OLD_PYTHON)
    old.chmod(0o755)
    for python in (str(old), "python3.99"):
        done = subprocess.run(
            ["make", target, f"PYTHON={python}"], cwd=copy, capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert f"campaign needs Python 3.11 or later, and {python} is not one.\nNext: " in done.stderr
    assert not (copy / ".venv").exists()
    assert (copy / "asked").read_text() == "asked -c\n"


def test_an_environment_that_was_left_without_pip_is_made_again(copy: Path) -> None:
    """So Debian leaves it where python3-venv is missing: with an interpreter, and nothing to install with."""
    broken = copy / ".venv" / "bin" / "python"
    broken.parent.mkdir(parents=True)
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    python = copy / "python"
    python.write_text('#!/bin/sh\necho "$@" >> asked\n')
    python.chmod(0o755)
    subprocess.run(["make", "setup", f"PYTHON={python}"], cwd=copy, capture_output=True, check=False)
    assert "-m venv .venv\n" in (copy / "asked").read_text()
