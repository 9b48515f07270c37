"""Finds the elements that each selector matches, with an inliner library: premailer or css-inline.

The libraries only match. Each would apply the cascade in its own way, drop what it does not support, and rewrite the
page. So each gets rules that contain only their numbers, and the numbers are read from the elements that got them.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any, Literal

import msgspec

from campaign.compose.html.start_tags import start_tags
from campaign.errors import ConfigError, install_extra

MARK = "data-campaign-element"  #: the attribute that numbers the start tags of a source
_RULE = "campaign-rule-"
_NOSCRIPT = re.compile(r"(?<![\w.#\"'-])noscript(?![\w-])", re.IGNORECASE)
_NUMBER = re.compile(rf"{_RULE}(\d+)")


class Matched(msgspec.Struct, frozen=True):
    """The start tags whose elements a selector matches, by number. ``elsewhere``: it matches other elements too.

    Others are elements that the source omits, such as a ``tbody``, and those that a parser duplicates.
    """

    elements: tuple[int, ...]
    elsewhere: bool


Match = Callable[[str, Any, Sequence[str]], list[Matched]]  #: numbered source, its tree, selectors


def matcher(inliner: Literal["premailer", "css-inline"], tick: Callable[[], None]) -> Match:
    """The matching function for ``inliner``. ``tick`` is called while premailer works, and may raise to end it.

    Raises ConfigError if the library is not installed; the function raises ValueError.
    """
    ask = _premailer(tick) if inliner == "premailer" else _css_inline()

    def match(numbered: str, tree: Any, selectors: Sequence[str]) -> list[Matched]:
        if _RULE in numbered:
            raise ValueError(f"the page holds one of our own words, {_RULE}")
        return _collected(ask(numbered, tree, selectors), Counter(_marks(tree)), len(selectors))

    return match


def _marks(tree: Any) -> Iterator[int]:
    for element in tree.iter():
        if isinstance(element.tag, str) and (mark := element.get(MARK)):
            yield int(mark)


def _collected(styled: Iterable[tuple[str | None, str]], made: Counter[int], count: int) -> list[Matched]:
    """The elements of each rule, from pairs of mark and style. ``made`` counts the elements of each start tag."""
    hits: list[Counter[int]] = [Counter() for _ in range(count)]
    elsewhere = [False] * count
    for mark, style in styled:
        for number in map(int, _NUMBER.findall(style)):
            if mark is None:
                elsewhere[number] = True
            else:
                hits[number][int(mark)] += 1
    found = []
    for number, hit in enumerate(hits):
        whole = tuple(sorted(element for element, times in hit.items() if times == made[element]))
        found.append(Matched(whole, elsewhere[number] or len(whole) < len(hit)))
    return found


def _premailer(tick: Callable[[], None]) -> Callable[[str, Any, Sequence[str]], Iterator[tuple[str | None, str]]]:
    kind, text = _premailer_class(tick), _selector_class(tick)

    def ask(_: str, tree: Any, selectors: Sequence[str]) -> Iterator[tuple[str | None, str]]:
        rules = [(number, text(one), f"{_RULE}{number}:0") for number, one in enumerate(selectors)]
        for element in tree.iter("style"):
            element.set("data-premailer", "ignore")
        asked = kind(tree, rules)
        asked.transform()
        return iter(asked.styled)

    return ask


def _selector_class(tick: Callable[[], None]) -> type[str]:
    class Selector(str):
        """A selector whose colons are hidden from premailer, which would cut it there. The search calls ``tick``."""

        __slots__ = ()

        def __contains__(self, part: object) -> bool:
            tick()
            return part != ":" and super().__contains__(part)  # type: ignore[operator]  # as str has it

    return Selector


def _premailer_class(tick: Callable[[], None]) -> Any:
    """Premailer with our rules in place of those it would read, and without any access to the network.

    ``tick`` is called before each rule is matched and after each element that got a style. (A deeply nested page of a
    megabyte takes seconds for one rule with a descendant combinator, and premailer itself has no limit.)
    """
    premailer = _premailer_alone()

    class Asked(premailer.Premailer):  # type: ignore[misc,name-defined]  # no type information is published
        def __init__(self, tree: Any, rules: list[tuple[int, str, str]]) -> None:
            super().__init__(
                tree,
                css_text=["ours"],
                strip_important=False,
                keep_style_tags=True,
                disable_leftover_css=True,
                align_floating_images=False,
                remove_unset_properties=False,
                disable_validation=True,
                allow_network=False,
                allow_loading_external_files=False,
            )
            self._rules = rules
            self.styled: list[tuple[str | None, str]] = []

        def _parse_style_rules(self, css_body: str, ruleset_index: int) -> Any:  # noqa: ARG002 - as premailer has it
            return (self._rules if css_body is self.css_text[0] else []), []

        def _style_to_basic_html_attributes(self, element: Any, style: str, **options: Any) -> None:  # noqa: ARG002
            tick()
            self.styled.append((element.get(MARK), style))

    return Asked


def _premailer_alone() -> Any:
    """A premailer of our own, without the two libraries that take longer to import than all the rest of it.

    ``requests`` would fetch sheets. ``cssutils`` would parse them, and fetch what they import; it has taken 14 seconds
    for 320 malformed bytes. Here sheets are parsed by `css_rules.py`, and nothing is ever fetched.
    """
    ours = {"requests": ModuleType("requests"), "cssutils": ModuleType("cssutils")}
    ours["cssutils"].parseStyle = _parsed_style  # type: ignore[attr-defined]  # the one function that is called here
    others = _taken_out({"premailer", *ours})
    sys.modules.update(ours)
    try:
        return importlib.import_module("premailer.premailer")
    finally:
        _taken_out({"premailer", *ours})
        sys.modules.update(others)


def _taken_out(names: set[str]) -> dict[str, ModuleType]:
    """The modules of these packages, which the next import of them no longer finds."""
    return {name: sys.modules.pop(name) for name in [*sys.modules] if name.partition(".")[0] in names}


def _parsed_style(style: str, validate: bool) -> Iterator[SimpleNamespace]:
    """The declaration of one of our own rules, as cssutils gives it; none of an author's style, which is validated."""
    if not validate:
        name, _, value = style.partition(":")
        yield SimpleNamespace(name=name, priority="", propertyValue=SimpleNamespace(cssText=value))


def _css_inline() -> Callable[[str, Any, Sequence[str]], Iterator[tuple[str | None, str]]]:
    try:
        import css_inline
    except ImportError:
        raise ConfigError(
            'compose.inliner = "css-inline" needs a library that is not installed.',
            next_step=install_extra("css-inline"),
        ) from None

    def ask(numbered: str, _: Any, selectors: Sequence[str]) -> Iterator[tuple[str | None, str]]:
        rules = "".join(f"{one}{{{_RULE}{number}:0}}\n" for number, one in enumerate(selectors))
        if "noscript" in numbered.lower():  # css-inline sees no elements inside, but mail readers do
            numbered, rules = (_NOSCRIPT.sub("noscript-", text) for text in (numbered, rules))
        worker = css_inline.CSSInliner(
            inline_style_tags=False,
            keep_style_tags=True,
            keep_link_tags=True,
            load_remote_stylesheets=False,
            extra_css=rules,
        )
        written = worker.inline(numbered)
        for tag in start_tags(written):
            if _RULE in written[tag.start : tag.end]:
                values = tag.values(written)
                yield values.get(MARK), values.get("style", "")

    return ask
