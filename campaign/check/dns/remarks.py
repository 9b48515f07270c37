"""Remarks about servers and domains, as values for the table of `campaign check`."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Remark(NamedTuple):
    """One observation. ``code`` is explained in docs/check.md, ``where`` is a DNS name or a relay."""

    severity: Literal["error", "warning", "unverified"]
    code: str
    message: str
    where: str = ""
    remedy: str = ""
