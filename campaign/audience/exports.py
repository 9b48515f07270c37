"""CSV that is safe to open in a spreadsheet: a cell that would be a formula gets an apostrophe in front.

OWASP, CWE-1236. `restored` takes the apostrophe off again, so that an export can be fed back unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

#: A cell that a spreadsheet would compute, or that would be taken for an escaped one.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n\0]")
#: The columns that a list of failed rows ends in; where the source had such a name, ours has a prefix.
_LAST_COLUMNS = ["verdict", "code", "enhanced_code", "reason"]
_SPECIAL = re.compile(r'[",\r\n]')


def csv_line(cells: Iterable[str]) -> bytes:
    """One line of CSV (RFC 4180, LF) in UTF-8, safe to open."""
    return (",".join(map(_cell, cells)) + "\n").encode("utf-8", "replace")


def escaped(cell: str) -> str:
    """``=1+1`` -> ``'=1+1``."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def restored(cell: str) -> str:
    """``'=1+1`` -> ``=1+1``; undoes `escaped` for every text."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def is_export(columns: Sequence[str]) -> bool:
    """Whether a file with these columns is a list of failed rows, written by us and fed in again."""
    return [name.removeprefix("campaign_") for name in columns[-len(_LAST_COLUMNS) :]] == _LAST_COLUMNS


def _cell(cell: str) -> str:
    cell = escaped(cell)
    return '"' + cell.replace('"', '""') + '"' if _SPECIAL.search(cell) else cell
