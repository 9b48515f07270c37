"""CSV that is safe to open in a spreadsheet: a cell that would be a formula gets an apostrophe in front.

OWASP, CWE-1236. `restored` takes the apostrophe off again, so that an export can be fed back unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

#: A cell that a spreadsheet would compute, or that would be taken for an escaped one.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n\0＝＋－＠]")
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


def _cell(cell: str) -> str:
    cell = escaped(cell)
    return '"' + cell.replace('"', '""') + '"' if _SPECIAL.search(cell) else cell
