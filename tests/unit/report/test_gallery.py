"""The preview gallery: views of a letter, what is said of each, and no script but the page's own."""

import hashlib
import re
from base64 import b64encode
from html import unescape
from importlib.resources import files

import pytest

from campaign.report.html.gallery import (
    INVERTED,
    OWN_RULES,
    Enclosed,
    Preview,
    gallery,
    write_gallery,
)
from campaign.report.html.simulated_views import in_scheme, inverted, without_images

LETTER = (
    "<!DOCTYPE html><html><head><style>@media (prefers-color-scheme: dark){p{color:#fff}}</style></head>"
    '<body><p>Hello</p><img src="data:image/png;base64,AAAA" alt="a > b"></body></html>'
)


def letter(row: int = 3, **changes) -> Preview:
    given = {
        "label": "first row",
        "row": row,
        "to": "ada@example.com",
        "subject": "Ada, your issue",
        "headers": [("From", "Gazette <news@example.com>"), ("Subject", "Ada, your issue")],
        "html": LETTER,
        "text": "Hello\n  indented",
        "size": 34_210,
        "eml_name": "0003.eml",
        "sender": ("Gazette", "news@example.com"),
        "own_dark": True,
    }
    return Preview(**(given | changes))


@pytest.mark.parametrize(
    "spelled", ["(prefers-color-scheme: dark)", "(prefers-color-scheme:dark)", "( PREFERS-COLOR-SCHEME : Dark )"]
)
def test_a_scheme_is_settled_whatever_the_browser_prefers(spelled):
    html = f"<style>@media {spelled}{{a{{}}}}</style>"
    assert "@media (min-width:0){" in in_scheme(html, "dark")
    assert "@media (max-width:0){" in in_scheme(html, "light")
    assert in_scheme(html, "dark").startswith("<style>:root{color-scheme:dark!important}</style>")


@pytest.mark.parametrize(
    "doctype", ["<!DOCTYPE html>", '\n<!doctype html PUBLIC "-//W3C//DTD XHTML 1.0//EN">', "<!-- x --><!doctype html>"]
)
def test_the_doctype_stays_first_so_that_the_letter_is_laid_out_as_it_was(doctype):
    assert in_scheme(f"{doctype}<html>", "dark").startswith(f"{doctype}<style>")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('<img src="data:x" alt="a > b" width=3>', '<img alt="a > b" width=3>'),
        ("<IMG alt='x' SRC = 'data:x'>", "<IMG alt='x'>"),
        ("<img\nsrc=data:x srcset='a 2x' sizes=1 alt>", "<img alt>"),
        ('<td background="data:x" bgcolor="#fff">', '<td bgcolor="#fff">'),
        ("<p style=\"background:#fff url('data:x;y') no-repeat\">", '<p style="background:#fff none no-repeat">'),
        ('<p title="src=x">src="y"</p>', '<p title="src=x">src="y"</p>'),
    ],
)
def test_with_images_off_sources_go_and_alternative_texts_stay(before, after):
    assert without_images(before).endswith(f"</style>{after}")


def test_each_letter_is_seen_wide_narrow_dark_with_images_off_as_text_and_by_its_headers():
    html = gallery([letter()], "gazette")
    frames = [unescape(one) for one in re.findall(r'srcdoc="([^"]*)"', html)]
    assert len(frames) == 5
    assert sum("color-scheme:dark!" in one for one in frames) == 2
    assert sum("data:image/png" in one for one in frames) == 4
    for said in ("Wide, 600 px", "Narrow, 375 px", "Images off", "Hello\n  indented", "34.2 kB", 'href="0003.eml"'):
        assert said in html
    assert "Gazette &lt;news@example.com&gt;" in html


def test_every_frame_is_a_sandbox_in_which_no_script_runs_and_no_window_opens():
    html = gallery([letter(), letter(5, own_dark=False)], "gazette")
    assert html.count("<iframe") == html.count('sandbox="allow-same-origin"') == 10
    assert "allow-scripts" not in html
    for frame in re.findall(r'srcdoc="([^"]*)"', html):
        assert unescape(frame).count("default-src 'none'; style-src 'unsafe-inline'; img-src data:") == 1


def test_the_only_script_is_the_one_that_measures_allowed_by_its_hash():
    html = gallery([letter(html="<script>x</script>")], "gazette")
    code = files("campaign.report.html").joinpath("gallery.js").read_text("utf-8")
    digest = b64encode(hashlib.sha256(code.encode()).digest()).decode()
    assert re.findall(r"<script>(.*?)</script>", html, re.DOTALL) == [code]
    assert re.findall(r"script-src ([^\"]*)\"", unescape(html)) == [f"'sha256-{digest}'"]


def test_a_letter_stands_on_top_as_a_line_of_an_inbox():
    html = gallery([letter(preheader="Three <things> inside")], "gazette")
    line = html[html.index('class="inbox"') : html.index("<h2")]
    for said in ("Gazette", "Ada, your issue", "Three &lt;things&gt; inside"):
        assert said in line
    assert "attachment" not in line
    assert "No sender" in gallery([letter(sender=("", ""))], "gazette")


def test_attachments_are_listed_and_lead_to_their_bytes():
    given = [
        Enclosed("Rechnung & mehr.pdf", "application/pdf", 24_300, "row-3-1-Rechnung.pdf"),
        Enclosed("page.html", "text/html", 30, "data:application/octet-stream;base64,PGI+", saved=True),
        Enclosed("", "image/svg+xml", 5_000_000, "", saved=True),
    ]
    html = gallery([letter(attachments=given)], "gazette")
    assert html.count("3 attachments") == 2
    assert '<a href="row-3-1-Rechnung.pdf" target="_blank"><bdi>Rechnung &amp; mehr.pdf</bdi>' in html
    assert "application/pdf, 24.3 kB<" in html
    assert 'href="data:application/octet-stream;base64,PGI+" target="_blank" download="page.html"' in html
    assert "text/html, 30 B, saved and not opened" in html
    assert "image/svg+xml, 5.0 MB, look into the .eml file" in html


def test_addresses_are_shown_with_the_domain_that_people_know():
    html = gallery([letter(to="ada@xn--bcher-kva.example", sender=("", "news@xn--bcher-kva.example"))], "gazette")
    assert html.count("@bücher.example") == 3, "the inbox, From and To"


@pytest.mark.parametrize(("own_dark", "said", "views"), [(True, OWN_RULES, 2), (False, INVERTED, 0)])
def test_dark_views_follow_the_letters_rules_or_are_inverted_and_say_which(own_dark, said, views):
    html = gallery([letter(own_dark=own_dark)], "gazette")
    assert said.replace("'", "&#x27;") in html
    assert unescape(html).count("<style>:root{color-scheme:dark!important}") == views
    assert html.count('class="pane wide inverted"') == (0 if own_dark else 1)
    assert inverted("<img>").endswith("</style><img>")


def test_a_tab_says_why_a_letter_is_shown_and_what_differs_and_the_page_what_is_not_shown():
    letters = [letter(2, label="first", detail="plan: free"), letter(3, label="plan: pro"), letter(4, label="row 4")]
    html = gallery(letters, "gazette", ["name", "plan"], notes=["28 more forms are not shown"])
    assert "<b>first</b><span>row 2 · plan: free</span>" in html
    assert "<b>plan: pro</b><span>row 3</span>" in html
    assert "<b>row 4</b><span></span>" in html
    assert "28 more forms are not shown." in html
    assert "<code>name</code> <code>plan</code>" in html


def test_letters_are_chosen_by_radio_buttons_and_the_first_is_shown():
    html = gallery([letter(at, label=f"shape {at}") for at in (1, 2, 3)], "gazette")
    assert html.count('type="radio"') == 3
    assert re.findall(r'id="(pick-\d)" class="pick" checked', html) == ["pick-1"]
    for at in (1, 2, 3):
        assert f"#pick-{at}:checked~main #letter-{at}{{display:block}}" in html
        assert f'for="pick-{at}"' in html


def test_a_letter_of_text_alone_has_no_frames():
    html = gallery([letter(html="", eml_name="")], "alert")
    assert "<iframe" not in html
    assert "Hello" in html


def test_values_from_rows_cannot_leave_their_place():
    hostile = "</textarea></iframe><script>x</script>\"'\x1b"
    html = gallery(
        [
            letter(
                label=hostile,
                to=hostile,
                subject=hostile,
                html=hostile,
                text=hostile,
                headers=[(hostile, hostile)],
                detail=hostile,
                sender=(hostile, hostile),
                preheader=hostile,
                attachments=[Enclosed(hostile, hostile, 1, "x", saved=True)],
            )
        ],
        hostile,
    )
    assert html.count("<script") == 1
    assert "\x1b" not in re.sub(r'srcdoc="[^"]*"', "", html)


def test_a_large_letter_takes_no_time():
    big = LETTER.replace("AAAA", "A" * 2_000_000) + "<img " + "'" * 5_000 + '<p style="x:url(' * 2_000
    assert "AAAA" not in without_images(LETTER.replace("AAAA", "A" * 2_000_000))
    assert len(in_scheme(big, "dark")) > 2_000_000
    assert without_images(big)


def test_the_page_is_for_the_owner_only(tmp_path):
    path = write_gallery(tmp_path, [letter()], title="gazette")
    assert path.name == "index.html"
    assert path.stat().st_mode & 0o777 == 0o600
