"""Strict reading of JSON: no name twice in an object, no NaN, no half surrogate pairs, numbers exact.

The json module accepts all of these silently, and msgspec keeps the last of two names. A record is first read by
msgspec, at several times the speed; whatever is unusual in it is read again by the json module.
"""

from __future__ import annotations

import contextlib
import json
import re

import msgspec

from campaign.audience.columns.column_types import DEPTH, is_plain, within_depth
from campaign.audience.sources.cell_values import EXACT, plain_value
from campaign.model import Value

#: Digits of a whole number that Python converts whatever its limit; a longer one stays text.
DIGITS = 19
_QUICK = msgspec.json.Decoder()
_NAME = re.compile(r'"[ \t\r\n]*:')


class StrictDecoder:
    """Decodes values at places of a text. A fault within a value does not end the reading of those after it."""

    def __init__(self) -> None:
        self._faults: list[str] = []
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._table, parse_constant=self._constant, parse_int=_whole, parse_float=_real
        )

    def skip(self, text: str, at: int) -> tuple[object, int]:
        """The value at ``at``, unchecked, and where it ends. Raises JSONDecodeError or RecursionError."""
        self._faults.clear()
        return self._decoder.raw_decode(text, at)

    def record(self, value: object) -> dict[str, Value]:
        """The value that `skip` just returned, checked. Raises ValueError if it is not a valid record."""
        if not isinstance(value, dict):
            raise ValueError("not an object in braces")  # noqa: TRY004  the record is bad, not the caller
        if self._faults:
            raise ValueError(self._faults[0])
        within_depth(value, DEPTH + 1)
        record = plain_value(value)
        assert isinstance(record, dict)  # noqa: S101  as the value is
        return record

    def _table(self, pairs: list[tuple[str, object]]) -> dict[str, object]:
        table = dict(pairs)
        if len(table) != len(pairs):
            names = [name for name, _ in pairs]
            self._faults.append(f"the name {next(name for name in names if names.count(name) > 1)!r} is there twice")
        return table

    def _constant(self, name: str) -> None:
        self._faults.append(f"{name} is not JSON")


def read_record(text: str) -> dict[str, Value]:
    """The object that ``text`` is. Raises ValueError if it is anything else."""
    if "\\" not in text and text.count("[") + text.count("{") <= DEPTH:
        with contextlib.suppress(msgspec.MsgspecError, UnicodeError):  # the slower parser below gives the error message
            quick = _QUICK.decode(text)
            if type(quick) is dict and is_plain(quick) and len(_NAME.findall(text)) == _names(quick):
                return quick
    decoder = StrictDecoder()
    try:
        value, end = decoder.skip(text, len(text) - len(text.lstrip(" \t\r\n")))
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON at column {error.pos + 1}: {error.msg}") from None
    except RecursionError:
        raise ValueError(f"nested deeper than {DEPTH} levels") from None
    if text[end:].strip(" \t\r\n"):
        raise ValueError(f"not JSON at column {end + 1}: more text follows the object")
    return decoder.record(value)


def _names(value: object) -> int:
    """The names in all objects of ``value``: fewer than its text has if one is there twice."""
    if type(value) is dict:
        return len(value) + sum(_names(inner) for inner in value.values() if type(inner) in (dict, list))
    return sum(map(_names, value)) if type(value) is list else 0


def _whole(text: str) -> int | str:
    return int(text) if len(text) <= DIGITS else text


def _real(text: str) -> float | str:
    number = float(text)
    return number if abs(number) <= EXACT else text
