"""One explanation, and those that the tables of the docs hold; `docs/make_explanations.py` makes the file."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import asdict

FILE = Path(__file__).with_name("explanations.json")


class Explanation(msgspec.Struct, frozen=True):
    """What ``name`` means and what to do about it. What does not apply to its ``kind`` is empty."""

    kind: str  #: finding, verdict, screened, exit code, message, symptom, section or key
    name: str
    means: str = ""
    remedy: str = ""
    severity: str = ""  #: of a finding
    exit_codes: tuple[int, ...] = ()  #: of a message
    form: str = ""  #: how the value of a key is written
    default: str = ""  #: of a key, as the campaign file writes it
    variable: str = ""  #: of the environment, which sets a key
    keys: tuple[str, ...] = ()  #: of a section
    page: str = ""  #: where to read on

    def facts(self) -> dict[str, Any]:
        """The fields that are not empty, as JSON has them."""
        return {name: value for name, value in asdict(self).items() if value}


@cache
def explanations() -> tuple[Explanation, ...]:
    """All that the tables of the docs explain, in their order."""
    told = json.loads(FILE.read_text(encoding="utf-8"))
    return tuple(Explanation(**{**one, "exit_codes": tuple(one.get("exit_codes", ()))}) for one in told)
