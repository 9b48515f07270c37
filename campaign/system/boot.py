"""This boot of the machine: the clock that nobody sets."""

from __future__ import annotations

import time


def boot_clock() -> float:
    """Seconds since boot, suspended time included, the same in every process of this machine."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
