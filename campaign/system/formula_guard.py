"""CSV cells that are safe to open in a spreadsheet: one that would be a formula gets an apostrophe in front.

CWE-1236; the list of first characters is OWASP's, with NUL and line feed. `unguard` takes exactly that apostrophe off
again, so that a table can be fed back in with the values it came with.
"""

from __future__ import annotations

import re

_FORMULA = re.compile(r"'*[=+\-@\t\r\n\0]")
_GUARDED = re.compile(r"'+[=+\-@\t\r\n\0]")


def guard(cell: str) -> str:
    """``=1+1`` -> ``'=1+1``; a cell that already looks guarded is guarded once more, so nothing is lost."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def unguard(cell: str) -> str:
    """The inverse of `guard`, for every text: ``unguard(guard(cell)) == cell``."""
    return cell[1:] if _GUARDED.match(cell) else cell
