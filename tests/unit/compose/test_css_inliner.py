"""Inlining: what is moved, what stays, and that nothing is fetched or read that should not be."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign.compose.html.css.css_inliner import Styles
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


ALONE = """
import sys
from pathlib import Path
from campaign.compose.html.css.css_inliner import Styles
sheet = "@import url(http://example.com/x.css); p { color: red } p[style] { margin: 0 }"
page = f"<style>{sheet}</style><p style='top: url(http://example.com/'>x</p>"
print(Styles(Path(), (Path(),), "premailer").inline(page))
print(*{"cssutils", "premailer", "requests"} & set(sys.modules))
import premailer
print(premailer.transform("<style>i { top: 0 }</style><i>x</i>"))
"""


def test_no_library_that_could_fetch_is_loaded_and_others_get_a_whole_premailer():
    found = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, check=True, timeout=60)
    assert "<p style='color:red; margin:0; top: url(http://example.com/'>x</p>" in found.stdout
    assert "</p>\n\n<html>" in found.stdout
    assert '<i style="top:0">x</i>' in found.stdout


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


BOTH = pytest.mark.parametrize("inliner", ["premailer", "css-inline"])


def body(folder: Path, html: str, inliner: str) -> str:
    return Styles(folder, (folder,), inliner).inline(html)  # type: ignore[arg-type]


@BOTH
@pytest.mark.parametrize(
    "kept",
    [
        "<a href='https://example.com/buy'><table><tr><td>Buy now</td></tr></table></a>",
        "<v:fill type='tile'/><p >x</p >",
        "<br><br/><br /><BR>",
        "<p title='&copy; &#x41; a\n b'>&zwnj;&nbsp;&#8204;\u200c &copy; &amp; & x</p>",
        "<!--[if mso]><v:rect a='--'/><![endif]--><!--[if !mso]><!--><i>x</i><!--<![endif]-->",
        "<a href='https://example.com/größe x?a=1&b=2'>x</a>",
        "<table><tr><td>never closed<td>nor this",
        "</body></html>\n<p>behind the end</p>",
    ],
)
def test_the_source_stays_as_it_was_written(tmp_path, inliner, kept):
    sheet = "<style>.q{top:0}</style>"
    html = f'<!DOCTYPE html PUBLIC "x" "y">\n<HTML xmlns:v="urn:x" lang=de><head>{sheet}</head><body>{kept}'
    assert body(tmp_path, html, inliner) == html.replace(sheet, "")


@BOTH
def test_elements_behind_the_end_get_their_styles_too(tmp_path, inliner):
    done = body(tmp_path, "<style>p{top:0}</style><body></body></html><p>x</p>", inliner)
    assert done == '<body></body></html><p style="top:0">x</p>'


@BOTH
def test_a_rule_for_links_does_not_beat_what_their_author_put_above_it(tmp_path, inliner):
    css = "a:link, a:visited { color: blue } a.b { color: white }"
    done = inline(tmp_path, css, "<a href=x>x</a><a href=x class=b>y</a>", inliner=inliner)
    assert '<a href=x style="color:blue">x</a><a href=x class=b style="color:white !important">y</a>' in done
    assert "a:visited { color: blue !important }" in done


@BOTH
def test_an_important_base_does_not_beat_a_phone_layout(tmp_path, inliner):
    css = ".w { width: 600px !important } @media (max-width: 480px) { .w { width: 100% !important } }"
    done = inline(tmp_path, css, "<table class=w></table>", inliner=inliner)
    assert '<table class=w style="width:600px" width="600">' in done
    assert ".w { width: 100% !important }" in done


@BOTH
@pytest.mark.parametrize(
    "hook",
    [
        "u + .body a",
        "#outlook a",
        ".ExternalClass",
        "[data-ogsc] .t",
        "a[x-apple-data-detectors]",
        "#MessageViewBody a",
    ],
)
def test_what_a_mail_client_needs_stays_word_for_word_and_other_rules_without_use_go(tmp_path, inliner, hook):
    done = inline(tmp_path, f"{hook} {{ top :0 }} .nobody {{ top: 0 }}", "<p class=t>x</p>", inliner=inliner)
    assert f"<style>\n{hook} {{ top :0 }}\n</style>" in done
    assert "nobody" not in done


@BOTH
def test_a_rule_for_what_only_outlook_sees_stays(tmp_path, inliner):
    done = inline(
        tmp_path, ".o { top: 0 } .n { top: 0 }", "<!--[if mso]><p class='a o'></p><![endif]-->", inliner=inliner
    )
    assert ".o { top: 0 }" in done
    assert ".n" not in done


@BOTH
@pytest.mark.parametrize(
    ("css", "tag", "made"),
    [
        ("x { width: 600px }", "table", 'width="600"'),
        ("x { width: 100% !important }", "table", 'width="100%"'),
        ("x { width: 50% }", "img", ""),
        ("x { width: auto }", "td", ""),
        ("x { width: 60.5px }", "td", ""),
        ("x { width: 600px }", "div", ""),
        ("x { height: 20px }", "td", 'height="20"'),
        ("x { height: 20px }", "tr", ""),
        ("x { height: 20px; width: 30px }", "img", 'width="30"'),
        ("x { background-color: #abc }", "td", 'bgcolor="#aabbcc"'),
        ("x { background-color: rgb(0 0 0 / 9%) }", "td", ""),
        ("x { background-color: tomato }", "td", ""),
        ("x { text-align: left; vertical-align: top }", "td", ""),
        ("x { float: left }", "img", ""),
        ("x { width: 600px } [width] { top: 0 }", "table", ""),
    ],
)
def test_attributes_are_made_where_they_are_valid_and_nowhere_else(tmp_path, inliner, css, tag, made):
    html = f"<style>{css.replace('x {', f'{tag} {{')}</style><table><tr><td>"
    html += f"<{tag}>" if tag in ("div", "img", "table") else ""
    done = body(tmp_path, f"<!doctype html>{html}", inliner)
    found = next(part for part in done.split("<") if part.startswith(f"{tag} style"))
    assert found.partition('" ')[2].rstrip(">") == made


@BOTH
@pytest.mark.parametrize("own", ["width=700", "WIDTH='700'", "width"])
def test_an_attribute_of_the_author_is_not_touched(tmp_path, inliner, own):
    done = inline(tmp_path, "table { width: auto }", f"<table {own}></table>", inliner=inliner)
    assert f'<table {own} style="width:auto">' in done


@BOTH
def test_fallback_values_stay_in_order(tmp_path, inliner):
    both = "background:#333;background:linear-gradient(#333,#666)"
    done = inline(tmp_path, f".b{{{both}}} i{{color:red}}", f"<p class=b>x</p><i style='{both}'>x</i>", inliner=inliner)
    assert '<p class=b style="background:#333; background:linear-gradient(#333,#666)">' in done
    assert f"<i style='color:red; {both}'>" in done


@BOTH
@pytest.mark.parametrize(
    ("css", "html", "done"),
    [
        ("td.a:first-child{color:red} td.a{color:blue}", "<table><tr><td class=a>", 'style="color:red"'),
        ("a{color:red !important}", "<a style='color:blue'>", "style='color:blue; color:red'"),
        ("a{color:red}", "<a style='color:blue !important'>", "style='color:blue !important'"),
        ('a{font-family:"It\'s", "B"}', "<a>", 'style="font-family:&quot;It\'s&quot;, &quot;B&quot;"'),
        ('a{font-family:"B"}', "<a>", "style=\"font-family:'B'\""),
        (
            "a{content:'&<'}",
            "<a style='content:&#39;x&#39;'>",
            "style='content:&#39;&amp;&lt;&#39;; content:&#39;x&#39;'",
        ),
        ("p{top:0}", "<p class=>", '<p style="top:0" class=>'),
        ("br{top:0}", "<br/>", '<br style="top:0"/>'),
        ("a{top:0}", "<a href=x/>", '<a href=x/ style="top:0">'),
    ],
)
def test_the_style_attribute_says_what_the_cascade_says(tmp_path, inliner, css, html, done):
    assert done in body(tmp_path, f"<!doctype html><style>{css}</style>{html}", inliner)


@BOTH
def test_nested_rules_move_and_stay_like_others(tmp_path, inliner):
    done = inline(tmp_path, ".a{color:red;@media(x){color:blue}&:hover{top:0}}", "<p class=a>x</p>", inliner=inliner)
    assert '<p class=a style="color:red">' in done
    assert "@media(x) {\n  .a { color:blue !important }\n}\n.a:hover { top:0 !important }" in done


@BOTH
def test_a_sheet_of_which_nothing_stays_leaves_no_element(tmp_path, inliner):
    assert "<style" not in inline(tmp_path, "p { top: 0 }", "<p>x</p>", inliner=inliner)


@BOTH
@pytest.mark.parametrize("own", ["data-premailer='ignore'", "data-css-inline=ignore", "type='text/x-other'"])
def test_a_sheet_that_asks_for_it_is_left_alone(tmp_path, inliner, own):
    html = f"<style {own}>p {{ top: 0 }}</style><p>x</p>"
    assert body(tmp_path, html, inliner) == html


@BOTH
def test_a_row_cannot_pass_for_the_number_of_a_rule(tmp_path, inliner):
    with pytest.raises(ValueError, match="one of our own words"):
        body(tmp_path, "<style>p{top:0}</style><p class='campaign-rule-0'>x</p>", inliner)
