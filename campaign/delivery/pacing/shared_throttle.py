"""A throttle shared by processes, kept under ``<ledger directory>/pacing/`` with one folder per relay account.

Every process that uses the account maps the same files and takes each turn under one lock, so that a limit holds for
the sum of all runs and campaigns, also concurrently and after a kill. `throttle` decides about the pace, and
`pacing_file` handles the files. A local file system is required.

    pacing/smtp.example.com-1a2b3c4d/lock
    pacing/smtp.example.com-1a2b3c4d/account.times, gmail.com-5e6f7a8b.times ...
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from campaign.config.delivery import DeliverySection
from campaign.config.units import Ramp, Rate
from campaign.delivery.pacing.domain_groups import domain_groups, domain_name
from campaign.delivery.pacing.pacing_file import Machine, PacingFile
from campaign.delivery.pacing.sliding_window import Cells, in_memory
from campaign.delivery.pacing.throttle import ACCOUNT, Throttle
from campaign.errors import ConfigError, StorageError
from campaign.system.atomic_file import make_folders
from campaign.system.own_files import open_own, refuse_foreign

#: A promise covers this many seconds at full pace, and at least `LEAST` letters; each costs a sync of a few ms,
AHEAD = 30.0
LEAST = 256
MOST = 100_000
#: but no more than this share of the letters allowed in a window of `LONG` seconds or more: they are lost in a power
#: cut.
SHARE = 0.02
LONG = 3600.0
#: Two clocks that differ by no more than this from one reading to the next (seconds) still agree; we were only slow.
APART = 0.25
#: Seconds until the lock is tried again; another process holds it for microseconds.
BUSY = 0.001


class SharedThrottle(Throttle):
    """A throttle whose state belongs to the relay account. Close it after use; a kill instead of that loses nothing.

    Times given to it are on ``clock`` (default: `time.monotonic`, as the event loop's). ``directory`` is the ledger's;
    ``account`` is any text that identifies the user and the server. Campaigns that share an account should state the
    same limits: each enforces its own against what *all* of them send. ``shared``: another process already had the
    account open. Raises StorageError.
    """

    def __init__(
        self,
        directory: Path,
        account: str,
        limits: Sequence[Rate],
        domain_limits: Mapping[str, Sequence[Rate]] | None = None,
        *,
        groups: Mapping[str, str] | None = None,
        ramp: Ramp | None = None,
        warmup: Sequence[int] = (),
        clock: Callable[[], float] = time.monotonic,
        machine: Machine | None = None,
    ) -> None:
        self._machine, self._clock = machine or Machine(), clock
        self._shift, self._shift_until = float("-inf"), float("-inf")
        self._files: dict[str, PacingFile] = {}
        self._groups = dict(groups or {})
        self._kept = {ACCOUNT, *self.by_window(domain_limits or {})}
        self._folder, self._lock = _open_folder(directory, directory / "pacing" / _file_name(account))
        self._presence, self.shared = _come_in(self._folder)
        try:
            with self._alone():
                super().__init__(limits, domain_limits, groups=groups, ramp=ramp, warmup=warmup, cells=self._cells_of)
        except BaseException:
            self.close()
            raise
        self._own_file = self._files[ACCOUNT]

    def wait(self, domain: str, now: float) -> float:
        """As `Throttle.wait`; another process may be faster, so get a turn with `take`."""
        return super().wait(domain, self._boot_time(now))

    def take(self, domain: str, now: float) -> float:
        """As `Throttle.take`, and atomic among all processes."""
        now = self._boot_time(now, exactly=True)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return BUSY
        try:
            wait = super().wait(domain, now)
            if not wait:
                self._spend_promised(domain, now)
            return wait
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def spend(self, domain: str, now: float) -> None:
        """As `Throttle.spend`."""
        with self._alone():
            self._spend_promised(domain, self._boot_time(now, exactly=True))

    def held_by(self, domain: str, now: float) -> tuple[str, Rate | None, float]:
        """As `Throttle.held_by`."""
        return super().held_by(domain, self._boot_time(now))

    def slow(self, domain: str | None, now: float, factor: float = 0.5) -> str:
        """As `Throttle.slow`; other processes on this account slow down too."""
        with self._alone():
            return super().slow(domain, self._boot_time(now), factor)

    def hold(self, domain: str | None, now: float, seconds: float) -> str:
        """As `Throttle.hold`; other processes hold the account and limited domains too."""
        with self._alone():
            return super().hold(domain, self._boot_time(now), seconds)

    def close(self) -> None:
        """Sync and close the files."""
        if self._lock < 0:
            return
        with self._alone():
            for file in self._files.values():
                file.close()
        os.close(self._lock)
        os.close(self._presence)
        self._lock = -1

    def _spend_promised(self, domain: str, now: float) -> None:
        if self._own_file.spent:
            self._promise(ACCOUNT)
        group = self._groups.get(domain, domain)
        if group in self._files and self._files[group].spent:
            self._promise(group)
        super().spend(domain, now)

    def _promise(self, name: str) -> None:
        window = self._all()[name]
        letters = max(LEAST, window.per_second(self._machine.clock()) * AHEAD)
        allowances = [limit.count * SHARE for limit in window.limits if limit.per >= LONG]
        self._files[name].promise(int(max(1, min([MOST, letters, *allowances]))))

    def _cells_of(self, name: str) -> Cells:
        if name not in self._kept:  # slowed without a limit: not worth keeping beyond this run
            return in_memory()
        file = "account.times" if name == ACCOUNT else f"{_file_name(name)}.times"
        self._files[name] = PacingFile(self._folder / file, self._machine)
        return self._files[name].cells

    def _boot_time(self, now: float, *, exactly: bool = False) -> float:
        """``now`` on the clock of the files; the two diverge when the machine sleeps, so compare them each second.

        ``exactly``: compare them now, as a letter recorded in the first second after a sleep would count as old.
        """
        if exactly or now >= self._shift_until:
            shift, self._shift_until = self._machine.clock() - self._clock(), now + 1.0
            if abs(shift - self._shift) > APART:
                self._shift = shift
        return now + self._shift

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)


def open_throttle(
    settings: DeliverySection, directory: Path, account: str, base: Path, *, clock: Callable[[], float] = time.monotonic
) -> SharedThrottle:
    """The throttle of ``account`` under ``settings``. ``directory`` is the ledger's, ``base`` the campaign file's.

    Raises ConfigError (warm-up file, a limit too large to keep) and StorageError.
    """
    return SharedThrottle(directory, account, **account_limits(settings, base), clock=clock)


def account_limits(settings: DeliverySection, base: Path) -> dict[str, Any]:
    """What every throttle of an account is told of ``settings``. Raises ConfigError (warm-up file)."""
    return {
        "limits": settings.rate,
        "domain_limits": {domain_name(name): limits for name, limits in settings.domain_rate.items()},
        "groups": domain_groups(settings),
        "ramp": settings.ramp,
        "warmup": read_warmup(base / settings.warmup_file) if settings.warmup_file else (),
    }


def read_warmup(file: Path) -> tuple[int, ...]:
    """The most letters on day 1, 2, ... of an account's life, from lines ``day,letters``. Raises ConfigError."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The warm-up plan {file} cannot be read.",
            evidence=str(error),
            next_step="correct delivery.warmup_file, a path relative to the campaign file",
        ) from None
    caps: list[int] = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text or (not caps and text.replace(" ", "").lower() == "day,letters"):
            continue
        match = re.fullmatch(r"(\d+)\s*,\s*(\d+)", text)
        if match is None or int(match[1]) != len(caps) + 1 or int(match[2]) < 1:
            raise ConfigError(
                f"The warm-up plan {file} is wrong.",
                evidence=f"{file}:{number}: {line!r}; expected '{len(caps) + 1},' and a number of letters",
                next_step=f"correct {file}",
            )
        caps.append(int(match[2]))
    return tuple(caps)


def _open_folder(directory: Path, folder: Path) -> tuple[Path, int]:
    refuse_foreign(directory, folder)
    try:
        make_folders(folder)
    except OSError as error:
        raise _cannot(folder, error) from None
    return folder, _lock_file(folder, "lock")


def _come_in(folder: Path) -> tuple[int, bool]:
    """Take the lock shared by all processes that have the account open; return it, and whether another one held it."""
    handle = _lock_file(folder, "presence")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shared = False
    except BlockingIOError:
        shared = True
    fcntl.flock(handle, fcntl.LOCK_SH)
    return handle, shared


def _lock_file(folder: Path, name: str) -> int:
    try:
        return open_own(folder / name, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise _cannot(folder, error) from None


def _cannot(folder: Path, error: OSError) -> StorageError:
    return StorageError(
        f"The pacing state cannot be kept in {folder}: {error.strerror}.",
        next_step="check [ledger] directory in the campaign file, and whose folder it is",
    )


def _file_name(text: str) -> str:
    """A file name for any text: readable, and different for different texts."""
    readable = re.sub(r"[^A-Za-z0-9.@-]+", "_", text).strip(".")[-60:]
    return f"{readable}-{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}"
