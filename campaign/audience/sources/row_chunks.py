"""What every source hands on: a name, its columns, and its rows in bounded chunks with their lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from campaign.model import Value

#: Rows in a chunk, at most: bounds what is held in memory at a time.
CHUNK_ROWS = 10_000
#: Rows among which the one that names the columns is looked for, where the first does not.
HEADER_ROWS = 20


@dataclass(frozen=True, slots=True)
class BadRow:
    """A record that cannot be cut into columns: its line, why, and its beginning as it stands."""

    line: int
    reason: str
    raw: str


@dataclass(slots=True)
class Chunk:
    """At most `CHUNK_ROWS` rows, aligned with the source's columns, and the 1-based line each began on.

    ``further`` of the rows are not the source's own: they stand for the further addresses of a cell.
    """

    rows: list[Sequence[Value]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)
    further: int = 0


class Source(Protocol):
    """Rows from anywhere. ``chunks`` may be called again and starts over."""

    #: Short, for messages and reports: ``recipients.csv``; never a password.
    name: str
    columns: tuple[str, ...]
    #: ``text`` where every value is text (CSV), ``any`` where values bring their own types.
    value_type: str
    #: What was found out by looking, in words: the delimiter, the encoding.
    notes: tuple[str, ...]

    def identity(self) -> Mapping[str, str | int]:
        """What tells this state of the source from another; goes into the plan's header."""
        ...

    def first_rows(self) -> Iterator[tuple[int, Sequence[str]]]:
        """The first lines as cells, the header among them, where another one may name the columns."""
        ...

    def chunks(self) -> Iterator[Chunk]:
        """All rows, in the source's order. Raises InputError when it cannot be read to its end."""
        ...
