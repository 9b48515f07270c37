"""The preview gallery: views of a letter, and no script between the letters."""

import re
from html import unescape

import pytest

from campaign.report.html.gallery import Preview, gallery, in_scheme, without_images, write_gallery

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


def test_every_frame_is_a_sandbox_without_any_permission():
    html = gallery([letter(), letter(5)], "gazette")
    assert html.count("<iframe") == html.count('sandbox=""') == 10
    assert "<script" not in html


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
        [letter(label=hostile, to=hostile, subject=hostile, html=hostile, text=hostile, headers=[(hostile, hostile)])],
        hostile,
    )
    assert "<script" not in html
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
