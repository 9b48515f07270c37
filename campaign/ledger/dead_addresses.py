"""``suppressed.csv``: addresses that a relay called dead, read by every later run of any campaign here.

Appended to by whoever hears such a reply; several processes may do so at once, hence the lock. What a killed process
did not get to add, and what a loss of power took, its journal tells again.
"""

from __future__ import annotations

import csv
import errno
import fcntl
import io
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from campaign.ledger.journal.journal_file import lock, unwritable
from campaign.system.atomic_file import sync_folder
from campaign.system.formula_guard import guard
from campaign.system.own_files import open_own

NAME = "suppressed.csv"
HEADER = b"address,reason,code,since,campaign\n"
LONGEST_LINE = 1 << 16  #: octets of the file's end in which its last line stands


class DeadAddress(NamedTuple):
    """One line: the address, the relay's words and code, when (POSIX seconds), and the campaign that heard it."""

    address: str
    reason: str
    code: str
    at: float
    campaign: str


def add(directory: Path, dead: Sequence[DeadAddress], *, sync: bool = False) -> None:
    """Append these, all or none. With ``sync`` the whole file is on disk afterwards. Raises StorageError."""
    path = directory / NAME
    try:
        descriptor = open_own(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        try:
            if dead:
                _append(descriptor, [_line(one).encode() for one in dead])
            if sync:
                os.fsync(descriptor)
                sync_folder(directory)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise unwritable(path, error) from error


def _append(descriptor: int, lines: Sequence[bytes]) -> None:
    if not lock(descriptor):
        raise BlockingIOError(errno.EAGAIN, "another process holds it")
    try:
        size = os.fstat(descriptor).st_size
        tail = os.pread(descriptor, LONGEST_LINE, max(0, size - LONGEST_LINE)).rpartition(b"\n")[2]
        if tail and any(line.startswith(tail) for line in lines):
            size, tail = size - len(tail), b""  # torn by a kill, and here it is whole
            os.ftruncate(descriptor, size)
        head = HEADER if size == 0 else b"\n" if tail else b""
        _write_all(descriptor, head + b"".join(lines), size)
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _write_all(descriptor: int, data: bytes, size: int) -> None:
    written = 0
    try:
        while written < len(data):
            written += os.write(descriptor, data[written:])
    except OSError:
        os.ftruncate(descriptor, size)  # half an address could be somebody else's
        raise


def _line(dead: DeadAddress) -> str:
    since = datetime.fromtimestamp(dead.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    reason = guard(" ".join(dead.reason.split()))  # a stranger's words; the address has to stay as it is
    text = io.StringIO()
    # A line that begins with # is a comment to whoever reads it, and an address may begin so.
    writer = csv.writer(
        text, lineterminator="\n", quoting=csv.QUOTE_ALL if dead.address.startswith("#") else csv.QUOTE_MINIMAL
    )
    writer.writerow([dead.address, reason, dead.code, since, dead.campaign])
    return text.getvalue()
