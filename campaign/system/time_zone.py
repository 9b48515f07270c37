"""The name of this machine's time zone."""

from __future__ import annotations

import os
from pathlib import Path

LOCALTIME = Path("/etc/localtime")


def time_zone(environment: str | None = None, localtime: Path = LOCALTIME) -> str:
    """A name such as ``Europe/Berlin``, from TZ or the link ``localtime``; UTC if neither is set.

    ``environment`` replaces the value of TZ.
    """
    named = (os.environ.get("TZ", "") if environment is None else environment).removeprefix(":")
    path = named or os.path.realpath(localtime)
    name = path.rpartition("zoneinfo/")[2]
    return "UTC" if name.startswith("/") else name
