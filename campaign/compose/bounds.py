"""Bounds on what one operation of a template may make: a text, a number, padding.

Looked at before the operation is done, since afterwards the memory is gone. `sandbox.py` puts these checks in the way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from jinja2.exceptions import SecurityError

LARGEST = 2 * 1024 * 1024  #: characters of a text that a template may make
WIDEST = 10_000  #: characters that padding may add
MOST_BITS = 20_000  #: of a whole number
MOST_WORK = 2_000_000_000  #: characters that one filter may copy

_WIDTH = re.compile(r"\d{5}|%[^a-zA-Z%]*\*|\{[^{}]*\{")
_PADDING = frozenset({"center", "ljust", "rjust", "zfill"})


class TooMuch(SecurityError):  # noqa: N818 - it names what happened
    """A row made a template pass one of the bounds; the message says which."""


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str | list | tuple | bytes) else 0


def _bits(value: Any) -> int:
    return value.bit_length() if isinstance(value, int) else 0


def _refuse(size: int) -> None:
    if size > LARGEST:
        raise TooMuch(f"the template makes something of {size:,} characters or items for this row")


def check_format(text: Any, *args: Any, **kwargs: Any) -> None:
    """Refuse formats that ask for five digits of width, for a computed one, or for more than may be made."""
    if not isinstance(text, str):
        return
    if _WIDTH.search(text):
        raise TooMuch("the template formats with a width of five digits or more, or with a computed one")
    values = [
        inner for arg in (*args, *kwargs.values()) for inner in (arg.values() if isinstance(arg, dict) else [arg])
    ]
    longest = max(map(_size, values), default=0)
    _refuse(len(text) + (text.count("%") + text.count("{")) * longest)


def _check_times(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int):
        if _bits(left) + _bits(right) > MOST_BITS:
            raise TooMuch("the template computes a number that is too large")
    else:
        _refuse(_size(left) * (right if isinstance(right, int) else 1))
        _refuse(_size(right) * (left if isinstance(left, int) else 1))


def _check_power(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int) and _bits(left) * abs(right) > MOST_BITS:
        raise TooMuch("the template computes a number that is too large")


def _check_modulo(left: Any, right: Any) -> None:
    check_format(left, *(right if isinstance(right, tuple) else (right,)))


def _check_plus(left: Any, right: Any) -> None:
    _refuse(_size(left) + _size(right))


OPERATORS: dict[str, Callable[[Any, Any], None]] = {
    "*": _check_times,
    "**": _check_power,
    "%": _check_modulo,
    "+": _check_plus,
}


def check_method(method: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """The methods of text that can make much of little."""
    text, name = method.__self__, method.__name__
    if not isinstance(text, str | bytes):
        return
    if name in _PADDING:
        _check_padding(*args)
    elif name == "expandtabs":
        _refuse(len(text) * _largest(*args, *kwargs.values()))
    elif name == "replace" and len(args) > 1:
        _check_replace(text, *args[:2])
    elif name == "join" and args:
        _check_join(args[0], text)
    elif name == "translate":
        raise TooMuch("str.translate is not for templates; use the replace filter")


def _largest(*args: Any) -> int:
    return max((arg for arg in args if isinstance(arg, int)), default=8)


def _check_padding(*args: Any, **kwargs: Any) -> None:
    if max((arg for arg in (*args, *kwargs.values()) if isinstance(arg, int)), default=0) > WIDEST:
        raise TooMuch(f"the template pads by more than {WIDEST:,} characters")


def _check_replace(text: Any, old: Any = "", new: Any = "", *_: Any, **__: Any) -> None:
    if isinstance(text, str) and isinstance(old, str):
        _refuse(len(text) + text.count(old) * len(str(new)))


def _check_join(items: Any, separator: Any = "", *_: Any, **__: Any) -> None:
    if isinstance(items, list | tuple):
        _refuse(len(items) * len(separator) + sum(_size(item) for item in items))


def _check_indent(text: Any, width: Any = 4, *_: Any, **__: Any) -> None:
    _refuse(len(text) + text.count("\n") * (width if isinstance(width, int) else _size(width)))


def _check_round(value: Any, precision: Any = 0, *_: Any, **__: Any) -> None:  # noqa: ARG001 - as the filter is called
    if isinstance(precision, int) and abs(precision) > 100:
        raise TooMuch("the template rounds to more than 100 places")


def _check_sum(items: Any, attribute: Any = None, start: Any = 0) -> None:  # noqa: ARG001 - as the filter is called
    if _size(start) or isinstance(start, list | tuple):
        raise TooMuch("the template adds up lists with sum, which takes for ever; use a loop")


def _check_striptags(text: Any, *_: Any, **__: Any) -> None:
    shown = str(text)  # each tag that is taken out makes a copy of the whole text
    _refuse_work(len(shown) * shown.count("<"))


def _check_wordwrap(text: Any, width: Any = 79, *_: Any, **__: Any) -> None:
    longest = max(map(len, str(text).split()), default=0)  # a long word is copied once for each line of it
    _refuse_work(longest * longest // max(width if isinstance(width, int) else 1, 1))


def _refuse_work(octets: int) -> None:
    if octets > MOST_WORK:
        raise TooMuch("the template asks for something of this row's text that would take too long")


FILTERS: dict[str, Callable[..., None]] = {
    "format": check_format,
    "center": _check_padding,
    "batch": _check_padding,
    "slice": _check_padding,
    "tojson": _check_padding,
    "indent": _check_indent,
    "replace": _check_replace,
    "join": _check_join,
    "round": _check_round,
    "striptags": _check_striptags,
    "sum": _check_sum,
    "wordwrap": _check_wordwrap,
}


def guarded(function: Callable[..., Any], check: Callable[..., None]) -> Callable[..., Any]:
    """The filter behind its check.

    What Jinja passes first (context, environment) is kept from the check; what can be walked only once is walked here.
    """
    passed = 1 if hasattr(function, "jinja_pass_arg") else 0

    def checked(*args: Any, **kwargs: Any) -> Any:
        args = tuple([list(arg) if isinstance(arg, Iterator | range) else arg for arg in args])
        check(*args[passed:], **kwargs)
        return function(*args, **kwargs)

    if passed:
        checked.jinja_pass_arg = function.jinja_pass_arg  # type: ignore[attr-defined]  # how Jinja marks its filters
    return checked
