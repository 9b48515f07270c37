"""The cascade: what goes into an element, in which order, and what of the rest becomes important."""

from __future__ import annotations

import pytest

from campaign.compose.html.css.cascade import Entry, Inlined, important_places, inlined, overlap
from campaign.compose.html.css.css_rules import StyleRule, declarations
from campaign.compose.html.css.css_selectors import selector


def nothing() -> None:
    pass


def entry(order: int, text: str, block: str, *elements: int, under: str = "") -> Entry:
    made = Entry(selector(text), StyleRule((text,), declarations(block), block), order, under, elements=elements)
    made.moves = not under and made.selector.inlinable
    made.stays = not made.moves
    return made


def decide(entries: list[Entry], own: dict[int, str] | None = None) -> tuple[dict[int, str], dict[int, str]]:
    """The style of each element, and each rule that stays."""
    elements = inlined(entries, {number: declarations(text) for number, text in (own or {}).items()}, nothing)
    raised = important_places(entries, elements, nothing)
    styles = {number: "; ".join(_told(made)) for number, made in elements.items()}
    left = {
        one.order: "; ".join(
            each.written(important=at in raised.get(one.order, ())) for at, each in enumerate(one.rule.declarations)
        )
        for one in entries
        if one.stays
    }
    return styles, left


def _told(made: Inlined) -> list[str]:
    return [f"{piece.declaration.name}:{piece.declaration.value}{'!' if piece.important else ''}" for piece in made]


def test_the_more_specific_then_the_later_comes_last():
    styles, _ = decide([entry(0, "#a", "width:1px", 1), entry(1, "p.b", "width:2px", 1), entry(2, "p", "height:0", 1)])
    assert styles == {1: "height:0; width:1px"}


@pytest.mark.parametrize(
    ("first", "second", "written"),
    [
        ("color:red", "color:blue", "color:blue"),
        ("color:red", "color:rgb(0 0 0 / 9%)", "color:red; color:rgb(0 0 0 / 9%)"),
        ("color:rgb(0 0 0 / 9%)", "color:red", "color:red"),
        ("margin:0", "margin-left:1px", "margin:0; margin-left:1px"),
        ("margin-left:1px", "margin:0", "margin-left:1px; margin:0"),
        ("color:red !important", "color:blue", "color:red"),
        ("color:red", "color:a; color:green", "color:a; color:green"),
        ("color:a; color:b", "top:0", "color:a; color:b; top:0"),
        ("color:red", "color:gary", "color:red; color:gary"),
        ("color:red; COLOR:red", "top:0", "color:red; top:0"),
    ],
)
def test_only_what_surely_is_replaced_is_left_out(first, second, written):
    styles, _ = decide([entry(0, "p", first, 1), entry(1, "p", second, 1)])
    assert styles == {1: written}


@pytest.mark.parametrize(
    ("rule", "own", "written"),
    [
        ("color:red", "color:blue", "color:blue"),
        ("color:red !important", "color:blue", "color:blue; color:red"),
        ("color:red !important", "color:blue !important", "color:blue; color:red"),
        ("color:red", "background:none", "color:red; background:none"),
        ("padding:0", "padding-left:9px", "padding:0; padding-left:9px"),
    ],
)
def test_the_own_style_stands_between_what_it_beats_and_what_beats_it(rule, own, written):
    styles, _ = decide([entry(0, "p", rule, 1)], {1: own})
    assert styles == {1: written}


@pytest.mark.parametrize(
    ("base", "small", "style", "left"),
    [
        ("width:9px", "width:1px", "width:9px", "width:1px !important"),
        ("width:9px !important", "width:1px !important", "width:9px", "width:1px !important"),
        ("width:9px !important", "width:1px", "width:9px", "width:1px"),
        ("width:9px", "height:1px", "width:9px", "height:1px !important"),
        ("padding:9px !important", "padding-left:1px", "padding:9px", "padding-left:1px"),
    ],
)
def test_a_media_rule_wins_over_an_element_where_its_author_let_it(base, small, style, left):
    styles, stays = decide([entry(0, ".a", base, 1), entry(1, ".a", small, 1, under="@media x")])
    assert (styles, stays) == ({1: style}, {1: left})


def test_a_media_rule_that_wins_here_and_loses_there_makes_the_winner_important():
    styles, stays = decide(
        [
            entry(0, ".a", "width:1px", 1, 2),
            entry(1, "#b", "width:2px", 2),
            entry(2, ".a", "width:3px", 1, 2, under="@media x"),
        ]
    )
    assert stays == {2: "width:3px !important"}
    assert styles == {1: "width:1px", 2: "width:2px!"}


def test_a_link_that_was_visited_does_not_beat_a_button():
    styles, stays = decide(
        [entry(0, "a:visited", "color:blue", 1, 2), entry(1, "a", "color:green", 1, 2), entry(2, "a.b", "color:red", 2)]
    )
    assert stays == {0: "color:blue !important"}
    assert styles == {1: "color:green", 2: "color:red!"}


def test_what_is_important_under_a_condition_stays_above_what_is_not():
    styles, stays = decide(
        [
            entry(0, "p", "width:9px", 1),
            entry(1, "p.a", "width:1px !important", 1, under="@media x"),
            entry(2, "p.a.b", "width:2px", 1, under="@media x"),
        ]
    )
    assert styles == {1: "width:9px"}
    assert stays == {1: "width:1px !important", 2: "width:2px"}


def test_every_element_is_no_rival_where_it_loses():
    _, stays = decide([entry(0, "*", "margin:0", 1, 2), entry(1, "p", "margin:1px", 1)])
    assert stays == {0: "margin:0"}


def test_layers_need_no_help():
    one = entry(0, ".a", "top:0", 1, under="@layer x")
    one.layered = True
    _, stays = decide([one, entry(1, ".a", "top:1px", 1)])
    assert stays == {0: "top:0"}


@pytest.mark.parametrize(
    ("one", "other", "common"),
    [
        ("color", "color", True), ("border", "border-top-color", True), ("border-top", "border-color", True),
        ("border-top", "border-left-color", False), ("border-color", "border-width", False),
        ("color", "background-color", False), ("all", "color", True), ("all", "--x", False), ("--x", "--x", True),
        ("text-align", "text-align-last", True), ("font", "line-height", True),
        ("border-top-width", "border-width", True),
    ],
)  # fmt: skip
def test_properties_overlap_where_they_set_something_in_common(one, other, common):
    assert overlap(one, other) is overlap(other, one) is common
