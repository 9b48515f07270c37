"""Limits on the result of one operation in a template (text, number, padding), and conversion of values to text.

The limits are checked before the operation, because afterwards the memory is already used. `sandbox.py` applies these
checks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from itertools import chain
from typing import Any

from jinja2 import Undefined
from jinja2.exceptions import SecurityError

LARGEST = 2 * 1024 * 1024  #: characters of a text that a template may create
WIDEST = 10_000  #: characters that padding may add
MOST_BITS = 20_000  #: of a whole number
MOST_WORK = 2_000_000_000  #: characters that one filter may copy
MOST_ITEMS = 200_000  #: in a list that is converted to text, including those of nested lists
MOST_DIGITS = 10_000  #: of a number that is converted to text or to an integer

Count = Callable[[Any], Any]  #: counts a result, and returns it

_WIDTH = re.compile(r"\d{5}|%[^a-zA-Z%]*\*|\{[^{}]*\{")
_DIGITS = re.compile(r"\d+")
_CONTAINERS = (list, tuple, dict, set, frozenset)
_PADDING = frozenset({"center", "ljust", "rjust", "zfill"})


class TooMuch(SecurityError):  # noqa: N818 - it names what happened
    """A row made a template exceed one of the limits; the message says which."""


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str | list | tuple | bytes) else 0


def _bits(value: Any) -> int:
    return value.bit_length() if isinstance(value, int) else 0


def _refuse(size: int) -> None:
    if size > LARGEST:
        raise TooMuch(f"the template makes something of {size:,} characters or items for this row")


def check_format(text: Any, *args: Any, **kwargs: Any) -> None:
    """Refuse formats with a width of five digits, with a computed one, or with a result that is too long."""
    if not isinstance(text, str):
        return
    if _WIDTH.search(text):
        raise TooMuch("the template formats with a width of five digits or more, or with a computed one")
    values = [
        inner for arg in (*args, *kwargs.values()) for inner in (arg.values() if isinstance(arg, dict) else [arg])
    ]
    for value in values:
        check_shown(value)
    longest = max(map(_size, values), default=0)
    widths = sum(map(int, _DIGITS.findall(text)))
    _refuse(len(text) + widths + (text.count("%") + text.count("{")) * longest)


def check_shown(value: Any, *_: Any, **__: Any) -> None:
    """Refuse values that would give too long a text; a nested list counts each time it is printed."""
    if isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) > MOST_DIGITS:
        raise TooMuch(f"the template works on a number of more than {MOST_DIGITS:,} digits")
    if not isinstance(value, _CONTAINERS):
        return
    items = size = 0
    waiting = [value]
    while waiting:
        for one in _inside(waiting.pop()):
            items += 1
            size += _size(one) if isinstance(one, str | bytes) else 1
            if items > MOST_ITEMS or size > LARGEST:
                raise TooMuch(
                    f"the template prints a list of more than {MOST_ITEMS:,} items, or {LARGEST:,} characters"
                )
            if isinstance(one, _CONTAINERS):
                waiting.append(one)


def _inside(container: Any) -> Iterator[Any]:
    return chain(container, container.values()) if isinstance(container, dict) else iter(container)


def _check_times(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int):
        if _bits(left) + _bits(right) > MOST_BITS:
            raise TooMuch("the template computes a number that is too large")
    else:
        _refuse(_size(left) * (right if isinstance(right, int) else 1))
        _refuse(_size(right) * (left if isinstance(left, int) else 1))


def _check_division(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int) and _bits(left) + _bits(right) > 4 * MOST_BITS:
        raise TooMuch("the template divides a number that is too large")


def _check_power(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int) and _bits(left) * abs(right) > MOST_BITS:
        raise TooMuch("the template computes a number that is too large")


def _check_modulo(left: Any, right: Any) -> None:
    _check_division(left, right)
    check_format(left, *(right if isinstance(right, tuple) else (right,)))


def _check_plus(left: Any, right: Any) -> None:
    _refuse(_size(left) + _size(right))


OPERATORS: dict[str, Callable[[Any, Any], None]] = {
    "*": _check_times,
    "**": _check_power,
    "%": _check_modulo,
    "/": _check_division,
    "//": _check_division,
    "+": _check_plus,
}


def check_method(method: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Check the methods of text whose result can be much longer than the text."""
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


def _check_join(value: Any, d: Any = "", attribute: Any = None) -> None:  # noqa: ARG001 - as the filter is called
    """Check ``join``; it joins the characters of a text and the names of a table."""
    if isinstance(value, str | bytes):
        _refuse(len(value) * (_size(d) + 1))
    elif isinstance(value, _CONTAINERS):
        check_shown(value)
        _refuse(len(value) * _size(d) + sum(_size(item) for item in value))


def _check_indent(text: Any, width: Any = 4, *_: Any, **__: Any) -> None:
    _refuse(len(text) + text.count("\n") * (width if isinstance(width, int) else _size(width)))


def _check_round(value: Any, precision: Any = 0, *_: Any, **__: Any) -> None:
    check_shown(value)
    if isinstance(precision, int) and abs(precision) > 100:
        raise TooMuch("the template rounds to more than 100 places")


def _check_sum(items: Any, attribute: Any = None, start: Any = 0) -> None:  # noqa: ARG001 - as the filter is called
    if _size(start) or isinstance(start, list | tuple):
        raise TooMuch("the template adds up lists with sum, which takes for ever; use a loop")


def _check_striptags(text: Any, *_: Any, **__: Any) -> None:
    shown = str(text)  # each removed tag makes a copy of the whole text
    _refuse_work(len(shown) * shown.count("<"))


def _check_wordwrap(text: Any, width: Any = 79, *_: Any, **__: Any) -> None:
    longest = max(map(len, str(text).split()), default=0)  # a long word is copied once for each line of it
    _refuse_work(longest * longest // max(width if isinstance(width, int) else 1, 1))


def _check_json(value: Any, indent: Any = None) -> None:
    check_shown(value)
    _check_padding(indent)


def _refuse_work(octets: int) -> None:
    if octets > MOST_WORK:
        raise TooMuch("the template asks for something of this row's text that would take too long")


FILTERS: dict[str, Callable[..., None]] = {
    "format": check_format,
    "center": _check_padding,
    "batch": _check_padding,
    "slice": _check_padding,
    "tojson": _check_json,
    "indent": _check_indent,
    "replace": _check_replace,
    "join": _check_join,
    "round": _check_round,
    "striptags": _check_striptags,
    "sum": _check_sum,
    **dict.fromkeys(
        (
            *("capitalize", "e", "escape", "filesizeformat", "float", "forceescape", "int", "lower", "pprint", "safe"),
            *("string", "title", "trim", "truncate", "upper", "urlencode", "urlize", "wordcount"),
        ),
        check_shown,
    ),
    "wordwrap": _check_wordwrap,
}


def guarded(function: Callable[..., Any], check: Callable[..., None] | None, counted: Count) -> Callable[..., Any]:
    """The filter, with its check before it, if it has one, and its result counted.

    The check does not get Jinja's first argument (context, environment). Iterators are turned into lists, so that the
    check does not exhaust them.
    """
    passed = 1 if hasattr(function, "jinja_pass_arg") else 0

    def checked(*args: Any, **kwargs: Any) -> Any:
        args = tuple([list(arg) if isinstance(arg, Iterator | range) else arg for arg in args])
        if check is not None:
            check(*args[passed:], **kwargs)
        return counted(function(*args, **kwargs))

    def plain(*args: Any, **kwargs: Any) -> Any:
        return counted(function(*args, **kwargs))

    made = plain if check is None else checked
    if passed:
        made.jinja_pass_arg = function.jinja_pass_arg  # type: ignore[attr-defined]  # how Jinja marks its filters
    return made


def texts(values: Iterable[Any], shown: Callable[[Any], str]) -> list[str]:
    """The result of ``shown`` for each value. Raises TooMuch if they are too long together."""
    found, size = [], 0
    for value in values:
        found.append(shown(value))
        size += len(found[-1])
        if size > LARGEST:
            raise TooMuch(f"the values of this row have more than {LARGEST:,} characters where they are printed")
    return found


def printed(value: Any) -> str:
    """The text of a printed value: empty for ``None``; Markup stays Markup. Raises for undefined values."""
    if isinstance(value, str) or value is None:
        return value or ""
    check_shown(value)
    text = str(value)
    if callable(value) and not isinstance(value, Undefined):  # an `if` without `else` gives Jinja's own, lenient one
        raise TypeError(f"a function is printed: {getattr(value, '__name__', 'it')} wants brackets, as in name.upper()")
    return text
