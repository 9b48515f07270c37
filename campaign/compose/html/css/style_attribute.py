"""Writes the style attribute of an element into which rules were moved.

The author's declarations stay as written, entities included.
"""

from __future__ import annotations

import re
from html import unescape

from campaign.compose.html.css.cascade import Inlined, Piece
from campaign.compose.html.css.css_rules import declarations, split
from campaign.compose.html.start_tags import Attribute

_DOUBLE_QUOTED = re.compile(r"\"([^\"'\\]*)\"")
_ENTITY = re.compile(r"&#?\w+;$")


def style_attribute(made: Inlined, own: Attribute | None) -> str | None:
    """The style attribute, name and quotes included; None if there is none or it does not change."""
    below, above = [_written(piece) for piece in made.below], [_written(piece) for piece in made.above]
    raised = {piece.index for piece in made.own if piece.important}
    if not below and not above and not raised:
        return None
    quote = own.quote if own and own.quote else '"'
    kept = (_raised(own.value, raised) if raised else _unended(own.value)) if own else ""
    ours = [[_escaped("; ".join(some), quote)] if some else [] for some in (below, above)]
    return f"style={quote}{'; '.join([*ours[0], *([kept] if kept else []), *ours[1]])}{quote}"


def _unended(value: str) -> str:
    """``value`` without the final semicolon, unless that ends an entity."""
    value = value.strip()
    return value if _ENTITY.search(value) else value.rstrip("; \t\n\f\r")


def _written(piece: Piece) -> str:
    one = piece.declaration
    single = "\\" not in one.value and "'" not in one.value  # so that no &quot; is needed
    text = f"{one.name}:{_DOUBLE_QUOTED.sub(_single, one.value) if single else one.value}"
    return f"{text} !important" if piece.important else text


def _single(match: re.Match[str]) -> str:
    return f"'{match[1]}'"


def _raised(value: str, raised: set[int]) -> str:
    """The author's declarations with ``!important`` added to some, numbered as `declarations` numbers them."""
    pieces, at = [], -1
    for piece in split(unescape(value), ";"):
        at += bool(declarations(piece))
        pieces.append(f"{piece} !important" if declarations(piece) and at in raised else piece)
    return "; ".join(piece.replace("&", "&amp;").replace('"', "&quot;").replace("'", "&#39;") for piece in pieces)


def _escaped(text: str, quote: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;")
    return text.replace('"', "&quot;") if quote == '"' else text.replace("'", "&#39;")
