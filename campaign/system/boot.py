"""This boot of the machine: which one it is, the clock that nobody sets, and whether power may have been lost.

A system that does not say which boot it is makes every start one after a loss of power, as far as anybody can know:
then a kill puts a few more in doubt than it had to, and none is served twice.
"""

from __future__ import annotations

import time
from pathlib import Path

UNKNOWN = "unknown"
_IDENTITY = Path("/proc/sys/kernel/random/boot_id")


def boot_identity() -> str:
    """What changes with every boot of this machine, and only then; `UNKNOWN` where the system does not say."""
    try:
        return _IDENTITY.read_text(encoding="ascii").strip()
    except OSError:
        return UNKNOWN


def power_lost(before: str, now: str) -> bool:
    """Whether the machine was, or may have been, started anew between two processes; ``before`` is "" without one."""
    return bool(before) and (before != now or now == UNKNOWN)


def boot_clock() -> float:
    """Seconds since boot, suspended time included, the same in every process of this machine."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
