"""Adds ``width``, ``height`` and ``bgcolor`` attributes for Outlook, with the sizes and colours that rules set.

Outlook on Windows takes the width of tables and pictures, and the colour of cells, from attributes rather than from
styles.
"""

from __future__ import annotations

import re

from campaign.compose.html.css.cascade import Inlined
from campaign.compose.html.css.css_values import COLOURS

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


def outlook_attributes(tag: str, made: Inlined, taken: set[str]) -> list[tuple[str, str]]:
    """Attributes equivalent to the moved rules, if valid and not ``taken`` (written by the author or in a selector).

    A picture gets at most one of width and height: from both, browsers would derive an aspect ratio.
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
