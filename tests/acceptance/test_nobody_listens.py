"""What is said never decides how a run ends: closed streams, readers that leave, a terminal that goes away."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.servers.shelf import Shelf
from tests.support.stand import PATIENCE, Stand, clean_environment, until

EVERYBODY = sorted(f"p{n}@example.com" for n in range(20))


def shell(stand: Stand, line: str) -> subprocess.CompletedProcess[str]:
    """One line of bash in which ``campaign`` is the command; the exit codes of a pipe come out on stdout."""
    script = f'campaign() {{ "{sys.executable}" -m campaign "$@"; }}; {line}'
    return subprocess.run(
        ["bash", "-c", script], cwd=stand.folder, env=clean_environment(), capture_output=True, text=True, timeout=60
    )


@pytest.fixture
async def prepared(stand: Stand) -> Stand:
    """The campaign file is written, nothing is sent."""
    await stand.campaign("--version")
    return stand


async def test_a_reader_of_the_talk_that_leaves(prepared: Stand) -> None:
    done = shell(prepared, "campaign send gazette.toml 2>&1 | head -n 1; echo ${PIPESTATUS[0]}")
    assert done.stdout.split("\n")[-2] == "0"
    assert prepared.verdicts() == {"accepted": 20}


@pytest.mark.parametrize("closed", ["2>&-", "1>&-", "0<&- 1>&- 2>&-"])
async def test_streams_that_were_never_open(prepared: Stand, closed: str) -> None:
    assert shell(prepared, f"campaign send gazette.toml {closed}").returncode == 0
    assert prepared.verdicts() == {"accepted": 20}
    journal = (prepared.run / "checkpoint.journal").read_bytes()
    assert all(line[8:10] == b" {" for line in journal.split(b"\n")[:-1])


async def test_an_error_that_nobody_reads_keeps_its_code(prepared: Stand) -> None:
    assert shell(prepared, "campaign send none.toml 2>&1 | true; echo ${PIPESTATUS[0]}").stdout == "78\n"


async def test_a_reader_of_the_data_that_leaves_is_no_failure(prepared: Stand) -> None:
    await prepared.send()
    done = shell(prepared, "campaign status runs | true; echo ${PIPESTATUS[0]}")
    assert done.stdout == "0\n"
    assert done.stderr == ""


async def test_a_terminal_that_goes_away_is_like_sigterm(stand: Stand, shelf: Shelf) -> None:
    sending = await stand.set(delivery__rate="1/s").sending()
    await until(lambda: len(shelf.letters) >= 2, "letters are on their way")
    sending.signal(signal.SIGHUP)
    (await sending.end()).ends(143, "letters in flight")
    assert stand.verdicts() == {"accepted": len(shelf.letters), "waiting": 20 - len(shelf.letters)}


async def test_nohup_is_respected(stand: Stand, shelf: Shelf) -> None:
    stand.through = ["nohup"]
    sending = await stand.set(delivery__rate="20/s").sending()
    await until(lambda: len(shelf.letters) >= 2, "letters are on their way")
    sending.signal(signal.SIGHUP)
    (await sending.end()).ends(0)
    assert sorted(shelf.recipients) == EVERYBODY


@pytest.mark.skipif(not Path("/dev/ptmx").exists(), reason="no pseudo-terminals here")
async def test_a_terminal_that_hangs_up_under_the_bar(stand: Stand, shelf: Shelf) -> None:
    """The bar is painted on a terminal whose other end closes: the run goes on, unless the signal says otherwise."""
    await stand.set(delivery__rate="20/s").campaign("--version")
    ours, theirs = os.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "campaign", "send", "gazette.toml", cwd=stand.folder, env=clean_environment(),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    await until(lambda: len(shelf.letters) >= 2, "letters are on their way")
    os.close(ours)
    assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
    assert sorted(shelf.recipients) == EVERYBODY
