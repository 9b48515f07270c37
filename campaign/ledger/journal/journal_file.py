"""The journal's file: appends that are whole or undone, and syncs that are never repeated after a failure.

One descriptor, opened for appending and held under ``flock``; the lock ends with the process, so a kill leaves nothing
stale. A ballast file reserves space for the replies in flight when the disk fills up: it is released as soon as an
append fails for lack of space. (``posix_fallocate`` on the journal itself would append zeros.) This module does not
interpret the bytes.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

from campaign.errors import StorageError, UnfinishedError
from campaign.system.atomic_file import sync_folder, write_atomically
from campaign.system.own_files import open_own

BALLAST_OCTETS = 256 * 1024
#: How often a lock is tried, and the seconds between two tries.
LOCK_TRIES, LOCK_PAUSE = 10, 0.04
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


class JournalFile:
    """An append-only file owned by this process alone."""

    def __init__(self, path: Path, *, ballast: Path | None = None, tries: int = LOCK_TRIES) -> None:
        """Open and lock ``path``, which must exist. Raises StorageError, or UnfinishedError when it is locked.

        It is not created here: a journal without its first line would look like one that lost everything. ``ballast``
        is by default beside it; ``tries`` is how often the lock is tried, `LOCK_PAUSE` seconds apart.
        """
        self.path = path
        self.broken: OSError | None = None
        self.in_need: OSError | None = None
        self._unsyncable = False
        self._ballast = ballast or path.with_name("ballast")
        try:
            self._descriptor = open_own(path, os.O_RDWR | os.O_APPEND)
        except OSError as error:
            raise unwritable(path, error) from error
        if not lock(self._descriptor, tries) or _is_elsewhere(self._descriptor, path):
            os.close(self._descriptor)
            raise UnfinishedError(
                "Another process is serving this run.",
                evidence=str(path),
                next_step="wait for it, or run `campaign status`",
            )
        self.size = os.fstat(self._descriptor).st_size

    def sync_name(self) -> None:
        """Make the file's name durable: who created it may have been killed before that. Raises StorageError."""
        try:
            sync_folder(self.path.parent)
        except OSError as error:
            raise unwritable(self.path, error) from error

    def append(self, data: bytes) -> None:
        """Append ``data`` with one call. On failure, removes what was written of it and raises StorageError."""
        if self.broken:
            raise unwritable(self.path, self.broken)
        try:
            written = os.write(self._descriptor, data)
            if written != len(data):
                self._finish(data, written)
        except OSError as error:
            self._undo(error)
            raise unwritable(self.path, error) from error
        self.size += len(data)

    def append_in_need(self, data: bytes) -> None:
        """As `append`, for data that must not be lost: when space runs out, drop the ballast and try once more."""
        try:
            self.append(data)
        except StorageError as error:
            cause = error.__cause__
            if not isinstance(cause, OSError) or cause.errno not in NO_SPACE:
                raise
            self.drop_ballast()  # if it is gone, another sender of this run has dropped it a moment ago
            self.in_need = cause
            self.append(data)

    def sync(self) -> int:
        """Force all appended octets to disk and return how many. After one failure it always refuses (fsyncgate)."""
        if self._unsyncable:
            raise StorageError(
                f"{self.path} could not be synced before and is not trusted again by this process.",
                next_step="see to the disk, then run the same command again; it continues where it stopped",
            )
        upto = self.size
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            self._unsyncable = True
            raise unwritable(self.path, error) from error
        return upto

    def truncate(self, size: int) -> None:
        """Cut the file back to ``size`` octets. Raises StorageError."""
        try:
            os.ftruncate(self._descriptor, size)
        except OSError as error:
            raise unwritable(self.path, error) from error
        self.size = size

    def load_ballast(self) -> None:
        """Reserve space beside the journal for the replies of letters in flight; StorageError when there is none."""
        try:
            descriptor = open_own(self._ballast, os.O_WRONLY | os.O_CREAT)
            try:
                os.posix_fallocate(descriptor, 0, BALLAST_OCTETS)
            finally:
                os.close(descriptor)
        except OSError as error:
            self.drop_ballast()
            raise unwritable(self._ballast, error) from error

    def drop_ballast(self) -> bool:
        """Release the reserved space; returns whether there was any."""
        try:
            self._ballast.unlink()
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Release the lock and the descriptor."""
        os.close(self._descriptor)

    def _finish(self, data: bytes, written: int) -> None:
        while written < len(data):
            written += os.write(self._descriptor, data[written:])

    def _undo(self, error: OSError) -> None:
        try:
            os.ftruncate(self._descriptor, self.size)
        except OSError:
            self.broken = error


def lock(descriptor: int, tries: int = LOCK_TRIES) -> bool:
    """Take the exclusive lock; False after so many tries. `campaign status` may hold it for a moment."""
    for _ in range(tries):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(LOCK_PAUSE)
        else:
            return True
    return False


def _is_elsewhere(descriptor: int, path: Path) -> bool:
    """Whether the file was replaced or removed before it was locked: whoever did so held it until then."""
    try:
        return not os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return True


_HINTS = {
    errno.EACCES: "give this user the right to write there, or set [ledger] directory",
    errno.EPERM: "give this user the right to write there, or set [ledger] directory",
    errno.EROFS: "mount that disk for writing, or set [ledger] directory",
    errno.ENOTDIR: "move the file that stands where a folder belongs, or set [ledger] directory",
    errno.EEXIST: "move the file that stands where a folder belongs, or set [ledger] directory",
}


def unwritable(path: Path, error: OSError) -> StorageError:
    """The error for a disk that refuses a write."""
    hint = "free some space" if error.errno in NO_SPACE else _HINTS.get(error.errno or 0, "see to the disk")
    return StorageError(
        f"{path} cannot be written.",
        evidence=f"{errno.errorcode.get(error.errno or 0, '?')}: {error.strerror}",
        next_step=f"{hint}, then run the same command again; it continues where it stopped",
    )


def write_whole(path: Path, data: bytes) -> None:
    """Replace ``path`` durably. Raises StorageError."""
    try:
        write_atomically(path, data)
    except OSError as error:
        raise unwritable(path, error) from error
