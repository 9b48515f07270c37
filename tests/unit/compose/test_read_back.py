"""What a receiver sees of a letter: its sender, its preheader, attachments, and whether it provides for dark mode."""

from __future__ import annotations

from email.message import EmailMessage

import pytest

from campaign.compose.mime.read_back import PREHEADER, ReadLetter, read_letter


def shown(html: str = "", text: str = "") -> ReadLetter:
    return ReadLetter([], html, text)


@pytest.mark.parametrize(
    ("html", "text", "preheader"),
    [
        ("<title>x</title><p>Dear Ada,</p>\n<p>news</p>", "other", "Dear Ada, news"),
        ('<div style="display:none">In short&#8203;&zwnj;&#847;</div><h1>News</h1>', "", "In short News"),
        ("<!--[if mso]>Outlook<![endif]--><style>p{}</style><p>a&nbsp;&amp;&shy;b</p>", "", "a &b"),
        ("", "Only\ntext", "Only text"),
        ("<p>" + "x" * 500, "", "x" * PREHEADER),
        ("", "", ""),
    ],
)
def test_the_preheader_is_the_first_words_also_where_the_letter_hides_them(html: str, text: str, preheader: str):
    assert shown(html, text).preheader == preheader


@pytest.mark.parametrize(
    ("html", "rules", "allows"),
    [
        ("<p style='color:#222'>Hi</p>", False, False),
        ("<p>@media (prefers-color-scheme: dark) color-scheme: dark</p>", False, False),
        ("<style>@media ( prefers-color-scheme : dark ) { p { color: #fff } }</style>", True, False),
        ('<source media="(prefers-color-scheme: dark)" srcset="x">', True, False),
        ("<style>:root { color-scheme: light dark; }</style>", False, True),
        ('<html style="color-scheme: dark">', False, True),
        ("<style>:root { color-scheme: light only; }</style>", False, False),
        ('<meta name="supported-color-schemes" content="light dark">', False, True),
        ("<meta content='light dark' name=color-scheme>", False, True),
    ],
)
def test_whether_a_letter_provides_for_dark_mode(html: str, rules: bool, allows: bool):
    assert (shown(html).has_dark_rules, shown(html).allows_dark) == (rules, allows)


def test_the_sender_has_a_name_and_an_address_and_an_attachment_its_very_bytes():
    message = EmailMessage()
    message["From"] = '"M\u00fcller, Ada" <news@example.com>'
    message.set_content("Hi")
    message.add_attachment(b"\0\1\2", maintype="application", subtype="pdf", filename="x.pdf")
    seen = read_letter(message.as_bytes())
    assert seen.sender == ("M\u00fcller, Ada", "news@example.com")
    assert [(one.name, one.type, one.size, one.data) for one in seen.attachments] == [
        ("x.pdf", "application/pdf", 3, b"\0\1\2")
    ]
    assert read_letter(b"Subject: x\r\n\r\nHi").sender == ("", "")
