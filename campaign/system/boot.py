"""The identity and the clock of the current boot, and whether power may have been lost between two processes.

If the system does not identify its boots, every start counts as one after a power loss. A kill then puts a few more
letters in doubt than necessary, and still no recipient is served twice.
"""

from __future__ import annotations

import time
from pathlib import Path

UNKNOWN = "unknown"
_IDENTITY = Path("/proc/sys/kernel/random/boot_id")


def boot_identity() -> str:
    """An identifier that changes with each boot of this machine, and only then; `UNKNOWN` if the system has none."""
    try:
        return _IDENTITY.read_text(encoding="ascii").strip()
    except OSError:
        return UNKNOWN


def power_lost(before: str, now: str) -> bool:
    """Whether the machine was or may have been restarted since ``before``, the boot of an earlier process or ""."""
    return bool(before) and (before != now or now == UNKNOWN)


def boot_clock() -> float:
    """Seconds since boot, suspended time included, the same in every process of this machine."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
