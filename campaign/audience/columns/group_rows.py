"""Groups rows by key: the lines that share a key become one recipient whose column ``items`` is a list.

The lines of a key may be anywhere in the source. So rows are stored in a temporary database beside the plan and read
back in the order of each key's first line, in constant memory. The first line gives the recipient's address and single
columns; the others are counted as merged.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Self

import msgspec

from campaign.audience.columns.group_columns import GroupColumns
from campaign.audience.plan.plan_codec import decode_value, encode_value
from campaign.audience.screening.screen_rows import PlannedRow, ScreenedRow
from campaign.errors import StorageError
from campaign.model import Screened, Value

_Group = tuple[PlannedRow | None, list[ScreenedRow]]


class RowGrouper:
    """Takes kept rows in any order and returns them as groups. A context manager, which removes its temporary file."""

    def __init__(self, folder: Path, shape: GroupColumns) -> None:
        self._path, self._shape = folder / ".gathering.part", shape

    def __enter__(self) -> Self:
        self._path.unlink(missing_ok=True)
        self._database = sqlite3.connect(self._path, isolation_level=None)
        self._database.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN;"
            "CREATE TABLE part (n INTEGER PRIMARY KEY, key TEXT, row BLOB)"
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()
        self._path.unlink(missing_ok=True)

    def add(self, kept: Iterable[PlannedRow]) -> None:
        """Store rows. Raises StorageError if the disk is full."""
        parts = ((row.key, msgspec.json.encode(row._replace(values=encode_value(list(row.values))))) for row in kept)
        try:
            self._database.executemany("INSERT INTO part (key, row) VALUES (?, ?)", parts)
        except sqlite3.Error as error:
            raise StorageError(
                f"{self._path} cannot be written.",
                evidence=str(error),
                next_step="see to the disk (space, rights), then run the same command again",
            ) from None

    def groups(self, spoiled: Mapping[str, int]) -> Iterator[_Group]:
        """One recipient for each key, in the order of first lines, with the lines that were merged into it.

        The recipient is None if another line of the key is invalid (``spoiled`` has its number): a letter that lacks
        an item is worse than none.
        """
        in_order = "SELECT row, MIN(n) OVER (PARTITION BY key) AS first FROM part ORDER BY first, n"  # sorted on disk
        try:
            for _, rows in groupby(self._database.execute(in_order), key=lambda found: found[1]):
                yield self._group([_revived(row) for row, _ in rows], spoiled)
        except sqlite3.Error as error:
            raise StorageError(
                f"{self._path} cannot be read.",
                evidence=str(error),
                next_step="see to the disk (space, rights), then run the same command again",
            ) from None

    def _group(self, rows: Sequence[PlannedRow], spoiled: Mapping[str, int]) -> _Group:
        first, *further = rows
        if first.key in spoiled:
            why = f"line {spoiled[first.key]}, of the same key, is invalid"
            return None, [ScreenedRow(row.line, row.address, Screened.INVALID, why) for row in rows]
        items: Value = [self._shape.item(row.values) for row in rows]
        merged = [ScreenedRow(row.line, row.address, Screened.MERGED, _joined(row, first)) for row in further]
        return first._replace(values=[*self._shape.single(first.values), items]), merged


def _revived(row: bytes) -> PlannedRow:
    key, address, name, line, values = msgspec.json.decode(row)
    return PlannedRow(key, address, name, line, [decode_value(value) for value in values])


def _joined(row: PlannedRow, first: PlannedRow) -> str:
    other = "" if row.address == first.address else f"; its letter goes to {first.address}"
    return f"joins line {first.line}{other}"
