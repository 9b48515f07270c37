# noqa: INP001 - a folder of files to start from, not a package
# ruff: noqa: T201, S603 - it talks to the person who runs it, and runs this very program
"""Starts several workers of one campaign on this machine: ``make workers N=4 CAMPAIGN=file.toml``.

Each is the same ``campaign send FILE``; the campaign's store divides the work. What they say is printed with the number
of the worker before it. A signal is passed on to each worker once, so one Ctrl-C ends them in good order and a second
one at once. The exit code is that of the run, if one of them has closed it, and else the first by precedence of theirs.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import IO

from campaign.config import load
from campaign.errors import CampaignError
from campaign.exit_codes import ExitCode, first_of, of_error

#: With these a run is over; another worker's code then says something about that worker only.
CLOSED = (ExitCode.DONE, ExitCode.SOME_FAILED, ExitCode.IN_DOUBT)
MOST = 64
#: The package beside this file, for who has not installed it.
ROOT = Path(__file__).resolve().parent.parent
_PRINTING = threading.Lock()


def main(words: Sequence[str] | None = None) -> int:
    """Start them, wait, and return the exit code."""
    parser = argparse.ArgumentParser(description="Start several workers of one campaign on this machine.")
    parser.add_argument("number", help=f"how many, 1 to {MOST}")
    parser.add_argument("campaign", type=Path, help="the campaign file; it must set ledger.store")
    options, more = parser.parse_known_args(words)
    if not options.number.isdecimal() or not 1 <= int(options.number) <= MOST:
        return refuse(f"N = {options.number!r} is no number of workers from 1 to {MOST}.", "make workers N=4", 2)
    try:
        settings = load(options.campaign)
    except CampaignError as error:
        return refuse("\n".join([error.what, *error.evidence]), error.next_step, of_error(error))
    if not settings.ledger.store:
        return refuse(
            f"{options.campaign} keeps its runs in files, which one process serves; workers share a store.",
            'set store = "postgresql://campaign@HOST/campaign" under [ledger], as in docs/scale.md; or make send',
            ExitCode.BAD_CONFIG,
        )
    return run_workers([sys.executable, "-m", "campaign", "send", str(options.campaign), *more], int(options.number))


def refuse(what: str, next_step: str, code: int) -> int:
    """Say why nothing is started, and what to type next."""
    print(f"{what}\nNext: {next_step}", file=sys.stderr)
    return int(code)


def run_workers(command: Sequence[str], number: int) -> int:
    """Start a command so many times, pass signals on, print what they say; returns the exit code."""
    started: list[subprocess.Popen[bytes]] = []

    def pass_on(signum: int, _frame: FrameType | None) -> None:
        for one in started:
            if one.poll() is None:
                one.send_signal(signum)

    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, pass_on)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    readers = []
    for worker in range(1, number + 1):
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a terminal's Ctrl-C would reach them as well, and a second one ends them at once
        )
        started.append(process)
        assert process.stdout is not None  # noqa: S101 - it was asked for
        readers.append(threading.Thread(target=copy_lines, args=(worker, process.stdout), daemon=True))
        readers[-1].start()
    codes = [process.wait() for process in started]
    for reader in readers:
        reader.join(5)
    return conclude(codes)


def copy_lines(worker: int, source: IO[bytes]) -> None:
    """Print each line that a worker writes, with its number before it."""
    for line in source:
        with _PRINTING:
            print(f"{worker}: {line.decode(errors='replace').rstrip()}", flush=True)


def conclude(codes: Sequence[int]) -> int:
    """The exit code of several workers; says which of them ended in another way."""
    whole = run_code(codes)
    for worker, code in enumerate(codes, 1):
        if code != whole:
            how = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
            print(f"worker {worker} {how}", file=sys.stderr)
    return whole


def run_code(codes: Sequence[int]) -> int:
    """The run's exit code if a worker has closed it; else the first by precedence; else that of the signal."""
    ended = [ExitCode(code) for code in codes if code in set(ExitCode)]
    if closed := [code for code in ended if code in CLOSED]:
        return first_of(closed)
    return first_of(ended) if ended else 128 - min(codes)


if __name__ == "__main__":
    sys.exit(main())
