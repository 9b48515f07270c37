"""Reads regular files under a root folder without following links, and refuses files that no letter may contain.

The path is opened folder by folder, each held open, so that a folder cannot be swapped for a link between the check and
the read.
"""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from collections.abc import Iterable
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY

_SECRETS = frozenset({".secret", ".password"})


def kept_back(file: Path, root: Path, private: Iterable[Path]) -> bool:
    """Whether no letter may contain ``file``: hidden, named like a secret, or in ``private`` (files, whole folders).

    All paths are resolved, and ``file`` lies under ``root``. A row that names the list, the journal or the campaign
    file must not get it, whatever the case of the name, and whether as an attachment, picture, sheet or template.
    """
    hidden = any(part.startswith(".") for part in file.relative_to(root).parts)
    named = _any_case(file)
    return hidden or named.suffix in _SECRETS or any(named.is_relative_to(_any_case(path)) for path in private)


def _any_case(path: Path) -> Path:
    """One form for all names that are equal to a file system that ignores case or the composition of accents."""
    return Path(unicodedata.normalize("NFC", unicodedata.normalize("NFD", str(path)).casefold()))


def read_beneath(root: Path, inside: Path, longest: int) -> bytes:
    """The content of ``root / inside``; both are resolved, ``inside`` relative. At most ``longest`` octets.

    Raises OSError with a plain ``strerror`` for links, folders, devices, pipes, sockets, empty and overlong files,
    and for a file that changes during the read.
    """
    folder = os.open(root, _FOLDER)
    try:
        for part in inside.parts[:-1]:
            inner = os.open(part, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
        file = os.open(inside.name, _FILE, dir_fd=folder)
    finally:
        os.close(folder)
    try:
        return _content(file, longest)
    finally:
        os.close(file)


def _content(file: int, longest: int) -> bytes:
    about = os.fstat(file)
    if not stat.S_ISREG(about.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")
    if about.st_size == 0:
        raise OSError(errno.ENODATA, "it is empty")
    if about.st_size > longest:
        raise OSError(errno.EFBIG, f"it has {about.st_size:,} octets, more than the {longest:,} allowed")
    with os.fdopen(os.dup(file), "rb") as stream:
        content = stream.read(about.st_size + 1)
    if len(content) != about.st_size:
        raise OSError(errno.ESTALE, "it changed while it was read")
    return content
