"""The interface of all sources: a name, columns, and rows in bounded chunks with their line numbers."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from campaign.model import Value

#: Rows in a chunk, at most: bounds the memory in use.
CHUNK_ROWS = 10_000
#: Rows among which the header is searched, if the first row is not the header.
HEADER_ROWS = 20


class BadRow(msgspec.Struct, frozen=True):
    """A record that cannot be split into columns: its line, the reason, and its raw beginning."""

    line: int
    reason: str
    raw: str


class RowPlace(int):
    """The number of a row in a list of several files; as text it is the file and the line, ``lists/b.csv:17``."""

    file: str
    line: int

    @classmethod
    def of(cls, number: int, files: Sequence[tuple[str, int]]) -> RowPlace:
        """The place of a row; ``files`` are names, each with the number from which its rows are counted."""
        at = max(0, bisect_left(files, number, key=lambda one: one[1]) - 1)
        place = cls(number)
        place.file, place.line = files[at][0], number - files[at][1]
        return place

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    def __format__(self, _spec: str) -> str:
        return str(self)


class Chunk(msgspec.Struct):
    """At most `CHUNK_ROWS` rows, aligned with the source's columns, and the 1-based line each began on.

    ``further`` counts the rows that are not the source's own: they stand for the further addresses of a cell.
    """

    rows: list[Sequence[Value]] = msgspec.field(default_factory=list)
    lines: list[int] = msgspec.field(default_factory=list)
    bad: list[BadRow] = msgspec.field(default_factory=list)
    further: int = 0


class Source(Protocol):
    """A source of rows. ``chunks`` may be called again and starts over."""

    #: A short name for messages and reports, such as ``recipients.csv``, without a password.
    name: str
    columns: tuple[str, ...]
    #: ``text`` if every value is text (CSV), ``any`` if values have types.
    value_type: str
    #: What was detected, in words: the delimiter, the encoding.
    notes: tuple[str, ...]

    def identity(self) -> Mapping[str, str | int]:
        """Values that identify this state of the source; they go into the plan's header."""
        ...

    def first_rows(self) -> Iterator[tuple[int, Sequence[str]]]:
        """The first lines as cells, the header among them, if another of them may be the real header."""
        ...

    def chunks(self) -> Iterator[Chunk]:
        """All rows, in the source's order. Raises InputError if it cannot be read to its end."""
        ...
