"""Conversion of typed cells (from a workbook, Parquet or a database) to the plain values of templates."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import date, datetime

from campaign.audience.sources.row_chunks import BadRow, Chunk
from campaign.model import Value

#: JSON readers outside Python hold whole numbers exactly up to here; a larger one becomes text.
EXACT = 1 << 53


def chunk_of(rows: Iterable[Sequence[object]], first: int) -> Chunk:
    """Rows of typed cells, numbered from ``first``; a row with a cell that has no plain value is bad."""
    chunk = Chunk()
    for line, row in enumerate(rows, first):
        try:
            chunk.rows.append([plain_value(cell) for cell in row])
            chunk.lines.append(line)
        except ValueError as error:
            chunk.bad.append(BadRow(line, str(error), repr(row)[:200]))
    return chunk


def plain_value(cell: object) -> Value:
    """``cell`` as a value for templates. Raises ValueError if it has no such form.

    Decimals, times and UUIDs become text unchanged, so that a price of 12.50 stays 12.50.
    """
    match cell:
        case None | bool():
            return cell
        case str():
            return _text(cell)
        case int():
            return int(cell) if -EXACT <= cell <= EXACT else str(cell)
        case float():
            return _number(cell)
        case datetime():
            return _moment(cell)
        case date():
            return cell
        case _:
            return _other(cell)


def _text(cell: str) -> str:
    if "\0" in cell:
        raise ValueError("a NUL character")
    if not cell.isascii():
        try:
            cell.encode()
        except UnicodeEncodeError:
            raise ValueError("half a surrogate pair, which is no character") from None
    return str(cell)


def _number(cell: float) -> Value:
    if math.isnan(cell):
        return None
    if math.isinf(cell):
        raise ValueError("an infinite number")
    return float(cell)


def _moment(cell: datetime) -> Value:
    if cell != cell:  # pandas' NaT, the only moment that does not equal itself
        return None
    return datetime.combine(cell.date(), cell.timetz())  # converts a subclass, such as a pandas Timestamp


def _other(cell: object) -> Value:
    if isinstance(cell, list | tuple):
        return [plain_value(item) for item in cell]
    if isinstance(cell, dict):
        return {_text(str(name)): plain_value(item) for name, item in cell.items()}
    if isinstance(cell, bytes | bytearray | memoryview):
        raise ValueError("a binary value; select it as text")  # noqa: TRY004  the row is bad, not the caller
    return _text(str(cell))
