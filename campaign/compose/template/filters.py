"""Filters for dates, numbers and money in the recipient's locale.

Examples: ``{{ due|date }}``, ``{{ due|date("full") }}``, ``{{ at|datetime }}``, ``{{ n|number }}``,
``{{ price|currency("EUR") }}``, ``{{ share|percent }}``. A locale given in the filter overrides the row's. Columns are
text by default, so ISO dates and plain numbers are parsed from text. Anything else raises ValueError with a reason.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from jinja2 import Undefined, pass_context


@lru_cache(maxsize=256)
def known_locale(name: str) -> Any:
    """Babel's locale for ``de``, ``pt_BR`` or ``pt-BR``. Raises ValueError."""
    from babel import Locale, UnknownLocaleError

    try:
        return Locale.parse(name.strip().replace("-", "_"))
    except (UnknownLocaleError, ValueError, TypeError):
        raise ValueError(f"{name!r} is not a locale; write one such as en, de_AT or zh_Hans_CN") from None


@pass_context
def date_filter(context: Any, value: Any, form: str = "medium", locale: str = "") -> str:
    """``2026-11-24`` as ``Nov 24, 2026``; ``form`` is short, medium, long, full or a pattern of Babel's."""
    from babel.dates import format_date

    return format_date(_date(value), form, locale=_locale(context, locale))


@pass_context
def datetime_filter(context: Any, value: Any, form: str = "medium", locale: str = "") -> str:
    """A date with its time, in the time zone of the value."""
    from babel.dates import format_datetime

    moment = _datetime(value)
    return format_datetime(moment, form, tzinfo=moment.tzinfo, locale=_locale(context, locale))


@pass_context
def number_filter(context: Any, value: Any, form: str = "", locale: str = "") -> str:
    """``1234.5`` as ``1,234.5``; ``form`` is a pattern such as ``#,##0.00``."""
    from babel.numbers import format_decimal

    return format_decimal(_number(value), form or None, locale=_locale(context, locale))


@pass_context
def currency_filter(context: Any, value: Any, code: str, locale: str = "") -> str:
    """``1234.5`` with ``"EUR"`` as ``€1,234.50``."""
    from babel.numbers import format_currency

    return format_currency(_number(value), code, locale=_locale(context, locale))


@pass_context
def percent_filter(context: Any, value: Any, form: str = "", locale: str = "") -> str:
    """``0.25`` as ``25%``."""
    from babel.numbers import format_percent

    return format_percent(_number(value), form or None, locale=_locale(context, locale))


def _locale(context: Any, given: str) -> Any:
    # From the context, not the environment: Jinja would evaluate a constant only once, in the locale of the first row.
    return known_locale(given or context.environment.locale)


def _date(value: Any) -> date:
    return value if isinstance(value, date) and not isinstance(value, datetime) else _datetime(value).date()


def _datetime(value: Any) -> datetime:
    _refuse_undefined(value)
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - a date has no time zone
    try:
        return datetime.fromisoformat(str(value).strip())
    except ValueError:
        raise ValueError(f"{value!r} is not a date; write it as 2026-11-24 or 2026-11-24T08:00") from None


def _number(value: Any) -> Decimal:
    _refuse_undefined(value)
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        raise ValueError(f"{value!r} is not a number; write it as 1234.5") from None
    if not number.is_finite() or abs(number.adjusted()) > 100:
        raise ValueError(f"{value!r} is not a number that can be shown")
    return number


def _refuse_undefined(value: Any) -> None:
    if isinstance(value, Undefined):
        str(value)


FILTERS: dict[str, Callable[..., str]] = {
    "date": date_filter,
    "datetime": datetime_filter,
    "number": number_filter,
    "currency": currency_filter,
    "percent": percent_filter,
}
