"""Start tags in a source: found where browsers find them, and edited without touching anything else."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from campaign.compose.html.start_tags import MOST_OPEN, edited, element_end, start_tags, text_of


def names(source: str) -> list[str]:
    return [tag.name for tag in start_tags(source)]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("<p>a<B>b</B></p>", ["p", "b"]),
        ("<!-- <p> --><i>", ["i"]),
        ("<!--><p>--><i>", ["p", "i"]),
        ("<!---><p>", ["p"]),
        ("<!-- a --!><p>", ["p"]),
        ("<!-- never closed <p>", []),
        ("<!--[if mso]><v:rect><![endif]--><p>", ["p"]),
        ("<![if !mso]><p><![endif]>", ["p"]),
        ("<!DOCTYPE html PUBLIC '-//x>' 'y'><p>", ["p"]),
        ("<?xml version='1.0'?><p>", ["p"]),
        ("</3><p>", ["p"]),
        ("<style>a > b { content: '<p>' }</style><p>", ["style", "p"]),
        ("<STYLE>x</styles></Style ><p>", ["style", "p"]),
        ("<title><p></title><textarea><p></textarea><p>", ["title", "textarea", "p"]),
        ("a < b <p>", ["p"]),
        ("<p title='>'><i>", ["p", "i"]),
        ('<p title=">" alt=">"><i>', ["p", "i"]),
        ("<p title=a'b><i>", ["p", "i"]),
        ('<p a"b><i>', ["p", "i"]),
        ("<v:fill type='tile'/><o:p></o:p>", ["v:fill", "o:p"]),
        ("<p class='never closed><i>", []),
        ("<p", []),
        ("", []),
    ],
)
def test_tags_are_found_where_a_browser_finds_them(source, found):
    assert names(source) == found


@pytest.mark.parametrize(
    ("source", "values"),
    [
        ("<p a=1 B='2' c=\"3\" d e=>", {"a": "1", "b": "2", "c": "3", "d": "", "e": ""}),
        ("<p a = 1\n b\t=\t'2'>", {"a": "1", "b": "2"}),
        ("<p a=1 a=2>", {"a": "1"}),
        ("<p a='&lt;&amp;&#39;'>", {"a": "<&'"}),
        ("<a href=x/>", {"href": "x/"}),
        ("<br/>", {}),
        ("<p/class=a>", {"class": "a"}),
        ("<p =a=b>", {"=a": "b"}),
    ],
)
def test_attributes_are_read_as_a_browser_reads_them(source, values):
    [tag] = start_tags(source)
    assert tag.values(source) == values


PIECES = st.sampled_from(
    ["<p>", "</p>", "<div class='a'>", "</div>", "<br/>", "text ", "&lt;", "<!-- c -->", "<a href=x>", "</a>", "<b",
     ">", "<style>", "</style>", "<!--", "-->", "<title>", "</title>", "'", '"', "=", "/", "<i title='", '<i a="', "< ",
     "<3"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=12))
def test_no_element_of_a_browser_has_a_start_tag_that_was_not_found(pieces):
    source = "".join(pieces)
    tags = start_tags(source)
    numbered = edited(source, [(one.start + 1 + len(one.name),) * 2 + (f" n={at} ",) for at, one in enumerate(tags)])
    page = LexborHTMLParser(numbered)
    for node in page.root.traverse():
        if not node.is_element_node:
            continue
        if (number := node.attributes.get("n")) is not None:
            assert tags[int(number)].name == node.tag
        else:
            assert node.tag in ("html", "head", "body", "p", "br"), numbered  # what a parser makes by itself


def test_an_edit_changes_its_part_and_nothing_else():
    source = "<p>&nbsp;<i  A=1>x</i>\r\n</p>"
    assert edited(source, [(9, 17, "<b>"), (3, 3, "!")]) == "<p>!&nbsp;<b>x</i>\r\n</p>"


def test_the_text_of_a_sheet_ends_at_its_end_tag():
    source = "<style>a{}</style ><p>"
    [style, _] = start_tags(source)
    assert source[slice(*text_of(source, style))] == "a{}"
    assert source[element_end(source, style) :] == "<p>"
    [alone] = start_tags("<style>a{}")
    assert element_end("<style>a{}", alone) == 10


@pytest.mark.parametrize("unit", ["<div>", "<b>", "<b id={}>", "<div><p>", "<table><tr><td>", "<ul><li>"])
def test_what_nests_without_end_is_refused_at_once(unit):
    source = "".join(unit.format(number) for number in range(200_000 // len(unit)))
    began = time.thread_time()
    with pytest.raises(ValueError, match="inside each other"):
        start_tags(source)
    assert time.thread_time() - began < 1


@pytest.mark.parametrize("unit", ["<div>x</div>", "<p>x", "<li>x", "<tr><td>x", "<br>", "<img src=x>"])
def test_what_only_stands_beside_each_other_is_not_deep(unit):
    assert len(start_tags(unit * 5 * MOST_OPEN)) >= 5 * MOST_OPEN
