"""Finds the context of each value in the HTML of a shape, as a browser parses it.

A value in running text or in an ordinary attribute cannot change what a style rule matches. One in ``class``, ``id``,
``style``, a tag, a style sheet, or an attribute that a selector names can, so it must be part of the shape.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import Enum
from hashlib import sha256
from typing import Any

import msgspec

from campaign.compose.html.css.css_selectors import attributes_named
from campaign.compose.html.html_parser import parse_html

MOST_DEPTH = 200  #: levels of nested elements
MOST_NESTED = 1_000_000  #: the sum of the depths of all elements; the time for matching one rule grows with it
URL_ATTRIBUTES = frozenset({"href", "src", "action"})  #: attributes whose values are percent-encoded
_ADDRESSES = URL_ATTRIBUTES | {
    *("xlink:href", "formaction", "background", "poster", "cite", "data", "longdesc", "lowsrc", "dynsrc", "ping"),
}
_SETTLED = re.compile(r"[:/?#]")
_REFRESH = re.compile(r"(.*?)url\s*=\s*['\"]?(.*)", re.IGNORECASE | re.DOTALL)  #: a meta refresh; 2 is the address
_DANGEROUS = re.compile(r"[\s\x00-\x20]*(?:javascript:|vbscript:|file:|data:(?!image/))", re.IGNORECASE)
_SHAPING = frozenset({"class", "id", "style"})
_ANIMATIONS = frozenset({"animate", "set", "animatetransform", "animatemotion", "animatecolor"})  #: they set attributes
_DATA_SCRIPT = "application/ld+json"  #: data about the letter, which is never executed
_TEXT_ONLY = frozenset({"iframe", "noembed", "noframes", "xmp", "plaintext"})


class ValueContext(Enum):
    """How a value may be treated."""

    FREE = "free"  #: text or an ordinary attribute: escape it
    URL = "url"  #: inside a link: percent-encode it as the inliner would, then escape it
    LINK = "link"  #: like URL, and it begins the link, so it includes the scheme
    SHAPING = "shaping"  #: can change what matches: part of the shape
    BARE = "bare"  #: like SHAPING, and not between quotes, so whitespace would end it
    CSS = "css"  #: like SHAPING, and parsed as CSS


#: The positions, in words for messages, of values that need a separate shape each.
STANDS = {
    ValueContext.SHAPING: "in class or id attributes, or in attributes that a selector names",
    ValueContext.CSS: "in style attributes or style elements",
    ValueContext.BARE: "outside of quotes in tags",
}


class Placeholders(msgspec.Struct, frozen=True):
    """Words that replace values while HTML is processed; they occur nowhere in the template."""

    salt: str

    @classmethod
    def for_pieces(cls, pieces: Sequence[str]) -> Placeholders:
        """Tokens that the text of the template cannot contain (it would have to contain its own hash)."""
        return cls("v" + sha256("\0".join(pieces).encode("utf-8", "replace")).hexdigest()[:12] + "n")

    def token(self, number: int) -> str:
        """The word for value ``number``: letters and digits, inert in text, links, CSS and Markdown."""
        return f"{self.salt}{number}z"

    def joined(self, pieces: Sequence[str]) -> str:
        """``pieces`` with a token in each slot."""
        out = [pieces[0]]
        for number, piece in enumerate(pieces[1:]):
            out += [self.token(number), piece]
        return "".join(out)

    def split(self, text: str) -> tuple[list[str], list[int]]:
        """The text between the tokens, and the numbers of the tokens, in order."""
        parts = self.pattern.split(text)
        return parts[0::2], [int(number) for number in parts[1::2]]

    def paired(self, text: str, first: int) -> tuple[str, list[tuple[int, int]]]:
        """``text`` with one token, numbered from ``first``, for each ``token (token)``; and the numbers of the two."""
        pairs: list[tuple[int, int]] = []

        def one(match: re.Match[str]) -> str:
            pairs.append((int(match[1]), int(match[2])))
            return self.token(first + len(pairs) - 1)

        return re.sub(rf"{self.pattern.pattern} \({self.pattern.pattern}\)", one, text), pairs

    def probe(self, html: str) -> str:
        """``html`` with two words for each token: if a parser sees only the first, the value is not in quotes."""
        return self.pattern.sub(lambda match: f"{match[0]}a {match[0]}b", html)

    def unprobed(self, text: str) -> str:
        """Text from the result of `probe` with the original tokens."""
        return re.sub(rf"({self.salt}[0-9]+z)a(?: \1b)?", r"\1", text)

    @property
    def pattern(self) -> re.Pattern[str]:
        """Matches a token; group 1 is its number."""
        return re.compile(f"{self.salt}([0-9]+)z")


class ValueContexts(msgspec.Struct):
    """The context of each value, and the beginnings of all URLs that contain values: text, and the slots in it.

    A beginning ends where the scheme is decided; filled with values, it shows the scheme of the URL.
    """

    kinds: list[ValueContext]
    beginnings: list[tuple[list[str], list[int]]] = msgspec.field(default_factory=list)


def places(html: str, tokens: Placeholders, count: int) -> ValueContexts:
    """The contexts of the ``count`` values whose tokens are in ``html``.

    Raises ValueError for a link that executes code, for a value in the place of code or of a name, and for elements
    nested too deeply.
    """
    tree = parse_html(tokens.probe(html))
    found = ValueContexts(
        [ValueContext.BARE] * count
    )  # a value not found in the tree, as in a second title, keeps the strictest context
    selected = _SHAPING | attributes_named(_sheets(tree))
    around = (*tree.itersiblings(preceding=True), *tree.itersiblings())  # comments before and after the document
    waiting, nested = [(element, 1) for element in (tree, *around)], 0
    while waiting:
        element, depth = waiting.pop()
        _look_at(element, tokens, selected, found)
        waiting += [(child, depth + 1) for child in element]
        nested += depth
        if depth > MOST_DEPTH or nested > MOST_NESTED:
            raise ValueError(f"too many elements stand inside each other (here {depth} deep)")
    return found


def _sheets(tree: Any) -> Iterator[str]:
    for element in tree.iter("style"):
        yield element.text or ""


def _look_at(element: Any, tokens: Placeholders, selected: frozenset[str], found: ValueContexts) -> None:
    salt, tag, text, tail = tokens.salt, element.tag, element.text, element.tail
    if text and salt in text:
        _look_at_text(element, tokens, found)
    if tail and salt in tail:
        _mark(tail, tokens, ValueContext.FREE, found.kinds)
    if not isinstance(tag, str):
        return
    if salt in tag:
        raise ValueError(
            "a value stands in the name of a tag; write the name out, with {% if %} where there are several"
        )
    for name, value in element.attrib.items():
        if salt in name or salt in value:
            _refuse_code(tag, name, value, tokens)
            _mark(name, tokens, ValueContext.BARE, found.kinds)
            _mark(value, tokens, _kind_in(name, selected), found.kinds)
        if name in _ADDRESSES:
            _look_at_address(value, tokens, found)
        elif name == "content" and "refresh" in element.get("http-equiv", "").lower():
            refresh = _REFRESH.match(value)
            _mark(refresh[1] if refresh else value, tokens, ValueContext.BARE, found.kinds)
            _look_at_address(refresh[2] if refresh else "", tokens, found)


def _look_at_text(element: Any, tokens: Placeholders, found: ValueContexts) -> None:
    tag, text = element.tag, element.text
    if tag == "script" and element.get("type", "").strip().lower() != _DATA_SCRIPT:
        raise ValueError("a value stands in a script element, where it could run; take it out of there")
    _mark(text, tokens, ValueContext.CSS if tag == "style" else ValueContext.FREE, found.kinds)
    if tag in _TEXT_ONLY or not isinstance(tag, str):
        _mark_links_in_text(text, tokens, found)


def _refuse_code(tag: str, name: str, value: str, tokens: Placeholders) -> None:
    """Raise ValueError if a value is part of an attribute's name, or of an attribute that is executed."""
    if re.search(rf"{tokens.pattern.pattern}a", name):  # an unquoted value leaves only its second word, with a b
        raise ValueError(
            "a value stands in the name of an attribute; write the name out, with {% if %} where there are several"
        )
    if tokens.salt not in value:
        return
    if name.startswith("on") or name == "srcdoc":
        raise ValueError(f"a value stands in the attribute {name[:40]}, where it could run; take it out of there")
    if tag.lower() in _ANIMATIONS:
        raise ValueError(f"a value stands in a tag {tag}, which can make a link of it; take it out of there")


def _look_at_address(address: str, tokens: Placeholders, found: ValueContexts) -> None:
    if _DANGEROUS.match(address):
        raise ValueError(f"a link begins with {address[:40]!r}")
    if tokens.salt not in address:
        return
    pieces, slots = tokens.split(tokens.unprobed(address).strip())
    settled = next((at for at, piece in enumerate(pieces) if _SETTLED.search(piece)), len(slots))
    if settled:
        if any(found.kinds[slot] is ValueContext.BARE for slot in slots[:settled]):
            raise ValueError("a value begins a link that stands without quotes; put quotes around it")
        found.beginnings.append((pieces[: settled + 1], slots[:settled]))
        if not pieces[0] and found.kinds[slots[0]] is ValueContext.URL:
            found.kinds[slots[0]] = ValueContext.LINK


def _kind_in(name: str, selected: frozenset[str]) -> ValueContext:
    if name == "style":
        return ValueContext.CSS
    if name.lower() in selected:
        return ValueContext.SHAPING
    return ValueContext.URL if name in URL_ATTRIBUTES else ValueContext.FREE


def _mark(text: str, tokens: Placeholders, kind: ValueContext, found: list[ValueContext]) -> None:
    """Set the context of each token in ``text``; BARE if its second word is missing."""
    for match in tokens.pattern.finditer(text):
        if text.startswith("a", match.end()):
            whole = text.startswith(f"a {match[0]}b", match.end())
            found[int(match[1])] = kind if whole else ValueContext.BARE


def _mark_links_in_text(text: str, tokens: Placeholders, found: ValueContexts) -> None:
    """Mark values that begin links in text that only some mail readers parse as HTML, as in conditional comments."""
    for match in re.finditer(rf"(?i:{'|'.join(_ADDRESSES)})\s*=\s*[\"']?\s*{tokens.pattern.pattern}", text):
        slot = int(match[1])
        found.kinds[slot] = ValueContext.LINK
        found.beginnings.append((["", ""], [slot]))
