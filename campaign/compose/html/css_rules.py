"""Style sheets taken apart before the inliner sees them: what can be moved into elements, and what has to stay.

At-rules (``@media``, ``@font-face``, ``@supports``, ``@keyframes`` and whatever comes), rules with ``:hover`` and its
kin and rules with ``*`` stay, word for word, in a style element of their own that the inliner leaves alone. Inside
``@media`` and behind ``:hover`` every declaration becomes ``!important``, or the inlined ones would beat it. Nothing
is fetched here: a sheet is given as text, ``@import`` of a file goes through the caller's reader, of an address stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Change = Callable[[str], str]
Reader = Callable[[str], str | None]  #: the text of a local sheet, None for one that is somewhere on the network

_SPECIAL = re.compile(
    r"/\*.*?(?:\*/|\Z)|\"(?:\\.|[^\"\\])*(?:\"|\Z)|'(?:\\.|[^'\\])*(?:'|\Z)|\\.|[{};()\[\],]", re.DOTALL
)
_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_IMPORT = re.compile(r"@import\s+(?:url\(\s*)?[\"']?([^\"')\s]+)[\"']?\s*\)?\s*(.*)", re.IGNORECASE | re.DOTALL)
_IMPORTANT = re.compile(r"!\s*important\s*$", re.IGNORECASE)
_GROUPS = ("@media", "@supports", "@container", "@layer", "@scope", "@starting-style", "@-moz-document")
_FILTERING = frozenset({":last-child", ":first-child", ":nth-child"})  # the ones that premailer inlines
_TYPE = re.compile(r"(?:^|(?<=[\s>+~,]))[A-Za-z][A-Za-z0-9]*(?![^\[]*\])")  # P matches p, for browsers
_FUNCTION = re.compile(
    r"(?<![\w-])(?!url\(|src\()[A-Za-z-]+\([^()\"'<>&]*(?:\([^()\"'<>&]*\)[^()\"'<>&]*)*\)", re.IGNORECASE
)
MOST_DEPTH = 8  #: sheets importing sheets, rules inside rules


@dataclass(slots=True)
class Parted:
    """A sheet in two: CSS for the inliner, and CSS that stays."""

    inlined: list[str] = field(default_factory=list)
    imports: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    @property
    def staying(self) -> str:
        """What stays, addresses to import first as CSS wants it."""
        return "\n".join([*self.imports, *self.kept])


def part(css: str, read: Reader, veil: Change = str, depth: int = 0) -> Parted:
    """Take ``css`` apart, imported local sheets in their place; ``veil`` is done to what will be inlined."""
    parted = Parted()
    for prelude, block in _statements(_unwrapped(css)):
        lower = prelude.lower()
        if lower.startswith("@import"):
            _import(prelude, read, parted, veil, depth)
        elif lower.startswith("@charset"):
            continue
        elif prelude.startswith("@"):
            parted.kept.append(_at_rule(prelude, block))
        elif block is not None:
            _rule(prelude, block, parted, veil)
    return parted


def _unwrapped(css: str) -> str:
    """Without the comment that once hid styles from old browsers: ``<!-- … -->`` around the sheet."""
    return css.replace("<!--", "").replace("-->", "")


def _import(prelude: str, read: Reader, parted: Parted, veil: Change, depth: int) -> None:
    match = _IMPORT.match(prelude)
    text = read(match[1]) if match and depth < MOST_DEPTH else None
    if match is None:
        return
    if text is None:
        parted.imports.append(f"{prelude};")
        return
    inner = part(text, read, veil, depth + 1)
    condition = match[2].strip()
    parted.imports += inner.imports
    if condition:
        parted.kept.append(_at_rule(f"@media {condition}", text))
    else:
        parted.inlined += inner.inlined
        parted.kept += inner.kept


def _at_rule(prelude: str, block: str | None) -> str:
    if block is None:
        return f"{prelude};"
    if prelude.lower().startswith(_GROUPS):
        return f"{prelude} {{{_urgent(block)}}}"
    return f"{prelude} {{{block}}}"


def _urgent(block: str, depth: int = 0) -> str:
    """The rules inside a group with every declaration ``!important``."""
    rules = []
    for prelude, inner in _statements(block):
        if inner is None:
            rules.append(f"{prelude};")
        elif prelude.startswith("@") and not prelude.lower().startswith(_GROUPS):
            rules.append(f"{prelude} {{{inner}}}")
        elif prelude.startswith("@") and depth < MOST_DEPTH:
            rules.append(f"{prelude} {{{_urgent(inner, depth + 1)}}}")
        else:
            rules.append(f"{prelude} {{ {_important(inner)} }}")
    return "\n  " + "\n  ".join(rules) + "\n" if rules else ""


def _rule(prelude: str, block: str, parted: Parted, veil: Change) -> None:
    """One style rule, shared out by its selectors."""
    plain: list[str] = []
    hovering: list[str] = []
    starred: list[str] = []
    for selector in _split(prelude, ","):
        if ":" in selector and ":" + selector.split(":", 1)[1] not in _FILTERING:
            hovering.append(selector)
        else:
            (starred if "*" in selector else plain).append(selector)
    if plain:
        parted.inlined.append(f"{_TYPE.sub(_lower, ', '.join(plain))} {{{veil(block)}}}")
    if starred:
        parted.kept.append(f"{', '.join(starred)} {{{block}}}")
    if hovering:
        parted.kept.append(f"{', '.join(hovering)} {{ {_important(block)} }}")


def _lower(match: re.Match[str]) -> str:
    return match[0].lower()


class Veil:
    """Functions such as ``rgb(0 0 0 / 50%)`` as plain words, which every CSS parser lets pass, and back again.

    ``salt`` is a word that the document cannot hold, so that nothing in it can pass for one of ours.
    """

    def __init__(self, salt: str) -> None:
        self._salt = salt
        self._veiled = re.compile(rf"{salt}((?:[0-9a-f]{{2}})+)-")
        self._attribute = re.compile(rf' (?:width|height|bgcolor|align|valign)="{salt}[0-9a-f]+-"')

    def on(self, declarations: str) -> str:
        """``declarations`` with words for functions."""
        return _FUNCTION.sub(lambda match: f"{self._salt}{match[0].encode('utf-8').hex()}-", declarations)

    def off(self, html: str) -> str:
        """The functions back in their places; attributes that an inliner made of one, which HTML knows not, go."""
        return self._veiled.sub(lambda match: bytes.fromhex(match[1]).decode("utf-8"), self._attribute.sub("", html))


def _important(block: str) -> str:
    declarations = [one if _IMPORTANT.search(one) else f"{one} !important" for one in _split(block, ";")]
    return "; ".join(declarations)


def _statements(css: str) -> Iterator[tuple[str, str | None]]:
    """Pairs of prelude and block; block is None for a statement that ends in a semicolon."""
    start, depth, opened, prelude = 0, 0, 0, ""
    for match in _SPECIAL.finditer(css):
        sign = match[0]
        if sign == "{":
            if depth == 0:
                prelude, opened = css[start : match.start()], match.end()
            depth += 1
        elif sign == "}":
            depth = max(0, depth - 1)
            if depth == 0:
                yield _clean(prelude), css[opened : match.start()]
                start, prelude = match.end(), ""
        elif sign == ";" and depth == 0:
            if statement := _clean(css[start : match.start()]):
                yield statement, None
            start = match.end()
    if depth:
        yield _clean(prelude), css[opened:]


def _split(text: str, separator: str) -> list[str]:
    """``text`` at its separators, those in strings, comments and brackets left alone; blank pieces dropped."""
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
    return [piece for piece in map(_clean, pieces) if piece]


def _clean(text: str) -> str:
    return _COMMENT.sub(" ", text).strip()
