"""Readers of local dates and numbers, such as ``24.11.1980`` and ``1.234,50``, by a locale or a stated format.

A column's type is ``date:%d.%m.%Y``, ``date:de`` or ``number:de``. Nothing is guessed: a cell in another form makes its
row invalid, because ``1.234`` and ``03/04/2026`` mean different things in different countries. Years have four digits,
unless a format has ``%y``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date, datetime
from typing import TYPE_CHECKING

from campaign.errors import ConfigError

if TYPE_CHECKING:
    from babel import Locale

#: A moment whose parts are all different, to test a stated format with.
PROBE = datetime(2026, 11, 24, 15, 36, 47)  # noqa: DTZ001  cells have no zone
_CLOCK = re.compile(r"%[HIMScXp]")
_FIELD = re.compile(r"(d+|M+|y+)")
_FIELDS = {"d": r"(?P<d>[0-9]{1,2})", "M": r"(?P<M>[0-9]{1,2})", "y": r"(?P<y>[0-9]{4})"}
_APOSTROPHES, _BLANKS = "'’", " \u00a0\u202f\u2009"
#: Keys that TOML accepts without quotation marks.
BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_CELL = re.compile(r"column '(?P<column>.+?)': '(?P<cell>.*?)' is not a (?P<kind>whole number|number|date)")
#: Patterns of cells, and the form that each shows; if two forms are possible, both are named.
_SHOWN_DATES = (
    (r"\d{1,2}\.\d{1,2}\.\d{4}", "date:%d.%m.%Y"),
    (r"\d{1,2}-\d{1,2}-\d{4}", "date:%d-%m-%Y"),
    (r"(1[3-9]|2\d|3[01])/\d{1,2}/\d{4}", "date:%d/%m/%Y"),
    (r"\d{1,2}/(1[3-9]|2\d|3[01])/\d{4}", "date:%m/%d/%Y"),
    (r"\d{1,2}/\d{1,2}/\d{4}", "date:%d/%m/%Y, or date:%m/%d/%Y where the month stands first"),
    (r"\d{4}/\d{1,2}/\d{1,2}", "date:%Y/%m/%d"),
    (r"\d{4}\.\d{1,2}\.\d{1,2}", "date:%Y.%m.%d"),
)
_SHOWN_NUMBERS = (
    (r"-?(\d{1,3}(\.\d{3})+|\d+),\d+|-?\d{1,3}(\.\d{3}){2,}", "de"),
    (r"-?\d{1,3}(,\d{3})+(\.\d+)?", "en"),
    (r"-?\d{1,3}([ \u00a0\u202f]\d{3})+(,\d+)?", "fr"),
    (r"-?\d{1,3}(['’]\d{3})+(\.\d+)?", "de_CH"),
)


def date_reader(form: str) -> Callable[[str], date]:
    """A reader of dates in this form, a locale or a ``%`` format. It raises ValueError; this raises ConfigError."""
    return _stated_date(form) if "%" in form else _local_date(form)


def number_reader(form: str) -> Callable[[str], str]:
    """A reader from this locale's numbers to the form ``1234.5``. It raises ValueError; this raises ConfigError."""
    from babel.numbers import get_decimal_symbol, get_group_symbol

    locale = list_locale(form)
    group, point = get_group_symbol(locale), get_decimal_symbol(locale)
    alike = next((many for many in (_BLANKS, _APOSTROPHES) if group in many), group)
    last, others = locale.decimal_formats[None].grouping
    mark = f"[{re.escape(alike)}]"
    grouped = rf"[0-9]{{1,{others}}}(?:{mark}[0-9]{{{others}}})*{mark}[0-9]{{{last}}}"
    pattern = re.compile(rf"([+-]?)({grouped}|[0-9]+)(?:{re.escape(point)}([0-9]+))?")

    def read(cell: str) -> str:
        found = pattern.fullmatch(cell)
        if not found:
            raise ValueError
        whole = re.sub(r"\D", "", found[2])
        return f"{found[1]}{whole}.{found[3]}" if found[3] else f"{found[1]}{whole}"

    return read


def wanted_form(kind: str, form: str) -> str:
    """The expected form, in words for a message. Raises ConfigError for an invalid form."""
    if kind == "date":
        return f"as {form} writes it, such as {_written_date(form)}"
    from babel.numbers import format_decimal

    written = format_decimal(1234.5 if kind == "number" else 1234, locale=list_locale(form))
    return f"as {form} writes it, such as {written}"


def format_hint(column: str, detail: str) -> str:
    """What to do about a typed column with cells as in ``detail``, including the form if the cell shows it."""
    if form := stated_form(detail):
        stated, comma, otherwise = form.partition(",")
        key = column if BARE_KEY.fullmatch(column) else json.dumps(column, ensure_ascii=False)
        setting = f'columns = {{ {key} = "{stated}" }} under [audience]'
        return f"state how {column!r} is written: {setting}{comma}{otherwise}"
    return f"look at the column {column!r}, and at its type or form in columns under [audience]"


def stated_form(detail: str) -> str:
    """The form that the cell in ``detail`` shows, with the second one if two are possible; empty if it shows none."""
    found = _CELL.search(detail)
    return _shown_form(found["kind"], found["cell"].strip()) if found else ""


def list_locale(name: str) -> Locale:
    """The locale of this name. Raises ConfigError if there is none."""
    from babel import Locale, UnknownLocaleError

    try:
        return Locale.parse(name.replace("-", "_"))
    except (ValueError, UnknownLocaleError):
        raise ConfigError(
            f"There is no locale {name!r} to read a list by.",
            next_step='write one such as "de", "en_US" or "fr_CH" in locale, or after the colon in columns',
        ) from None


def _shown_form(kind: str, cell: str) -> str:
    """The form that this cell is probably written in; empty if it shows none."""
    if kind == "date":
        return next((form for pattern, form in _SHOWN_DATES if re.fullmatch(pattern, cell)), "")
    form = next((form for pattern, form in _SHOWN_NUMBERS if re.fullmatch(pattern, cell)), "")
    return form and f"{'number' if kind == 'number' else 'integer'}:{form}"


def _local_date(form: str) -> Callable[[str], date]:
    parts = _FIELD.split(_local_pattern(form))
    pattern = re.compile("".join(_FIELDS[part[0]] if _FIELD.fullmatch(part) else re.escape(part) for part in parts))

    def read(cell: str) -> date:
        found = pattern.fullmatch(cell)
        if not found:
            raise ValueError
        return date(int(found["y"]), int(found["M"]), int(found["d"]))

    return read


def _local_pattern(form: str) -> str:
    """The locale's pattern for short dates, such as ``dd.MM.yy``, without direction marks. Raises ConfigError."""
    from babel.dates import get_date_format

    short = str(get_date_format("short", list_locale(form)).pattern)
    pattern = re.sub("[\u200e\u200f\u061c']", "", short).strip()
    if sorted(part[0] for part in _FIELD.findall(pattern)) != ["M", "d", "y"] or "MMM" in pattern:
        raise _no_date_form(form)
    return pattern


def _stated_date(form: str) -> Callable[[str], date]:
    timed = bool(_CLOCK.search(form))

    def read(cell: str) -> date:
        found = datetime.strptime(cell, form)  # noqa: DTZ007  as written: without a zone
        return found if timed else found.date()

    try:
        found = read(PROBE.strftime(form))
    except ValueError:
        raise _no_date_form(form) from None
    if (found.year, found.month, found.day) != (PROBE.year, PROBE.month, PROBE.day):
        raise _no_date_form(form)
    return read


def _written_date(form: str) -> str:
    """The last day of 2026 in this form."""
    if "%" in form:
        return date(2026, 12, 31).strftime(form)
    return _FIELD.sub(lambda part: {"d": "31", "M": "12", "y": "2026"}[part[0][0]], _local_pattern(form))


def _no_date_form(form: str) -> ConfigError:
    return ConfigError(
        f"{form!r} is no form of dates that a list can be read by.",
        evidence="a form has a day, a month and a year: %d, %m and %Y",
        next_step='write one such as "date:%d.%m.%Y", "date:%m/%d/%Y" or "date:de" in columns under [audience]',
    )
