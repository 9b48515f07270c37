"""Splits a template's output for one row into the text that shapes the letter and the values.

A blank value becomes part of the shape (``:empty`` may match it), and so does markup. The output of a macro is split at
the marks around its values; markup printed with ``|safe`` stays whole. The values are plain text without control
characters, not escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from html import unescape
from typing import Any

import msgspec
from markupsafe import Markup, escape

from campaign.compose.template.operation_limits import LARGEST, TooMuch, printed, texts
from campaign.compose.template.sandbox import CLOSE, OPEN
from campaign.compose.template.template import Statics, TemplateOutput
from campaign.compose.value_positions import SlotOrder, in_places

_TEXT = {str}
_PLAIN = {str, int, float, bool, type(None)}  # what cannot become Markup
NO_MARK = "\x01"  #: removed by `cleaned`
FEW = 1_000  #: plain values that may be converted to text without checking their total length
_NONE: dict[int, str] = {}
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufdd0-\ufdef\ufffe\uffff]")


class RenderedTemplate(msgspec.Struct, frozen=True, gc=False):
    """``statics``: the shape's text with ``None`` for each slot; ``values``: plain text, none blank.

    ``lines``: some value contains a line feed, or another character that is not printable. ``markup``: the escaped
    form, by number, of values with their own escaping, such as from ``|tojson``. ``size``: an upper bound on the
    characters of the values in all slots. ``order``: the slots of the values; without it there is a value for each
    slot, and with it there is neither ``markup`` nor ``lines``.
    """

    statics: Statics
    values: Sequence[str]
    lines: bool
    markup: dict[int, str]
    size: int
    order: SlotOrder | None = None

    def in_places(self) -> list[str]:
        """One value for each slot."""
        return in_places(self.values, self.order)


def split_static_from_dynamic(output: TemplateOutput, *, html: bool) -> RenderedTemplate:
    """Split ``output``. Raises TooMuch, ValueError for lone surrogates, and whatever an undefined value raises."""
    statics, values, order = output.statics, output.values, output.order
    types = set(map(type, values))
    simple = True
    if types != _TEXT:
        if types <= _PLAIN and len(values) <= FEW:
            values = [value if type(value) is str else printed(value) for value in values]
        else:
            values, order = texts(in_places(values, order), partial(_shown, html)), None
            simple = Markup not in set(map(type, values))
    whole = "".join(values)
    size = len(whole) * (order.most if order else 1)
    if simple and size <= LARGEST and whole.isprintable() and all(map(str.strip, values)):
        return RenderedTemplate(statics, values, False, _NONE, size, order)
    values = in_places(values, order)
    size = sum(map(len, values))
    if size > LARGEST:
        raise TooMuch(f"the values of this row have {size:,} characters where they are printed")
    return _in_order(statics, values, html)


def _shown(html: bool, value: Any) -> str:
    """A value as text. In HTML, markup that is only escaped text becomes text, and other markup stays Markup."""
    text = printed(value)
    if not isinstance(text, Markup):
        return text
    if html:
        plain = unescape(text)
        return plain if escape(plain) == text and OPEN not in text else text
    return str(text)


def _in_order(statics: Statics, values: Sequence[Any], html: bool) -> RenderedTemplate:
    own: list[str | None] = []
    kept: list[str] = []
    markup: dict[int, str] = {}
    for kind, text in _pieces(statics, iter(values), html):
        if kind and text.strip():
            if isinstance(text, Markup):
                markup[len(kept)], text = str(text), unescape(text)
            own.append(None)
            kept.append(text)
        elif text:
            own.append(text)
    whole = "".join(kept)
    return RenderedTemplate(tuple(own), kept, not whole.isprintable(), markup, len(whole))


def _pieces(statics: Statics, values: Iterator[Any], html: bool) -> Iterator[tuple[bool, str]]:
    """Pairs of a flag for values, and the text."""
    for piece in statics:
        if piece is not None:
            yield False, piece
            continue
        value = next(values)
        if html and isinstance(value, Markup):
            yield from _unmarked(str(value))
        else:
            yield True, cleaned(value)


def _unmarked(markup: str) -> Iterator[tuple[bool, str]]:
    """Markup split at its marks: OPEN value OPEN CLOSE. Marks that a filter broke are dropped."""
    if "<" not in markup and OPEN not in markup:
        yield True, Markup(cleaned(markup))  # noqa: S704 - it is markup already
        return
    parts = markup.split(OPEN)
    if (
        len(parts) % 2
        and all(part.startswith(CLOSE) for part in parts[2::2])
        and markup.count(CLOSE) == len(parts) // 2
    ):
        yield False, cleaned(parts[0])
        for value, text in zip(parts[1::2], parts[2::2], strict=True):
            yield True, cleaned(unescape(value))
            yield False, cleaned(text.removeprefix(CLOSE))
    else:
        yield False, cleaned(markup)


def unmarked(variables: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row without the characters that are our marks, which could break the marks around other values.

    They are replaced by another character that no letter contains, so each text keeps its length and its truth value.
    """
    if not any(map(_holds_marks, variables.values())):
        return variables
    return {key: _without_marks(value) for key, value in variables.items()}


def _holds_marks(value: Any) -> bool:
    if isinstance(value, str):
        return OPEN in value or CLOSE in value
    if isinstance(value, list | tuple):
        return any(map(_holds_marks, value))
    return isinstance(value, dict) and any(map(_holds_marks, (*value, *value.values())))


def _without_marks(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace(OPEN, NO_MARK).replace(CLOSE, NO_MARK)
    if isinstance(value, list | tuple):
        return [_without_marks(inner) for inner in value]
    if isinstance(value, dict):
        return {_without_marks(key): _without_marks(inner) for key, inner in value.items()}
    return value


def cleaned(text: str) -> str:
    """``text`` without control and non-characters, line ends as LF. Raises ValueError for lone surrogates."""
    if text.isprintable():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("a value holds half of a surrogate pair, which no letter can") from None
    return _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def html_escaped(values: Sequence[str]) -> Sequence[str]:
    """All values escaped for HTML, in one operation."""
    whole = OPEN.join(values)
    text = str(escape(whole))
    return values if len(text) == len(whole) else text.split(OPEN)


__all__ = ["RenderedTemplate", "cleaned", "html_escaped", "split_static_from_dynamic", "unmarked"]
