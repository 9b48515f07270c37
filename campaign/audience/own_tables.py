"""CSV lines as this stage writes them, and recognition of our own exports when they are read as a source."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from campaign.system.formula_guard import guard

#: The last columns of a list of failed rows; a name that the source has too gets a prefix.
_LAST_COLUMNS = ["verdict", "code", "enhanced_code", "reason"]
_SPECIAL = re.compile(r'[",\r\n]')


def csv_line(cells: Iterable[str]) -> bytes:
    """One line of CSV (RFC 4180, LF) in UTF-8, safe to open in a spreadsheet."""
    return (",".join(map(_cell, cells)) + "\n").encode("utf-8", "replace")


def is_export(columns: Sequence[str]) -> bool:
    """Whether a file with these columns is a list of failed rows that this program wrote."""
    return [name.removeprefix("campaign_") for name in columns[-len(_LAST_COLUMNS) :]] == _LAST_COLUMNS


def _cell(cell: str) -> str:
    cell = guard(cell)
    return '"' + cell.replace('"', '""') + '"' if _SPECIAL.search(cell) else cell
