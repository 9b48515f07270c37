"""Excel and OpenDocument sheets, through calamine: cells with the types they have, dates as dates.

Row by row and not as a pandas frame: the same sheet costs a quarter of the time and of the memory, dates do
not become moments, and the row's number in the sheet is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from campaign.audience.chunks import CHUNK_ROWS, BadRow, Chunk
from campaign.audience.delimited import named_columns
from campaign.audience.files import identity
from campaign.audience.values import EXACT, chunk_of, plain
from campaign.config.audience import AudienceSlice
from campaign.errors import ConfigError, InputError

Row = tuple[int, Sequence[object]]


class Workbook:
    """One sheet. Its first row that is not blank names the columns; rows are numbered as in the sheet."""

    value_type = "any"

    def __init__(self, path: Path, settings: AudienceSlice) -> None:
        self.path, self.settings, self.name = path, settings, path.name
        sheet = _sheet(path, settings.sheet)
        self.notes: tuple[str, ...] = (f"sheet {sheet.name}",)
        header = next(_rows(sheet), (0, ()))[1]
        if not header:
            raise InputError(f"The sheet {sheet.name!r} of {path} is empty.", next_step="name another with sheet = …")
        self.columns = named_columns([str(plain(_whole(cell))) for cell in _trimmed(header)], self.name)

    def identity(self) -> dict[str, str | int]:
        """Size and SHA-256 of the file."""
        return identity(self.path)

    def chunks(self) -> Iterator[Chunk]:
        """The rows below the header; blank ones are none."""
        rows = _rows(_sheet(self.path, self.settings.sheet))
        next(rows, None)
        while some := list(islice(rows, CHUNK_ROWS)):
            yield self._chunk(some)

    def _chunk(self, rows: Sequence[Row]) -> Chunk:
        width, chunk = len(self.columns), Chunk()
        for line, cells in rows:
            beyond = [cell for cell in cells[width:] if cell not in ("", None)]
            if beyond:
                reason = f"a cell to the right of the {width} named columns"
                chunk.bad.append(BadRow(line, reason, repr(beyond[0])[:200]))
                continue
            one = chunk_of([[*map(_whole, cells[:width]), *[""] * (width - len(cells))]], line)
            chunk.rows += one.rows
            chunk.lines += one.lines
            chunk.bad += one.bad
        return chunk


def _sheet(path: Path, name: str) -> Any:
    try:
        import python_calamine as calamine
    except ImportError:
        raise ConfigError("Excel files need a library.", next_step="pip install 'campaign[excel]'") from None
    try:
        book = calamine.CalamineWorkbook.from_path(str(path))
        if name and name not in book.sheet_names:
            raise ConfigError(
                f"{path} has no sheet {name!r}.",
                evidence=f"its sheets: {', '.join(book.sheet_names)}",
                next_step="mend sheet under [audience], or leave it out for the first",
            )
        return book.get_sheet_by_name(name) if name else book.get_sheet_by_index(0)
    except (calamine.CalamineError, OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read as a workbook.",
            evidence=str(error),
            next_step="open it in a spreadsheet program and save it again, or save it as CSV (UTF-8)",
        ) from None


def _rows(sheet: Any) -> Iterator[Row]:
    for line, cells in enumerate(sheet.iter_rows(), 1):
        if any(cell not in ("", None) for cell in cells):
            yield line, cells


def _whole(cell: object) -> object:
    """A sheet holds every number as a float; whole ones are shown, and meant, as integers."""
    return int(cell) if isinstance(cell, float) and cell.is_integer() and abs(cell) <= EXACT else cell


def _trimmed(header: Sequence[object]) -> Sequence[object]:
    """Without the blank cells at its end, which a spreadsheet keeps where there once was formatting."""
    end = max(at for at, cell in enumerate(header, 1) if cell not in ("", None))
    return header[:end]
