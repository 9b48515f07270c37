"""Moves style rules into the elements that they match, by editing the HTML source.

Only ``style`` attributes and the text of style elements change; ``width``, ``height`` and ``bgcolor`` are added for
Outlook if the author wrote none. `cascade.py` decides which declaration wins. This module is independent of rows and
shapes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from html import unescape
from pathlib import Path
from typing import Any, Literal

from campaign.compose.html.css.cascade import Entry, Inlined, important_places, inlined
from campaign.compose.html.css.css_rules import Declaration, declarations
from campaign.compose.html.css.css_selectors import CASELESS, attributes_named
from campaign.compose.html.css.local_sheets import LocalSheets
from campaign.compose.html.css.outlook_attributes import PRESENTED, outlook_attributes
from campaign.compose.html.css.page_sheets import FoundSheet, PageSheets, sheet_edit
from campaign.compose.html.css.rule_matching import MARK, Matched, matcher
from campaign.compose.html.css.style_attribute import style_attribute
from campaign.compose.html.html_parser import tree
from campaign.compose.html.start_tags import Attribute, Edit, StartTag, edited, start_tags

#: A document type for which browsers follow the standards; without one they use quirks mode.
_STANDARD = re.compile(
    r"\s*(?:<!--.*?-->\s*)*<!doctype\s+html(?:\s*>|\s+system|\s+public\s+[\"'][^\"'>]*xhtml|"
    r"\s+public\s+[\"'][^\"'>]*html 4\.01[^\"'>]*[\"']\s*[\"'])",
    re.IGNORECASE | re.DOTALL,
)
_NAME = re.compile(r"[.#](-?[A-Za-z_][\w-]*)")
_NAMED = re.compile(r"\b(?:class|id)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))", re.IGNORECASE)


class Styles:
    """Inlines the style sheets of whole documents.

    Relative sheets are looked up in ``folders``, in order; ``private`` are files and folders that are never read as
    sheets. ``tick`` is called regularly during the work, and may raise to end it.
    """

    def __init__(
        self,
        root: Path,
        folders: tuple[Path, ...],
        inliner: Literal["premailer", "css-inline"],
        private: Iterable[Path] = (),
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        local = LocalSheets(root, folders, private)
        self._sheets, self._tick, self._match = PageSheets(local, tick), tick, matcher(inliner, tick)
        self.fingerprints, self.look_for_sheets = local.fingerprints, self._sheets.look_for

    def inline(self, html: str) -> str:
        """``html`` with its rules moved into its elements. Raises ConfigError for a missing sheet, and ValueError."""
        if not html.strip():
            return html
        tags, quirks = start_tags(html), not _STANDARD.match(html)
        sheets = list(self._sheets.find(html, tags, quirks=quirks))
        if not sheets:
            return html
        own = {number: one for number, tag in enumerate(tags) if (one := _own_style(html, tag))}
        compared = frozenset(
            name for found in sheets for one in found.entries for name in attributes_named(one.rule.selectors)
        )
        numbered = edited(html, _numbering(tags, {} if "style" in compared else own))
        page = tree(numbered)
        if quirks or compared:
            _fold(page, quirks)
        there = {element.get(MARK) for element in page.iter("style", "link")}
        sheets = [found for found in sheets if str(found.number) in there]
        entries = [entry for found in sheets for entry in found.entries]
        self._look_up(numbered, page, entries, {found.number for found in sheets})
        return edited(html, self._edits(html, tags, sheets, own, compared))

    def _edits(
        self,
        html: str,
        tags: list[StartTag],
        sheets: list[FoundSheet],
        own: dict[int, Attribute],
        compared: frozenset[str],
    ) -> Iterator[Edit]:
        """The edits of the source: each sheet, and the start tags of the elements that its rules match."""
        entries = [entry for found in sheets for entry in found.entries]
        alike = _alike(entries, own)
        declared = {number: _declared(own[number]) for number in {*alike.values()} & own.keys()}
        elements = inlined(entries, declared, self._tick)
        raised = important_places(entries, elements, self._tick)
        yield from (sheet_edit(found, raised) for found in sheets)
        styles: dict[int, str | None] = {}  # of elements without a style attribute in the source
        for number, like in alike.items():
            self._tick()
            made, mine = elements.get(like), own.get(number)
            if made is None:
                continue
            if mine is not None:
                style = style_attribute(made, mine)
            elif like in styles:
                style = styles[like]
            else:
                style = styles[like] = style_attribute(made, None)
            if style is not None:
                yield from _element_edits(html, tags[number], style, made, mine, compared)

    def _look_up(self, numbered: str, page: Any, entries: list[Entry], sheets: set[int]) -> None:
        """Find the elements of each entry (but for ``sheets`` themselves), and decide which of them move."""
        asked = list(dict.fromkeys(matching for entry in entries if (matching := _matching(entry))))
        found = dict(zip(asked, self._match(numbered, page, asked), strict=True)) if asked else {}
        outlook = _names_for_outlook(page)
        for entry in entries:
            matched = found.get(_matching(entry) or "")
            if matched is not None:
                _place(entry, Matched(tuple(set(matched.elements) - sheets), matched.elsewhere), outlook)


def _fold(page: Any, quirks: bool) -> None:
    """Lower the case of values that HTML compares without regard to case, in a tree used only for matching."""
    for element in page.iter():
        for name, value in element.attrib.items() if isinstance(element.tag, str) else ():
            if name in CASELESS or (quirks and name in ("class", "id")):
                element.set(name, value.lower())


def _matching(entry: Entry) -> str | None:
    return entry.selector.matching if entry.selector else None


def _place(entry: Entry, matched: Matched, outlook: frozenset[str]) -> None:
    """Decide whether an entry moves and whether it stays, given the elements that it matches."""
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
    """The classes and ids in conditional comments, whose rules are needed although no element of the page has them."""
    from lxml.etree import Comment

    found: set[str] = set()
    for comment in page.getroottree().iter(Comment):
        if "[if" in (comment.text or ""):
            for names in _NAMED.findall(comment.text):
                found.update("".join(names).split())
    return frozenset(found)


def _alike(entries: list[Entry], own: dict[int, Attribute]) -> dict[int, int]:
    """For each element the first one that the same entries match and that has the same style attribute.

    A decision for that element holds for all of them, so the entries keep only those.
    """
    matched: dict[int, list[int]] = defaultdict(list)
    for entry in entries:
        for number in entry.elements:
            matched[number].append(entry.order)
    first: dict[tuple[tuple[int, ...], str | None], int] = {}
    alike = {}
    for number in sorted(matched.keys() | own.keys()):
        key = tuple(matched.get(number, ())), own[number].value if number in own else None
        alike[number] = first.setdefault(key, number)
    for entry in entries:
        entry.elements = tuple(dict.fromkeys(alike[number] for number in entry.elements))
    return alike


def _own_style(html: str, tag: StartTag) -> Attribute | None:
    return tag.attribute(html, "style") if "style" in html[tag.start : tag.end].lower() else None


def _declared(own: Attribute) -> tuple[Declaration, ...]:
    return declarations(unescape(own.value))


def _numbering(tags: list[StartTag], without: dict[int, Attribute]) -> Iterator[Edit]:
    """Edits that number the start tags, and remove the style attributes in ``without``."""
    for number, tag in enumerate(tags):
        after = tag.start + 1 + len(tag.name)
        yield after, after, f" {MARK}={number} "
        if number in without:
            yield without[number].start, without[number].end, ""


def _element_edits(
    html: str, tag: StartTag, style: str, made: Inlined, own: Attribute | None, compared: frozenset[str]
) -> Iterator[Edit]:
    present = tag.attributes(html)
    added = ""
    if tag.name in PRESENTED:
        found = outlook_attributes(tag.name, made, {one.name for one in present} | compared)
        added = "".join(f' {name}="{value}"' for name, value in found)
    if own is not None:
        yield own.start, own.end, style
    else:
        added = f" {style}{added}"
    if added:
        # After class= without a value, further text would become that value.
        end = present[-1].end if present and html[present[-1].end - 1] != "=" else tag.start + 1 + len(tag.name)
        yield end, end, added
