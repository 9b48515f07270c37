"""The processes of a command, found by the folder they work in: to be killed one by one, or waited for."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path


def living_in(folder: Path) -> list[int]:
    """The process ids of all that work in ``folder``; whoever has ended works nowhere."""
    here, found = os.path.realpath(folder), list[int]()
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if entry.isdecimal() and os.readlink(f"/proc/{entry}/cwd") == here:
                found.append(int(entry))
    return found


def senders(folder: Path) -> list[int]:
    """The sender processes of the command that works in ``folder``."""
    return [pid for pid in living_in(folder) if b"spawn_main" in _command_line(pid)]


def kill(pids: Sequence[int], number: int = signal.SIGKILL) -> None:
    """A signal to each that is still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def wait_for_end(folder: Path, seconds: float = 30.0) -> list[int]:
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
