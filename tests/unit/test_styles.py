"""Inlining: what is moved, what stays, and that nothing is fetched or read that should not be."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign.compose.html.css_inliner import Styles
from campaign.errors import ConfigError

WATCH = {"on": False}


def refuse_network(event: str, arguments: tuple[object, ...]) -> None:
    if WATCH["on"] and event in ("socket.connect", "socket.getaddrinfo", "urllib.Request", "socket.gethostbyname"):
        raise AssertionError(f"{event} {arguments!r}")


sys.addaudithook(refuse_network)


@pytest.fixture
def offline() -> Iterator[None]:
    WATCH["on"] = True
    yield
    WATCH["on"] = False


def inline(folder: Path, css: str, body: str, *, head: str = "", inliner: str = "premailer") -> str:
    styles = Styles(folder.resolve(), (folder.resolve(),), inliner)  # type: ignore[arg-type]
    return styles.inline(f"<!doctype html>\n<html><head>{head}<style>{css}</style></head><body>{body}</body></html>")


KEPT = [
    "@font-face { font-family: 'A;b'; src: url(https://example.com/a.woff2) }",
    "@keyframes spin { from { top: 0 } to { top: 9px } }",
    '@import url("https://fonts.example/a.css");',
    "@page { margin: 1cm }",
]


@pytest.mark.parametrize("inliner", ["premailer", "css-inline"])
@pytest.mark.parametrize("rule", KEPT)
def test_at_rules_stay_as_they_are(tmp_path, offline, rule, inliner):
    done = inline(tmp_path, f"{rule} p {{ color: red }}", "<p>x</p>", inliner=inliner)
    assert rule.replace(" ", "") in done.replace(" ", "")
    assert 'style="color:red' in done.replace("color: red", "color:red")


@pytest.mark.parametrize("inliner", ["premailer", "css-inline"])
@pytest.mark.parametrize(
    ("css", "kept"),
    [
        ("@media (width <= 600px) { .x { width: 100% } }", ".x { width: 100% !important }"),
        ("@media screen { .x { top: 0 !important; left: 0 } }", ".x { top: 0 !important; left: 0 !important }"),
        ("@supports (display: grid) { .x { display: grid } }", ".x { display: grid !important }"),
        ("@media print { @supports (a: b) { .x { top: 0 } } }", ".x { top: 0 !important }"),
        ("a:hover { color: red }", "a:hover { color: red !important }"),
        ("* { margin: 0 }", "* { margin: 0 }"),
    ],
)
def test_what_stays_wins_over_what_was_inlined_where_it_should(tmp_path, css, kept, inliner):
    done = inline(tmp_path, css, "<a class=x>x</a>", inliner=inliner)
    assert kept in done


def test_a_rule_with_and_without_hover_is_shared_out(tmp_path):
    done = inline(tmp_path, "a:hover, a { color: red }", "<a>x</a>")
    assert '<a style="color:red">' in done
    assert "<style>\na:hover { color: red !important }\n</style>" in done


@pytest.mark.parametrize("selector", ["P", "DIV > P", "P.Big", "div P.Big", "H1, P"])
def test_names_of_elements_match_in_any_case_and_classes_do_not(tmp_path, selector):
    done = inline(tmp_path, f"{selector} {{ COLOR: red }} .big {{ top: 0 }}", "<div><P class=Big>x</P></div>")
    assert '<P class=Big style="color:red">' in done


def test_what_was_important_wins_in_an_element_without_saying_so(tmp_path):
    done = inline(tmp_path, "p { margin: 0 !important } p.a { margin: 3px }", "<p class=a>x</p>")
    assert '<p class=a style="margin:0">' in done


@pytest.mark.parametrize(
    "value", ["rgb(0 0 0 / 50%)", "clamp(1px, 2vw, 3px)", "var(--brand, red)", "calc(100% - (2px + 1em))"]
)
def test_modern_values_survive_and_never_become_attributes(tmp_path, value):
    done = inline(tmp_path, f"td {{ width: {value}; background-color: {value} }}", "<table><tr><td>x</td></tr></table>")
    assert f'style="width:{value}; background-color:{value}"' in done
    assert "bgcolor" not in done
    assert " width=" not in done


@pytest.mark.parametrize(
    "piece",
    [
        "<!--[if mso]><table><tr><td>&nbsp;<![endif]-->",
        "<!--[if !mso]><!--><b>x</b><!--<![endif]-->",
        "<![if !mso]><b>x</b><![endif]>",
        "a&nbsp;b",
        "<!--[if mso]><style>p { color: red }</style><![endif]-->",
    ],
)
def test_conditional_comments_and_no_break_spaces_survive(tmp_path, piece):
    assert piece in inline(tmp_path, "p { color: blue }", f"<div>{piece}</div>")


@pytest.mark.parametrize(
    "doctype",
    ["<!DOCTYPE html>", "<!doctype html>", '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN"\n "x.dtd">'],
)
def test_the_document_type_stays_as_it_was_written(tmp_path, doctype):
    styles = Styles(tmp_path, (tmp_path,), "premailer")
    assert styles.inline(f"{doctype}<p>x</p>").startswith(doctype)


def test_every_script_survives(tmp_path):
    assert "Zoë 李雷 Ёлка شكرا" in inline(tmp_path, "p { color: red }", "<p>Zoë 李雷 Ёлка شكرا</p>")


@pytest.mark.parametrize(
    "css",
    [
        '@import url("http://169.254.169.254/x.css"); p { color: red }',
        "@import 'https://example.com/x.css';",
        "@IMPORT URL(http://example.com/x.css);",
        "@media screen { @import url(http://example.com/x.css); }",
        "p { background: url(http://example.com/x.png) }",
    ],
)
def test_nothing_is_fetched(tmp_path, offline, css):
    inline(tmp_path, css, "<p>x</p><link rel=stylesheet href='https://example.com/y.css'>")


def test_even_the_css_parser_itself_cannot_fetch(tmp_path, offline):
    import cssutils

    Styles(tmp_path, (tmp_path,), "premailer")
    cssutils.parseString("@import url(http://example.com/x.css);", validate=False)


def test_a_linked_local_sheet_is_inlined_and_a_remote_one_stays_a_link(tmp_path):
    (tmp_path / "own.css").write_text("p { color: red } @media print { p { color: black } }")
    head = '<link rel="stylesheet" href="own.css"><link rel="stylesheet" href="https://example.com/far.css">'
    styles = Styles(tmp_path, (tmp_path,), "premailer")
    done = styles.inline(f"<html><head>{head}</head><body><p>x</p></body></html>")
    assert '<p style="color:red">' in done
    assert "own.css" not in done
    assert "https://example.com/far.css" in done
    assert "color: black !important" in done
    assert set(styles.fingerprints()) == {"own.css"}


def test_an_imported_local_sheet_is_inlined_and_its_circle_ends(tmp_path):
    (tmp_path / "a.css").write_text("@import 'b.css'; p { color: red }")
    (tmp_path / "b.css").write_text("@import url(a.css); p { margin: 0 }")
    done = inline(tmp_path, "@import 'a.css';", "<p>x</p>")
    assert "color:red" in done
    assert "margin:0" in done


def test_a_local_import_under_a_condition_becomes_a_media_rule(tmp_path):
    (tmp_path / "small.css").write_text("p { margin: 0 }")
    assert "@media (max-width: 9px)" in inline(tmp_path, "@import 'small.css' (max-width: 9px);", "<p>x</p>")


@pytest.mark.parametrize("name", ["../secret.css", "/etc/hostname", "file:///etc/hostname", "link.css", "gone.css"])
def test_no_sheet_is_read_from_outside_the_root(tmp_path, name):
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret.css").write_text("p { color: red }")
    (root / "link.css").symlink_to(tmp_path / "secret.css")
    with pytest.raises(ConfigError, match="not there"):
        Styles(root, (root,), "premailer").inline(f'<link rel="stylesheet" href="{name}"><p>x</p>')


@pytest.mark.parametrize("media", ["print", "(max-width: 600px)"])
def test_a_sheet_for_another_medium_stays_and_wins(tmp_path, media):
    html = f'<style>p {{ color: blue }}</style><style media="{media}">p {{ color: red }}</style><p>x</p>'
    done = Styles(tmp_path, (tmp_path,), "premailer").inline(html)
    assert done == f'<style media="{media}">\np {{ color: red !important }}\n</style><p style="color:blue">x</p>'


@pytest.mark.parametrize(
    "css", ["p { color: red", "} p { color: red }", "/* p { }", "@media { ", "p { content: '", ";;{}"]
)
def test_broken_css_does_not_break_the_letter(tmp_path, css):
    assert "<p" in inline(tmp_path, css, "<p>x</p>")


def test_an_empty_document_stays_empty(tmp_path):
    assert Styles(tmp_path, (tmp_path,), "premailer").inline(" \n") == " \n"


def test_a_value_cannot_pass_for_a_word_that_stands_for_something_else(tmp_path):
    hostile = "<p>campaign-veiled-3c623e- c0123456789abx3c623e- <!--x--> \ue000\ue0a0</p>"
    assert hostile in inline(tmp_path, "p:hover { top: 0 }", hostile + "&nbsp;")
