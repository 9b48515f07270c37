"""Which boot of the machine this is, and whether it was started anew meanwhile: what tells a loss of power from a kill.

A system that does not say which boot it is makes every start one after a loss of power, as far as anybody can know:
then a kill puts a few more in doubt than it had to, and none is served twice.
"""

from __future__ import annotations

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
