"""Atomic writing of report files. Not for the log, which is appended to."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from campaign.errors import StorageError
from campaign.system.atomic_file import OWNER_ONLY, atomic_file


@contextmanager
def replacing(path: Path, *, mode: int = OWNER_ONLY) -> Iterator[TextIO]:
    """A UTF-8 text stream that becomes ``path`` when the block succeeds; otherwise ``path`` is unchanged.

    Line ends are written as given. Raises StorageError when the folder cannot be written.
    """
    try:
        with atomic_file(path, mode=mode) as file:
            stream = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")
            yield stream
            stream.detach()
    except OSError as error:
        raise StorageError(
            f"{path.name} cannot be written.",
            evidence=f"{path}: {error.strerror or error}",
            next_step=f"free space or correct the permissions of {path.parent}, then `campaign report {path.parent}`",
        ) from error
