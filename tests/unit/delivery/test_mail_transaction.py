"""What goes over the wire for a letter, and what never does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.config.delivery import Timeouts
from campaign.delivery.relays.relay import Relay
from campaign.delivery.replies.classify import Stage
from campaign.delivery.smtp.connection import Connection
from campaign.delivery.smtp.dsn import DsnParameters
from campaign.delivery.smtp.mail_transaction import MailTransaction, for_the_wire, unfit
from campaign.delivery.smtp.reply_stream import ReplyStream
from campaign.delivery.transport_errors import ConnectionLost, EnvelopeRefused
from campaign.model import Letter, Verdict

RELAY = Relay("smtp://relay.example:25", "relay.example", 25, "none")
PIECES = st.sampled_from([b".", b"..", b"a", b"a.b", b"", b"\xe4", b"x" * 998])


def unstuffed(stream: bytes) -> bytes:
    """What a server keeps of content and dot (RFC 5321 4.5.2); fails when the end comes early."""
    lines = stream.split(b"\r\n")
    end = lines.index(b".")
    assert lines[end + 1 :] == [b""], "the letter ended before its end"
    return b"".join((line[1:] if line.startswith(b".") else line) + b"\r\n" for line in lines[:end])


def letter(content: bytes = b"a: b\r\n\r\nc\r\n", **more: object) -> Letter:
    facts = {"sender": "n@example.com", "recipient": "u@example.com", **more}
    return Letter(1, "<1@example.com>", content=content, digest=b"", **facts)


def connected(*extensions: str, size: int = 0) -> tuple[Connection, list[bytes]]:
    from tests.unit.delivery.test_reply_stream import Transport

    transport = Transport()
    known = {name.lower(): "" for name in extensions}
    return Connection(ReplyStream(transport), RELAY, known, size, 0.0, 0.0), transport.written


@given(st.lists(PIECES, max_size=30))
def test_the_receiving_side_keeps_the_very_octets(lines: list[bytes]) -> None:
    content = b"".join(line + b"\r\n" for line in [b"a: b", *lines])
    assert unstuffed(for_the_wire(content) + b".\r\n") == content


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"a", b"\0"]), max_size=12))
def test_nothing_that_could_end_early_goes_out(pieces: list[bytes]) -> None:
    content = b"".join(pieces) + b"\r\n"
    stream = for_the_wire(content)
    if stream is None:
        assert b"\0" in content or b"\n" in content.replace(b"\r\n", b"") or b"\r" in content.replace(b"\r\n", b"")
        return
    # A server that takes any of CR, LF and CRLF for the end of a line finds no lone dot either.
    for end in (b"\n", b"\r"):
        assert not any(part.strip(b"\r\n") == b"." for part in stream.split(end))


def test_a_letter_without_leading_dots_is_not_copied() -> None:
    content = b"a: b\r\n\r\ntext.\r\n"
    assert for_the_wire(content) is content


@pytest.mark.parametrize(
    ("address", "smtputf8", "fits"),
    [
        ("u@example.com", False, True),
        ("o'neil+tag.x=y@mail.example.com", False, True),
        ("a@b\r\nRCPT TO:<x@example.com>", False, False),
        ("a@example.com> SIZE=1", False, False),
        ("a b@example.com", False, False),
        ("a@example.com\n", False, False),
        ("<a@example.com>", False, False),
        ('"a b"@example.com', False, False),
        ("@example.com", False, False),
        ("a..b@example.com", False, False),
        ("jos\u00e9@example.com", False, False),
        ("jos\u00e9@example.com", True, True),
        ("jos\u00e9@example.com\u2028x", True, False),
        ("jos\u202e\u00e9@example.com", True, False),
        ("a" * 260 + "@example.com", False, False),
        ("\u00e9" * 130 + "@example.com", True, False),
    ],
)
async def test_only_a_bare_address_goes_on_a_command_line(address: str, smtputf8: bool, fits: bool) -> None:
    connection, _ = connected("SMTPUTF8")
    for facts in ({"recipient": address}, {"sender": address}):
        found = unfit(letter(smtputf8=smtputf8, **facts), connection)
        assert (found is None) == fits
        assert found is None or found.verdict is Verdict.UNRENDERABLE


async def test_an_address_of_another_script_is_rejected_where_the_relay_cannot_take_it() -> None:
    connection, _ = connected()
    found = unfit(letter(recipient="jos\u00e9@example.com", smtputf8=True), connection)
    assert found is not None
    assert (found.verdict, found.code) == (Verdict.REJECTED, 0)
    assert "SMTPUTF8" in found.reason


async def test_a_letter_above_the_relays_size_is_rejected_without_asking() -> None:
    connection, written = connected("SIZE", size=100)
    found = unfit(letter(b"x" * 99 + b"\r\n"), connection)
    assert found is not None
    assert found.verdict is Verdict.REJECTED
    assert not written


@pytest.mark.parametrize(
    ("extensions", "smtputf8", "expected"),
    [
        (("PIPELINING",), False, b"MAIL FROM:<n@example.com>\r\n"),
        (("PIPELINING", "SIZE"), False, b"MAIL FROM:<n@example.com> SIZE=11\r\n"),
        (("PIPELINING", "SIZE", "SMTPUTF8"), True, b"MAIL FROM:<n@example.com> SIZE=11 SMTPUTF8\r\n"),
    ],
)
async def test_mail_carries_what_the_relay_offers(extensions: tuple[str, ...], smtputf8: bool, expected: bytes) -> None:
    connection, written = connected(*extensions)
    MailTransaction(connection, Timeouts()).offer(letter(smtputf8=smtputf8))
    assert written == [expected + b"RCPT TO:<u@example.com>\r\nDATA\r\n"]


async def test_a_letter_takes_two_writes_when_the_next_is_there() -> None:
    connection, written = connected("PIPELINING")
    talk = MailTransaction(connection, Timeouts())
    talk.offer(letter())
    connection.stream.data_received(b"250 ok\r\n250 ok\r\n354 go\r\n")
    assert talk.agreed()
    written.clear()
    assert talk.content(b"a: b\r\n\r\n..c\r\n") is None
    talk.dot(letter(recipient="v@example.com"))
    connection.stream.data_received(b"250 2.0.0 kept\r\n250 ok\r\n250 ok\r\n354 go\r\n")
    assert (await talk.verdict()).text == "kept"
    assert talk.agreed()
    assert written == [
        b"a: b\r\n\r\n..c\r\n",
        b".\r\nMAIL FROM:<n@example.com>\r\nRCPT TO:<v@example.com>\r\nDATA\r\n",
    ]


async def test_the_next_envelope_after_a_refused_one_begins_with_rset() -> None:
    connection, written = connected("PIPELINING")
    talk = MailTransaction(connection, Timeouts())
    talk.offer(letter())
    connection.stream.data_received(b"250 ok\r\n550 5.1.1 no\r\n554 5.5.1 nobody\r\n")
    refused = await talk.answer()
    assert refused is not None
    assert (refused.stage, refused.reply.code) == (Stage.RCPT, 550)
    talk.offer(letter())
    assert written[-1].startswith(b"RSET\r\nMAIL FROM")
    connection.stream.data_received(b"250 reset\r\n250 ok\r\n250 ok\r\n354 go\r\n")
    assert not talk.agreed()  # the answer to RSET comes first
    assert await talk.answer() is None


REFUSED_AT_MAIL = b"501 5.5.4 no ENVID\r\n503 mail first\r\n503 mail first\r\n"
REFUSED_AT_RCPT = b"250 ok\r\n555 no NOTIFY\r\n503 rcpt first\r\n"


async def answered_in_turn(replies: list[bytes]) -> tuple[MailTransaction, list[bytes], EnvelopeRefused | None]:
    """A letter offered with DSN parameters to a relay that says ``replies``, one flight after the other."""
    connection, written = connected("PIPELINING", "DSN")
    original, told = connection.stream.write, iter(replies)

    def answering(data: bytes) -> None:
        original(data)
        connection.stream.data_received(next(told, b""))

    connection.stream.write = answering  # type: ignore[method-assign]
    talk = MailTransaction(connection, Timeouts(), DsnParameters("FAILURE", full=False))
    talk.offer(letter())
    assert not talk.agreed()
    return talk, written, await talk.answer()


@pytest.mark.parametrize("first", [REFUSED_AT_MAIL, REFUSED_AT_RCPT], ids=["MAIL", "RCPT"])
async def test_an_envelope_refused_for_its_dsn_parameters_is_tried_again_without_them(first: bytes) -> None:
    talk, written, refused = await answered_in_turn([first, b"250 reset\r\n250 ok\r\n250 ok\r\n354 go\r\n"])
    assert refused is None
    assert b"ENVID" in written[0]
    assert written[1] == b"RSET\r\nMAIL FROM:<n@example.com>\r\nRCPT TO:<u@example.com>\r\nDATA\r\n"
    talk.offer(letter())
    assert b"NOTIFY" not in written[2]


async def test_a_refusal_that_stays_without_the_parameters_was_not_about_them() -> None:
    again = b"250 reset\r\n250 ok\r\n501 bad address\r\n503 rcpt first\r\n"
    talk, written, refused = await answered_in_turn([REFUSED_AT_RCPT, again])
    assert refused is not None
    assert (refused.stage, refused.reply.code, refused.reply.text) == (Stage.RCPT, 501, "bad address")
    talk.offer(letter())
    assert b"NOTIFY" in written[2]


async def test_a_recipient_refused_otherwise_is_not_tried_again() -> None:
    _, written, refused = await answered_in_turn([b"250 ok\r\n550 5.1.1 no\r\n503 rcpt first\r\n"])
    assert refused is not None
    assert len(written) == 1


async def test_a_refused_reset_ends_the_connection() -> None:
    connection, _ = connected("PIPELINING")
    talk = MailTransaction(connection, Timeouts())
    talk.offer(letter())
    connection.stream.data_received(b"451 4.3.0 later\r\n503 no\r\n503 no\r\n")
    await talk.answer()
    talk.offer(letter())
    connection.stream.data_received(b"500 what\r\n")
    with pytest.raises(ConnectionLost, match="lost its place"):
        await talk.answer()


@pytest.mark.parametrize(
    "replies", [b"250 ok\r\n250 ok\r\n250 ok\r\n", b"354 a\r\n250 b\r\n354 c\r\n", b"250 a\r\n354 b\r\n"]
)
async def test_a_relay_that_lost_its_place_is_left(replies: bytes) -> None:
    connection, _ = connected("PIPELINING")
    talk = MailTransaction(connection, Timeouts())
    talk.offer(letter())
    connection.stream.data_received(replies)
    if replies.count(b"\n") == 2:
        connection.stream.data_received(b"354 c\r\n")
    with pytest.raises(ConnectionLost):
        await talk.answer()
    assert connection.stream.broken


async def test_nothing_is_sent_while_something_is_unread() -> None:
    for step in ("content", "dot"):
        connection, written = connected("PIPELINING")
        talk = MailTransaction(connection, Timeouts())
        talk.offer(letter())
        connection.stream.data_received(b"250 ok\r\n250 ok\r\n354 go\r\n421 4.3.2 by")
        assert talk.agreed()
        written.clear()
        with pytest.raises(ConnectionLost, match="out of turn"):
            talk.content(b"x\r\n") if step == "content" else talk.dot()
        assert not written


async def test_without_pipelining_each_command_waits_for_its_answer() -> None:
    connection, written = connected()
    talk = MailTransaction(connection, Timeouts())
    talk.offer(letter())
    assert not written
    answers = iter([b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"])
    original = connection.stream.write

    def answered(data: bytes) -> None:
        original(data)
        connection.stream.data_received(next(answers))

    connection.stream.write = answered  # type: ignore[method-assign]
    assert await talk.answer() is None
    assert written == [b"MAIL FROM:<n@example.com>\r\n", b"RCPT TO:<u@example.com>\r\n", b"DATA\r\n"]
