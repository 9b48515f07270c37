"""Parses a style sheet into rules, with imported local sheets inserted and nested rules flattened.

A declaration stays as its author wrote it, even one that browsers do not support. ``@import`` of a file goes through
the caller's reader; ``@import`` of a URL stays. Source: CSS Syntax Level 3, CSS Nesting Level 1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

import msgspec

#: From a reference to the text of a local sheet and the reader for its imports; None for a reference to the network.
Reader = Callable[[str], "tuple[str, Reader] | None"]

_SPECIAL = re.compile(
    r"/\*.*?(?:\*/|\Z)|\"(?:\\.|[^\"\\\n])*\"?|'(?:\\.|[^'\\\n])*'?|\\.|url\(\s*[^\"'\s)][^)]*\)|[{};()\[\],&]",
    re.DOTALL | re.IGNORECASE,
)
_COMMENT = re.compile(r"(\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*')|/\*.*?(?:\*/|\Z)", re.DOTALL)
_STRING = re.compile(r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|url\(\s*[^\"'\s)][^)]*\)|\\.", re.DOTALL)
_UNCLOSED = re.compile(r"[\"']")
_IMPORT = re.compile(r"@import\s+(?:url\(\s*)?[\"']?([^\"')\s]+)[\"']?\s*\)?\s*(.*)", re.IGNORECASE | re.DOTALL)
_IMPORTANT = re.compile(r"\s*!\s*important\s*$", re.IGNORECASE)
_GROUPS = ("@media", "@supports", "@container", "@layer", "@scope", "@starting-style", "@-moz-document")
MOST_DEPTH = 8  #: sheets importing sheets, rules inside rules
MOST_NESTED = 200  #: selectors of a nested rule, combined with those around it


class Declaration(msgspec.Struct, frozen=True):
    """``name: value``. ``text`` is both as written, without ``!important``; only a custom property keeps its case."""

    name: str
    value: str
    text: str
    important: bool

    def written(self, *, important: bool) -> str:
        """The declaration as its author wrote it, with or without ``!important``."""
        return f"{self.text} !important" if important else self.text


class StyleRule(msgspec.Struct, frozen=True):
    """A style rule: the selectors of its list, and its declarations; ``block`` is the text between the braces."""

    selectors: tuple[str, ...]
    declarations: tuple[Declaration, ...]
    block: str


class Group(msgspec.Struct, frozen=True):
    """Rules under a condition, such as ``@media``; ``prelude`` is the text before the brace."""

    prelude: str
    nodes: tuple[Node, ...]


Node = StyleRule | Group | str  #: a str is an at-rule that stays unchanged


class StyleSheet(msgspec.Struct):
    """The content of a sheet, in order. ``imports`` are import statements for URLs, which must come first in CSS."""

    nodes: list[Node] = msgspec.field(default_factory=list)
    imports: list[str] = msgspec.field(default_factory=list)


def parse_sheet(css: str, read: Reader, depth: int = 0) -> StyleSheet:
    """Parse ``css``. Raises what ``read`` raises."""
    sheet = StyleSheet()
    first = True  # an import after a rule does not count
    for prelude, block in statements(_unwrapped(css)):
        lower = prelude.lower()
        if lower.startswith("@import"):
            if first:
                _import(prelude, read, sheet, depth)
        elif not lower.startswith("@charset"):
            sheet.nodes += _nodes(prelude, block)
            first = first and block is None and lower.startswith("@layer")
    return sheet


def declarations(block: str) -> tuple[Declaration, ...]:
    """The declarations of a block or of a style attribute, in order."""
    return tuple(one for piece in split(block, ";") if (one := _declaration(piece)))


def _declaration(piece: str) -> Declaration | None:
    name, colon, value = piece.partition(":")
    name, value = name.strip(), value.strip()
    bare = _IMPORTANT.sub("", value)
    if not colon or not bare or not name or name.startswith("@") or _UNCLOSED.search(_STRING.sub("", value)):
        return None
    known = name if name.startswith("--") else name.lower()
    return Declaration(known, bare, _IMPORTANT.sub("", piece), bare != value)


def _unwrapped(css: str) -> str:
    """``css`` without the ``<!-- … -->`` that once hid style sheets from old browsers."""
    return css.replace("<!--", "").replace("-->", "")


def _import(prelude: str, read: Reader, sheet: StyleSheet, depth: int) -> None:
    match = _IMPORT.match(prelude)
    if match is None:
        return
    found = read(match[1]) if depth < MOST_DEPTH else None
    if found is None:
        sheet.imports += [f"{prelude};"] if depth < MOST_DEPTH else []
        return
    inner = parse_sheet(*found, depth + 1)
    sheet.imports += inner.imports
    condition = match[2].strip()
    sheet.nodes += [Group(f"@media {condition}", tuple(inner.nodes))] if condition else inner.nodes


def _nodes(prelude: str, block: str | None, depth: int = 0) -> list[Node]:
    """The nodes of one statement; a rule with nested rules becomes several."""
    if block is None:
        return [f"{prelude};"] if prelude.startswith("@") else []
    if prelude.startswith("@"):
        if not prelude.lower().startswith(_GROUPS) or depth >= MOST_DEPTH:
            return [f"{prelude} {{{block}}}"]
        inner = [node for one in statements(block) for node in _nodes(*one, depth + 1)]
        return [Group(prelude, tuple(inner))]
    selectors = tuple(split(prelude, ",", blank=True))
    if not all(selectors) or any(match[0] == "}" for match in _SPECIAL.finditer(prelude)):
        return []  # invalidates a rule in every browser
    if "{" in block and any(match[0] == "{" for match in _SPECIAL.finditer(block)):
        return list(_flattened(selectors, block, depth))
    return [StyleRule(selectors, declarations(block), block)]


def _flattened(selectors: tuple[str, ...], block: str, depth: int) -> Iterator[Node]:
    """A rule with nested rules and conditions, flattened into a sequence of rules (CSS Nesting)."""
    own: list[str] = []
    for prelude, inner in statements(f"{block};", nested=True):
        if inner is None or prelude.startswith("--"):  # a custom property may hold a block
            own.append(prelude if inner is None else f"{prelude} {{{inner}}}")
            continue
        if own:
            yield StyleRule(selectors, declarations("; ".join(own)), f" {'; '.join(own)} ")
            own = []
        if depth >= MOST_DEPTH:
            continue
        if not prelude.startswith("@"):
            yield from _nodes(", ".join(_joined(selectors, prelude)), inner, depth + 1)
        elif prelude.lower().startswith(_GROUPS):
            yield Group(prelude, tuple(_flattened(selectors, inner, depth + 1)))
    if own:
        yield StyleRule(selectors, declarations("; ".join(own)), f" {'; '.join(own)} ")


def _joined(outer: Iterable[str], prelude: str) -> list[str]:
    """The selectors of a nested rule with the outer ones in place of ``&``, or before them if there is no ``&``."""
    found = []
    for inner in split(prelude, ","):
        for one in outer:
            found.append(_put_in(inner, one))
            if len(found) >= MOST_NESTED:
                return found
    return found


def _put_in(inner: str, outer: str) -> str:
    if not any(match[0] == "&" for match in _SPECIAL.finditer(inner)):
        return f"{outer} {inner}"
    compound = outer if not re.search(r"[\s>+~]", outer) or inner.startswith("&") else f":is({outer})"
    return _SPECIAL.sub(lambda match: compound if match[0] == "&" else match[0], inner)


def statements(css: str, *, nested: bool = False) -> Iterator[tuple[str, str | None]]:
    """Pairs of prelude and block; block is None for a statement that ends in a semicolon.

    Inside a rule (``nested``) such a statement is a declaration, elsewhere it can only be an at-rule.
    """
    start, depth, opened, prelude = 0, 0, 0, ""
    for match in _SPECIAL.finditer(css):
        sign = match[0]
        if sign == "{":
            if depth == 0:
                prelude, opened = css[start : match.start()], match.end()
            depth += 1
        elif sign == "}" and depth:  # a surplus brace belongs to the next prelude, and makes it invalid
            depth -= 1
            if depth == 0:
                yield without_comments(prelude), css[opened : match.start()]
                start = match.end()
        elif sign == ";" and depth == 0:
            statement = without_comments(css[start : match.start()])
            if nested or statement.startswith("@"):
                if statement:
                    yield statement, None
                start = match.end()
    if depth:
        yield without_comments(prelude), css[opened:]


def split(text: str, separator: str, *, blank: bool = False) -> list[str]:
    """Split ``text`` at its separators, except in strings, comments and brackets; ``blank`` keeps empty pieces."""
    pieces, start, depth = [], 0, 0
    for match in _SPECIAL.finditer(text):
        sign = match[0]
        if sign in ("(", "[", "{"):
            depth += 1
        elif sign in (")", "]", "}"):
            depth = max(0, depth - 1)
        elif sign == separator and depth == 0:
            pieces.append(text[start : match.start()])
            start = match.end()
    pieces.append(text[start:])
    return [piece for piece in map(without_comments, pieces) if piece or blank]


def without_comments(text: str) -> str:
    """``text`` without comments and surrounding whitespace."""
    if "/*" not in text:
        return text.strip()
    return _COMMENT.sub(lambda match: match[1] or " ", text).strip()
