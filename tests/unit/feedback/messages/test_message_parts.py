"""The parts of a message: what they hold, and that the bounds hold whatever the bytes are."""

from __future__ import annotations

import base64

import pytest

from campaign.feedback.messages.message_parts import (
    MOST_OCTETS,
    MOST_PARTS,
    MOST_TEXT,
    HeaderBlock,
    message_parts,
    parameter,
    split_head,
)


def part(headers: str, body: bytes) -> bytes:
    return headers.encode() + b"\r\n\r\n" + body


def mixed(boundary: str, *parts: bytes) -> bytes:
    line = b"\r\n--" + boundary.encode()
    return (
        b'Content-Type: multipart/mixed; boundary="'
        + boundary.encode()
        + b'"\r\n\r\npreamble'
        + b"".join(line + b"\r\n" + one for one in parts)
        + line
        + b"--\r\nepilogue\r\n"
    )


def test_the_parts_come_flat_and_in_order() -> None:
    inner = mixed("in", part("Content-Type: text/plain", b"two"), part("Content-Type: text/html", b"<p>three"))
    message = message_parts(mixed("out", part("Content-Type: text/plain", b"one"), inner, b"\r\nfour"))
    assert [(one.kind, one.body) for one in message.parts] == [
        ("text/plain", b"one"),
        ("text/plain", b"two"),
        ("text/html", b"<p>three"),
        ("text/plain", b"four"),
    ]


def test_bare_line_feeds_and_a_missing_end_are_borne() -> None:
    raw = b"Content-Type: multipart/mixed;\n boundary=abc\n\n--abc\nContent-Type: text/plain\n\none\n--abc\n\ntwo"
    assert [one.body for one in message_parts(raw).parts] == [b"one", b"two"]


def test_a_line_that_only_begins_like_the_boundary_is_none() -> None:
    raw = b"Content-Type: multipart/mixed; boundary=a\n\n--a\n\n--ab\n--a--\n"
    assert [one.body for one in message_parts(raw).parts] == [b"--ab"]


@pytest.mark.parametrize("kind", ["multipart/mixed", "multipart/mixed; boundary=", 'multipart/report; boundary="x"'])
def test_a_multipart_without_its_boundary_is_a_text(kind: str) -> None:
    message = message_parts(f"Content-Type: {kind}\n\nall of it".encode())
    assert [(one.kind, one.text()) for one in message.parts] == [("text/plain", "all of it")]


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("iso-2022-jp", "エラー: 宛先が見つかりません"),
        ("koi8-r", "Письмо не доставлено"),
        ("utf-8", "Zustellung an müller fehlgeschlagen"),
        ("iso-8859-1", "destinataire rejeté"),
        ("shift_jis", "送信できません"),
    ],
)
def test_text_is_decoded_by_its_charset(charset: str, text: str) -> None:
    raw = f"Content-Type: text/plain; charset={charset}\n\n".encode() + text.encode(charset)
    assert message_parts(raw).parts[0].text() == text


@pytest.mark.parametrize(
    "charset", ["", "x-unknown", "punycode", "idna", "zip", "rot13", "unicode_escape", "é", "../x"]
)
def test_an_unknown_charset_is_guessed(charset: str) -> None:
    for octets, text in (
        ("schön".encode(), "schön"),
        ("schön".encode("latin-1"), "schön"),
        ("宛先".encode("iso-2022-jp"), "宛先"),
    ):
        raw = f"Content-Type: text/plain; charset={charset}\n\n".encode() + octets
        assert message_parts(raw).parts[0].text() == text


def test_transfer_encodings_are_undone_however_broken() -> None:
    coded = base64.encodebytes("größer als erlaubt".encode())
    raw = b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n" + coded
    assert message_parts(raw).parts[0].text() == "größer als erlaubt"
    assert message_parts(raw.rstrip(b"=\n")).parts[0].text().startswith("größer als")
    raw = b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: Quoted-Printable\n\na=\n=C3=B6 =zz"
    assert message_parts(raw).parts[0].text() == "aö =zz"


def test_html_loses_its_tags_and_is_not_evaluated() -> None:
    raw = b"Content-Type: text/html\n\n<p>550 5.1.1 &lt;a@example.org&gt;<script>x()</script> &eacute;"
    assert message_parts(raw).parts[0].text().split() == ["550", "5.1.1", "<a@example.org>", "x()", "é"]


def test_header_values_are_unfolded_and_found_by_lower_case_names() -> None:
    head = HeaderBlock(b"Subject: one\r\n two\r\nTO: a@example.org\r\nto: b@example.org\r\nno colon\r\n: x\r\n")
    assert head.first("subject") == "one two"
    assert head.all("to") == ["a@example.org", "b@example.org"]
    assert (head.first("cc"), head.all("cc"), "cc" in head) == ("", [], False)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("=?utf-8?B?w7ZsIGdlbMO2c2NodA==?=", "öl gelöscht"),
        ("=?nonsense?Q?x?= y", "x y"),
        ("=?utf-8?B?w?=", "=?utf-8?B?w?="),
        ("plain", "plain"),
    ],
)
def test_encoded_words_are_decoded_where_they_can_be(value: str, words: str) -> None:
    assert HeaderBlock(f"Subject: {value}".encode()).words("subject") == words


def test_parameters_are_found_with_and_without_quotes() -> None:
    assert (
        parameter('multipart/report; report-type="delivery-status"; boundary=x/y', "report-type") == "delivery-status"
    )
    assert parameter('multipart/report; report-type="delivery-status"; boundary=x/y', "boundary") == "x/y"
    assert parameter('text/plain\n   charset="iso-2022-jp"', "charset") == "iso-2022-jp"
    assert parameter("text/plain", "charset") == ""


def test_a_message_without_head_or_body_is_one() -> None:
    assert split_head(b"\r\nbody") == (b"", b"body")
    assert split_head(b"Subject: x") == (b"Subject: x", b"")
    assert message_parts(b"").parts[0].text() == ""


def test_no_more_parts_are_read_than_the_bound_allows() -> None:
    many = mixed("x", *[part("Content-Type: text/plain", b"a")] * 1_000)
    assert len(message_parts(many).parts) == MOST_PARTS
    nested = mixed("y", *[many] * 30)
    assert len(message_parts(nested).parts) == MOST_PARTS


def test_deep_nesting_ends_where_the_bound_says() -> None:
    raw = part("Content-Type: text/plain", b"innermost")
    for level in range(400):
        raw = mixed(f"b{level}-", raw)
    message = message_parts(raw)
    assert len(message.parts) == 1
    assert message.parts[0].kind == "text/plain"
    assert b"innermost" in message.parts[0].body


def test_only_the_beginning_of_a_huge_message_is_read() -> None:
    message = message_parts(b"Subject: x\n\n" + b"a" * (3 * MOST_OCTETS))
    assert len(message.parts[0].body) < MOST_OCTETS
    assert len(message.parts[0].text()) == MOST_TEXT
