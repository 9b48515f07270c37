"""Finds the start tags of an HTML source and their attributes as the HTML Standard does, and edits them in place.

An element is changed by editing its start tag in the source, so everything else stays as its author wrote it: entities,
whitespace, comments, the document type, content after ``</html>``. Source: HTML Standard, 13.2.5.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import unescape
from typing import NamedTuple

_BLANK = "\t\n\f\r "
_NAME = rf"(?:=[^{_BLANK}/>=]*+|[^{_BLANK}/>=]++)"
_VALUE = rf"[{_BLANK}]*+=[{_BLANK}]*+(?:\"[^\"]*+\"|'[^']*+'|(?![\"'])[^{_BLANK}>]*+)"
_MARKUP = re.compile(
    rf"""
      <!--(?:-?>|.*?(?:--!?>|\Z))                             # a comment; one that is not closed reaches to the end
    | <(?:[!?]|/(?![A-Za-z]))[^>]*+(?:>|\Z)                   # a document type, or what browsers take for a comment
    | <(?P<end>/?)(?P<name>[A-Za-z][^{_BLANK}/>]*+)(?:[{_BLANK}/]++|{_NAME}(?:{_VALUE}|(?![{_BLANK}]*+=)))*+>
    | <(?=/?[A-Za-z]).*\Z                                     # a tag that is not closed swallows the rest
    """,
    re.DOTALL | re.VERBOSE,
)
_ATTRIBUTE = re.compile(rf"({_NAME})(?:[{_BLANK}]*+=[{_BLANK}]*+(\"[^\"]*+\"|'[^']*+'|(?![\"'])[^{_BLANK}>]*+))?+")
#: Elements whose content is text up to their end tag.
_TEXT_ONLY = frozenset({"style", "script", "title", "textarea", "xmp", "iframe", "noembed", "noframes"})
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
)
_CLOSED_BY_OTHERS = frozenset(
    {"p", "li", "td", "th", "tr", "dt", "dd", "option", "optgroup", "tbody", "thead", "tfoot", "colgroup", "html",
     "head", "body"}
)  # fmt: skip
_NOT_DEEP = _VOID | _CLOSED_BY_OTHERS
MOST_OPEN = 1_000  #: elements open at one place of the source; the time of a parser grows with their square
MOST_WORK = 4_000_000  #: the numbers of open elements, added up over all tags


Edit = tuple[int, int, str]  #: start and end of a part of a source, and its replacement


class Attribute(NamedTuple):
    """One attribute of a start tag: its name in lower case, and the span of name and value (quotes included)."""

    name: str
    start: int
    end: int
    value: str  #: as it is written, without quotes, entities not resolved
    quote: str  #: ``"``, ``'``, or empty


class StartTag(NamedTuple):
    """A start tag: the element's name in lower case, and the tag's span in the source."""

    name: str
    start: int
    end: int

    def attributes(self, source: str) -> list[Attribute]:
        """The attributes in order; browsers use the first of two with the same name."""
        found = []
        for match in _ATTRIBUTE.finditer(source, self.start + 1 + len(self.name), self.end - 1):
            written = match[2] or ""
            quote = written[0] if written[:1] in ('"', "'") else ""
            value = written[1:-1] if quote else written
            found.append(Attribute(match[1].lower(), match.start(), match.end(), value, quote))
        return found

    def attribute(self, source: str, name: str) -> Attribute | None:
        """The attribute called ``name`` that browsers use: the first."""
        return next((one for one in self.attributes(source) if one.name == name), None)

    def values(self, source: str) -> dict[str, str]:
        """The values of the attributes by name, entities resolved."""
        found: dict[str, str] = {}
        for one in self.attributes(source):
            found.setdefault(one.name, unescape(one.value))
        return found


def start_tags(source: str) -> list[StartTag]:
    """Every start tag of ``source``, in order, except in comments and in the text of styles and scripts.

    Raises ValueError if so many elements are open at once that parsing would take too long.
    """
    found: list[StartTag] = []
    at = work = depth = 0
    while match := _MARKUP.search(source, at):
        at = match.end()
        name = match["name"]
        if name is None:
            continue
        name = name.lower()
        if match["end"]:
            depth -= name not in _NOT_DEEP and depth > 0
            continue
        found.append(StartTag(name, match.start(), at))
        if name in _TEXT_ONLY:
            at = _end_of_text(source, name, at)
            continue
        depth += name not in _NOT_DEEP
        work += depth
        if depth > MOST_OPEN or work > MOST_WORK:
            raise ValueError(f"too many elements stand inside each other (here {depth} deep)")
    return found


def text_of(source: str, tag: StartTag) -> tuple[int, int]:
    """The start and end of the text in a ``style`` (or another element that contains only text)."""
    return tag.end, _end_of_text(source, tag.name, tag.end)


def element_end(source: str, tag: StartTag) -> int:
    """The end of an element that contains only text, its end tag included."""
    match = _MARKUP.match(source, _end_of_text(source, tag.name, tag.end))
    return match.end() if match else len(source)


def edited(source: str, edits: Iterable[Edit]) -> str:
    """``source`` with ``edits`` applied, which must not overlap."""
    pieces, at = [], 0
    for start, end, text in sorted(edits):
        pieces += [source[at:start], text]
        at = end
    return "".join([*pieces, source[at:]])


def _end_of_text(source: str, name: str, at: int) -> int:
    match = re.compile(rf"</{name}(?=[{_BLANK}/>])", re.IGNORECASE).search(source, at)
    return match.start() if match else len(source)
