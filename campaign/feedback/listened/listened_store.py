"""The interfaces of a place that holds files of stored requests: a folder here or at another host, or a bucket."""

from __future__ import annotations

import re
import secrets
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

    def expect(self, names: Sequence[str]) -> None:
        """Hear which files will be read from their beginning, in this order, so as to fetch some ahead."""

    def read(self, name: str, offset: int) -> bytes:
        """At most `CHUNK` octets of a file from ``offset``."""

    def remove(self, files: Sequence[StoredFile]) -> set[str]:
        """Remove closed files that still have these sizes; the names of those that are gone."""

    def close(self) -> None:
        """Close connections. Never raises."""


class RecordWriter(Protocol):
    """Appends records durably. Used by one thread at a time."""

    def append(self, lines: Sequence[bytes]) -> None:
        """Make these lines durable, all of them at once. None of them counts if it raises OSError."""

    def close(self) -> None:
        """Close what is open: all that was appended is durable already."""


def new_file_name(now: float) -> str:
    """The name of a new file of records: when it began, and what no other file has."""
    return f"{int(now * 1000):013d}-{secrets.token_hex(8)}.jsonl"


def is_file_name(text: str) -> bool:
    """Whether ``text`` is the name of a file of records."""
    return _NAME.fullmatch(text) is not None
