"""Excel and OpenDocument sheets, through calamine: cells with the types they have, dates as dates.

Row by row and not as a pandas frame: the same sheet costs a quarter of the time and of the memory, dates do
not become moments, and the row's number in the sheet is known. The library works in a process of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from campaign.audience.chunks import CHUNK_ROWS, BadRow, Chunk
from campaign.audience.delimited import named_columns
from campaign.audience.files import identity
from campaign.audience.sheet_process import Row, opened_sheet
from campaign.config.audience import AudienceSlice
from campaign.errors import InputError


class Workbook:
    """One sheet. Its first row that is not blank names the columns; rows are numbered as in the sheet."""

    value_type = "any"

    def __init__(self, path: Path, settings: AudienceSlice) -> None:
        self.path, self.settings, self.name = path, settings, path.name
        with opened_sheet(path, settings.sheet) as sheet:
            header = next(sheet.rows(), None)
            self.notes: tuple[str, ...] = (f"sheet {sheet.name}",)
        if not header:
            raise InputError(f"The sheet {sheet.name!r} of {path} is empty.", next_step="name another with sheet = …")
        self.columns = named_columns([str(cell) for cell in header[1]], self.name)

    def identity(self) -> dict[str, str | int]:
        """Size and SHA-256 of the file."""
        return identity(self.path)

    def chunks(self) -> Iterator[Chunk]:
        """The rows below the header; blank ones are none."""
        with opened_sheet(self.path, self.settings.sheet) as sheet:
            rows = sheet.rows()
            next(rows, None)
            while some := list(islice(rows, CHUNK_ROWS)):
                yield self._chunk(some)

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
