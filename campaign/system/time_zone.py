"""What this machine's time zone is called."""

from __future__ import annotations

import os
from pathlib import Path

LOCALTIME = Path("/etc/localtime")


def time_zone(environment: str | None = None, localtime: Path = LOCALTIME) -> str:
    """``Europe/Berlin``, by TZ (``environment`` stands for it) or where ``localtime`` points; UTC if by neither."""
    named = (os.environ.get("TZ", "") if environment is None else environment).removeprefix(":")
    path = named or os.path.realpath(localtime)
    name = path.rpartition("zoneinfo/")[2]
    return "UTC" if name.startswith("/") else name
