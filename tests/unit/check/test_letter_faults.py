"""What is noticed in a letter, what is not, and which letters are so alike that one look is enough."""

from __future__ import annotations

import hashlib
import json
from base64 import encodebytes
from importlib import resources
from quopri import encodestring
from typing import Any

import pytest

from campaign.check.letters import client_support
from campaign.check.letters.equivalence_classes import html_octets, kind, oddities
from campaign.check.letters.html_faults import CLIPPED, link, web_links
from campaign.check.letters.letter_fault import Fault, merged
from campaign.check.letters.structure import letter_faults, unsubscribe_url
from campaign.compose.mime.read_back import read_letter, visible
from campaign.model import Letter, Recipient

TO = "ada@example.com"
WAY_OUT = "https://example.com/u/abc?x=1&y=2"
HEADERS = {
    "From": "Gazette <news@example.com>",
    "To": f"Ada <{TO}>",
    "Subject": "News",
    "Date": "Mon, 23 Nov 2026 08:00:00 +0000",
    "Message-ID": "<1@example.com>",
    "MIME-Version": "1.0",
    "List-Unsubscribe": f"<{WAY_OUT}>",
    "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    "Content-Type": 'multipart/alternative; boundary="=_x"',
}
GOOD_HTML = f'<p>Dear Ada,</p><a href="{WAY_OUT.replace("&", "&amp;")}">Unsubscribe</a>'
GOOD_TEXT = f"Dear Ada,\n\nUnsubscribe: {WAY_OUT}\n"


def letter(
    html: str = GOOD_HTML, text: str = GOOD_TEXT, extra: str = "", *, base64: bool = False, **headers: str
) -> Letter:
    """A letter with these parts; headers by their names with ``_`` for ``-``, empty to leave one out."""
    merged_headers = {**HEADERS, **{name.replace("_", "-"): value for name, value in headers.items()}}
    block = "".join(f"{name}: {value}\r\n" for name, value in merged_headers.items() if value)
    encode, name = (encodebytes, "base64") if base64 else (encodestring, "quoted-printable")
    parts = [
        f"--=_x\r\nContent-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: {name}\r\n\r\n"
        + encode(body.encode()).decode().replace("\n", "\r\n")
        + "\r\n"
        for kind, body in (("plain", text), ("html", html))
        if body
    ]
    content = (block + extra + "\r\n" + "".join(parts) + "--=_x--\r\n").encode()
    return Letter(0, "<1@example.com>", "news@example.com", TO, content, hashlib.sha256(content).digest())


def faults(one: Letter, row: dict[str, Any] | None = None, printed: list[list[object]] | None = None) -> list[Fault]:
    recipient = Recipient(0, TO, TO, "Ada", 2, row or {})
    return list(letter_faults(one, read_letter(one.content), recipient, unsubscribe=True, printed=printed or []))


def codes(one: Letter, row: dict[str, Any] | None = None, printed: list[list[object]] | None = None) -> list[str]:
    return [fault.code for fault in faults(one, row, printed)]


def test_a_good_letter_has_no_fault():
    assert faults(letter()) == []
    assert faults(letter(base64=True)) == []


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"Message_ID": ""}, "header-count"),
        ({"extra": "Reply-To: a@example.com\r\nReply-To: b@example.com\r\n"}, "header-count"),
        ({"To": "Eve <eve@example.com>"}, "to-differs"),
        ({"To": f"Ada <{TO}>, eve@example.com"}, "to-differs"),
        ({"Subject": "x" * 900 + "\r\n " + "y" * 100}, "subject-long"),
        ({"Subject": " "}, "subject-empty"),
        ({"List_Unsubscribe_Post": ""}, "no-one-click"),
        ({"List_Unsubscribe": "<mailto:out@example.com>"}, "no-one-click"),
        ({"X_Long": "x" * 1000}, "line-long"),
        ({"X_Bare": "a\nb: c"}, "bare-line-end"),
        ({"X_Eight": "ä"}, "eight-bit"),
        ({"text": "\n"}, "no-text"),
        ({"text": "Dear Ada, no way out"}, "unsubscribe-hidden"),
        ({"html": "<p>Dear Ada</p>"}, "unsubscribe-hidden"),
        ({"html": f'{GOOD_HTML.replace(">Unsubscribe<", "> <")}'}, "unsubscribe-hidden"),
        ({"html": GOOD_HTML + '<img src="cid:none" alt="">'}, "cid-missing"),
        ({"html": GOOD_HTML + '<img src="data:image/png;base64,AA" alt="x">'}, "client-support"),
        ({"html": GOOD_HTML + '<img src="https://example.com/x.png" alt="x">'}, "remote-image"),
        ({"html": GOOD_HTML + '<img src="https://example.com/x.png">'}, "no-alt"),
        ({"html": GOOD_HTML + '<a href="/shop">shop</a>'}, "link-relative"),
        ({"html": GOOD_HTML + '<div style="display: FLEX !important">x</div>'}, "client-support"),
        ({"html": GOOD_HTML + f"<p>{'x' * CLIPPED}</p>"}, "clipped"),
    ],
)  # fmt: skip
def test_each_fault_is_found(changed: dict[str, str], code: str):
    found = codes(letter(**changed))
    assert code in found
    assert set(found) <= {code, "remote-image", "unsubscribe-hidden", "no-text"}


def test_a_part_that_is_shown_nowhere_is_found():
    image = "--=_x\r\nContent-Type: image/png\r\nContent-ID: <a@image>\r\n"
    image += "Content-Disposition: inline; filename=moon.png\r\n\r\nAA\r\n"
    whole = letter()
    content = whole.content.replace(b"--=_x--", image.encode() + b"--=_x--")
    found = faults(Letter(0, whole.message_id, whole.sender, TO, content, b""))
    assert [(fault.code, "moon.png" in fault.message) for fault in found] == [("cid-unused", True)]


def test_faults_that_differ_in_their_place_are_one():
    (fault,) = faults(letter("<p>Dear <b> </b>,</p>" + GOOD_HTML, "Dear ,\n" + GOOD_TEXT))
    assert (fault.code, fault.where) == ("empty-greeting", "text part, HTML part")
    assert merged([Fault("error", "a", "m", "x"), Fault("error", "a", "n", "x")]) == (
        Fault("error", "a", "m", "x"),
        Fault("error", "a", "n", "x"),
    )


@pytest.mark.parametrize(
    ("text", "nobody"),
    [
        ("Dear ,", True),
        ("Dear,", True),
        ("Dear\xa0,\nhow are you", True),
        ("Hello , it is us", True),
        ("Hi !", True),
        ("Liebe ,", True),
        ("Sehr geehrter ,", True),
        ("Chère ,", True),
        ("Estimado :", True),
        ("Уважаемый ,", True),
        ("さん、こんにちは", True),
        ("Dear Ada,", False),
        ("Hello,", False),
        ("Good evening, friend of the night", False),
        ("Bonjour !", False),
        ("Welcome, everybody", False),
        ("Take care, Hi-fi , fans", False),
        ("星野さん、こんにちは", False),
        ("Oh dear, what now", False),
        ("Das Beste: unser neues Heft", False),
        ("Aus Liebe, und sonst nichts", False),
        ("Una cosa cara, pero buena", False),
        ("Geachte,", True),
        ("Beste ,", True),
    ],
)
def test_a_greeting_of_nobody_is_told_from_one_that_may_stand_alone(text: str, nobody: bool):
    assert ("empty-greeting" in codes(letter(text=text + "\n" + GOOD_TEXT))) is nobody


def test_what_surrounds_a_name_in_html_does_not_hide_that_it_is_missing():
    assert visible("<head><title>x</title></head><p>Dear <b>\n</b>&nbsp;,</p>").strip() == "Dear \n\xa0,"
    assert codes(letter("<p>Dear <bdi></bdi>,</p>" + GOOD_HTML)) == ["empty-greeting"]
    assert codes(letter("<td>Hello</td><td>, everybody</td>" + GOOD_HTML)) == []


@pytest.mark.parametrize("mark", ["{{ name }}", "{% if x %}", "*|FNAME|*", "%%first_name%%", "${name}", "[FIRST_NAME]"])
def test_a_mark_that_nothing_filled_in_is_found_unless_the_row_brought_it(mark: str):
    one = letter(text=mark + "\n" + GOOD_TEXT)
    assert codes(one) == ["left-over"]
    assert codes(one, {"note": f"I like {mark}"}) == []
    assert codes(one, {"lines": [{"article": mark}]}) == []


def test_a_value_that_means_nothing_is_told_from_the_same_word_in_the_text():
    one = letter(text="None of us is undefined.\n" + GOOD_TEXT)
    assert codes(one, printed=[["Ada"], [3, "Ada"]]) == []
    (fault,) = faults(one, printed=[["Ada"], ["None"]])
    assert (fault.code, fault.where) == ("nothing-value", "the template")
    (fault,) = faults(one, {"city": "nan"}, printed=[["nan"]])
    assert (fault.code, fault.where) == ("nothing-value", "a column")


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("https://example.com/a?b=c#d", ""),
        ("mailto:ada@example.com", ""),
        ("tel:+49", ""),
        ("#top", ""),
        ("", "link-empty"),
        ("#", "link-empty"),
        ("www.example.com", "link-relative"),
        ("/a", "link-relative"),
        ("https:///a", "link-relative"),
        ("javascript:alert(1)", "link-relative"),
        ("http://example.com", "link-insecure"),
        ("http://localhost:8000/x", "link-local"),
        ("https://shop.localhost/", "link-local"),
        ("https://127.0.0.1/", "link-local"),
        ("https://10.1.2.3/", "link-local"),
        ("https://172.20.0.1/", "link-local"),
        ("https://172.40.0.1/", ""),
        ("https://192.168.0.1/", "link-local"),
        ("https://[::1]/", "link-local"),
        ("https://printer.local/", "link-local"),
        ("https://localhost.example.com/", ""),
        ("https://[::1", "link-broken"),
    ],
)
def test_links_are_judged_without_asking(target: str, code: str):
    assert [fault.code for fault in link(target)] == ([code] if code else [])


def test_a_subject_that_lost_its_first_value_greets_nobody():
    assert codes(letter(Subject=", your November issue")) == ["empty-greeting"]
    assert codes(letter(Subject="Now: your November issue")) == []


def test_a_line_that_lost_its_first_value_greets_nobody_if_a_value_was_blank():
    one = letter(f"<h1>, welcome</h1>{GOOD_HTML}")
    assert codes(one, printed=[["Ada", " "]]) == ["empty-greeting"]
    assert codes(one, printed=[["Ada"]]) == []


@pytest.mark.parametrize("mark", ["{name}", "%name%", "<<name>>", "«name»", "[[name]]", "[FNAME]", "%recipient.x%"])
def test_marks_of_other_programs_are_left_over_if_they_name_a_column(mark: str):
    assert "left-over" in codes(letter(text=f"Dear {mark},\n{GOOD_TEXT}"), {"name": "Ada"})


@pytest.mark.parametrize("text", ["100% off, 20% on", "{curly}", "f(x) << 3 >> 1", "[[draft]]", "{other}"])
def test_braces_and_signs_that_name_no_column_are_words(text: str):
    assert codes(letter(text=f"{text}\n{GOOD_TEXT}"), {"name": "Ada"}) == []


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("http://localhost:8000/x", "link-local"),
        ("https://10.0.0.1/graph", "link-local"),
        ("http://example.com/", "link-insecure"),
        ("https://example.com/", ""),
    ],
)
def test_links_of_the_text_part_are_judged_too(target: str, code: str):
    found = faults(letter(text=f"See {target}.\n{GOOD_TEXT}"))
    assert [(one.code, one.where) for one in found] == ([(code, "text part")] if code else [])


def test_an_alert_of_text_alone_may_lead_into_the_house_but_not_to_the_readers_own_machine():
    def told(target: str) -> list[str]:
        one = letter(html="", text=f"disk full: {target}\n", List_Unsubscribe="", List_Unsubscribe_Post="")
        recipient = Recipient(0, TO, TO, "Ada", 2, {})
        return [fault.code for fault in letter_faults(one, read_letter(one.content), recipient, unsubscribe=False)]

    assert told("http://10.0.0.1/graph") == told("http://grafana.internal/d/1") == []
    assert told("http://localhost:3000/d/1") == ["link-local"]


def test_a_link_amid_the_words_of_a_row_is_the_rows_affair():
    note = "I saw it at http://localhost/ once"
    assert codes(letter(text=f"{note}\n{GOOD_TEXT}"), {"note": note}) == []
    assert codes(letter(text=f"http://localhost/\n{GOOD_TEXT}"), {"note": "http://localhost/"}) == ["link-local"]


@pytest.mark.parametrize("style", ["display:none", "color:red; visibility: hidden"])
def test_a_way_out_that_nobody_sees_is_none(style: str):
    assert "unsubscribe-hidden" in codes(letter(f'<div style="{style}">{GOOD_HTML}</div>'))
    assert "unsubscribe-hidden" not in codes(letter(f'<div style="{style}">{GOOD_HTML}</div>{GOOD_HTML}'))


@pytest.mark.parametrize(
    ("head", "told"),
    [
        ('<link rel="stylesheet" href="https://fonts.googleapis.com/css?family=Ubuntu">', False),
        ('<link rel="preconnect" href="https://example.com">', False),
        ('<link rel="stylesheet" href="https://example.com/site.css">', True),
        ('<style>@import url("https://use.typekit.net/x.css");</style>', False),
        ('<style>@import url("https://example.com/site.css");</style>', True),
    ],
)
def test_a_web_font_has_others_behind_it_and_a_style_sheet_from_elsewhere_has_not(head: str, told: bool):
    assert ("client-support" in codes(letter(f"<head>{head}</head>{GOOD_HTML}"))) is told


def test_the_links_to_ask_are_those_of_the_web_once():
    one = letter(
        '<a href="http://example.com/a">a</a><a href="mailto:x@example.com">b</a>', "See https://example.org/b."
    )
    assert web_links(read_letter(one.content)) == ["http://example.com/a", "https://example.org/b"]
    assert unsubscribe_url(read_letter(one.content)) == WAY_OUT


# -- what mail readers ignore


@pytest.mark.parametrize(
    ("html", "titles"),
    [
        ("<p>plain</p>", []),
        ("", []),
        ("<!-- nothing -->", []),
        ('<div style="display:flex">x</div>', ["display:flex"]),
        ('<div style="display:block; display:flex">x</div>', []),
        ('<div style="display:inline-block; border-radius:4px; max-width:600px">x</div>', []),
        ('<div style="width:calc(100% - 2px)">x</div>', ["CSS calc() function"]),
        ('<div style="width:90%; width:calc(100% - 2px)">x</div>', []),
        ('<p style="font-size:1.5rem; margin:0 2rem">x</p>', ["rem unit"]),
        ('<table><tr><td style="background:linear-gradient(red,blue)">x</td></tr></table>', ["linear-gradient()"]),
        ('<table><tr><td bgcolor="#fff" style="background:linear-gradient(red,blue)">x</td></tr></table>', []),
        ('<table><tr><td style="background-color:#fff; background-image:url(cid:a)">x</td></tr></table>', []),
        ('<table><tr><td style="background-image:url(cid:a)">x</td></tr></table>', ["background-image"]),
        ('<p style="position:relative; float:none">x</p>', []),
        ('<p style="position:absolute">x</p>', ["position"]),
        ("<video src='x'></video>", ["<video> element"]),
        ("<video src='x'><a href='https://example.com'>watch</a></video>", []),
        ("<picture><source><img src='cid:a' alt=''></picture>", []),
        ("<style>@media (max-width: 600px) { .a { display: flex } .b { position: absolute } }</style>x", []),
        ("<style>@supports (display: grid) { .a { display: grid } } a:hover { color: red }</style>x", []),
        ("<style>/* .a { display: flex } */ .a::before { content: 'x' }</style>x", ["::before"]),
        ("<style>@import url(https://example.com/x.css); .a { display: grid }</style>x", ["@import", "display:grid"]),
        ("<!--[if !mso]><!--><div style='display:flex'>x</div><!--<![endif]-->", []),
        ("<!--[if mso]><div style='display:flex'>x</div><![endif]-->", ["display:flex"]),
        ("<!--[if mso]><table><![endif]--><div style='position:fixed'>x</div>", ["position"]),
    ],
)
def test_what_breaks_a_letter_where_it_is_ignored(html: str, titles: list[str]):
    assert [feature.title for feature, _ in client_support.ignored(html)] == titles


def test_what_only_outlook_does_not_see_is_not_held_against_it():
    ((_, readers),) = client_support.ignored("<!--[if !mso]><!--><p style='position:fixed'>x</p><!--<![endif]-->")
    assert "Outlook (Windows)" not in readers
    assert "Gmail" in readers


def test_pictures_of_a_kind_that_some_readers_do_not_show_are_named():
    ((feature, readers),) = client_support.image_ignored("image/webp")
    assert (feature.title, readers) == ("webP image format", "Outlook (Windows)")
    assert client_support.image_ignored("image/png") == []


def test_the_data_says_where_it_is_from_and_names_only_readers_it_explains():
    folder = resources.files("campaign.check.letters").joinpath("data")
    table = json.loads(folder.joinpath("client_support.json").read_text(encoding="utf-8"))
    assert "MIT" in table["source"]
    assert "Permission is hereby granted" in folder.joinpath("LICENSE-caniemail.txt").read_text(encoding="utf-8")
    assert all(one["remedy"] and one["ignored"] and one["names"] for one in table["features"])
    assert {reader for one in table["features"] for reader in one["ignored"]} <= table["readers"].keys()
    assert "outlook.windows" in next(one for one in table["features"] if one["title"] == "display:flex")["ignored"]


# -- kinds


def of_kind(
    one: Letter, *values: object, name: str = "Ada", statics: tuple[str | None, ...] = ("Dear ", None)
) -> object:
    recipient = Recipient(0, one.recipient, one.recipient, name, 2, {})
    return kind([(("News",), []), (statics, list(values))], recipient, one)


def test_ordinary_values_make_no_kind_of_their_own():
    assert of_kind(letter(), "Ada", 3) == of_kind(letter(), "Zoë Müller", 4)
    assert of_kind(letter(), "https://example.com/1") == of_kind(letter(), "https://example.com/2")


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        None,
        "https://example.com/",
        "http://example.com/",
        "https://localhost/",
        "https://10.0.0.1/",
        "None",
        "nan",
    ],
)
def test_a_value_that_could_be_a_fault_makes_a_kind_of_its_own(value: object):
    assert of_kind(letter(), value) != of_kind(letter(), "Ada")


def test_another_branch_another_name_or_another_header_make_another_kind():
    usual = of_kind(letter(), "Ada")
    assert of_kind(letter(), "Ada", statics=("Hello ", None)) != usual
    assert of_kind(letter(), "Ada", name="Ada, Countess <x@example.com>") != usual
    assert of_kind(letter(extra="X-More: 1\r\n"), "Ada") != usual
    assert of_kind(letter(To="eve@example.com"), "Ada") != usual
    assert of_kind(letter(X_Long="x" * 1000), "Ada") != of_kind(letter(X_Long="x"), "Ada")


def test_odd_values_are_told_by_place_and_by_what_they_lead_to():
    assert oddities(["Ada", "https://example.com/a", "http://example.com/b/c", "None"]) == (
        (1,),
        (),
        ((2, "http://example.com"), (3, "None")),
    )


@pytest.mark.parametrize("base64", [False, True])
@pytest.mark.parametrize("character", ["x", "ü", "=", "line\n"])
@pytest.mark.parametrize("over", [-1, 1])
def test_the_size_of_the_html_is_told_from_the_letter_where_it_matters(base64: bool, character: str, over: int):
    size = len(character.replace("\n", "\r\n").encode())
    html = character * (CLIPPED // size + over * 20)
    if base64:
        html = html.replace("\n", "\r\n")
    one = letter(html, base64=base64)
    assert (html_octets(one.content) > CLIPPED) is (over > 0)
    assert ("clipped" in codes(one)) is (over > 0)


def test_a_letter_without_html_has_none():
    assert html_octets(letter(html="").content) == 0


SCHEME = '<meta name="color-scheme" content="light dark">'


@pytest.mark.parametrize(
    ("html", "said"),
    [
        ('<p style="color:#222">Hi</p>', "text in #222 has no background"),
        ('<div style="color:rgb(20, 20, 20)"><p>Hi</p></div>', "text in rgb(20, 20, 20) has no background"),
        ('<table><tr><td bgcolor="#ffffff">Hi</td></tr></table>', "text on #ffffff has no colour"),
        ('<div style="background: white"><p>Hi</p></div>', "text on white has no colour"),
        ('<p style="color:#222;background:transparent;font-size:0.9em">Hi</p>', "text in #222 has no background"),
        ('<p style="color:#222;background:#fff">Hi</p>', ""),
        ('<div style="background-color:#fff"><p style="color:#222">Hi</p></div>', ""),
        ('<div style="background-image:url(x.png)"><p style="color:#222">Hi</p></div>', ""),
        ('<p style="color:#ddd">Hi</p>', ""),
        ('<p style="background:#204060">Hi</p>', ""),
        ('<p style="color:#222"><img alt="" src="cid:x"></p>', ""),
        ('<p style="color:#222"><a href="https://example.com">Hi</a></p>', ""),
        ('<p style="color:#222;display:none">Hi</p>', ""),
        ('<p style="color:var(--ink)">Hi</p>', ""),
    ],
)
def test_text_that_dark_mode_makes_unreadable_is_told_where_the_letter_allows_dark_mode(html: str, said: str):
    found = [one.message for one in faults(letter(SCHEME + html + GOOD_HTML)) if one.code == "dark-mode"]
    assert found == ([f"{said} of its own, and cannot be read in dark mode"] if said else [])


@pytest.mark.parametrize(
    "head",
    [
        "",
        '<meta name="color-scheme" content="light only">',
        f"{SCHEME}<style>@media (prefers-color-scheme: dark) {{ p {{ color: #fff !important }} }}</style>",
        f"{SCHEME}<style>body {{ background: #fff }}</style>",
        f"{SCHEME}<style>p {{ color: #444 }}</style>",
        f"<!-- {SCHEME} -->",
    ],
)
def test_dark_mode_is_not_judged_in_a_letter_that_leaves_it_to_the_reader_or_has_rules_for_it(head: str):
    assert "dark-mode" not in codes(letter(f'{head}<p style="color:#222">Hi</p>{GOOD_HTML}'))


def test_a_scheme_declared_in_a_sheet_counts_as_one_in_a_meta_element():
    head = "<style>:root { color-scheme: light dark }</style>"
    assert "dark-mode" in codes(letter(f'{head}<p style="color:#222">Hi</p>{GOOD_HTML}'))
