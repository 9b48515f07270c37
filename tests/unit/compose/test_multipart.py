"""MIME put together by hand: the standard library's reader gets back what went in, and every line is in bounds."""

from __future__ import annotations

import quopri
from base64 import b64decode
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.compose.mime.multipart import assembled
from campaign.compose.mime.transfer_encoding import Encoded, EncodedTemplate
from campaign.delivery.smtp.mail_transaction import for_the_wire

TEXT = Encoded(b"Hello =E2=82=AC", "quoted-printable")
HTML = Encoded(b"PHA+aGk8L3A+", "base64")
IMAGE = b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\nContent-ID: <a@b>\r\n\r\niVBORw==\r\n"
FILE = b"Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERg==\r\n"
PIECES = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\r\x00"), max_size=120)
VALUES = PIECES.filter(lambda text: bool(text.strip()))


def read(text: Encoded | None, html: Encoded | None, images: list[bytes], files: list[bytes]) -> EmailMessage:
    whole = assembled(text, html, images, files, "=_abc")
    head = f"MIME-Version: 1.0\r\nContent-Type: {whole.content_type}\r\n"
    if whole.encoding:
        head += f"Content-Transfer-Encoding: {whole.encoding}\r\n"
    return message_from_bytes(head.encode() + b"\r\n" + whole.body, policy=policy.default)  # type: ignore[return-value]


def tree(message: EmailMessage) -> list[str]:
    return [part.get_content_type() for part in message.walk()]


@pytest.mark.parametrize(
    ("text", "html", "images", "files", "expected"),
    [
        (TEXT, None, [], [], ["text/plain"]),
        (None, HTML, [], [], ["text/html"]),
        (TEXT, HTML, [], [], ["multipart/alternative", "text/plain", "text/html"]),
        (None, HTML, [IMAGE], [], ["multipart/related", "text/html", "image/png"]),
        (TEXT, None, [], [FILE], ["multipart/mixed", "text/plain", "application/pdf"]),
        (
            TEXT, HTML, [IMAGE, IMAGE], [FILE],
            ["multipart/mixed", "multipart/related", "multipart/alternative", "text/plain", "text/html",
             "image/png", "image/png", "application/pdf"],
        ),
    ],
)  # fmt: skip
def test_each_level_of_the_tree_is_there_only_when_it_is_needed(text, html, images, files, expected):
    message = read(text, html, images, files)
    assert tree(message) == expected
    assert [part.defects for part in message.walk()] == [[] for _ in expected]


def test_every_part_reads_back_as_it_was():
    message = read(TEXT, HTML, [IMAGE], [FILE])
    plain, html, image, file = [part for part in message.walk() if not part.is_multipart()]
    assert plain.get_content().strip() == "Hello €"
    assert html.get_content() == "<p>hi</p>"
    assert image.get_content() == b"\x89PNG"
    assert file.get_payload(decode=True) == b"%PDF"


def test_related_says_what_its_first_part_is():
    assert read(TEXT, HTML, [IMAGE], []).get_param("type") == "multipart/alternative"
    assert read(None, HTML, [IMAGE], []).get_param("type") == "text/html"


def decoded(encoded: Encoded) -> str:
    octets = b64decode(encoded.data) if encoded.encoding == "base64" else quopri.decodestring(encoded.data)
    return octets.decode("utf-8")


def expected(pieces: list[str], values: list[str]) -> str:
    whole = pieces[0] + "".join(value + piece for value, piece in zip(values, pieces[1:], strict=True))
    return whole.replace("\n", "\r\n")


@given(st.lists(st.tuples(PIECES, VALUES), max_size=6), PIECES, st.booleans())
def test_what_was_encoded_in_pieces_reads_back_as_the_whole(pairs, last, neat):
    pieces, values = [piece for piece, _ in pairs] + [last], [value for _, value in pairs]
    encoded = EncodedTemplate(pieces, neat=neat).fill(values, lines=True)
    assert decoded(encoded) == expected(pieces, values)
    assert encoded.data.isascii()
    assert all(len(line) <= 76 for line in encoded.data.split(b"\r\n"))
    assert b"\n" not in encoded.data.replace(b"\r\n", b"")
    assert not any(line.endswith((b" ", b"\t")) for line in encoded.data.split(b"\r\n"))


@given(
    st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=200), max_size=5),
    st.booleans(),
)
def test_the_fast_way_for_plain_values_reads_back_too(values, neat):
    values = [value if value.strip() else "x" for value in values]
    for piece in ("y" * 70, "\n", " end.\nNext: ", ""):
        pieces = ["x = " * 5] + [piece] * len(values)
        encoded = EncodedTemplate(pieces, neat=neat).fill(values)
        assert decoded(encoded) == expected(pieces, values)
        assert all(len(line) <= 76 for line in encoded.data.split(b"\r\n"))
        assert not any(line.endswith(b" ") for line in encoded.data.split(b"\r\n"))


@pytest.mark.parametrize("neat", [False, True])
def test_no_line_of_the_template_begins_as_relays_and_mailboxes_change_it(neat):
    pieces = [".page { top: 0 }\nFrom here\n", "\n.b\n", ".\n" + "." * 200 + "\nFrom " + "x" * 71]
    data = EncodedTemplate(pieces, neat=neat).fill([".", "From me"]).data
    lines = data.split(b"\r\n")
    assert all(len(line) <= 76 for line in lines)
    assert not any(line.startswith((b".", b"From ")) for line in lines if len(line) < 70)
    assert quopri.decodestring(data).decode() == expected(pieces, [".", "From me"])


def test_a_neat_text_can_be_read_raw():
    gapped = EncodedTemplate(["Dear ", ",\n\nyour card: ", "\nvalid: ", " to ", " and so on\n", "\n", ""], neat=True)
    raw = gapped.fill(["Zoë", "12", "1 May", "x" * 68, "a ", "From me"]).data.decode()
    assert raw.splitlines() == [
        "Dear Zo=C3=AB,", "", "your card: 12", "valid: 1 May=", f" to {'x' * 68}=", " and so on", "a =",
        "", "=46rom me",
    ]  # fmt: skip
    assert EncodedTemplate(["a\n", "\nb"], neat=True).fill(["."]).data == b"a\r\n=2E\r\nb"


@pytest.mark.parametrize(("letters", "encoding"), [("plain words", "quoted-printable"), ("新闻通讯", "base64")])
def test_the_smaller_encoding_is_taken(letters, encoding):
    gapped = EncodedTemplate([letters * 20, letters * 20])
    encoded = gapped.fill([letters])
    assert encoded.encoding == encoding


@given(st.lists(st.tuples(PIECES, VALUES), max_size=6), PIECES)
def test_no_letter_would_be_smaller_in_the_other_encoding(pairs, last):
    values = [value for _, value in pairs]
    gapped = EncodedTemplate([piece for piece, _ in pairs] + [last])
    chosen = gapped.fill(values, lines=True)
    assert len(chosen.data) <= len(gapped._base64(values).data) or chosen.encoding == "base64"
    if chosen.encoding == "base64":
        assert len(gapped._quoted(values, "\n".join(values), None, lines=True)[0]) > len(chosen.data)


LINES = st.lists(st.sampled_from([".", "..", "\n", "\r", "\0", "a", "é", "=", " ", "x" * 70]), max_size=6).map("".join)


@given(st.lists(st.tuples(LINES, LINES), max_size=5), LINES, st.booleans(), st.booleans())
def test_what_is_called_sound_needs_no_second_look(pairs, last, neat, lines):
    encoded = EncodedTemplate([piece for piece, _ in pairs] + [last], neat=neat).fill(
        [value for _, value in pairs], lines=lines
    )
    body = encoded.data + b"\r\n"
    if encoded.sound:
        assert for_the_wire(body) == body


@pytest.mark.parametrize("neat", [False, True])
def test_an_ordinary_text_is_sound_whatever_its_values_begin_with(neat):
    gapped = EncodedTemplate(["Dear ", ",\n", " and\n.", ""], neat=neat)
    assert gapped.fill(["Zoë", ".", "x" * 80]).sound
    assert not gapped.fill(["Zoë", ".", "x" * 75 + "."]).sound, "that dot begins a line"


def test_a_large_foreign_value_tips_the_encoding_for_its_own_letter_only():
    gapped = EncodedTemplate(["plain words\n", "\n"])
    assert gapped.fill(["新闻通讯" * 100]).encoding == "base64"
    assert gapped.fill(["news"]).encoding == "quoted-printable"


@pytest.mark.parametrize(
    "text", ["From here\nFrom there\n", "a\n.\nb\n", "ends in a blank \nnext", "tab\t\n", "=?utf-8?q?x?="]
)
def test_lines_that_other_programs_would_touch_are_encoded(text):
    data = EncodedTemplate([text]).fill([]).data
    assert quopri.decodestring(data).decode() == text.replace("\n", "\r\n")
    for line in data.split(b"\r\n"):
        assert not line.startswith(b"From ")
        assert line != b"."
        assert not line.endswith((b" ", b"\t"))
