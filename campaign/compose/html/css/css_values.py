"""CSS values that every mail reader supports, so that an earlier declaration is no fallback and can be left out.

The list covers only the usual properties and values. For all others the earlier declarations are kept, which costs some
octets but never changes the look. Sources: CSS 2.1, and caniemail.com for what mail readers ignore.
"""

from __future__ import annotations

import re
from functools import lru_cache

COLOURS = frozenset(
    {"aqua", "black", "blue", "fuchsia", "gray", "grey", "green", "lime", "maroon", "navy", "olive", "orange", "purple",
     "red", "silver", "teal", "white", "yellow"}
)  # fmt: skip
_COLOUR = COLOURS | {"transparent"}
_LINES = frozenset({"none", "hidden", "dotted", "dashed", "solid", "double", "groove", "ridge", "inset", "outset"})
_THIN = frozenset({"thin", "medium", "thick"})
_AUTO, _NORMAL, _NONE = frozenset({"auto"}), frozenset({"normal"}), frozenset({"none"})
#: Property -> its keywords; a longhand that is missing here has those of its shorthand.
_WORDS = {
    "background": _COLOUR
    | {"none", "repeat", "repeat-x", "repeat-y", "no-repeat", "top", "right", "bottom", "left", "center"},
    "border": _COLOUR | _LINES | _THIN,
    "border-collapse": frozenset({"collapse", "separate"}),
    "border-radius": frozenset[str](),
    "border-spacing": frozenset[str](),
    "clear": frozenset({"none", "left", "right", "both"}),
    "color": _COLOUR,
    "direction": frozenset({"ltr", "rtl"}),
    "display": frozenset({"none", "block", "inline", "inline-block", "table", "table-row", "table-cell"}),
    "float": frozenset({"none", "left", "right"}),
    "font-size": frozenset(
        {"xx-small", "x-small", "small", "medium", "large", "x-large", "xx-large", "smaller", "larger"}
    ),
    "font-style": frozenset({"normal", "italic", "oblique"}),
    "font-weight": frozenset({"normal", "bold", "bolder", "lighter"}),
    "height": _AUTO,
    "letter-spacing": _NORMAL,
    "line-height": _NORMAL,
    "list-style-type": _NONE | {"disc", "circle", "square", "decimal"},
    "margin": _AUTO,
    "max-height": _NONE,
    "max-width": _NONE,
    "min-height": frozenset[str](),
    "min-width": frozenset[str](),
    "outline": _COLOUR | _LINES | _THIN,
    "overflow": frozenset({"visible", "hidden", "scroll", "auto"}),
    "padding": frozenset[str](),
    "text-align": frozenset({"left", "right", "center", "justify"}),
    "text-decoration": frozenset({"none", "underline", "overline", "line-through"}),
    "text-indent": frozenset[str](),
    "text-transform": frozenset({"none", "capitalize", "uppercase", "lowercase"}),
    "vertical-align": frozenset({"baseline", "sub", "super", "top", "text-top", "middle", "bottom", "text-bottom"}),
    "visibility": frozenset({"visible", "hidden"}),
    "white-space": frozenset({"normal", "pre", "nowrap"}),
    "width": _AUTO,
    "word-break": frozenset({"normal", "break-all"}),
    "word-spacing": _NORMAL,
}
_ANY_WORD = frozenset({"font-family", "mso-font-alt"})
_COUNTED = frozenset({"line-height", "opacity", "z-index"})  #: take numbers without a unit
_WEIGHT = re.compile(r"[1-9]00")
_NUMBER = re.compile(r"(?:\d*\.)?\d+")
_TOKEN = re.compile(
    r"\s*(?:(?P<word>[A-Za-z][\w-]*)|#(?:[0-9A-Fa-f]{3}){1,2}|[-+]?(?:\d*\.)?\d+(?:px|em|ex|pt|pc|cm|mm|in|%)|[-+]?0|"
    r"(?P<string>\"[^\"\\]*\"|'[^'\\]*'|url\([^()]*\)))(?=[\s,]|$)(?:\s*,)?",
)


@lru_cache(4_000)
def is_known(name: str, value: str) -> bool:
    """Whether every mail reader supports this value of this property."""
    if name.startswith(("mso-", "-ms-", "-webkit-text-size")):
        return True  # for a single mail reader, so there is no other form to fall back to
    if name == "font-weight" and _WEIGHT.fullmatch(value):
        return True
    if name in _COUNTED and _NUMBER.fullmatch(value):
        return True
    words = _words(name)
    return words is not None and _of_words(name, value, words)


def _words(name: str) -> frozenset[str] | None:
    while name not in _WORDS and name not in _ANY_WORD:
        name, dash, _ = name.rpartition("-")
        if not dash:
            return None
    return _WORDS.get(name, frozenset())


def _of_words(name: str, value: str, words: frozenset[str]) -> bool:
    at = 0
    while at < len(value):
        match = _TOKEN.match(value, at)
        if match is None or match.end() == at:
            return False
        word = match["word"]
        if word and name not in _ANY_WORD and word.lower() not in words and word.lower() != "inherit":
            return False
        if match["string"] and not (name in _ANY_WORD or name.startswith("background")):
            return False
        at = match.end()
    return True
