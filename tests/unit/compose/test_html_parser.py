"""HTML as a tree: what a browser sees, of anything that people send."""

from __future__ import annotations

import pytest

from campaign.compose.html.html_parser import parse_html
from campaign.compose.html.tree_diff import difference


def shape(html: str) -> str:
    """The body as nested names: ``a(table(tbody(tr(td))))``."""

    def told(element) -> str:
        inner = " ".join(told(child) for child in element if isinstance(child.tag, str))
        return f"{element.tag}({inner})" if inner else element.tag

    return " ".join(told(child) for child in parse_html(html).find("body"))


@pytest.mark.parametrize(
    ("html", "seen"),
    [
        ("<a href=x><table><tr><td>Buy</td></tr></table></a>", "a(table(tbody(tr(td))))"),
        ("<html><body><p>x</p></body></html><p>foot</p>", "p p"),
        ("<p>a<div>b</div></p>", "p div p"),
        ("<b>1<p>2</b>3</p>", "b p(b)"),
        ("<table><p>x</p></table>", "p table"),
        ("<td>x</td>", ""),
        ("<v:fill/><p>x</p>", "v:fill(p)"),
        ("<template><p>x</p></template>", "template-(p)"),
        ("<body><noscript><p>x</p></noscript>", "noscript(p)"),
        ("", ""),
    ],
)
def test_the_tree_is_that_of_a_browser(html, seen):
    assert shape(html) == seen


def test_comments_keep_what_they_hold_also_around_the_document():
    page = parse_html("<!--a--b--><!doctype html><html><body><!--[if mso]>-- --<![endif]--></body></html><!--c-->")
    assert page.getprevious().text == "a--b"
    assert page.find("body")[0].text == "[if mso]>-- --<![endif]"
    assert page.getnext().text == "c"


def test_names_that_xml_does_not_know_do_no_harm():
    page = parse_html('<p @click=1 a"b=2 {x=3 xmlns:v=4 v:y=5><o:p>x</o:p><a"b>y</a"b>')
    [paragraph] = page.find("body")
    assert paragraph.attrib.values() == ["1", "2", "3", "4", "5"]
    assert [child.tag for child in paragraph] == ["o:p", "unknown"]


def test_control_characters_are_left_out_and_surrogates_refused():
    assert parse_html("<p title='&#2;a'>&#3;b\x0cc</p>").find("body")[0].get("title") == "a"
    with pytest.raises(UnicodeEncodeError):
        parse_html("\ud800")


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ("<p>a</p>", "<P >a</P>", ""),
        ("<p title=a>", "<p title='a'>", ""),
        ("<a href='/ü b'>x</a>", "<a href='/%C3%BC%20b'>x</a>", ""),
        ("<p>a</p>", "<p>b</p>", "text of <p>"),
        ("<p>a</p>", "<i>a</i>", "<p> stands where"),
        ("<p title=a>", "<p title=b>", "attributes of <p>"),
        ("<p>a</p>b", "<p>a</p>c", "tail of <p>"),
        ("<p><b>a</b></p>", "<p></p>", "holds 1 elements and 0"),
        ("<!--a--><p>", "<!--b--><p>", ""),
        ("<p><!--a--></p>", "<p><!--b--></p>", "text of <comment>"),
    ],
)
def test_two_pages_differ_in_what_a_reader_could_see(one, other, words):
    found = difference(one, other)
    assert words in found
    assert bool(words) == bool(found)
