"""Keys of a message: found wherever they stand, few enough, and nothing else."""

from __future__ import annotations

import base64

import pytest

from campaign.feedback.messages.message_keys import MOST_KEYS, addresses_in
from campaign.feedback.messages.read_message import read_message

TOKEN = "A1b2-_" * 8


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Ann <a@example.org>, b@example.org", ("a@example.org", "b@example.org")),
        ("<mailto:a@example.org>", ("a@example.org",)),
        ("'a@example.org'", ("a@example.org",)),
        ("bounce+a=b.example@news.example.com.", ("bounce+a=b.example@news.example.com",)),
        ("müller@exämple.de", ("müller@exämple.de",)),
        ('"a..b"@example.org', ('"a..b"@example.org',)),
        ("a@example.org a@example.org", ("a@example.org",)),
        ("no address @ all, @x, x@, <>", ()),
        ("a" * 65 + "@example.org", ()),
    ],
)
def test_addresses_are_found_in_a_text(text: str, found: tuple[str, ...]) -> None:
    assert addresses_in(text) == found


@pytest.mark.parametrize(
    ("link", "tokens"),
    [
        (f"<https://news.example.com/u/{TOKEN}>", (TOKEN,)),
        (f"<https://news.example.com/u?t={TOKEN}&x=1>", (TOKEN,)),
        (f"<https://news.example.com/{TOKEN[:46]}>", ()),
        (f"<https://news.example.com/{'x' * 2_001}>", ()),
        (f"<https://news.example.com/{TOKEN}>,\n <https://news.example.com/{TOKEN}A>", (TOKEN, f"{TOKEN}A")),
    ],
)
def test_tokens_are_the_long_segments_of_a_returned_link(link: str, tokens: tuple[str, ...]) -> None:
    raw = (
        "From: MAILER-DAEMON@x\nTo: b@news.example.com\n\n<a@example.org>:\n550 5.1.1 no\n\n"
        "--- Below this line is a copy of the message.\n\nMessage-ID: <abc@news.example.com>\n"
        f"List-Unsubscribe: {link}\n\nHello"
    )
    assert read_message(raw.encode())[0].unsubscribe_tokens == tokens


def test_there_are_never_more_keys_than_the_bound_allows() -> None:
    many = ", ".join(f"a{number}@example.org" for number in range(200))
    ids = " ".join(f"<{number}x@example.org>" for number in range(200))
    (notice,) = read_message(f"From: x@example.org\nTo: {many}\nReferences: {ids}\n\nx".encode())
    assert len(notice.sent_to) == len(notice.message_ids) == MOST_KEYS
    assert notice.message_ids[0] == "199x@example.org"


def test_a_message_id_is_found_in_an_attachment_too() -> None:
    raw = (
        b'From: MAILER-DAEMON@x\nContent-Type: multipart/mixed; boundary="b"\n\n--b\n\n<a@example.org>:\n550 no\n'
        b"--b\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\n"
        + base64.encodebytes(b"Subject: x\r\nMessage-Id: <abc.3@news.example.com>\r\n\r\nHello")
        + b"\n--b--\n"
    )
    assert read_message(raw)[0].message_ids == ("abc.3@news.example.com",)


@pytest.mark.parametrize(
    ("returned", "found"),
    [
        ("Message-ID: <answer@desk.example.com>", ("answer@desk.example.com",)),
        ("Subject: its header was cut", ("ours@news.example.com",)),
    ],
)
def test_a_bounce_is_about_the_letter_that_it_returns_and_not_about_what_that_answered(
    returned: str, found: tuple[str, ...]
) -> None:
    raw = (
        "From: MAILER-DAEMON@x\nTo: desk@news.example.com\nReferences: <ours@news.example.com>\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n--b\n\nnot delivered\n'
        "--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\n"
        "Final-Recipient: rfc822; somebody.else@example.org\nAction: failed\nStatus: 5.1.1\n"
        f"--b\nContent-Type: message/rfc822\n\n{returned}\n\nHello\n--b--\n"
    )
    assert read_message(raw.encode())[0].message_ids == found
