"""Where in the HTML of a shape each value stands, seen through the parser that the inliner uses.

A value in running text or in an ordinary attribute cannot change what a style rule matches; one in ``class``, ``id``,
``style``, a tag, a style sheet, or an attribute that a selector names, can: it has to be part of the shape.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from typing import Any

_SELECTED = re.compile(r"\[\s*([A-Za-z_][\w:.-]*)")
_URLS = frozenset({"href", "src", "action"})
_DANGEROUS = re.compile(r"[\s\x00-\x20]*(?:javascript:|vbscript:|file:|data:(?!image/))", re.IGNORECASE)
_SHAPING = frozenset({"class", "id", "style"})


class Kind(Enum):
    """How a value may be treated."""

    FREE = "free"  #: text or an ordinary attribute: escape it
    URL = "url"  #: inside a link: percent-encode it as the inliner would, then escape it
    LINK = "link"  #: like URL, and it begins the link, so it brings the scheme
    SHAPING = "shaping"  #: can change what matches: part of the shape
    BARE = "bare"  #: like SHAPING, and not between quotes, so blanks would end it
    CSS = "css"  #: like SHAPING, and read as CSS


#: Where values of a kind stand that make a shape for each of them, for messages.
STANDS = {
    Kind.SHAPING: "in class or id attributes, or in attributes that a selector names",
    Kind.CSS: "in style attributes or style elements",
    Kind.BARE: "outside of quotes in tags",
}


@dataclass(frozen=True, slots=True)
class Tokens:
    """Words that stand for values while HTML is worked on; they occur nowhere in the template."""

    salt: str

    @classmethod
    def for_pieces(cls, pieces: Sequence[str]) -> Tokens:
        """Tokens that the text of the template cannot hold (it would have to hold its own hash)."""
        return cls("v" + sha256("\0".join(pieces).encode("utf-8", "replace")).hexdigest()[:12] + "n")

    def token(self, number: int) -> str:
        """The word for value ``number``: letters and digits, inert in text, links, CSS and Markdown."""
        return f"{self.salt}{number}z"

    def joined(self, pieces: Sequence[str]) -> str:
        """``pieces`` with a token in each gap."""
        out = [pieces[0]]
        for number, piece in enumerate(pieces[1:]):
            out += [self.token(number), piece]
        return "".join(out)

    def split(self, text: str) -> tuple[list[str], list[int]]:
        """The text between the tokens, and the numbers of the tokens, in the order they stand."""
        parts = self.pattern.split(text)
        return parts[0::2], [int(number) for number in parts[1::2]]

    def paired(self, text: str, first: int) -> tuple[str, list[tuple[int, int]]]:
        """``text`` with one token, numbered from ``first``, for each ``token (token)``; and the numbers of the two."""
        pairs: list[tuple[int, int]] = []

        def one(match: re.Match[str]) -> str:
            pairs.append((int(match[1]), int(match[2])))
            return self.token(first + len(pairs) - 1)

        return re.sub(rf"{self.pattern.pattern} \({self.pattern.pattern}\)", one, text), pairs

    @property
    def pattern(self) -> re.Pattern[str]:
        """Matches a token; group 1 is its number."""
        return re.compile(f"{self.salt}([0-9]+)z")


def kinds(html: str, tokens: Tokens, count: int) -> list[Kind]:
    """The kind of each of ``count`` values whose tokens stand in ``html``. Raises ValueError for a link that runs."""
    from lxml import etree

    # Two words: where a parser sees only the first of them, the value is not between quotes.
    probe = tokens.pattern.sub(lambda match: f"{match[0]}a {match[0]}b", html)
    tree = etree.fromstring(probe.encode("utf-8"), etree.HTMLParser(encoding="utf-8", huge_tree=True))
    found = [Kind.SHAPING] * count
    selected = _SHAPING | {name.lower() for name in _SELECTED.findall(" ".join(_sheets(tree)))}
    for element in tree.iter():
        _look_at(element, tokens, selected, found)
    return found


def _sheets(tree: Any) -> Iterator[str]:
    for element in tree.iter("style"):
        yield element.text or ""


def _look_at(element: Any, tokens: Tokens, selected: frozenset[str], found: list[Kind]) -> None:
    _mark(element.text, tokens, Kind.CSS if element.tag == "style" else Kind.FREE, found)
    _mark(element.tail, tokens, Kind.FREE, found)
    if not isinstance(element.tag, str):
        _mark_links_in_comment(element.text or "", tokens, found)
        return
    _mark(element.tag, tokens, Kind.BARE, found)
    for name, value in element.attrib.items():
        _mark(name, tokens, Kind.BARE, found)
        _mark(value, tokens, _kind_in(element.tag, name, selected), found)
        if name in _URLS and _DANGEROUS.match(value):
            raise ValueError(f"a link begins with {value[:40]!r}")
        begins = tokens.pattern.match(value.strip())
        if begins and found[int(begins[1])] is Kind.URL and name in _URLS:
            found[int(begins[1])] = Kind.LINK


def _kind_in(tag: str, name: str, selected: frozenset[str]) -> Kind:
    if name == "style":
        return Kind.CSS
    if name.lower() in selected:
        return Kind.SHAPING
    return Kind.URL if name in _URLS or (tag == "a" and name == "name") else Kind.FREE


def _mark(text: Any, tokens: Tokens, kind: Kind, found: list[Kind]) -> None:
    """Set the kind of each token in ``text``; BARE where its second word is missing."""
    if not isinstance(text, str) or tokens.salt not in text:
        return
    for match in tokens.pattern.finditer(text):
        if text.startswith("a", match.end()):
            whole = text.startswith(f"a {match[0]}b", match.end())
            found[int(match[1])] = kind if whole else Kind.BARE


def _mark_links_in_comment(text: str, tokens: Tokens, found: list[Kind]) -> None:
    """Conditional comments hold HTML for one mail reader; the links in it bring schemes too."""
    for match in re.finditer(rf"(?:href|src|action)\s*=\s*[\"']?\s*{tokens.pattern.pattern}", text):
        found[int(match[1])] = Kind.LINK
