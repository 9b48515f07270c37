"""Conversion of typed columns: each cell becomes a value of its column's type, or makes its row invalid."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime

import msgspec

from campaign.audience.columns.local_dates_and_numbers import date_reader, number_reader, wanted_form
from campaign.audience.sources.cell_values import EXACT, plain_value
from campaign.config.audience import ColumnType
from campaign.model import Value

_INTEGER = re.compile(r"[+-]?[0-9]{1,16}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
#: Types whose written form depends on the country.
LOCAL = frozenset({"integer", "number", "date"})
#: Levels of lists and tables within one JSON cell.
DEPTH = 20


class CellError(ValueError):
    """A cell that is not a value of its column's type."""


class Typing:
    """The conversions of a row's typed cells; blank cells become None."""

    def __init__(self, columns: Sequence[str], types: Mapping[str, ColumnType]) -> None:
        self._steps = [(columns.index(name), name, conversion(kind)) for name, kind in types.items()]

    def __bool__(self) -> bool:
        return bool(self._steps)

    def apply(self, row: Sequence[Value]) -> list[Value]:
        """The row with its typed cells converted. Raises CellError naming the column."""
        cells = list(row)
        for at, name, convert in self._steps:
            try:
                cells[at] = convert(cells[at])
            except ValueError as error:
                raise CellError(f"column {name!r}: {error}") from None
        return cells

    def lenient(self, at: int, cell: Value) -> Value:
        """The cell at index ``at`` converted, or unchanged if it cannot be."""
        convert = next((step for index, _, step in self._steps if index == at), text_cell)
        try:
            return convert(cell)
        except ValueError:
            return cell


def text_cell(cell: Value) -> Value:
    """Any plain value as text; dates in ISO form."""
    if type(cell) is str:  # nearly all of them
        return cell
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, list | dict):
        return json.dumps(cell, ensure_ascii=False, default=str)
    return cell.isoformat() if isinstance(cell, date) else str(cell)


def integer(cell: Value) -> Value:
    """A whole number of at most 53 bits."""
    if isinstance(cell, str):
        stripped = cell.strip()
        if not stripped:
            return None
        if not _INTEGER.fullmatch(stripped):
            raise ValueError(f"{_shown(cell)} is not a whole number")
        cell = int(stripped)
    if cell is None or (isinstance(cell, int) and not isinstance(cell, bool) and abs(cell) <= EXACT):
        return cell
    raise ValueError(f"{_shown(cell)} is not a whole number of at most {EXACT}")


def number_cell(cell: Value) -> Value:
    """A finite number with a decimal point, never a comma, because 1,5 is ambiguous."""
    if isinstance(cell, str):
        stripped = cell.strip()
        if not stripped:
            return None
        if not _NUMBER.fullmatch(stripped) or math.isinf(float(stripped)):
            raise ValueError(f"{_shown(cell)} is not a number (write 1234.5)")
        return float(stripped)
    if cell is None or (isinstance(cell, int | float) and not isinstance(cell, bool)):
        return cell
    raise ValueError(f"{_shown(cell)} is not a number")


def boolean(cell: Value) -> Value:
    """true/false, yes/no, on/off, 1/0, in any case."""
    if isinstance(cell, str) and not cell.strip():
        return None
    if cell is None or isinstance(cell, bool):
        return cell
    truth = _TRUTH.get(str(cell).strip().lower())
    if truth is None:
        raise ValueError(f"{_shown(cell)} is neither true nor false (yes, no, on, off, 1, 0)")
    return truth


def day(cell: Value) -> Value:
    """An ISO date, or a date with time; other orders of day and month would be ambiguous."""
    if cell is None or isinstance(cell, date):
        return cell
    stripped = str(cell).strip()
    if not stripped:
        return None
    try:
        return date.fromisoformat(stripped) if _DATE.fullmatch(stripped) else _moment(stripped)
    except ValueError:
        raise ValueError(f"{_shown(cell)} is not a date (write 2026-12-31, or 2026-12-31T18:00)") from None


def json_cell(cell: Value) -> Value:
    """Any JSON value to a bounded depth; NaN and infinities are refused."""
    if not isinstance(cell, str):
        return cell
    if not cell.strip():
        return None
    if "\\" not in cell and cell.count("[") + cell.count("{") <= DEPTH:
        with contextlib.suppress(msgspec.MsgspecError, UnicodeError):  # the slower parser below gives the error message
            quick: Value = _QUICK.decode(cell)
            if is_plain(quick):
                return quick  # without escapes it has no invalid characters, and it cannot be nested too deeply
    try:
        found: Value = _DECODER.decode(cell)
        within_depth(found, DEPTH)
        return plain_value(found)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{_shown(cell)} is not JSON ({error})") from None


CONVERSIONS: dict[str, Callable[[Value], Value]] = {
    "text": text_cell,
    "integer": integer,
    "number": number_cell,
    "boolean": boolean,
    "date": day,
    "json": json_cell,
}


def base_type(kind: str) -> str:
    """``date:%d.%m.%Y`` -> ``date``: the type of the values, without the form of the cells."""
    return kind.partition(":")[0]


def with_locale(kind: str, locale: str) -> str:
    """``number`` -> ``number:de``; a type without local forms, or with a stated form, stays."""
    return f"{kind}:{locale}" if locale and kind in LOCAL else kind


def conversion(kind: str) -> Callable[[Value], Value]:
    """The function that converts cells of this type. Raises ConfigError for an invalid form."""
    base, _, form = kind.partition(":")
    if not form:
        return CONVERSIONS[base]
    return _written_date(form) if base == "date" else _written_number(base, form)


def _written_date(form: str) -> Callable[[Value], Value]:
    read, wanted = date_reader(form), wanted_form("date", form)

    def convert(cell: Value) -> Value:
        if cell is None or isinstance(cell, date):
            return cell
        stripped = str(cell).strip()
        try:
            return read(stripped) if stripped else None
        except ValueError:
            raise ValueError(f"{_shown(cell)} is not a date {wanted}") from None

    return convert


def _written_number(base: str, form: str) -> Callable[[Value], Value]:
    read, wanted, convert_plain = number_reader(form), wanted_form(base, form), CONVERSIONS[base]
    name = "whole number" if base == "integer" else "number"

    def convert(cell: Value) -> Value:
        if not isinstance(cell, str):
            return convert_plain(cell)
        stripped = cell.strip()
        try:
            return convert_plain(read(stripped)) if stripped else None
        except ValueError:
            raise ValueError(f"{_shown(cell)} is not a {name} {wanted}") from None

    return convert


def _moment(stripped: str) -> datetime:
    if not _DATE.match(stripped):
        raise ValueError
    return datetime.fromisoformat(stripped)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)
_QUICK = msgspec.json.Decoder()


def is_plain(value: Value) -> bool:
    """Whether `plain_value` would leave the numbers in ``value`` unchanged."""
    inner = value.values() if type(value) is dict else value if type(value) is list else (value,)
    for one in inner:
        kind = type(one)
        if kind is str:
            continue
        if kind in (list, dict):
            if not is_plain(one):
                return False
        elif kind in (int, float) and abs(one) > EXACT:  # type: ignore[arg-type]  # the type was just checked
            return False
    return True


def within_depth(value: object, depth: int) -> None:
    """Raise ValueError if lists and tables in ``value`` are nested more deeply."""
    if depth < 0:
        raise ValueError(f"nested deeper than {DEPTH} levels")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inner:
        within_depth(item, depth - 1)


def _shown(cell: object) -> str:
    return repr(cell) if len(str(cell)) <= 60 else repr(str(cell)[:60]) + "…"
