"""Whatever the bytes are: no exception, an answer within half a second, and few enough notices."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.messages.read_message import MOST_NOTICES, read_message

CORPUS = Path(__file__).parents[5] / "shared" / "corpus" / "bounces"
SLOWEST = 0.5  #: seconds of the processor
REPORT = b"Content-Type: multipart/report; report-type=delivery-status; boundary=b"
DAEMON = b"From: MAILER-DAEMON@x\n"
HEADS = [
    b"",
    b"Content-Type: message/delivery-status\n\n",
    b"Content-Type: message/feedback-report\n\n",
    b"Content-Type: multipart/mixed; boundary=b\n\n",
    b"Content-Type: text/plain; charset=iso-2022-jp\n\n",
    REPORT + b"\n\n--b\nContent-Type: message/delivery-status\n\n",
    DAEMON + b"Subject: failure notice\n\n",
    DAEMON + b"Content-Type: text/html\n\n",
    DAEMON + b"Content-Transfer-Encoding: base64\n\n",
    DAEMON + b"Content-Transfer-Encoding: quoted-printable\n\n",
    DAEMON + b"X-Failed-Recipients: a@b.example\n\n",
]
PIECES = [
    *(
        b"a",
        b"@",
        b"a@b ",
        b"<",
        b">",
        b"<a@b.example>:\n",
        b"\n",
        b"\r\n",
        b" ",
        b"\t",
        b"--b\n",
        b"--b\n\n",
        b"--",
        b"=",
    ),
    *(b"550 ", b"550 5.1.1 ", b"5.1.1", b"Message-ID: <", b"Message-ID: <a@b>", b"A: b\n", b" x\n", b"=\n", b"\x1b$B"),
    *(
        b"\x1b(B",
        b"\xff",
        b"\x00",
        b"&lt;",
        b"{",
        b'{"a":',
        b"[",
        b"=?utf-8?B?",
        b"=?utf-8?Q?a?= ",
        b"To: ",
        b"boundary=",
    ),
    *(
        b"To: a@b.example\n",
        b"Received: ",
        b'"',
        b"\\",
        b";",
        b":",
        b".",
        b"-----",
        b"(",
        b"said: ",
        b"a.",
        b"'",
        b"a'",
    ),
    *(
        b"RCPT TO:<",
        b">>> DATA ",
        b"mailbox full ",
        b"will be retried ",
        b"delivery to ",
        b"original message ",
        b"host ",
    ),
    *(b"this is a copy of ", b"X-Failed-Recipients: a@b.example\n", b"Final-Recipient: rfc822; a@b.example\n\n"),
    b"Content-Type: multipart/mixed; boundary=b\n\n--b\n",
]


def read(raw: bytes) -> tuple[FeedbackNotice, ...]:
    began = time.process_time()
    notices = read_message(raw)
    taken = time.process_time() - began
    assert taken < SLOWEST, f"{taken:.2f} s for {raw[:200]!r}"
    assert 1 <= len(notices) <= MOST_NOTICES
    for one in notices:
        assert len(one.reply.text) <= 600
        assert max(map(len, (one.sent_to, one.message_ids, one.unsubscribe_tokens, one.addresses))) <= 20
        assert all(len(key) <= 2_000 for key in (*one.sent_to, *one.message_ids, *one.addresses))
    return notices


@pytest.mark.parametrize("head", HEADS)
def test_a_piece_a_hundred_thousand_times_takes_no_time(head: bytes) -> None:
    for piece in PIECES:
        read(head + piece * (200_000 // len(piece)))


def test_a_megabyte_of_one_piece_takes_no_time() -> None:
    for piece in PIECES:
        read(DAEMON + b"\n" + piece * ((1 << 20) // len(piece)))


@pytest.mark.parametrize("name", ["Content-Type: ", "To: ", "Subject: ", "From: ", "Date: ", "References: ", "X: "])
def test_a_header_of_a_megabyte_takes_no_time(name: str) -> None:
    for piece in PIECES:
        read(name.encode() + piece.replace(b"\n", b"") * (300_000 // len(piece)) + b"\n\nx")


def test_parts_within_parts_without_end_take_no_time() -> None:
    for count in (20, 2_000, 20_000):
        read(b"".join(b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n" % (n, n) for n in range(count)))
        read(b"Content-Type: message/rfc822\n\n" * count)


def test_an_event_in_a_mail_may_be_as_deep_as_it_likes() -> None:
    for text in (b"{" * 30_000 + b"}", b'{"a":' * 10_000 + b"1" + b"}" * 10_000, b'{"a":1' + b',"b":[]' * 8_000 + b"}"):
        read(b"From: no-reply@sns.amazonaws.com\n\n" + text)


@given(st.binary(max_size=4_000))
def test_any_bytes_are_answered(raw: bytes) -> None:
    read(raw)


@given(st.lists(st.sampled_from(HEADS + PIECES), max_size=60))
def test_any_mixture_of_pieces_is_answered(pieces: list[bytes]) -> None:
    read(b"".join(pieces))


@pytest.mark.parametrize("seed", range(4))
def test_bounces_of_the_world_may_be_damaged_in_any_way(seed: int) -> None:
    files = sorted(CORPUS.glob("*.eml"))
    if not files:
        pytest.skip("the corpus of bounces is not beside this checkout")
    dice = random.Random(seed)
    for file in files:
        read(damaged(file.read_bytes(), dice))


def damaged(raw: bytes, dice: random.Random) -> bytes:
    """``raw`` with pieces cut, doubled, swapped and overwritten."""
    for _ in range(dice.randrange(1, 6)):
        start, end = sorted(dice.randrange(len(raw) + 1) for _ in range(2))
        middle = raw[start:end]
        others = [
            b"",
            middle * 2,
            middle[::-1],
            middle.upper(),
            dice.choice(PIECES) * 50,
            dice.randbytes(len(middle) % 200),
        ]
        swaps = [(b"\n", b"\r\n"), (b"\n", b""), (b": ", b":"), (b"-", b"--"), (b" ", b"\n")]
        middle = dice.choice([*others, *(middle.replace(old, new) for old, new in swaps)])
        raw = raw[:start] + middle + raw[end:]
    return raw
