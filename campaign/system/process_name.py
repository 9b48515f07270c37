"""Names of processes, by which a later process of the same machine knows that one has ended.

A name is HOST:PROCESS:RANDOM:PLACE. PLACE stands for this boot and this namespace of process numbers, so that a
container, or another machine that has the same name, is not taken for this one. It is missing if the system does not
say which they are; then nothing is known of the process.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
from functools import cache
from pathlib import Path

from campaign.system.boot import UNKNOWN, boot_identity


def process_name() -> str:
    """A name for this process that no other has: host, process, and a few random digits."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"


def placed_name(name: str) -> str:
    """A `process_name` with its place, for `has_ended`."""
    return f"{name}:{_place()}" if _place() else name


def short_name(name: str) -> str:
    """A name without its place, for people."""
    return ":".join(name.split(":")[:3])


def has_ended(name: str) -> bool:
    """Whether a process has certainly ended: it was one of this boot and machine, and its number is free."""
    host, _, rest = name.partition(":")
    process, _, rest = rest.partition(":")
    place = rest.partition(":")[2]
    if not place or place != _place() or host != socket.gethostname():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError, OverflowError):
        return False
    return False


@cache
def _place() -> str:
    boot = boot_identity()
    try:
        numbers = Path("/proc/self/ns/pid").readlink()
    except OSError:
        return ""
    return "" if boot == UNKNOWN else hashlib.sha256(f"{boot} {numbers}".encode()).hexdigest()[:12]
