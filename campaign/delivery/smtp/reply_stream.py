"""The reply stream: an asyncio protocol that writes bytes to a relay and reads its replies.

It bounds what an endless or hostile server can make us keep, detects overdue replies, and makes a writer wait while the
network is slower than we are. `mail_transaction.py` decides which command a reply answers, `classify.py` what it means.
"""

from __future__ import annotations

import asyncio
import math
import socket
import struct
from contextlib import suppress

from campaign.delivery.smtp.reply_parser import RawReply, ReplyParser, printable_reply
from campaign.delivery.transport_errors import ConnectionLost

#: Largest single write. Over TLS asyncio encrypts what it is given at once and holds it where its own
#: ``get_write_buffer_size`` does not look, so back-pressure only works between writes of a bounded size.
BLOCK = 64 * 1024

#: Octets read at once. By default asyncio allocates 256 kB for each read, which costs more than everything else.
INBOX = 8 * 1024


class ReplyStream(ReplyParser, asyncio.BufferedProtocol):
    """Replies in, bytes out, over a transport that the caller opened.

    Over TLS at most about two `BLOCK` are unsent.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._inbox = memoryview(bytearray(INBOX))
        super().__init__()
        self._waiter: asyncio.Future[None] | None = None
        self._draining: asyncio.Future[None] | None = None
        self._gone = self._loop.create_future()
        self._deadline = 0.0
        self._awaiting = False
        self._timer: asyncio.TimerHandle | None = None
        #: The loop's time after which no read waits any longer, whatever its own limit.
        self.until = math.inf
        # One octet unsent is "not drained"; zero would never resume over TLS, whose comparison includes the mark.
        transport.set_write_buffer_limits(high=1, low=0)
        transport.set_protocol(self)
        if transport.is_closing():
            self._break("the relay closed the connection")
            self._gone.set_result(None)

    # -- called by the transport

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - as asyncio calls it
        """The buffer for the next read."""
        return self._inbox

    def buffer_updated(self, nbytes: int) -> None:
        """Parse ``nbytes`` received octets."""
        self.data_received(bytes(self._inbox[:nbytes]))

    def eof_received(self) -> bool:
        """The relay closed its side; replies already received stay readable."""
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
        """Note that some data is unsent."""
        if self._draining is None:
            self._draining = self._loop.create_future()

    def resume_writing(self) -> None:
        """Note that all data is sent."""
        draining, self._draining = self._draining, None
        if draining is not None and not draining.done():
            draining.set_result(None)

    # -- called by our code

    def write(self, data: bytes) -> None:
        """Hand ``data`` to the network, all at once; for anything larger than `BLOCK` use `flow`."""
        if self._why or self._transport.is_closing():
            # asyncio reports a refused write only later; data written until then would be lost.
            self._break("the connection was lost")
            raise ConnectionLost(self._why)
        self._transport.write(data)

    @property
    def full(self) -> bool:
        """Whether some written data is still unsent."""
        return self._draining is not None

    async def flow(self, data: bytes, limit: float) -> None:
        """Write ``data`` in blocks, each after the network took the one before. ConnectionLost after ``limit`` s."""
        for start in range(0, len(data), BLOCK):
            self.write(data[start : start + BLOCK])
            await self.drained(limit)

    async def drained(self, limit: float) -> None:
        """Wait until written data has left our buffers (over TLS: all but about one `BLOCK`)."""
        while self._draining is not None and not self._why:
            await self._expect(self._draining, limit)
        if self._why:
            raise ConnectionLost(self._why)

    async def read(self, limit: float) -> RawReply:
        """The next reply, in the order they came. Raises ConnectionLost when none comes in ``limit`` s."""
        while not self._replies:
            if self._why:
                raise ConnectionLost(self._why)
            self._waiter = self._loop.create_future()
            await self._expect(self._waiter, limit)
        return self._replies.popleft()

    def abort(self, why: str = "we ended the connection") -> None:
        """End at once with a reset, discarding unsent data.

        A graceful close would flush, and a server that saw 354 could accept a partial letter, even an empty one.
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
        """Close gracefully: QUIT, its reply or ``limit`` seconds, and the end. Never raises ConnectionLost."""
        try:
            self.write(b"QUIT\r\n")
            await self.read(limit)
        except ConnectionLost:
            pass
        self._transport.close()
        # Over TLS an unresponsive server would be waited for half a minute; nothing of value is unsent.
        await asyncio.wait({self._gone}, timeout=min(limit, 2.0))
        self.abort("the connection was ended")

    # -- inside

    def _break(self, why: str) -> None:
        super()._break(why)
        self.resume_writing()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _expect(self, what: asyncio.Future[None], limit: float) -> None:
        # One timer, moved only when a deadline comes forward: a timer per reply costs more than the reply.
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
            # A late reply would be read as the answer to another command, so the stream is unusable.
            self._break("the relay did not answer in time")
