"""The wire: a protocol of asyncio that turns bytes from a relay into replies, in order, and nothing else.

It reads replies (RFC 5321 4.2) whatever way the network cut them, bounds what an endless or hostile server can
make us keep, knows when a reply is overdue, and tells a writer to wait while the network is slower than we are.
It does not know what a letter is, which reply belongs to which command, or what a reply means.
"""

from __future__ import annotations

import asyncio
import math
import re
import socket
import struct
from collections import deque
from contextlib import suppress

from campaign.model import Reply

#: Longest reply kept, all its lines together (RFC 5321 4.5.3.1.5 asks for 512 octets a line).
MAX_REPLY = 32 * 1024
#: Replies that nobody has asked for yet; we never have more than five commands under way.
MAX_UNREAD = 64
#: Longest text kept of a reply once it is cleaned; the rest tells nobody anything.
MAX_TEXT = 1000
#: Largest single write. Over TLS asyncio encrypts what it is given at once and holds it where its own
#: ``get_write_buffer_size`` does not look, so back-pressure only works between writes of a bounded size.
BLOCK = 64 * 1024

#: Octets read at once. Left to itself asyncio asks for memory for 256 kB each time, which costs more than all else.
INBOX = 8 * 1024

_CODES = {b"%d" % code: code for code in range(200, 600)}
_ENDS = (b" ", b"-", b"")
_ENHANCED = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?:\s+|$)")
# C0, DEL, C1, line and paragraph separators, and the marks that reorder text on a terminal.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]+")

RawReply = tuple[int, bytes]


class ConnectionLost(Exception):  # noqa: N818 - not an error of ours but a state of the world
    """The connection is of no more use; ``str`` says why, in words for the operator."""


def printable_reply(text: str) -> str:
    """Server text made safe to print: control and reordering characters become one blank, long text is cut."""
    return " ".join(_UNPRINTABLE.sub(" ", text).split())[:MAX_TEXT]


def reply(raw: RawReply) -> Reply:
    """The reply in ``raw`` (code, lines joined by LF) with its enhanced code (RFC 2034) taken out of the text."""
    code, content = raw
    text = content.decode("utf-8", "replace")
    first = _ENHANCED.match(text)
    enhanced = first[1] if first else ""
    if "\n" in text:
        lines = (line.strip() for line in text.split("\n"))
        text = " ".join(line.removeprefix(enhanced).lstrip() for line in lines).strip()
    else:
        text = text[len(enhanced) :].strip()
    return Reply(
        code,
        enhanced,
        text if text.isascii() and text.isprintable() and len(text) <= MAX_TEXT else printable_reply(text),
    )


class ReplyStream(asyncio.BufferedProtocol):
    """Replies in, bytes out, over a transport that somebody else opened.

    Bounds: one reply of `MAX_REPLY` octets, `MAX_UNREAD` replies, and over TLS about two `BLOCK` unsent.
    After anything that is not a reply the wire is broken for good; replies read before that stay readable.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._inbox = memoryview(bytearray(INBOX))
        self._replies: deque[RawReply] = deque()
        self._rest = b""
        self._lines: list[bytes] = []
        self._size = 0
        self._why = ""
        self._waiter: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._gone = self._loop.create_future()
        self._deadline = 0.0
        self._awaiting = False
        self._timer: asyncio.TimerHandle | None = None
        #: The loop's time after which nothing is waited for, whatever its own limit.
        self.until = math.inf
        # One octet unsent is "not drained"; zero would never resume over TLS, whose comparison includes the mark.
        transport.set_write_buffer_limits(high=1, low=0)
        transport.set_protocol(self)
        if transport.is_closing():
            self._break("the relay closed the connection")
            self._gone.set_result(None)

    # -- what the transport tells us

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - as asyncio calls it
        """Where what comes next is laid down."""
        return self._inbox

    def buffer_updated(self, nbytes: int) -> None:
        """So much has come."""
        self.data_received(bytes(self._inbox[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Cut what came into replies."""
        if self._why:
            return
        *lines, self._rest = (self._rest + data if self._rest else data).split(b"\n")
        for line in lines:
            # Nearly every reply is one line; the rest of this loop is for the others.
            code = _CODES.get(line[:3])
            if code is not None and line[3:4] == b" " and not self._lines and len(line) <= MAX_REPLY:
                self._replies.append((code, line[4:]))
            elif not self._take_line(code, line.rstrip(b"\r")):
                break
        if self._size + len(self._rest) > MAX_REPLY:
            self._break("the relay sent a reply without an end")
        elif len(self._replies) > MAX_UNREAD:
            self._break("the relay sent replies that nobody asked for")
        if self._replies:
            self._wake()

    def _take_line(self, code: int | None, line: bytes) -> bool:
        self._size += len(line)
        if code is None or line[3:4] not in _ENDS or (self._lines and line[:3] != self._lines[0][:3]):
            self._break(f"the relay sent something that is not a reply: {printable_reply(repr(line[:80])[2:-1])}")
            return False
        self._lines.append(line)
        if self._size > MAX_REPLY:
            return False
        if line[3:4] != b"-":
            self._replies.append((code, b"\n".join(one[4:] for one in self._lines)))
            self._lines, self._size = [], 0
        return True

    def eof_received(self) -> bool:
        """The relay says no more; what it said stays readable."""
        self._break("the relay closed the connection")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._break(
            f"the connection was lost: {printable_reply(str(exc))}" if exc else "the relay closed the connection"
        )
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if not self._gone.done():
            self._gone.set_result(None)

    def pause_writing(self) -> None:
        """Something is unsent."""
        if self._room is None:
            self._room = self._loop.create_future()

    def resume_writing(self) -> None:
        """Everything is sent."""
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    # -- what we ask of it

    @property
    def broken(self) -> str:
        """Why the connection is of no more use, or ``""``."""
        return self._why

    @property
    def quiet(self) -> bool:
        """Whether it is whole and the relay has said nothing, not even half a line, that nobody has read yet."""
        return not (self._why or self._replies or self._rest or self._lines)

    def write(self, data: bytes) -> None:
        """Hand ``data`` to the network, all at once; for anything larger than `BLOCK` use `flow`."""
        if self._why or self._transport.is_closing():
            # asyncio tells us of a refused write only later; what is written until then would go nowhere.
            self._break("the connection was lost")
            raise ConnectionLost(self._why)
        self._transport.write(data)

    @property
    def full(self) -> bool:
        """Whether something written is still unsent."""
        return self._room is not None

    async def flow(self, data: bytes, limit: float) -> None:
        """Write ``data`` in blocks, each when the network took the one before. Raises Broken after ``limit`` s."""
        for start in range(0, len(data), BLOCK):
            self.write(data[start : start + BLOCK])
            await self.drained(limit)

    async def drained(self, limit: float) -> None:
        """Return when what was written has left our buffers (over TLS: all but about one `BLOCK`)."""
        while self._room is not None and not self._why:
            await self._expect(self._room, limit)
        if self._why:
            raise ConnectionLost(self._why)

    def agreed(self) -> bool:
        """Take the yes to MAIL, RCPT and DATA if all of it is there already; otherwise take nothing."""
        replies = self._replies
        if len(replies) < 3 or replies[0][0] != 250 or replies[1][0] != 250 or replies[2][0] != 354:
            return False
        replies.popleft()
        replies.popleft()
        replies.popleft()
        return True

    async def read(self, limit: float) -> RawReply:
        """The next reply, in the order they came. Raises Broken when none comes in ``limit`` s."""
        while not self._replies:
            if self._why:
                raise ConnectionLost(self._why)
            self._waiter = self._loop.create_future()
            await self._expect(self._waiter, limit)
        return self._replies.popleft()

    def abort(self, why: str = "we ended the connection") -> None:
        """End at once with a reset, throwing away what is unsent.

        A polite end would flush, and a server that saw 354 could take what it has, even nothing, for a letter.
        """
        self._break(why)
        if self._gone.done():
            return
        line = self._transport.get_extra_info("socket")
        if line is not None:
            with suppress(OSError):
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    async def quit(self, limit: float) -> None:
        """Part politely: QUIT, its reply or ``limit`` seconds, and gone. Never raises Broken."""
        try:
            self.write(b"QUIT\r\n")
            await self.read(limit)
        except ConnectionLost:
            pass
        self._transport.close()
        # Over TLS a deaf server would be waited for half a minute; nothing of value is unsent.
        await asyncio.wait({self._gone}, timeout=min(limit, 2.0))
        self.abort("the connection was ended")

    # -- inside

    def _break(self, why: str) -> None:
        if not self._why:
            self._why = why
        self._wake()
        self.resume_writing()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _expect(self, what: asyncio.Future[None], limit: float) -> None:
        # One timer per wire, moved only when a deadline comes forward: a timer per reply costs more than the reply.
        self._deadline = min(self._loop.time() + limit, self.until)
        if self._timer is None or self._timer.when() > self._deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(self._deadline, self._ring)
        self._awaiting = True
        try:
            await what
        finally:
            self._awaiting = False

    def _ring(self) -> None:
        self._timer = None
        if not self._awaiting:
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._ring)
        else:
            # A late reply would be taken for the answer to something else: the wire is done for.
            self._break("the relay did not answer in time")
