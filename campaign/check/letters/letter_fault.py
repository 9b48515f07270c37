"""A fault of a letter, as the checks yield it, and merging of the faults of one letter."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec
from msgspec.structs import replace

Severity = Literal["error", "warning"]


class Fault(msgspec.Struct, frozen=True):
    """Severity, a short stable code (explained in docs/check.md), a message, the place in the letter, and a remedy."""

    severity: Severity
    code: str
    message: str
    where: str = ""
    remedy: str = ""


def merged(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """Merge faults that differ only in their place, and list the places: ``text part, HTML part``."""
    found: dict[Fault, dict[str, None]] = {}
    for fault in faults:
        found.setdefault(replace(fault, where=""), {})[fault.where] = None
    return tuple(replace(fault, where=", ".join(filter(None, places))) for fault, places in found.items())
