"""What a command costs: wall clock, CPU of its whole process tree, peak memory; and how fast this core is just now.

CPU and memory are the kernel's own account of the processes, taken when the last of them has been waited for; the
sink and the proxy are other processes and never counted. Nothing here knows which command it runs.
"""

from __future__ import annotations

import hashlib
import os
import platform
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

STANDARD = 57.0  #: microseconds for SHA-256 of 100 kB on the core that figures are scaled to
LIMIT = 3600.0


@dataclass(frozen=True, slots=True)
class Usage:
    """One run of a command. ``wall`` and ``cpu`` in seconds, ``memory`` in MB: the largest process of the tree."""

    wall: float
    cpu: float
    memory: float
    code: int
    talk: str

    def plain(self) -> dict[str, Any]:
        return asdict(self)


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    limit: float = LIMIT,
) -> Usage:
    """Run ``command`` to its end and account for it. Killed after ``limit`` seconds (then ``code`` is -9)."""
    with tempfile.TemporaryFile() as talk:
        began = time.perf_counter()
        process = subprocess.Popen(
            list(map(str, command)),
            cwd=cwd,
            env={**usual_environment(), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=talk,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        alarm = threading.Timer(limit, os.killpg, (process.pid, signal.SIGKILL))
        alarm.start()
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        alarm.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        talk.seek(max(0, talk.seek(0, os.SEEK_END) - 4000))
        said = talk.read().decode("utf-8", "replace")
    return Usage(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, process.returncode, said)


def usual_environment() -> dict[str, str]:
    """As users have it: Python keeps what it has compiled, for everybody who is measured here."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def hash_microseconds(rounds: int = 60, repeats: int = 9) -> float:
    """CPU microseconds of ``hashlib.sha256(b'x'*100000)`` on this core now; the median of some tries."""
    octets, times = b"x" * 100_000, []
    for _ in range(repeats):
        began = time.process_time()
        for _ in range(rounds):
            hashlib.sha256(octets)
        times.append((time.process_time() - began) / rounds * 1e6)
    return statistics.median(times)


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, least and greatest."""
    return statistics.median(values), min(values), max(values)


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """Median, least and greatest of ``theirs / ours``, taken round by round, so that a busy minute hits both."""
    return spread([their / our for our, their in zip(ours, theirs, strict=True)])


def machine() -> dict[str, str]:
    """What the figures were taken on."""
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "loop": f"{loop_milliseconds():.1f}",
    }


def loop_milliseconds(repeats: int = 9) -> float:
    """CPU milliseconds of 100,000 rounds of a loop: how well this Python was built, which no version number says."""
    times = []
    for _ in range(repeats):
        began, total = time.process_time(), 0
        for number in range(100_000):
            total += number & 7
        times.append((time.process_time() - began) * 1e3)
    return statistics.median(times)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def versions(*packages: str) -> dict[str, str]:
    """Versions of installed packages, as far as they are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
