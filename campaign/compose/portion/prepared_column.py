"""Values of several rows, escaped and quoted in a few operations over all of them.

A value that needs more than that is *odd*: its row's letter is made in the plain way, and a dash stands here instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from markupsafe import escape

from campaign.compose.mime.transfer_encoding import COLUMNS, begins_touched, in_own_lines, quoted_lines
from campaign.compose.template.operation_limits import printed

_TEXT = {str}
_PLAIN = frozenset({str, int, float, bool, type(None)})  # what is certainly no markup


class Quoted(msgspec.Struct, frozen=True, gc=False):
    """Quoted values. ``lengths`` are their characters before quoting, ``longest`` and ``shortest`` those afterwards.

    ``long``: each value is longer than any line, and has lines of its own.
    """

    values: Sequence[str]
    lengths: Sequence[int]
    longest: int
    shortest: int
    long: bool


class PreparedColumn(msgspec.Struct, frozen=True, gc=False):
    """One value for each row: as text (``raw``), and quoted for the text part and for the HTML part.

    ``odd`` are the positions of values that are not here. ``linkable``: all may stand in a link as they are.
    """

    raw: Sequence[str]
    text: Quoted
    html: Quoted
    odd: frozenset[int]
    linkable: bool


def prepared_column(values: Sequence[Any]) -> PreparedColumn:
    """Prepare ``values``, at least one."""
    odd: frozenset[int] = frozenset()
    if set(map(type, values)) != _TEXT:
        odd = frozenset(at for at, value in enumerate(values) if type(value) not in _PLAIN)
        values = ["-" if at in odd else printed(value) for at, value in enumerate(values)]
    whole = "\n".join(values)
    if _is_odd(values, whole):
        odd |= {at for at, value in enumerate(values) if _is_odd((value,), value)}
        values = ["-" if at in odd else value for at, value in enumerate(values)]
        whole = "\n".join(values)
    text = _quoted(values, whole)
    escaped = str(escape(whole))
    html = text if len(escaped) == len(whole) else _quoted(escaped.split("\n"), escaped)
    if text.long or html.long:
        odd |= {at for at, pair in enumerate(zip(text.values, html.values, strict=True)) if "\n." in "".join(pair)}
    return PreparedColumn(values, text, html, odd, whole.isascii() and " " not in whole)


def _is_odd(values: Sequence[str], whole: str) -> bool:
    """Whether some value is blank, not printable, or begins or ends with what a relay or a mailbox may change."""
    return (
        not "".join(values).isprintable()
        or not all(map(str.strip, values))
        or begins_touched(whole)
        or " \n" in whole
        or whole.endswith(" ")
    )


def _quoted(values: Sequence[str], whole: str) -> Quoted:
    lengths = list(map(len, values))
    texts = quoted_lines(values, whole)
    own = lengths if texts is values else list(map(len, texts))
    longest, shortest = max(own), min(own)
    if shortest > COLUMNS:
        return Quoted(list(map(in_own_lines, texts)), lengths, longest, shortest, long=True)
    return Quoted(texts, lengths, longest, shortest, long=False)
