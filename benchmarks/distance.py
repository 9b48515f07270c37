"""Put distance between two ends of a TCP connection: every octet arrives so many milliseconds later.

    python -m benchmarks.distance PORT TARGET_PORT ONE_WAY_MILLISECONDS

Both directions and the opening of a connection are delayed; bandwidth, loss and jitter are not modelled. The loop
waits by ``select``, whose timer is finer than the millisecond that ``epoll`` rounds up to.
"""

from __future__ import annotations

import asyncio
import selectors
import socket
import sys
from collections import deque


class Lag:
    """Gives what is put in to ``deliver`` after ``delay`` seconds, in order, with one timer at a time."""

    def __init__(self, delay: float, deliver: asyncio.Transport) -> None:
        self._loop = asyncio.get_running_loop()
        self._delay, self._deliver = delay, deliver
        self._waiting: deque[tuple[float, bytes | None]] = deque()

    def put(self, data: bytes | None) -> None:
        """Octets, or None for the end."""
        self._waiting.append((self._loop.time() + self._delay, data))
        if len(self._waiting) == 1:
            self._loop.call_later(self._delay, self._release)

    def _release(self) -> None:
        now = self._loop.time()
        while self._waiting and self._waiting[0][0] <= now:
            _, data = self._waiting.popleft()
            if self._deliver.is_closing():
                continue
            if data is None:
                self._deliver.close()
            else:
                self._deliver.write(data)
        if self._waiting:
            self._loop.call_at(self._waiting[0][0], self._release)


class End(asyncio.Protocol):
    """One end of a bridged connection; ``other`` is where its octets go, once that is open."""

    def __init__(self) -> None:
        self.other: Lag | None = None
        self.early: list[bytes | None] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self._pass_on(data)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._pass_on(None)

    def _pass_on(self, data: bytes | None) -> None:
        if self.other is None:
            self.early.append(data)
        else:
            self.other.put(data)


class Near(End):
    """The end the sender dialled; it dials the far one."""

    def __init__(self, target: int, delay: float) -> None:
        super().__init__()
        self._target, self._delay = target, delay

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._dialling = asyncio.ensure_future(self._dial())

    async def _dial(self) -> None:
        await asyncio.sleep(self._delay)
        _, far = await asyncio.get_running_loop().create_connection(End, "127.0.0.1", self._target)
        far.other = Lag(self._delay, self.transport)
        self.other = Lag(self._delay, far.transport)
        for data in [*far.early]:
            far.other.put(data)
        for data in self.early:
            self.other.put(data)


async def serve(port: int, target: int, delay: float) -> None:
    server = await asyncio.get_running_loop().create_server(
        lambda: Near(target, delay), "127.0.0.1", port, backlog=1000
    )
    await server.serve_forever()


def main() -> None:
    port, target, milliseconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    loop.run_until_complete(serve(port, target, milliseconds / 1000))


if __name__ == "__main__":
    main()
