"""Features of a letter's HTML that some mail readers ignore, by the data of caniemail.

The data holds only what breaks a letter when ignored (`docs/make_client_support.py` chooses it, and refreshes
`data/client_support.json`). A plain value before the modern one, a background colour beside a gradient, content inside
a video, and conditional comments for Outlook are accepted as the fallbacks they are. The HTML is checked as sent, after
inlining; nothing is changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from importlib import resources
from typing import TYPE_CHECKING

import msgspec

from campaign.compose.html.html_parser import parse_html

if TYPE_CHECKING:  # lxml is loaded when a letter is checked
    from lxml.etree import _Element

WINDOWS = "outlook.windows"  #: the only reader that evaluates conditional comments
NAMED = 3  #: readers named in a sentence; the others are counted

_NOT_OUTLOOK = re.compile(r"<!--\[if !mso\](?:><!)?-->.*?<!(?:--<!)?\[endif\]-->", re.DOTALL | re.IGNORECASE)
_OUTLOOK = re.compile(r"<!--\[if [^\]!]*mso[^\]]*\]>(.*?)<!\[endif\]-->", re.DOTALL | re.IGNORECASE)
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_AT_BLOCK = re.compile(r"@[\w-]+[^;{}]*\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}")
_AT_LINE = re.compile(r"@import\b[^;]*;?")
_PSEUDO = re.compile(r":(?=:?([\w-]+))")
_FUNCTION = re.compile(r"(?<![\w-])([a-z][a-z-]*)\(")
_UNIT = re.compile(r"(?<![\w.#-])-?(?:\d+\.?\d*|\.\d+)([a-z]+)\b")
_FONTS = re.compile(r"font|typekit|typography", re.IGNORECASE)
_GRADIENT = re.compile(r"gradient\(|url\(")
_EMPTY_WITHOUT = frozenset({"video", "audio", "object", "picture"})  # elements that may hold a fallback


class Feature(msgspec.Struct, frozen=True):
    """A feature of HTML or CSS, the readers that ignore it, and what to do instead."""

    title: str
    page: str
    remedy: str
    ignored: tuple[str, ...]


Marks = dict[tuple[str, str], Feature]  #: (kind, name) -> feature


def ignored(html: str) -> list[tuple[Feature, str]]:
    """The features in ``html`` that some readers ignore, each with those readers: ``Gmail, Yahoo and 2 more``."""
    found: dict[Feature, dict[str, None]] = {}
    conditional = "[if " in html
    for feature in _used(html):
        readers = [one for one in feature.ignored if not (conditional and one == WINDOWS)]
        found.setdefault(feature, {}).update(dict.fromkeys(readers))
    for feature in _used(for_outlook(html)) if conditional else ():
        if WINDOWS in feature.ignored:
            found.setdefault(feature, {})[WINDOWS] = None
    return [(feature, readers_text(readers)) for feature, readers in found.items() if readers]


def for_outlook(html: str) -> str:
    """``html`` as Outlook on Windows reads it, conditional comments resolved."""
    return _OUTLOOK.sub(lambda match: match[1], _NOT_OUTLOOK.sub("", html))


def readers_text(readers: Iterable[str]) -> str:
    """``["outlook.windows", …]`` -> ``"Outlook (Windows), Gmail and 3 more"``; the widely used ones first."""
    names = data()[0]
    order = [WINDOWS, "gmail.desktop-webmail", *names]
    given = sorted(readers, key=order.index)
    shown = ", ".join(names[reader] for reader in given[:NAMED])
    return shown + (f" and {len(given) - NAMED} more" if len(given) > NAMED else "")


@cache
def data() -> tuple[Mapping[str, str], Marks]:
    """The names of readers, and every feature by the marks that identify it."""
    file = resources.files(__package__).joinpath("data/client_support.json")
    table = json.loads(file.read_text(encoding="utf-8"))
    marks: Marks = {}
    for one in table["features"]:
        feature = Feature(one["title"], one["page"], one["remedy"], tuple(one["ignored"]))
        marks.update({(one["kind"], name): feature for name in one["names"]})
    return table["readers"], marks


def _used(html: str) -> Iterator[Feature]:
    marks = data()[1]
    for element in elements(html):
        tag = str(element.tag)
        if (feature := marks.get(("element", tag))) and not _does_without(element, tag):
            yield feature
        if tag == "style":
            yield from _of_sheet(element.text or "", marks)
        elif tag == "img" and (element.get("src") or "").startswith("data:") and ("image", "data:") in marks:
            yield marks["image", "data:"]
        if style := element.get("style"):
            yield from _of_block(style, marks, coloured=element.get("bgcolor") is not None)


@lru_cache(2)  # one letter is checked in several ways
def elements(html: str) -> tuple[_Element, ...]:
    """Every element of ``html``, in order; read-only."""
    return tuple(one for one in parse_html(html).iter() if isinstance(one.tag, str))


def _does_without(element: _Element, tag: str) -> bool:
    """Whether the letter works in readers that do not support the element: a web font has fallbacks."""
    if tag == "link":
        return "stylesheet" not in (element.get("rel") or "").lower() or bool(_FONTS.search(element.get("href") or ""))
    return tag in _EMPTY_WITHOUT and _shows(element)


def _shows(element: _Element) -> bool:
    """Whether the element has content for readers that do not support it."""
    return bool("".join(element.itertext()).strip()) or element.find(".//img") is not None


def _of_sheet(css: str, marks: Marks) -> Iterator[Feature]:
    """A style element. The content of at-rules is skipped: only readers that support them apply it."""
    css = _COMMENT.sub("", css)
    if any(not _FONTS.search(one) for one in _AT_LINE.findall(css)) and ("at", "@import") in marks:
        yield marks["at", "@import"]
    for rule in _AT_BLOCK.sub("", _AT_LINE.sub("", css)).split("}"):
        selector, _, block = rule.partition("{")
        for name in _PSEUDO.findall(selector):
            if feature := marks.get(("pseudo", f":{name}")):
                yield feature
        yield from _of_block(block, marks, coloured=False)


def _of_block(block: str, marks: Marks, *, coloured: bool) -> Iterator[Feature]:
    """The declarations between two braces, or of a style attribute."""
    pairs = [(name.strip().lower(), value.strip().lower()) for name, _, value in _declarations(block)]
    names = {name for name, _ in pairs}
    coloured = coloured or "background-color" in names
    plain: set[str] = set()
    for name, value in pairs:
        found = list(_of_declaration(name, value, marks))
        if not found:
            plain.add(name)
        elif name not in plain and not (coloured and name.startswith("background") and _GRADIENT.search(value)):
            yield from found


def _declarations(block: str) -> Iterator[tuple[str, str, str]]:
    for part in block.split(";"):
        if ":" in part:
            yield part.partition(":")


def _of_declaration(name: str, value: str, marks: Marks) -> Iterator[Feature]:
    value = value.removesuffix("!important").strip()
    wanted = [("property", name), ("value", f"{name}:{value}")]
    if "(" in value:
        wanted += [("function", one) for one in _FUNCTION.findall(value)]
    wanted += [("unit", one) for one in _UNIT.findall(value)]
    for mark in wanted:
        if (feature := marks.get(mark)) and value not in ("none", "initial", "auto"):
            yield feature


def image_ignored(content_type: str) -> list[tuple[Feature, str]]:
    """The same for an image of this type, such as ``image/webp``."""
    feature = data()[1].get(("image", content_type))
    return [(feature, readers_text(feature.ignored))] if feature else []
