"""Replies come out of the wire as they were meant, however the network cut them."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.delivery.smtp.reply_parser import MAX_REPLY, MAX_UNREAD, printable_reply, reply
from campaign.delivery.smtp.reply_stream import BLOCK, ReplyStream
from campaign.delivery.transport_errors import ConnectionLost
from campaign.model import Reply


class Transport(asyncio.Transport):
    """A transport that keeps what it is given, and can be full."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.aborted = False
        self.full = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.wire = protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.limits = (high, low)

    def is_closing(self) -> bool:
        return self.aborted

    def write(self, data: bytes) -> None:
        self.written.append(bytes(data))
        if self.full:
            self.wire.pause_writing()

    def abort(self) -> None:
        self.aborted = True
        self.wire.connection_lost(None)

    def close(self) -> None:
        self.abort()


def wired() -> tuple[ReplyStream, Transport]:
    transport = Transport()
    return ReplyStream(transport), transport


async def read_all(stream: bytes, cuts: list[int]) -> list[tuple[int, bytes]]:
    wire, _ = wired()
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        wire.data_received(stream[start:end])
    found = []
    while not wire.quiet:
        found.append(await wire.read(1))
    return found


STREAM = b"250 ok\r\n250-one\r\n250-two\r\n250 three\r\n354\r\n421 4.3.2 bye\n250-\r\n250 \r\n"


@given(st.lists(st.integers(0, len(STREAM)), max_size=12).map(sorted))
def test_replies_may_be_cut_anywhere(cuts: list[int]) -> None:
    codes = [code for code, _ in asyncio.run(read_all(STREAM, cuts))]
    assert codes == [250, 250, 354, 421, 250]


@pytest.mark.parametrize(
    "stream",
    [
        b"hello\r\n",
        b"25 0 ok\r\n",
        b"2500 ok\r\n",
        b"150 ok\r\n",
        b"650 ok\r\n",
        b"\r\n",
        b"250_ok\r\n",
        b"\x80\x81\r\n",
    ],
)
async def test_what_is_not_a_reply_breaks_the_wire(stream: bytes) -> None:
    wire, _ = wired()
    wire.data_received(b"250 before\r\n" + stream + b"250 after\r\n")
    assert (await wire.read(1))[1].strip() == b"before"
    with pytest.raises(ConnectionLost, match="not a reply"):
        await wire.read(1)
    with pytest.raises(ConnectionLost):
        wire.write(b"QUIT\r\n")


async def test_the_lines_of_a_reply_must_agree_on_the_code() -> None:
    wire, _ = wired()
    wire.data_received(b"250-one\r\n550 two\r\n")
    with pytest.raises(ConnectionLost, match="not a reply"):
        await wire.read(1)


@pytest.mark.parametrize("flood", [b"x" * (MAX_REPLY + 1), b"250-" + b"x" * MAX_REPLY + b"\r\n", b"250-x\r\n" * 8000])
async def test_a_reply_has_a_largest_size(flood: bytes) -> None:
    wire, _ = wired()
    wire.data_received(flood)
    assert "without an end" in wire.broken


async def test_a_long_reply_below_the_limit_is_taken() -> None:
    wire, _ = wired()
    wire.data_received(b"250-abc\r\n" * 3000 + b"250 end\r\n")
    code, text = await wire.read(1)
    assert (code, text.count(b"\n")) == (250, 3000)


async def test_replies_that_nobody_asked_for_have_a_bound() -> None:
    wire, _ = wired()
    wire.data_received(b"250 ok\r\n" * (MAX_UNREAD + 1))
    assert "nobody asked for" in wire.broken


async def test_a_reply_that_does_not_come_breaks_the_wire() -> None:
    wire, _ = wired()
    with pytest.raises(ConnectionLost, match="in time"):
        await wire.read(0.01)
    wire.data_received(b"250 late\r\n")
    with pytest.raises(ConnectionLost, match="in time"):
        await wire.read(1)


async def test_a_letters_own_limit_is_shorter_than_a_stage() -> None:
    wire, _ = wired()
    wire.until = asyncio.get_running_loop().time() + 0.01
    with pytest.raises(ConnectionLost, match="in time"):
        await wire.read(100)


async def test_a_shorter_limit_after_a_longer_one_is_kept() -> None:
    wire, _ = wired()
    asyncio.get_running_loop().call_soon(wire.data_received, b"250 ok\r\n")
    await wire.read(600)
    with pytest.raises(ConnectionLost, match="in time"):
        await wire.read(0.01)


async def test_a_longer_limit_after_a_shorter_one_is_kept() -> None:
    wire, _ = wired()
    loop = asyncio.get_running_loop()
    loop.call_soon(wire.data_received, b"250 ok\r\n")
    await wire.read(0.01)
    loop.call_later(0.05, wire.data_received, b"250 in time\r\n")
    assert (await wire.read(5))[1].strip() == b"in time"


@pytest.mark.parametrize(("error", "why"), [(None, "closed"), (ConnectionResetError("reset \x1b[2J"), "reset")])
async def test_a_lost_connection_says_why(error: Exception | None, why: str) -> None:
    wire, _ = wired()
    wire.data_received(b"250 ok\r\n25")
    wire.connection_lost(error)
    assert (await wire.read(1))[0] == 250
    with pytest.raises(ConnectionLost, match=why) as caught:
        await wire.read(1)
    assert "\x1b" not in str(caught.value)


async def test_half_a_line_is_not_a_reply_but_is_not_silence_either() -> None:
    wire, _ = wired()
    assert wire.quiet
    wire.data_received(b"25")
    assert not wire.quiet


async def test_large_content_waits_for_the_network_block_by_block() -> None:
    wire, transport = wired()
    transport.full = True
    writing = asyncio.create_task(wire.flow(b"x" * (3 * BLOCK + 1), 5))
    for blocks in range(1, 5):
        await asyncio.sleep(0)
        assert len(transport.written) == blocks
        wire.resume_writing()
        await asyncio.sleep(0)
    await writing
    assert b"".join(transport.written) == b"x" * (3 * BLOCK + 1)


async def test_a_network_that_takes_nothing_breaks_the_wire() -> None:
    wire, transport = wired()
    transport.full = True
    with pytest.raises(ConnectionLost, match="in time"):
        await wire.flow(b"x" * 10 * BLOCK, 0.01)
    assert len(transport.written) == 1


async def test_a_connection_closed_before_the_hand_over_is_noticed() -> None:
    transport = Transport()
    transport.aborted = True
    wire = ReplyStream(transport)
    assert wire.broken
    await wire.quit(1)


async def test_quit_takes_no_longer_than_it_may() -> None:
    wire, transport = wired()
    await wire.quit(0.01)
    assert transport.written == [b"QUIT\r\n"]
    assert transport.aborted


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ((250, b"2.0.0 Ok: queued as 4711\r"), Reply(250, "2.0.0", "Ok: queued as 4711")),
        ((250, b"ok"), Reply(250, "", "ok")),
        ((550, b"5.1.1"), Reply(550, "5.1.1", "")),
        ((550, b"5.1.1 no\n5.1.1 such user\n"), Reply(550, "5.1.1", "no such user")),
        ((550, b"5.1.1.1 what"), Reply(550, "", "5.1.1.1 what")),
        ((550, "Gr\u00fc\u00dfe".encode()), Reply(550, "", "Gr\u00fc\u00dfe")),
        ((550, b"\xff\xfe"), Reply(550, "", "\ufffd\ufffd")),
        ((550, b"a\x1b[31mb\x00c\x85d"), Reply(550, "", "a [31mb c\ufffdd")),
        ((550, b"x" * 5000), Reply(550, "", "x" * 1000)),
    ],
)
def test_a_reply_is_taken_apart_and_made_safe(raw: tuple[int, bytes], expected: Reply) -> None:
    assert reply(raw) == expected


@given(st.text())
def test_cleaned_text_prints_on_one_line(text: str) -> None:
    assert not any(
        ord(char) < 32 or 127 <= ord(char) < 160 or char in "\u2028\u2029\u202e" for char in printable_reply(text)
    )
