"""``suppressed.csv``: addresses that a relay called dead, read by every later run of any campaign here.

Appended to by whoever hears such a reply; several processes may do so at once, hence one whole line per write.
"""

from __future__ import annotations

import csv
import io
import os
from datetime import UTC, datetime
from pathlib import Path

from campaign.ledger.storage import unwritable

NAME = "suppressed.csv"
HEADER = "address,reason,code,since,campaign\n"


def add(directory: Path, address: str, *, reason: str, code: str, at: float, campaign: str) -> None:
    """Append one address. Raises StorageError."""
    path = directory / NAME
    since = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            head = HEADER if size == 0 else "" if os.pread(descriptor, 1, size - 1) == b"\n" else "\n"
            os.write(descriptor, (head + _line(address, reason, code, since, campaign)).encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        raise unwritable(path, error) from error


def _line(*cells: str) -> str:
    text = io.StringIO()
    # A line that begins with # is a comment to whoever reads it, and an address may begin so.
    write = csv.writer(
        text, lineterminator="\n", quoting=csv.QUOTE_ALL if cells[0].startswith("#") else csv.QUOTE_MINIMAL
    )
    write.writerow(cells)
    return text.getvalue()
