"""The next step after a write that failed: the commands that show whose folder it is, and how much room it has."""

from __future__ import annotations

import shlex
from pathlib import Path


def look_at_folder(folder: Path) -> str:
    """The commands to type, as a next step."""
    name = shlex.quote(str(folder))
    return f"see whose folder it is and whether it has room: ls -ld {name}; df -h {name}"
