"""The tables of a run, `failed.csv` and `in-doubt.csv`, streamed row by row.

Both are safe to open in a spreadsheet and lose nothing: cells that would be formulas are guarded, and a failed list can
be loaded again with the values it came with. The caller decides which rows failed, and why.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

from campaign.model import Value
from campaign.report import formatting
from campaign.report.facts import DoubtRow, FailedRow
from campaign.report.report_file import replacing
from campaign.system.formula_guard import guard

#: Columns that `write_failed` appends to the source's own.
FAILED_COLUMNS = ("verdict", "code", "enhanced_code", "reason")
DOUBT_COLUMNS = ("number", "address", "message_id", "relay", "at")


def write_failed(folder: Path, columns: Sequence[str], rows: Iterable[FailedRow]) -> int:
    """Write ``failed.csv`` (0600), even without rows, and return how many rows it has.

    Columns are the source's own, then `FAILED_COLUMNS`. Those of an earlier ``failed.csv`` that was loaded again are
    replaced; if the source has its own column of such a name, ours is called ``campaign_verdict`` and so on. Raises
    StorageError.
    """
    kept, ours = _failed_columns(columns)
    lines = (_failed_cells(row, kept) for row in rows)
    return _write(folder / "failed.csv", [*columns[:kept], *ours], lines)


def write_in_doubt(folder: Path, rows: Iterable[DoubtRow]) -> int:
    """Write ``in-doubt.csv`` (0600): `DOUBT_COLUMNS`, times in ISO 8601 UTC. Returns the number of rows."""
    lines = ([str(row.number), row.address, row.message_id, row.relay, formatting.iso(row.at)] for row in rows)
    return _write(folder / "in-doubt.csv", DOUBT_COLUMNS, lines)


def _failed_cells(row: FailedRow, kept: int) -> list[str]:
    cells = [cell_of(value) for value in row.values[:kept]]
    return [*cells, row.verdict, str(row.code or ""), row.enhanced_code, formatting.printable(row.reason)]


def cell_of(value: Value) -> str:
    """A cell's text for a value: empty for None, ISO 8601 for dates, JSON for lists and tables."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=date.isoformat)
    return value.isoformat() if isinstance(value, date) else str(value)


def _failed_columns(columns: Sequence[str]) -> tuple[int, Sequence[str]]:
    if tuple(columns[-len(FAILED_COLUMNS) :]) == FAILED_COLUMNS:
        return len(columns) - len(FAILED_COLUMNS), FAILED_COLUMNS
    return len(columns), [f"campaign_{name}" if name in columns else name for name in FAILED_COLUMNS]


def _write(path: Path, columns: Sequence[str], lines: Iterable[Sequence[str]]) -> int:
    count = 0
    with replacing(path) as stream:
        writer = csv.writer(stream, lineterminator="\r\n")  # RFC 4180; a lone CR or LF in a cell is quoted too
        writer.writerow([guard(name) for name in columns])
        for line in lines:
            writer.writerow([guard(cell) for cell in line])
            count += 1
    return count
