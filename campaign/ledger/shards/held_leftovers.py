"""Holds the journals that senders of an ended process left, while the checkpoint merges them, and then removes them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from campaign.ledger.journal.journal_file import JournalFile, unwritable
from campaign.ledger.journal.journal_reader import Reading
from campaign.ledger.shards.shard_reader import FOLDER, Leftover, leftovers, shard_journals
from campaign.system.atomic_file import sync_folder

#: How often to try the lock of a sender whose parent was killed, for ten seconds: it finishes the letters in flight.
ORPHAN_TRIES = 250


@contextlib.contextmanager
def held_leftovers(run: Path, reading: Reading, boot: str) -> Iterator[list[Leftover]]:
    """The leftovers of ``run``, locked; removed when the block ends, as they are merged then and synced.

    Raises UnfinishedError if a sender of an earlier process is still at work on one of them; DamageError, StorageError.
    """
    with contextlib.ExitStack() as stack:
        for _, path in shard_journals(run):
            stack.enter_context(contextlib.closing(JournalFile(path, tries=ORPHAN_TRIES)))
        yield list(leftovers(run, reading, boot))
        remove_journals(run)


def remove_journals(run: Path) -> None:
    """Remove all journals of shards, those that a kill left half made, and their folder. Raises StorageError."""
    folder = run / FOLDER
    try:
        for path in [*(path for _, path in shard_journals(run)), *folder.glob(".*.new")]:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    remove_folder(run)


def remove_folder(run: Path) -> None:
    """Remove the folder of shards, durably; it stays if it is not empty."""
    folder = run / FOLDER
    with contextlib.suppress(OSError):  # it is not there, or somebody put something else into it
        sync_folder(folder)  # a loss of power must not bring back what was removed from it
        folder.rmdir()
        sync_folder(run)
