"""One thing wrong with a letter: what the inspections yield, and how faults of one letter are put together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Fault:
    """How bad, a short stable code (explained in docs/check.md), what is seen, where in the letter, and what to do."""

    severity: Severity
    code: str
    message: str
    where: str = ""
    remedy: str = ""


def merged(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """Faults that differ in their place alone are one, with all its places: ``text part, HTML part``."""
    found: dict[Fault, dict[str, None]] = {}
    for fault in faults:
        found.setdefault(replace(fault, where=""), {})[fault.where] = None
    return tuple(replace(fault, where=", ".join(filter(None, places))) for fault, places in found.items())
