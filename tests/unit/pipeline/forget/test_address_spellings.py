"""Every usual spelling of an address is found and masked in its own length, and nobody else's address is."""

from __future__ import annotations

import base64
import json
import quopri
import time
from email.message import EmailMessage

import pytest

from campaign.pipeline.operate.forget.address_spellings import AddressMask

ADA = AddressMask(["ada+x@example.com"])
ZOE = AddressMask(["zo\u00eb@xn--bcher-kva.example"])


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("ada+x@example.com", "*" * 17),
        ("ADA+X@Example.COM", "*" * 17),
        ("<ada+x@example.com>: unknown", f"<{'*' * 17}>: unknown"),
        ("to=ada+x@example.com, relay=", f"to={'*' * 17}, relay="),
        ("It was ada+x@example.com.", f"It was {'*' * 17}."),
        ("'ada+x@example.com'", f"'{'*' * 17}'"),
        ("?to=ada%2Bx%40example.com&a=b", f"?to={'*' * 21}&a=b"),
        ("?to=ada%2bx%40example.com", f"?to={'*' * 21}"),
        ("mailto:ada+x%40example.com", f"mailto:{'*' * 19}"),
        ("%3Cada+x@example.com%3E", f"%3C{'*' * 17}%3E"),
        ("ORCPT=rfc822;ada+2Bx@example.com", f"ORCPT=rfc822;{'*' * 19}"),
        ("bounce-ada+x=example.com@news.example", "bounce-ada+x=example.com@news.example"),
        ("bounce/ada+x=example.com@news.example", f"bounce/{'*' * 17}@news.example"),
        ("=3Cada+x=40example.com", f"=3C{'*' * 19}"),
        ("a line\\nada+x@example.com", f"a line\\n{'*' * 17}"),
        ("nada+x@example.com", "nada+x@example.com"),
        ("n.ada+x@example.com", "n.ada+x@example.com"),
        ("ada+x@example.com.au", "ada+x@example.com.au"),
        ("ada+x@example.community", "ada+x@example.community"),
        ("ada+x@other.example", "ada+x@other.example"),
        ("ada@example.com", "ada@example.com"),
    ],
)
def test_a_spelling_is_masked_in_its_own_length(text: str, masked: str) -> None:
    assert ADA.masked(text.encode()).decode() == masked
    assert ADA.found(text.encode()) is (text != masked)


@pytest.mark.parametrize("domain", ["xn--bcher-kva.example", "b\u00fccher.example", "B\u00dcCHER.example".lower()])
@pytest.mark.parametrize("local", ["zo\u00eb", "zoe\u0308", "ZO\u00cb"])
def test_letters_beyond_ascii_are_found_in_every_form(local: str, domain: str) -> None:
    mask = AddressMask(["zo\u00eb@xn--bcher-kva.example", "ZO\u00cb@xn--bcher-kva.example"])
    text = f"{local}@{domain}"
    for written in (text, json.dumps(text), repr(text), ascii(text)):
        assert mask.found(written.encode()), written


@pytest.mark.parametrize(
    ("reply", "masked"),
    [
        ("<ada+x@example.com>: user ada+x unknown", f"<{'*' * 17}>: user ***** unknown"),
        ("user ada unknown", "user ada unknown"),
        ("user nada+x unknown", "user nada+x unknown"),
    ],
)
def test_in_a_reply_about_the_person_the_local_part_alone_is_masked(reply: str, masked: str) -> None:
    assert ADA.masked_reply(reply) == masked


def test_two_letters_are_no_name_that_is_masked_alone() -> None:
    assert AddressMask(["al@example.com"]).masked_reply("al at al@example.com") == f"al at {'*' * 14}"


@pytest.mark.parametrize(
    ("torn", "masked"),
    [
        (b'"reason":"<ada+x@exam', b'"reason":"<**********'),
        (b'"reason":"<ada+', b'"reason":"<****'),
        (b'"reason":"<ada', b'"reason":"<ada'),
        (b"ada+x@example.com", b"*" * 17),
        (b"", b""),
    ],
)
def test_the_beginning_of_an_address_at_a_torn_end_is_masked(torn: bytes, masked: bytes) -> None:
    assert ADA.masked_line(torn) == masked


def letter(**encoded: str) -> bytes:
    message = EmailMessage()
    message["Subject"] = encoded.get("subject", "News")
    message.set_content(encoded.get("body", "Hello"), cte=encoded.get("cte", "7bit"))
    return bytes(message)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (letter(body="for ada+x@example.com\n", cte="base64"), True),
        (letter(body=f"{'x' * 60} for ada+x@example.com and nobody else\n", cte="quoted-printable"), True),
        (letter(subject="N\u00e4chstes f\u00fcr ada+x@example.com"), True),
        (letter(body="for nada+x@example.com\n", cte="base64"), False),
        (b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n" + b"base64" * 10, False),
        (b"", False),
    ],
)
def test_a_letter_is_searched_in_all_its_parts(content: bytes, found: bool) -> None:
    assert ADA.in_letter(content) is found


def test_the_encodings_of_this_test_hide_the_address() -> None:
    assert b"ada+x" not in base64.b64encode(b"for ada+x@example.com")
    assert b"ada+x@example.com" not in letter(body=f"{'x' * 60} for ada+x@example.com\n", cte="quoted-printable")
    assert quopri.decodestring(b"ada+x=40example.com") == b"ada+x@example.com"


def test_a_large_text_without_the_person_is_searched_quickly() -> None:
    hostile = b"ada+x%40ada" * 100_000 + b"=?" * 100_000
    began = time.process_time()
    assert not ADA.found(hostile)
    assert ADA.masked_line(hostile) == hostile
    assert time.process_time() - began < 5
