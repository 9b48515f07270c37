"""The interface of a place that holds files of stored requests: a folder here, or another host's over https."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol

#: Octets that are read at a time: more than the longest record.
CHUNK = 4 << 20

_NAME = re.compile(r"[0-9]{13}-[0-9a-f]{16}\.jsonl")


class StoredFile(NamedTuple):
    """A file of records. ``closed``: nothing will be appended any more."""

    name: str
    size: int
    closed: bool


class ListenedStore(Protocol):
    """Lists, reads and removes files of records. Raises InputError, LoginError, UnfinishedError, StorageError."""

    name: str

    def files(self) -> Sequence[StoredFile]:
        """The files, oldest first."""

    def read(self, name: str, offset: int) -> bytes:
        """At most `CHUNK` octets of a file from ``offset``."""

    def remove(self, name: str, size: int) -> None:
        """Remove a closed file, if it still has this size; none is there if it was removed before."""

    def close(self) -> None:
        """Close connections. Never raises."""


def is_file_name(text: str) -> bool:
    """Whether ``text`` is the name of a file of records."""
    return _NAME.fullmatch(text) is not None
