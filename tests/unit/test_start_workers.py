"""`make workers`: several workers of one campaign on this machine, and the exit code of them all."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "start_workers.py"
_SPEC = importlib.util.spec_from_file_location("start_workers", SCRIPT)
assert _SPEC is not None
assert _SPEC.loader is not None
start_workers = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(start_workers)

#: Counts SIGINT until SIGTERM.
WORKER = """
import os, signal, sys
told = 0
def count(*_):
    global told
    told += 1
    print("told", flush=True)
def end(*_):
    print("told", told, "times", flush=True)
    sys.exit(75)
signal.signal(signal.SIGINT, count)
signal.signal(signal.SIGTERM, end)
print("alone" if os.getpgrp() == os.getpid() else "in the terminal's group", flush=True)
while True:
    signal.pause()
"""
CAMPAIGN = """
[campaign]
name = "gazette"
from = "news@example.com"
[audience]
source = "people.csv"
[compose]
subject = "News"
text = "letter.txt"
[delivery]
relay = "smtp://127.0.0.1:25"
"""


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ((0, 0, 0), 0),
        ((4, 4, -9), 4),
        ((0, 75, 0), 0),  # that one had left before
        ((3, 77), 3),  # and that one could not log in, but the others ended the run
        ((75, 75), 75),
        ((75, 143), 143),
        ((78, 75), 78),
        ((-9, -9), 137),
        ((1, 75), 75),
    ],
)
def test_the_exit_code_is_the_runs_if_a_worker_has_closed_it(codes: tuple[int, ...], code: int) -> None:
    assert start_workers.run_code(codes) == code


def test_whoever_ended_otherwise_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert start_workers.conclude([4, -9, 75]) == 4
    assert capsys.readouterr().err == "worker 2 was killed by signal 9\nworker 3 ended with 75\n"


def test_one_ctrl_c_reaches_each_worker_once() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(SCRIPT.parent)!r}); import start_workers; "
        f"sys.exit(start_workers.run_workers([sys.executable, '-c', {WORKER!r}], 2))"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert starter.stdout is not None
    assert {starter.stdout.readline() for _ in range(2)} == {"1: alone\n", "2: alone\n"}
    os.killpg(starter.pid, signal.SIGINT)  # as a terminal does
    assert {starter.stdout.readline() for _ in range(2)} == {"1: told\n", "2: told\n"}
    starter.terminate()
    assert set(starter.stdout.read().splitlines()) == {"1: told 1 times", "2: told 1 times"}
    assert starter.wait() == 75
    starter.stdout.close()


@pytest.mark.parametrize(
    ("number", "text", "code", "said"),
    [
        ("0", CAMPAIGN, 2, "N = '0' is no number of workers from 1 to 64.\nNext: make workers N=4"),
        ("four", CAMPAIGN, 2, "N = 'four' is no number"),
        (
            "4",
            CAMPAIGN,
            78,
            "keeps its runs in files, which one process serves; workers share a store.\nNext: set store",
        ),
        ("4", CAMPAIGN + "rat = 1\n", 78, "delivery.rat"),
    ],
)
def test_nothing_is_started_for(
    number: str, text: str, code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gazette.toml").write_text(text)
    assert start_workers.main([number, str(tmp_path / "gazette.toml")]) == code
    assert said in capsys.readouterr().err
