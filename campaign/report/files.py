"""How this stage puts a file down: whole or not at all.

Temporary file beside the target, fsync, rename, fsync of the folder. Not for the log, which is appended to.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from campaign.errors import StorageError

OWNER_ONLY = 0o600


@contextmanager
def replacing(path: Path, *, mode: int = OWNER_ONLY) -> Iterator[TextIO]:
    """A UTF-8 text stream that becomes ``path`` when the block ends well; otherwise ``path`` stays as it was.

    Line ends are written as given. Raises StorageError when the folder cannot be written. Two processes may
    write the same path at once: each has a temporary file of its own, and the last rename holds.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        _sweep(path)
        # O_NOFOLLOW: nobody who can write the folder may point our temporary name at another file.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
                os.fchmod(descriptor, mode)  # whatever the umask
                yield stream
                stream.flush()
                os.fsync(descriptor)
            temporary.rename(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise StorageError(
            f"{path.name} cannot be written.",
            evidence=f"{path}: {error.strerror or error}",
            next_step=f"free space or mend the permissions of {path.parent}, then `campaign report {path.parent}`",
        ) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(path: Path) -> None:
    """Remove what a killed process left of an earlier try at ``path``."""
    for left in path.parent.glob(f".{path.name}.*.new"):
        owner = left.name.split(".")[-2]
        if owner.isdigit() and not _alive(int(owner)):
            with suppress(FileNotFoundError):
                left.unlink()


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
