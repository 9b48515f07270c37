"""What a selector asks for: its weight, the part the document decides, and what mail clients add."""

from __future__ import annotations

import pytest

from campaign.compose.html.css.css_selectors import attributes_named, selector


@pytest.mark.parametrize(
    ("text", "matching", "weight"),
    [
        ("p", "p", (0, 0, 1)),
        ("P.Big", "p.Big", (0, 1, 1)),
        ("#a .b > i + u ~ s", "#a .b > i + u ~ s", (1, 1, 3)),
        ("td.a:first-child", "td.a:first-child", (0, 2, 1)),
        ("td:nth-child(2n+1)", "td:nth-child(2n+1)", (0, 1, 1)),
        ("a:link", "a[href]", (0, 1, 1)),
        ("p:not(.a)", "p:not(.a)", (0, 1, 1)),
        ("[TITLE=X]", "[title=X]", (0, 1, 0)),
        ("[ALIGN=Center]", "[align=center]", (0, 1, 0)),
        ("a[href^='tel:']", "a[href^='tel:']", (0, 1, 1)),
        (r".sm\:w", r".sm\:w", (0, 1, 0)),
        ("linearGradient", "linearGradient", (0, 0, 1)),
    ],
)
def test_what_the_document_decides_moves(text, matching, weight):
    found = selector(text)
    assert found.matching.replace("*", "") == matching
    assert found.specificity == weight
    assert found.exact
    assert found.inlinable


@pytest.mark.parametrize(
    ("text", "matching"),
    [
        ("a:hover", "a"),
        ("a.b:visited i", "a.b i"),
        ("p:not(:hover)", "p"),
        ("td:has(img)", "td"),
        (":is(.a, .b) i", "* i"),
        ("li:first-child:hover", "li:first-child"),
    ],
)
def test_what_only_a_reader_decides_is_taken_for_more_than_it_matches(text, matching):
    found = selector(text)
    assert found.matching == matching
    assert not found.exact
    assert not found.inlinable


@pytest.mark.parametrize("text", ["*", ".a > *", "div *"])
def test_what_styles_every_element_stays(text):
    assert selector(text).exact
    assert not selector(text).inlinable


@pytest.mark.parametrize("text", ["p::before", "p:after", "::selection", "p::first-line"])
def test_a_pseudo_element_is_no_element(text):
    assert selector(text).beside


@pytest.mark.parametrize("text", ["p:unknown", "p::thing", "a[b!=c]", "..a", "a >", "@x", "p:nth-child(2 of .a)"])
def test_what_is_not_known_everywhere_is_left_to_the_readers(text):
    assert selector(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "u + .body a", "#outlook a", ".ExternalClass", ".ExternalClass p", "[data-ogsc] .t",
        "a[x-apple-data-detectors]", "#MessageViewBody a", ".moz-text-html .a", "[class~='x_a']", "div > u + .body",
    ],
)  # fmt: skip
def test_what_mail_clients_add_is_known(text):
    assert selector(text).hook


@pytest.mark.parametrize("text", ["p", ".outlook", "#body", ".body u1", "[data-own] .t", "[class~=own]"])
def test_what_authors_call_their_own_is_no_hook(text):
    assert not selector(text).hook


def test_in_quirks_mode_the_case_of_names_does_not_count():
    assert selector(".Big#Top", quirks=True).matching.replace("*", "") in (".big#top", "#top.big")


def test_attributes_that_are_compared_are_named():
    assert attributes_named(["p", "[Width='600'] a[href^=x]", "[style*=a]"]) == {"width", "href", "style"}
