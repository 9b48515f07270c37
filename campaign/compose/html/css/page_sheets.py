"""Finds the style sheets of a page and their rules, and writes what remains of them after inlining."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from campaign.compose.html.css.cascade import Entry
from campaign.compose.html.css.css_rules import Group, Node, Reader, StyleRule, StyleSheet, parse_sheet
from campaign.compose.html.css.css_selectors import selector
from campaign.compose.html.css.local_sheets import LocalSheets
from campaign.compose.html.start_tags import StartTag, element_end, start_tags, text_of
from campaign.compose.lru_cache import LruCache

MOST_SHEETS, HEAVIEST_SHEETS = 64, 500_000  #: parsed sheets in the cache; characters of them all
_EVERYWHERE = ("", "all", "screen")
_IGNORED = ("data-premailer", "data-css-inline")  #: attributes by which an author excludes a sheet from inlining


class FoundSheet(msgspec.Struct):
    """One style element or linked sheet of a page: the number of its start tag, its position, and its rules.

    ``opening`` is the start tag for the rules that stay.
    """

    number: int
    start: int
    end: int
    opening: str
    sheet: StyleSheet
    entries: list[Entry]


class PageSheets:
    """Finds the sheets of pages; ``local`` reads the linked ones. ``tick`` is called for each rule."""

    def __init__(self, local: LocalSheets, tick: Callable[[], None]) -> None:
        self._local, self._tick = local, tick
        self._parsed: LruCache[tuple[str, Path | None], StyleSheet] = LruCache(MOST_SHEETS, HEAVIEST_SHEETS)

    def find(self, html: str, tags: list[StartTag], *, quirks: bool) -> Iterator[FoundSheet]:
        """The sheets in order; their entries are numbered consecutively. Raises ConfigError for a missing sheet."""
        order = 0
        for number, tag in enumerate(tags):
            if tag.name not in ("style", "link"):
                continue
            values = tag.values(html)
            found = None if any(name in values for name in _IGNORED) else self._found(html, tag, values)
            if found is None:
                continue
            sheet, end, opening = found
            media = values.get("media", "").strip()
            entries = []
            for entry in _entries(sheet.nodes, quirks, order, "" if media.lower() in _EVERYWHERE else media):
                self._tick()
                entries.append(entry)
            order += len(entries)
            yield FoundSheet(number, tag.start, end, opening, sheet, entries)

    def look_for(self, source: str) -> None:
        """Read the local sheets that a template's source names. Raises ConfigError for a missing one."""
        for tag in start_tags(source):
            if tag.name in ("style", "link"):
                self._found(source, tag, tag.values(source))

    def _found(self, html: str, tag: StartTag, values: dict[str, str]) -> tuple[StyleSheet, int, str] | None:
        """A sheet, the end of its element in the page, and the start tag for the rules that stay."""
        if tag.name == "style":
            if values.get("type", "").lower() not in ("", "text/css"):
                return None
            sheet = self._sheet(html[slice(*text_of(html, tag))], self._local.read)
            return sheet, element_end(html, tag), html[tag.start : tag.end]
        linked = "stylesheet" in values.get("rel", "").lower().split() and values.get("href", "")
        found = self._local.read(linked) if linked else None
        if found is None:
            return None
        media = values.get("media", "").strip().replace("&", "&amp;").replace('"', "&quot;")
        opening = '<style type="text/css"' + (f' media="{media}">' if media else ">")
        return self._sheet(*found), tag.end, opening

    def _sheet(self, css: str, read: Reader) -> StyleSheet:
        key = css, getattr(read, "keywords", {}).get("beside")
        sheet = self._parsed.get(key)
        if sheet is None:
            sheet = parse_sheet(css, read)
            self._parsed.keep(key, sheet, len(css))
        return sheet


def _entries(
    nodes: Iterable[Node], quirks: bool, order: int, condition: str, *, layered: bool = False
) -> Iterator[Entry]:
    """Each selector of each rule, numbered from ``order``; an unknown selector makes its whole list unknown."""
    for node in nodes:
        if isinstance(node, Group):
            inside = layered or node.prelude.lower().startswith("@layer")
            for entry in _entries(node.nodes, quirks, order, f"{condition} {node.prelude}", layered=inside):
                order = entry.order + 1
                yield entry
        elif isinstance(node, StyleRule):
            asked = [selector(one, quirks=quirks) for one in node.selectors]
            for one in asked:
                yield Entry(one if all(asked) else None, node, order, condition, layered)
                order += 1


def sheet_edit(found: FoundSheet, raised: dict[int, frozenset[int]]) -> tuple[int, int, str]:
    """The edit that leaves the remaining rules in place of a sheet. ``raised`` is the result of `important_places`."""
    entries = iter(found.entries)
    kept = [*found.sheet.imports, *_staying(found.sheet.nodes, entries, raised)]
    return found.start, found.end, f"{found.opening}\n{chr(10).join(kept)}\n</style>" if kept else ""


def _staying(nodes: Iterable[Node], entries: Iterator[Entry], raised: dict[int, frozenset[int]]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, str):
            yield node
        elif isinstance(node, Group):
            inner = list(_staying(node.nodes, entries, raised))
            if inner:
                lines = "\n  ".join(inner)
                yield f"{node.prelude} {{\n  {lines}\n}}"
        else:
            yield from _staying_rule(node, [next(entries) for _ in node.selectors], raised)


def _staying_rule(rule: StyleRule, entries: list[Entry], raised: dict[int, frozenset[int]]) -> Iterator[str]:
    """The rule for the selectors that stay, once for each set of declarations that become ``!important``."""
    kept: dict[frozenset[int] | None, list[str]] = {}
    for text, entry in zip(rule.selectors, entries, strict=True):
        if entry.stays:
            kept.setdefault(raised.get(entry.order), []).append(text)
    for important, selectors in kept.items():
        if important is None or not any(
            one.important is not (at in important) for at, one in enumerate(rule.declarations)
        ):
            yield f"{', '.join(selectors)} {{{rule.block}}}"
        else:
            body = "; ".join(one.written(important=at in important) for at, one in enumerate(rule.declarations))
            yield f"{', '.join(selectors)} {{ {body} }}"
