"""The simulated network: connections to relays with latency, back-pressure, resets, black holes and lost names.

One `Transport` is the client's end of a connection, a `Session` of `relay.py` the other end. Bytes arrive in order,
each way; nothing else is promised.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections import deque
from typing import TYPE_CHECKING, Any

from tests.simulation.member import CURRENT, Member
from tests.simulation.relay import Session

if TYPE_CHECKING:
    from tests.simulation.world import World

#: Least seconds between two arrivals on one connection.
TICK = 1e-6


class Network:
    """All connections of one process."""

    def __init__(self, world: World, loop: asyncio.AbstractEventLoop) -> None:
        self.world, self.loop = world, loop
        self.dice = world.dice("network")
        self.open_lines: list[Transport] = []
        self._dialled: dict[int, int] = {}

    def latency(self) -> float:
        """Seconds that the next bytes take."""
        return self.world.scenario.latency * (0.5 + self.dice.random()) + 1e-5

    def look_up(self, port: int) -> None:
        """Raise gaierror while the name service is out of order."""
        if self.world.relay(port).weather("no name"):
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    async def connect(self, sock: socket.socket, port: int) -> None:
        """Wait for the connection, or raise OSError."""
        relay = self.world.relay(port)
        if relay.weather("unreachable"):
            await asyncio.sleep(3600.0)
        await asyncio.sleep(2 * self.latency())
        if relay.weather("refused"):
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        self._dialled[sock.fileno()] = port

    def open(self, sock: socket.socket, protocol: asyncio.BaseProtocol) -> Transport:
        """The client's end of a new connection; the relay greets at once."""
        relay = self.world.relay(self._dialled.pop(sock.fileno()))
        transport = Transport(self, relay, sock, protocol)
        self.world.witness.connected([one.allowed for one in self.open_lines if not one.is_lost])
        transport.allowed = self.world.witness.connections
        self.open_lines.append(transport)
        return transport

    def end_of(self, member: Member) -> None:
        """Let what a dead sender sent arrive."""
        for line in [one for one in self.open_lines if one.member is member]:
            self.open_lines.remove(line)
            line.outlive(power=False)
            line.forget()
            member.kept.append(line)

    def end(self, *, power: bool) -> None:
        """Let what was sent arrive, or a part of it, as the process is gone; without power, less of it."""
        for line in self.open_lines:
            line.outlive(power=power)
        self.open_lines.clear()


class Transport(asyncio.Transport):
    """The client's end. ``offered`` is the address of the last RCPT written, ``current`` that of the content."""

    def __init__(self, network: Network, relay: Any, sock: socket.socket, protocol: asyncio.BaseProtocol) -> None:
        super().__init__({"socket": sock, "peername": ("127.0.0.1", relay.port), "sockname": ("127.0.0.1", 4)})
        self._network, self._loop, self._sock = network, network.loop, sock
        self._world, self._dice = network.world, network.dice
        self._protocol: Any = protocol
        self.member = CURRENT.get()
        self.allowed = 0
        self.relay = relay
        self._closing = self._lost = self._paused = False
        self._held: deque[bytes] = deque()
        self._flight: deque[bytes] = deque()
        self._there = self._here = 0.0
        self.offered = self.current = ""
        self.silent = False
        self.session = Session(relay, self)
        self._loop.call_soon(protocol.connection_made, self)
        self._loop.call_soon(self.session.begin)

    # -- for the product

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Replace the protocol."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The protocol."""
        return self._protocol  # type: ignore[no-any-return]

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Any unsent octet counts."""

    def get_write_buffer_size(self) -> int:
        """Octets not handed to the network yet."""
        return sum(map(len, self._held))

    def is_closing(self) -> bool:
        """Whether it is closing."""
        return self._closing

    def can_write_eof(self) -> bool:
        """There is no half close here."""
        return False

    def pause_reading(self) -> None:
        """Never asked for."""

    def resume_reading(self) -> None:
        """Never asked for."""

    def write(self, data: Any) -> None:
        """Hand bytes to the network; some wait in a buffer first."""
        if self._lost or (self.member is not None and self.member.dead):
            return
        octets = bytes(data)
        self._watch(octets)
        slow = self.relay.weather("slow network")
        if self._held or (slow and self._dice.random() < 0.5):
            if not self._held:
                self._loop.call_later(self._dice.random() * slow.args["seconds"], self._release)
                self._paused = True
                self._protocol.pause_writing()
            self._held.append(octets)
        else:
            self._send(octets)

    def close(self) -> None:
        """Send what is left, then FIN."""
        if self._closing:
            return
        self._closing = True
        for octets in self._held:
            self._send(octets)
        self._held.clear()
        self._arrive_there(self.session.eof)
        self._loop.call_soon(self._end, None)

    def abort(self) -> None:
        """RST: what is unsent is gone, what is on its way may be."""
        if self._lost:
            return
        self._closing = True
        self._held.clear()
        if self._dice.random() < 0.5:
            self._flight.clear()
        self._arrive_there(self.session.eof)
        self._loop.call_soon(self._end, None)

    # -- for the relay

    def deliver(self, data: bytes, delay: float = 0.0) -> None:
        """Bytes from the relay, perhaps in two pieces."""
        if len(data) > 1 and self._dice.random() < self._world.scenario.splits:
            cut = self._dice.randint(1, len(data) - 1)
            self._arrive_here(delay, self._receive, data[:cut])
            self._arrive_here(0.0, self._receive, data[cut:])
        else:
            self._arrive_here(delay, self._receive, data)

    def finish(self, delay: float = 0.0) -> None:
        """FIN from the relay."""
        self._arrive_here(delay, self._eof)

    def reset(self, delay: float = 0.0) -> None:
        """RST from the relay."""
        self._arrive_here(delay, self._reset)

    # -- inside

    def outlive(self, *, power: bool) -> None:
        """The process is gone: the kernel sends what it has, then FIN; without power, nothing more."""
        flight = [] if power and self._dice.random() < 0.5 else list(self._flight)
        for octets in flight[: self._dice.randint(0, len(flight))] if power else flight:
            self.session.feed(octets)
        self.session.eof()

    @property
    def is_lost(self) -> bool:
        """Whether the connection is over, for this end of it."""
        return self._lost or self._closing

    def forget(self) -> None:
        """Nobody is at this end any more."""
        self._closing = self._lost = True
        self._held.clear()
        self._flight.clear()

    def _watch(self, octets: bytes) -> None:
        witness = self._world.witness
        if octets.startswith(b".\r\n"):
            witness.dot_leaves(self.relay, self.current)
            self._look_for_envelope(octets)
        elif not self._look_for_envelope(octets) and not octets.startswith((b"EHLO", b"HELO", b"DATA", b"QUIT")):
            self.current = self.offered
            witness.content_leaves(self.relay, self.current)

    def _look_for_envelope(self, octets: bytes) -> bool:
        _, found, rest = octets.partition(b"RCPT TO:<")
        if found and octets.startswith((b".\r\n", b"MAIL", b"RSET", b"RCPT")):
            self.offered = rest.partition(b">")[0].decode()
        return bool(found) or octets.startswith((b"MAIL", b"RSET"))

    def _send(self, octets: bytes) -> None:
        self._flight.append(octets)
        self._arrive_there(self._feed)

    def _feed(self) -> None:
        if self._flight:
            octets = self._flight.popleft()
            if not self.silent:
                self._world.note("arrived", self.relay.port, len(octets))
                self.session.feed(octets)

    def _release(self) -> None:
        while self._held:
            self._send(self._held.popleft())
        if self._paused and not self._lost:
            self._paused = False
            self._protocol.resume_writing()

    def _arrive_there(self, call: Any) -> None:
        self._there = max(self._there + TICK, self._loop.time() + self._network.latency())
        self._loop.call_at(self._there, call)

    def _arrive_here(self, delay: float, call: Any, *args: Any) -> None:
        if self.silent:
            return
        self._here = max(self._here + TICK, self._loop.time() + delay + self._network.latency())
        self._loop.call_at(self._here, call, *args)

    def _receive(self, data: bytes) -> None:
        if self._lost or self._closing or self.silent:
            return
        self._world.note("received", self.relay.port, data)
        if isinstance(self._protocol, asyncio.BufferedProtocol):
            while data:
                buffer = self._protocol.get_buffer(-1)
                size = min(len(buffer), len(data))
                buffer[:size] = data[:size]
                self._protocol.buffer_updated(size)
                data = data[size:]
        else:
            self._protocol.data_received(data)

    def _eof(self) -> None:
        if not (self._lost or self._closing):
            self._protocol.eof_received()
            self.close()

    def _reset(self) -> None:
        if not self._lost:
            self._closing = True
            self._held.clear()
            self._flight.clear()
            self._end(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))

    def _end(self, error: Exception | None) -> None:
        if self._lost:
            return
        self._lost = True
        if self in self._network.open_lines and not self._flight:
            self._network.open_lines.remove(self)
        self._protocol.connection_lost(error)
        self._sock.close()
