"""Guards CSV cells against formula injection in spreadsheets: a cell that would be a formula gets an apostrophe.

See CWE-1236; the list of first characters is OWASP's, plus NUL and line feed. `unguard` removes exactly that
apostrophe, so a table can be read back in with its original values.
"""

from __future__ import annotations

import re

_FORMULA = re.compile(r"'*[=+\-@\t\r\n\0]")
_GUARDED = re.compile(r"'+[=+\-@\t\r\n\0]")


def guard(cell: str) -> str:
    """``=1+1`` -> ``'=1+1``; a cell that already looks guarded gets another apostrophe, so nothing is lost."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def unguard(cell: str) -> str:
    """The inverse of `guard`, for every text: ``unguard(guard(cell)) == cell``."""
    return cell[1:] if _GUARDED.match(cell) else cell
