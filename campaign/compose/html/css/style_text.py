"""What a start tag says once rules were moved into its element: its style attribute, and sizes and colour for Outlook.

The author's own declarations stay as they are written, entities included. Outlook on Windows takes the width of tables
and pictures, and the colour of cells, from attributes rather than from styles.
"""

from __future__ import annotations

import re
from html import unescape

from campaign.compose.html.css.cascade import Inlined, Piece
from campaign.compose.html.css.css_rules import declarations, split
from campaign.compose.html.css.css_values import COLOURS
from campaign.compose.html.start_tags import Attribute

_DOUBLE_QUOTED = re.compile(r"\"([^\"'\\]*)\"")
_ENTITY = re.compile(r"&#?\w+;$")
_PIXELS = re.compile(r"([1-9]\d*)(?:\.0+)?px")
_PERCENT = re.compile(r"[1-9]\d*%")
_HEX = re.compile(r"#(?:[0-9a-f]{3}){1,2}", re.IGNORECASE)
#: Attribute -> (property, the elements that may have it by HTML 4.01).
_PRESENTING = {
    "width": ("width", frozenset({"table", "td", "th", "img"})),
    "height": ("height", frozenset({"td", "th", "img"})),
    "bgcolor": ("background-color", frozenset({"body", "table", "tr", "td", "th"})),
}
PRESENTED = frozenset().union(*(tags for _, tags in _PRESENTING.values()))  #: elements that may get one of them


def style_attribute(made: Inlined, own: Attribute | None) -> str | None:
    """The style attribute, name and quotes included; None where there is none, or nothing changes in it."""
    below, above = [_written(piece) for piece in made.below], [_written(piece) for piece in made.above]
    raised = {piece.index for piece in made.own if piece.important}
    if not below and not above and not raised:
        return None
    quote = own.quote if own and own.quote else '"'
    kept = (_raised(own.value, raised) if raised else _unended(own.value)) if own else ""
    ours = [[_escaped("; ".join(some), quote)] if some else [] for some in (below, above)]
    return f"style={quote}{'; '.join([*ours[0], *([kept] if kept else []), *ours[1]])}{quote}"


def presenting(tag: str, made: Inlined, taken: set[str]) -> list[tuple[str, str]]:
    """Attributes that say the same as the moved rules, where they are valid and not ``taken``: written, or looked for.

    A picture gets one of width and height at most: from both, browsers take an aspect ratio.
    """
    found: list[tuple[str, str]] = []
    for attribute, (name, tags) in _PRESENTING.items():
        if tag not in tags or attribute in taken or (tag == "img" and {"width", "height"} & taken):
            continue
        last = [piece for piece in made if piece.declaration.name == name][-1:]
        value = _value(tag, attribute, last[0].declaration.value) if last and last[0].index < 0 else ""
        if value:
            found.append((attribute, value))
            taken.add(attribute)
    return found


def _value(tag: str, attribute: str, value: str) -> str:
    if attribute == "bgcolor":
        if not _HEX.fullmatch(value):
            return value if value.lower() in COLOURS - {"orange"} else ""
        return "#" + "".join(2 * digit for digit in value[1:]) if len(value) == 4 else value
    if tag != "img" and _PERCENT.fullmatch(value):
        return value
    pixels = _PIXELS.fullmatch(value)
    return pixels[1] if pixels else ""


def _unended(value: str) -> str:
    """Without the semicolon at its end, unless that ends an entity."""
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
    """The author's declarations with ``!important`` added to some. They are counted as `declarations` counts them."""
    pieces, at = [], -1
    for piece in split(unescape(value), ";"):
        at += bool(declarations(piece))
        pieces.append(f"{piece} !important" if declarations(piece) and at in raised else piece)
    return "; ".join(piece.replace("&", "&amp;").replace('"', "&quot;").replace("'", "&#39;") for piece in pieces)


def _escaped(text: str, quote: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;")
    return text.replace('"', "&quot;") if quote == '"' else text.replace("'", "&#39;")
