"""A list from standard input, kept in a file without a name, because a list is read more than once.

The file is in the folder for temporary files and has no name there: it vanishes with this process, even if it is
killed. A link to it lets the sources read it as any other file.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from campaign.errors import InputError, StorageError

SOURCE = "-"
#: What a list is whose first character is one of these; any other is CSV.
_BEGINNINGS = {b"{": "jsonl", b"[": "json"}
_MARK = b"\xef\xbb\xbf"
_KEPT = ExitStack()


@atexit.register
def release_input() -> None:
    """Close the file that `kept_input` made, and remove the link to it."""
    kept_input.cache_clear()
    _KEPT.close()


@lru_cache(maxsize=1)
def kept_input(kind: str) -> Path:
    """A file with all of standard input, which the first call reads to its end; it is there until the process ends.

    Raises InputError for a terminal, or if it is empty. ``kind`` is ``audience.format``; if it is
    empty, the first character tells the kind.
    """
    stdin = sys.stdin
    if stdin is None or stdin.closed or stdin.isatty():
        raise InputError(
            "audience.source is standard input, and no list arrives there.",
            evidence="it is a terminal, or closed",
            next_step="give the same command a list: … < list.csv, or a program that writes one: … | campaign …",
        )
    file = _copied(stdin.buffer)
    head = file.read(64).removeprefix(_MARK).lstrip()
    if not head:
        raise InputError(
            "Standard input ended before a list arrived.",
            next_step="see what the program in front of the | printed, or name a file: … < list.csv",
        )
    path = (
        Path(_KEPT.enter_context(tempfile.TemporaryDirectory(prefix="campaign-")))
        / f"standard-input.{kind or _BEGINNINGS.get(head[:1], 'csv')}"
    )
    path.symlink_to(f"/proc/{os.getpid()}/fd/{file.fileno()}")
    return path


def _copied(stdin: BinaryIO) -> BinaryIO:
    try:
        file = _KEPT.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  the stack is the context manager
        shutil.copyfileobj(stdin, file, 1 << 20)
        file.flush()
        file.seek(0)
    except OSError as error:
        raise StorageError(
            "The list on standard input cannot be kept while it is read.",
            evidence=error.strerror or str(error),
            next_step=f"make room in {tempfile.gettempdir()}, or name another folder in the variable TMPDIR",
        ) from None
    return file
