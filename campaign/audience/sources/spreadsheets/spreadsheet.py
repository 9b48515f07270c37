"""A source of Excel and OpenDocument sheets, read through calamine: cells keep their types, dates stay dates.

Reading row by row instead of into a pandas frame takes a quarter of the time and memory, keeps dates from becoming
moments, and preserves row numbers. The library runs in a separate process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import dropwhile, islice
from pathlib import Path

from campaign.audience.columns.template_names import named_columns
from campaign.audience.sources.row_chunks import CHUNK_ROWS, HEADER_ROWS, BadRow, Chunk
from campaign.audience.sources.source_file import identity
from campaign.audience.sources.spreadsheets.spreadsheet_process import Row, opened_sheet
from campaign.config.audience import AudienceSection
from campaign.errors import InputError


class Workbook:
    """One sheet. Its header is ``header_row`` or the first row that is not blank; rows have the sheet's numbers."""

    value_type = "any"

    def __init__(self, path: Path, settings: AudienceSection) -> None:
        self.path, self.settings, self.name = path, settings, path.name
        with opened_sheet(path, settings.sheet) as sheet:
            header = next(self._from_header(sheet.rows()), None)
            self.notes: tuple[str, ...] = (f"sheet {sheet.name}",)
        if not header:
            below = f" from row {settings.header_row} on" if settings.header_row else ""
            raise InputError(
                f"The sheet {sheet.name!r} of {path} is empty{below}.",
                next_step="name another with sheet = …, or set header_row to the row that names the columns",
            )
        self.columns = named_columns([str(cell) for cell in header[1]], self.name)

    def identity(self) -> dict[str, str | int]:
        """Size and SHA-256 of the file."""
        return identity(self.path)

    def chunks(self) -> Iterator[Chunk]:
        """The rows below the header, without blank ones."""
        with opened_sheet(self.path, self.settings.sheet) as sheet:
            rows = self._from_header(sheet.rows())
            next(rows, None)
            while some := list(islice(rows, CHUNK_ROWS)):
                yield self._chunk(some)

    def first_rows(self) -> Iterator[tuple[int, Sequence[str]]]:
        """The first rows that are not blank, with their numbers in the sheet."""
        with opened_sheet(self.path, self.settings.sheet) as sheet:
            for line, cells, _ in islice(sheet.rows(), HEADER_ROWS):
                yield line, [str(cell) for cell in cells]

    def _from_header(self, rows: Iterator[Row]) -> Iterator[Row]:
        return dropwhile(lambda row: row[0] < self.settings.header_row, rows)

    def _chunk(self, rows: Sequence[Row]) -> Chunk:
        width, chunk = len(self.columns), Chunk()
        for line, cells, bad in rows:
            beyond = [cell for cell in cells[width:] if cell not in ("", None)]
            if bad:
                chunk.bad.append(BadRow(line, bad, str(cells[0])))
            elif beyond:
                reason = f"a cell to the right of the {width} named columns"
                chunk.bad.append(BadRow(line, reason, repr(beyond[0])[:200]))
            else:
                chunk.rows.append([*cells[:width], *[""] * (width - len(cells))])
                chunk.lines.append(line)
        return chunk
