"""The processes of a command, found by the folder they work in: to be killed one by one, or waited for."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path


def living_in(folder: Path) -> list[int]:
    """The process ids of all that work in ``folder``; whoever has ended works nowhere."""
    here = os.path.realpath(folder)
    return [pid for pid, place in _places() if place == here]


def living_below(folder: Path) -> list[int]:
    """The process ids of all that work somewhere below ``folder``."""
    here = os.path.realpath(folder) + os.sep
    return [pid for pid, place in _places() if place.startswith(here)]


def senders(folder: Path) -> list[int]:
    """The sender processes of the command that works in ``folder``."""
    return [pid for pid in living_in(folder) if b"sender_process" in _command_line(pid)]


def kill(pids: Sequence[int], number: int = signal.SIGKILL) -> None:
    """A signal to each that is still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def wait_for_end(folder: Path, seconds: float = 100.0) -> list[int]:
    """Wait until nobody works in ``folder`` any more; returns who still does."""
    end = time.monotonic() + seconds
    while (left := living_in(folder)) and time.monotonic() < end:
        time.sleep(0.01)
    return left


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _places() -> Iterator[tuple[int, str]]:
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if entry.isdecimal():
                yield int(entry), os.readlink(f"/proc/{entry}/cwd")
