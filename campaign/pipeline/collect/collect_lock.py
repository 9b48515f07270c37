"""A lock that allows one `campaign collect` at a time for each ledger's directory."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from campaign.errors import UnfinishedError
from campaign.ledger.journal.journal_file import unwritable
from campaign.system.atomic_file import make_folders
from campaign.system.own_files import open_own, refuse_foreign

FOLDER = "feedback"  #: below the ledger's directory: the lock, and the progress files of sources
_LOCK = "collect.lock"
PAUSE = 0.05  #: seconds between two tries


@contextmanager
def collecting(
    directory: Path,
    *,
    patience: float = 0.0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Path]:
    """Hold the lock; yields its folder. ``patience``: seconds to wait for another collect to end.

    Raises UnfinishedError if another process holds it, StorageError if the folder cannot be written.
    """
    folder = directory / FOLDER
    refuse_foreign(directory, folder)
    try:
        make_folders(folder)
        descriptor = open_own(folder / _LOCK, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        until = clock() + patience
        while not _taken(descriptor):
            if clock() >= until:
                raise UnfinishedError(
                    "Another process is collecting feedback here, so this one reads nothing.",
                    evidence=str(folder / _LOCK),
                    next_step="run the same command again when that one has ended",
                )
            sleep(PAUSE)
        yield folder
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
