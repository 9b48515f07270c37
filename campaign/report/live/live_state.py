"""The live state of a run at work for other processes: its present pace, and what it waits for.

One small file in the run's folder, rewritten about once a second and removed at the end. It may be deleted, and it is
not evidence: a reader uses it only while the run's journal is locked, and a kill leaves it behind until the next start.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

import msgspec

NAME = "live.json"


class LiveState(msgspec.Struct, frozen=True):
    """Letters a second over the last half minute, and what holds up all letters, in words; empty if nothing does."""

    rate: float = 0.0
    waiting: str = ""


def write_live_state(folder: Path, state: LiveState) -> None:
    """Write the state. Errors are ignored: a folder that cannot be written is reported by the journal."""
    temporary = folder / f".{NAME}.new"  # one writer, the holder of the journal's lock
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with suppress(OSError):
        descriptor = os.open(temporary, flags, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123  a descriptor with its own flags
            file.write(msgspec.json.encode(state))
        temporary.replace(folder / NAME)  # not synced: not needed after a loss of power


def read_live_state(folder: Path) -> LiveState:
    """The state last written by the process that serves the run in ``folder``; an empty one if there is no file."""
    try:
        found = json.loads((folder / NAME).read_bytes())
        return LiveState(float(found["rate"]), str(found["waiting"]))
    except (OSError, ValueError, TypeError, KeyError):
        return LiveState()


def remove_live_state(folder: Path) -> None:
    """Remove the file when the process leaves the run."""
    for name in (NAME, f".{NAME}.new"):
        with suppress(OSError):
            (folder / name).unlink(missing_ok=True)
