"""The octets of one HTTP/1.1 connection: one request after the other, and for each its complete answer, by h11.

It is known at each moment whether any octet of a request was handed to the network. Bounds: the head and the body of an
answer, the time of each block and of the answer. What an answer means is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress

import h11

from campaign.delivery.http.exchange import GatewayAnswer, GatewayRequest
from campaign.delivery.smtp.reply_parser import printable_reply
from campaign.delivery.transport_errors import ConnectionLost

#: Largest single write: back-pressure only works between writes of a bounded size.
BLOCK = 64 * 1024
#: Largest head and largest body of an answer, in octets.
LARGEST_HEAD, LARGEST_BODY = 32 * 1024, 256 * 1024
#: Seconds without use after which a connection is not used again: the gateway may be about to close it, and a request
#: that crosses with the closing would be in doubt.
REUSED_WITHIN = 10.0
ENDED = "the gateway closed the connection"


class HttpStream(asyncio.Protocol):
    """For each request: `load`, `send`, `answer`. After ConnectionLost it is unusable."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=LARGEST_HEAD)
        self._why = ""
        self._over = False  # the gateway ended it, or will, between two requests
        self._asked = False
        self._unsent: list[bytes] = []
        self._head: h11.Response | None = None
        self._body = bytearray()
        self._answer: GatewayAnswer | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._draining: asyncio.Future[None] | None = None
        self._used = self._loop.time()

    # -- called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport."""
        self._transport = transport  # type: ignore[assignment]  # asyncio gives a Transport here
        self._transport.set_write_buffer_limits(high=1, low=0)  # type: ignore[union-attr]

    def data_received(self, data: bytes) -> None:
        """Parse what arrived."""
        if not self._asked:
            self._over = True  # such as a 408 to an idle connection
        elif not self._why:
            self._parse(data)

    def eof_received(self) -> bool:
        """The gateway closed its side. What it sent completely stays readable."""
        if self._asked and not self._why:
            self._parse(b"")
        self._ended(ENDED)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._ended(f"the connection was lost: {printable_reply(str(exc))}" if exc else ENDED)

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

    @property
    def broken(self) -> str:
        """Why the connection is unusable, or ``""``. One that the gateway closed between requests is replaced."""
        return self._why

    @property
    def quiet(self) -> bool:
        """Whether it is intact."""
        return not self._why

    @property
    def reusable(self) -> bool:
        """Whether another request may go over it."""
        return not (self._why or self._over) and self._loop.time() - self._used < REUSED_WITHIN

    def load(self, request: GatewayRequest, host: str) -> None:
        """Encode ``request``. Nothing leaves yet."""
        headers = {"Host": host, **request.headers, "Content-Length": str(len(request.body))}
        head = h11.Request(method=request.method, target=request.target, headers=list(headers.items()))
        first = b"".join(
            part or b"" for part in (self._http.send(head), self._http.send(h11.Data(data=request.body[:BLOCK])))
        )
        rest = [request.body[start : start + BLOCK] for start in range(BLOCK, len(request.body), BLOCK)]
        self._unsent = [first, *(self._http.send(h11.Data(data=block)) or b"" for block in rest)]
        self._http.send(h11.EndOfMessage())
        self._head, self._answer = None, None
        self._body.clear()

    def send(self) -> None:
        """Hand the first octets to the network. ConnectionLost: nothing of the request left."""
        if self._why or self._over or self._transport is None or self._transport.is_closing():
            self._break(ENDED)
            raise ConnectionLost(self._why)
        self._asked = True
        self._transport.write(self._unsent.pop(0))

    async def answer(self, block_limit: float, answer_limit: float) -> GatewayAnswer:
        """Send the rest, each block within a limit, and wait for the complete answer. Raises ConnectionLost."""
        while self._unsent and self._answer is None:
            await self._sent(block_limit)
            self._write(self._unsent.pop(0))
        if self._answer is None:
            self._waiter = self._loop.create_future()
            await self._within(self._waiter, answer_limit)
        if self._answer is None:
            raise ConnectionLost(self._why or ENDED)
        if self._unsent:  # it answered before it had everything; the connection is of no further use
            self._over = True
            self._unsent.clear()
        return self._answer

    def abort(self, why: str = "we ended the connection") -> None:
        """End at once with a reset, discarding unsent data."""
        self._break(why)
        if self._transport is None:
            return
        line = self._transport.get_extra_info("socket")
        if line is not None:
            with suppress(OSError):
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    async def quit(self, limit: float) -> None:  # noqa: ARG002 - there is no farewell in HTTP to wait for
        """Close gracefully. Never raises ConnectionLost."""
        self.close()

    def close(self) -> None:
        """Close it; another may take its place."""
        if self._transport is not None:
            self._transport.close()

    # -- inside

    async def _sent(self, limit: float) -> None:
        if self._draining is not None and not self._why:
            await self._within(self._draining, limit)

    def _write(self, block: bytes) -> None:
        if self._why or self._transport is None or self._transport.is_closing():
            return  # it may have answered before; `answer` decides
        self._transport.write(block)

    async def _within(self, what: asyncio.Future[None], limit: float) -> None:
        if self._why:
            return
        try:
            async with asyncio.timeout(limit):
                await what
        except TimeoutError:
            self.abort("the gateway did not answer in time")

    def _parse(self, data: bytes) -> None:
        try:
            self._http.receive_data(data)
            while self._answer is None:
                event = self._http.next_event()
                if event is h11.NEED_DATA or event is h11.PAUSED:
                    return
                self._take(event)
        except h11.ProtocolError as error:
            if data:
                self._break(f"the gateway sent something that is not HTTP: {printable_reply(str(error))}")
            else:
                self._break(ENDED if self._head is None else f"{ENDED} in the middle of its answer")

    def _take(self, event: object) -> None:
        if isinstance(event, h11.Response):
            self._head = event
        elif isinstance(event, h11.Data):
            self._body += event.data
            if len(self._body) > LARGEST_BODY:
                self._break("the gateway sent an answer without an end")
        elif isinstance(event, h11.EndOfMessage) and self._head is not None:
            self._finish(self._head)
        elif isinstance(event, h11.ConnectionClosed):
            self._break(ENDED)

    def _finish(self, head: h11.Response) -> None:
        self._answer = GatewayAnswer(head.status_code, _headers(head), bytes(self._body))
        self._asked = False
        self._used = self._loop.time()
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE and not self._http.trailing_data[0]:
            self._http.start_next_cycle()
        else:
            self._over = True
        self._wake()

    def _ended(self, why: str) -> None:
        self._over = True
        if self._asked:
            self._break(why)
        self.resume_writing()
        self._wake()

    def _break(self, why: str) -> None:
        self._why = self._why or why
        self.resume_writing()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _headers(head: h11.Response) -> Mapping[str, str]:
    return {name.decode("ascii", "replace"): value.decode("latin-1") for name, value in head.headers}
