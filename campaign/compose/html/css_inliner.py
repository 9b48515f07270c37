"""Style rules moved into the elements they match: which sheets there are, what moves, and the letter edited for it.

The source is edited, not written anew: only ``style`` attributes and the text of style elements change, and ``width``,
``height`` and ``bgcolor`` are added for Outlook where the author wrote none. What wins is decided in `cascade.py`;
nothing is known here of rows or of shapes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any, Literal

from campaign.compose.html.cascade import Entry, Inlined, inlined, settle
from campaign.compose.html.css_rules import Declaration, Group, Node, Reader, Rule, Sheet, declarations, parse_sheet
from campaign.compose.html.css_selectors import CASELESS, attributes_named, selector
from campaign.compose.html.local_sheets import LocalSheets
from campaign.compose.html.parser import tree
from campaign.compose.html.rule_matching import MARK, Matched, matcher
from campaign.compose.html.start_tags import Attribute, StartTag, edited, element_end, start_tags, text_of
from campaign.compose.html.style_text import presenting, style_attribute
from campaign.compose.kept import Kept

MOST_SHEETS, HEAVIEST_SHEETS = 64, 500_000  #: taken apart and kept; characters of them all
_EVERYWHERE = ("", "all", "screen")
_IGNORED = ("data-premailer", "data-css-inline")  #: by these an author asks that a sheet be left alone
#: A document type for which browsers follow the standards; without one they keep to the quirks of old pages.
_STANDARD = re.compile(
    r"\s*(?:<!--.*?-->\s*)*<!doctype\s+html(?:\s*>|\s+system|\s+public\s+[\"'][^\"'>]*xhtml|"
    r"\s+public\s+[\"'][^\"'>]*html 4\.01[^\"'>]*[\"']\s*[\"'])",
    re.IGNORECASE | re.DOTALL,
)
_NAME = re.compile(r"[.#](-?[A-Za-z_][\w-]*)")
_NAMED = re.compile(r"\b(?:class|id)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))", re.IGNORECASE)


@dataclass(slots=True)
class FoundSheet:
    """One style element or linked sheet of a page: where it stands, what it holds, and its rules' selectors."""

    number: int
    start: int
    end: int
    opening: str
    sheet: Sheet
    entries: list[Entry]


class Styles:
    """Inlines the style sheets of whole documents.

    ``folders`` are where relative sheets are looked up, in order; ``private`` are files and folders that are no sheets.
    ``tick`` is called all along; it may raise, to end the work.
    """

    def __init__(
        self,
        root: Path,
        folders: tuple[Path, ...],
        inliner: Literal["premailer", "css-inline"],
        private: Iterable[Path] = (),
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        self._local, self._tick, self._match = LocalSheets(root, folders, private), tick, matcher(inliner, tick)
        self._parsed: Kept[tuple[str, Path | None], Sheet] = Kept(MOST_SHEETS, HEAVIEST_SHEETS)
        self.fingerprints = self._local.fingerprints

    def inline(self, html: str) -> str:
        """``html`` with its rules in its elements. Raises ConfigError for a sheet that is not there, ValueError."""
        if not html.strip():
            return html
        tags = start_tags(html)
        own = {number: one for number, tag in enumerate(tags) if (one := _own_style(html, tag))}
        named = "[style" in html.lower()  # a selector that looks at style attributes
        numbered = edited(html, _numbering(tags, {} if named else own))
        page = tree(numbered)
        quirks = _folded(html, page)
        sheets = list(self._sheets(html, tags, page, quirks))
        if not sheets:
            return html
        entries = [entry for found in sheets for entry in found.entries]
        self._look_up(numbered, page, entries, {found.number for found in sheets})
        elements = inlined(entries, {number: _declared(one) for number, one in own.items()}, self._tick)
        raised = settle(entries, elements, self._tick)
        selected = frozenset(
            name for entry in entries for one in entry.rule.selectors for name in attributes_named(one)
        )
        edits = [_sheet_edit(found, raised) for found in sheets]
        for number, made in elements.items():
            self._tick()
            edits += _element_edits(html, tags[number], made, own.get(number), selected)
        return edited(html, edits)

    def look_for_sheets(self, source: str) -> None:
        """Read the local sheets that a template's source names. Raises ConfigError for one that is not there."""
        for tag in start_tags(source):
            if tag.name == "link" and (name := _linked(tag.values(source))):
                if found := self._local.read(name):
                    self._sheet(*found)
            elif tag.name == "style":
                self._sheet(source[slice(*text_of(source, tag))], self._local.read)

    def _sheets(self, html: str, tags: list[StartTag], page: Any, quirks: bool) -> Iterator[FoundSheet]:
        order = 0
        for element in page.iter("style", "link"):
            if not (mark := element.get(MARK)):
                continue
            tag = tags[int(mark)]
            values = tag.values(html)
            if any(name in values for name in _IGNORED):
                continue
            media = values.get("media", "").strip()
            found = self._found(html, tag, values, media)
            if found is None:
                continue
            sheet, end, opening = found
            entries = []
            for entry in _entries(sheet.nodes, quirks, order, "" if media.lower() in _EVERYWHERE else media):
                self._tick()
                entries.append(entry)
            order += len(entries)
            yield FoundSheet(int(mark), tag.start, end, opening, sheet, entries)

    def _found(self, html: str, tag: StartTag, values: dict[str, str], media: str) -> tuple[Sheet, int, str] | None:
        """A sheet, where its element ends in the page, and the start tag of what will stay of it."""
        if tag.name == "style":
            if values.get("type", "").lower() not in ("", "text/css"):
                return None
            sheet = self._sheet(html[slice(*text_of(html, tag))], self._local.read)
            return sheet, element_end(html, tag), html[tag.start : tag.end]
        name = _linked(values)
        found = self._local.read(name) if name else None
        if found is None:
            return None
        quoted = media.replace("&", "&amp;").replace('"', "&quot;")
        opening = f'<style type="text/css"{f" media={chr(34)}{quoted}{chr(34)}" if media else ""}>'
        return self._sheet(*found), tag.end, opening

    def _sheet(self, css: str, read: Reader) -> Sheet:
        key = css, getattr(read, "keywords", {}).get("beside")
        sheet = self._parsed.get(key)
        if sheet is None:
            sheet = parse_sheet(css, read)
            self._parsed.keep(key, sheet, len(css))
        return sheet

    def _look_up(self, numbered: str, page: Any, entries: list[Entry], sheets: set[int]) -> None:
        """Find the elements of each entry (but for ``sheets`` themselves), and decide which of them move."""
        asked = list(dict.fromkeys(matching for entry in entries if (matching := _matching(entry))))
        found = dict(zip(asked, self._match(numbered, page, asked), strict=True)) if asked else {}
        outlook = _names_for_outlook(page)
        for entry in entries:
            matched = found.get(_matching(entry) or "")
            if matched is not None:
                _place(entry, Matched(tuple(set(matched.elements) - sheets), matched.elsewhere), outlook)


def _entries(
    nodes: Iterable[Node], quirks: bool, order: int, condition: str, *, layered: bool = False
) -> Iterator[Entry]:
    """Each selector of each rule, numbered from ``order``; of a list with an unknown one, none is known."""
    for node in nodes:
        if isinstance(node, Group):
            inside = layered or node.prelude.lower().startswith("@layer")
            for entry in _entries(node.nodes, quirks, order, f"{condition} {node.prelude}", layered=inside):
                order = entry.order + 1
                yield entry
        elif isinstance(node, Rule):
            asked = [selector(one, quirks=quirks) for one in node.selectors]
            for one in asked:
                yield Entry(one if all(asked) else None, node, order, condition, layered)
                order += 1


def _folded(html: str, page: Any) -> bool:
    """Fold the case of what HTML compares without regard to case, in the tree; whether the page is one of quirks."""
    quirks = not _STANDARD.match(html)
    for element in page.iter():
        for name, value in element.attrib.items() if isinstance(element.tag, str) else ():
            if name in CASELESS or (quirks and name in ("class", "id")):
                element.set(name, value.lower())
    return quirks


def _matching(entry: Entry) -> str | None:
    return entry.selector.matching if entry.selector else None


def _place(entry: Entry, matched: Matched, outlook: frozenset[str]) -> None:
    """What becomes of an entry whose elements are known."""
    asked = entry.selector
    if asked is None or asked.beside:
        return
    entry.elements = matched.elements
    if entry.condition:
        return
    wanted = asked.hook or not outlook.isdisjoint(_NAME.findall(asked.text))
    entry.moves = asked.inlinable and bool(matched.elements)
    entry.stays = matched.elsewhere or (not entry.moves and (wanted or bool(matched.elements)))


def _names_for_outlook(page: Any) -> frozenset[str]:
    """The classes and ids in conditional comments, whose rules are of use though no element of the page has them."""
    from lxml.etree import Comment

    found: set[str] = set()
    for comment in page.getroottree().iter(Comment):
        if "[if" in (comment.text or ""):
            for names in _NAMED.findall(comment.text):
                found.update("".join(names).split())
    return frozenset(found)


def _own_style(html: str, tag: StartTag) -> Attribute | None:
    return tag.attribute(html, "style") if "style" in html[tag.start : tag.end].lower() else None


def _declared(own: Attribute) -> tuple[Declaration, ...]:
    return declarations(unescape(own.value))


def _numbering(tags: list[StartTag], without: dict[int, Attribute]) -> Iterator[tuple[int, int, str]]:
    """Edits that number the start tags, and take the style attributes in ``without`` out."""
    for number, tag in enumerate(tags):
        after = tag.start + 1 + len(tag.name)
        yield after, after, f" {MARK}={number} "
        if number in without:
            yield without[number].start, without[number].end, ""


def _linked(values: dict[str, str]) -> str:
    """The sheet that a link element asks for, else empty."""
    return values.get("href", "") if "stylesheet" in values.get("rel", "").lower().split() else ""


def _element_edits(
    html: str, tag: StartTag, made: Inlined, own: Attribute | None, selected: frozenset[str]
) -> Iterator[tuple[int, int, str]]:
    style = style_attribute(made, own)
    if style is None:
        return
    present = tag.attributes(html)
    added = "".join(
        f' {name}="{value}"' for name, value in presenting(tag.name, made, (one.name for one in present), selected)
    )
    if own is not None:
        yield own.start, own.end, style
    else:
        added = f" {style}{added}"
    if added:
        # Behind class= without a value, more would become that value.
        end = present[-1].end if present and html[present[-1].end - 1] != "=" else tag.start + 1 + len(tag.name)
        yield end, end, added


def _sheet_edit(found: FoundSheet, raised: dict[int, frozenset[int]]) -> tuple[int, int, str]:
    """What stays of a sheet, in place of the whole element."""
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


def _staying_rule(rule: Rule, entries: list[Entry], raised: dict[int, frozenset[int]]) -> Iterator[str]:
    """A rule for the selectors that stay; once for each set of declarations that become ``!important``."""
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
