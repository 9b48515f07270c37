"""Durable writes of small files: after a kill or a power loss the file is complete, or unchanged.

The steps are a temporary file beside the target, fsync, rename, and fsync of the folder. Errors are plain OSErrors;
the caller turns them into a message about the file's purpose.
"""

from __future__ import annotations

import fcntl
import glob
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

OWNER_ONLY = 0o600
BUFFER = 1 << 20


@contextmanager
def atomic_file(path: Path, *, mode: int = OWNER_ONLY, keep_first: bool = False) -> Iterator[BinaryIO]:
    """A file that replaces ``path`` when the block ends without an error; otherwise ``path`` is unchanged.

    Several processes may write the same path at once: each uses its own temporary file, and the last rename wins.
    With ``keep_first`` the first one wins, and the others get FileExistsError. Raises OSError.
    """
    _remove_leftovers(path)
    temporary, descriptor = _open_temporary(path, mode)
    try:
        with open(descriptor, "wb", buffering=BUFFER) as file:  # noqa: PTH123  a descriptor with its own flags
            os.fchmod(descriptor, mode)  # regardless of the umask
            yield file
            file.flush()
            os.fsync(descriptor)
            if keep_first:
                os.link(temporary, path)
                temporary.unlink()
            else:
                temporary.replace(path)  # still locked, so that no process removes it as a leftover
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes, *, mode: int = OWNER_ONLY, keep_first: bool = False) -> None:
    """Write ``data`` to ``path`` as `atomic_file` does. Raises OSError."""
    with atomic_file(path, mode=mode, keep_first=keep_first) as file:
        file.write(data)


def make_folders(folder: Path) -> None:
    """Create ``folder`` and its missing parents durably, with mode 0700. Raises OSError."""
    missing = [part for part in (folder, *folder.parents) if not part.exists()]
    present = missing[-1].parent if missing else folder
    with suppress(PermissionError):  # a process that was killed may have created it and not synced its name
        sync_folder(present.parent)
    for part in reversed(missing):
        part.mkdir(mode=0o700, exist_ok=True)
        sync_folder(part.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename or a new name in ``folder`` durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _open_temporary(path: Path, mode: int) -> tuple[Path, int]:
    """A new locked file beside ``path``. The lock shows that its writer is alive; it ends with the process."""
    while True:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
        # O_EXCL follows no link: a user who can write to the folder cannot point our temporary name at another file.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with suppress(OSError):  # a file system without locks, where leftovers are never removed
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return temporary, descriptor
        os.close(descriptor)  # another process removed it as a leftover before it was locked


def _remove_leftovers(path: Path) -> None:
    """Remove the temporary files that killed processes left beside ``path``."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.new"):
        with suppress(OSError):
            descriptor = os.open(leftover, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                leftover.unlink()
            finally:
                os.close(descriptor)
