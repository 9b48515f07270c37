"""A relay that behaves, keeps every octet, and misbehaves on request: at a named stage, a number of times.

It is the oracle of the delivery tests: `letters` holds what arrived (envelope and unstuffed content, written down
before the reply leaves), `cut` what ended early, `commands` every line it was told, `raw` every octet of each
connection. It is greedy on request: then it takes whatever it has for a letter when a connection ends politely.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Self

STAGES = ("connect", "banner", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "body", "dot", "rset", "quit")
EXTENSIONS = ("PIPELINING", "SIZE 50000000", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")


@dataclass(frozen=True)
class Fault:
    """What to do instead of answering: say something (or nothing), then go on, end, reset or fall silent."""

    say: bytes = b""
    then: str = "on"  # on | fin | rst | stall
    answer: bool = False  # give the proper answer too, behind what is said


FIN = Fault(then="fin")
RST = Fault(then="rst")
STALL = Fault(then="stall")
CLOSING = Fault(b"421 4.3.2 closing for a rest\r\n", "fin")
GARBAGE = Fault(b"\x16\x03\x01 is this SMTP?\r\n")
HALF = Fault(b"250 2.0.0 half a rep", "fin")


def say(line: str, then: str = "on") -> Fault:
    return Fault(line.encode() + b"\r\n", then)


@dataclass(eq=False)
class Shelf:
    """One server on a loopback port. ``faults[stage]`` are used up in order; ``always[stage]`` never are."""

    extensions: tuple[str, ...] = EXTENSIONS
    greedy: bool = False
    implicit: ssl.SSLContext | None = None
    starttls: ssl.SSLContext | None = None
    users: dict[str, str] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)  # second line of a login -> reply
    refuse: dict[str, str] = field(default_factory=dict)  # recipient -> reply to RCPT; "" hangs up
    letters: list[tuple[str, str, bytes]] = field(default_factory=list)
    cut: list[bytes] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    raw: list[bytearray] = field(default_factory=list)
    faults: dict[str, list[Fault | None]] = field(default_factory=lambda: defaultdict(list))
    always: dict[str, Fault] = field(default_factory=dict)
    waits: dict[str, float] = field(default_factory=dict)  # stage -> seconds before it answers, each time
    connections: int = 0
    most_at_once: int = 0
    open: int = 0
    letters_per_connection: int = 10**9
    generous: bool = False  # says 354 also when it has refused the recipient
    lone_dots: int = 0
    most_connections: int = 10**9
    port: int = 0  # a free one, unless said
    deaf: bool = False  # reads nothing once DATA has begun

    async def __aenter__(self) -> Self:
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, ssl=self.implicit, limit=2**24)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.sleep(0.001)  # the transports close in the loop's next rounds

    async def die(self) -> None:
        """Go away as a crashed process does: every connection reset, nobody listening."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    @property
    def url(self) -> str:
        return f"{'smtps' if self.implicit else 'smtp'}://127.0.0.1:{self.port}"

    @property
    def recipients(self) -> list[str]:
        return [recipient for _, recipient, _ in self.letters]

    def break_at(self, stage: str, fault: Fault, *, after: int = 0, times: int = 1) -> None:
        """Misbehave at the ``after``-th time this stage is reached, and ``times`` times from there."""
        assert stage in STAGES
        self.faults[stage] += [None] * after + [fault] * times

    def told(self, verb: str) -> int:
        return sum(command.upper().startswith(verb) for command in self.commands)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.most_at_once = max(self.most_at_once, self.open)
        session = Session(self, reader, writer)
        try:
            with contextlib.suppress(Hangup, ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                await session.run()
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
                await writer.wait_closed()
        finally:
            self.open -= 1
            writer.transport.abort()

    def fault(self, stage: str) -> Fault | None:
        planned = self.faults[stage]
        return planned.pop(0) if planned else self.always.get(stage)


class Hangup(Exception):  # noqa: N818 - it is what the server does, not an error
    """The server ends the connection."""


class Session:
    def __init__(self, shelf: Shelf, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.shelf, self.reader, self.writer = shelf, reader, writer
        self.sender: str | None = None
        self.recipient: str | None = None
        self.taken = 0
        self.encrypted = shelf.implicit is not None
        self.raw = bytearray()
        shelf.raw.append(self.raw)

    async def run(self) -> None:
        if await self._fault("connect"):
            return
        if self.shelf.open > self.shelf.most_connections:
            await self.answer("", "421 4.7.0 too many connections")
            return
        await self.answer("banner", "220 shelf.example ready")
        while True:
            line = await self.reader.readline()
            if not line.endswith(b"\n"):
                return
            self.raw += line
            command = line.decode("utf-8", "replace").rstrip("\r\n")
            self.shelf.commands.append(command)
            verb = command.upper().split(" ")[0].split(":")[0]
            handler = getattr(self, f"on_{verb.lower()}", None)
            if command in self.shelf.passwords:
                await self.answer("", self.shelf.passwords[command])
            elif handler is None:
                await self.answer("", "500 5.5.1 what?")
            else:
                await handler(command)

    async def answer(self, stage: str, line: str) -> None:
        if stage and await self._fault(stage):
            return
        self.writer.write(line.encode() + b"\r\n")
        await self.writer.drain()

    async def _fault(self, stage: str) -> bool:
        """Whether the stage was spoilt; when the connection ends by it, Hangup is raised."""
        if stage in self.shelf.waits:
            await asyncio.sleep(self.shelf.waits[stage])
        fault = self.shelf.fault(stage)
        if fault is None:
            return False
        if fault.say:
            self.writer.write(fault.say)
            await self.writer.drain()
        if fault.then == "stall":
            await asyncio.Event().wait()
        if fault.then == "rst":
            line = self.writer.get_extra_info("socket")
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.writer.transport.abort()
        if fault.then in ("fin", "rst"):
            raise Hangup
        return not fault.answer

    # -- commands

    async def on_ehlo(self, _: str) -> None:
        offered = [*self.shelf.extensions]
        if self.shelf.starttls is not None and not self.encrypted:
            offered.append("STARTTLS")
        if self.shelf.users:
            offered.append("AUTH PLAIN LOGIN CRAM-MD5 XOAUTH2")
        lines = ["shelf.example", *offered]
        dashed = [f"250{'-' if number < len(lines) else ' '}{text}" for number, text in enumerate(lines, 1)]
        await self.answer("ehlo", "\r\n".join(dashed))

    async def on_helo(self, _: str) -> None:
        await self.answer("", "250 shelf.example")

    async def on_starttls(self, _: str) -> None:
        await self.answer("starttls", "220 2.0.0 go ahead")
        assert self.shelf.starttls is not None
        await self.writer.start_tls(self.shelf.starttls)
        self.encrypted = True

    async def on_auth(self, command: str) -> None:
        await self.answer("auth", "235 2.7.0 welcome" if self.shelf.users.get(command) else "535 5.7.8 wrong")

    async def on_mail(self, command: str) -> None:
        self.sender = self.recipient = None
        fault = self.shelf.faults["mail"][:1] or [self.shelf.always.get("mail")]
        if fault[0] is None or fault[0].answer:
            self.sender = command.partition("<")[2].partition(">")[0]
        await self.answer("mail", "250 2.1.0 ok")

    async def on_rcpt(self, command: str) -> None:
        recipient = command.partition("<")[2].partition(">")[0]
        if self.sender is None:
            await self.answer("rcpt", "503 5.5.1 MAIL first")
        elif recipient in self.shelf.refuse:
            if not self.shelf.refuse[recipient]:
                raise Hangup
            await self.answer("rcpt", self.shelf.refuse[recipient])
        else:
            fault = self.shelf.faults["rcpt"][:1] or [self.shelf.always.get("rcpt")]
            if fault[0] is None or fault[0].answer:
                self.recipient = recipient
            await self.answer("rcpt", "250 2.1.5 ok")

    async def on_data(self, _: str) -> None:
        if self.recipient is None:
            if self.shelf.generous and self.sender is not None:
                await self.answer("", "354 go ahead, although nobody is there")
                self.shelf.lone_dots += await self._content() == b""
            await self.answer("", "503 5.5.1 RCPT first")
            return
        fault = self.shelf.faults["data"][:1] or [self.shelf.always.get("data")]
        spoilt = fault[0] is not None and not fault[0].answer and not fault[0].say.startswith(b"354")
        await self.answer("data", "354 go ahead")
        if spoilt:
            return
        if self.shelf.deaf:
            self.writer.transport.pause_reading()
            await asyncio.Event().wait()
        content = await self._content()
        self.shelf.letters.append((self.sender or "", self.recipient, content))
        self.taken += 1
        self.sender = self.recipient = None
        if self.taken >= self.shelf.letters_per_connection:
            await self.answer("dot", "250 2.0.0 the last one")
            self.writer.write(b"421 4.7.0 enough for one connection\r\n")
            raise Hangup
        await self.answer("dot", f"250 2.0.0 kept {len(self.shelf.letters)}")

    async def on_rset(self, _: str) -> None:
        self.sender = self.recipient = None
        await self.answer("rset", "250 2.0.0 forgotten")

    async def on_noop(self, _: str) -> None:
        await self.answer("", "250 2.0.0 still here")

    async def on_quit(self, _: str) -> None:
        await self.answer("quit", "221 2.0.0 bye")
        raise Hangup

    async def _content(self) -> bytes:
        lines: list[bytes] = []
        try:
            while True:
                line = await self.reader.readuntil(b"\r\n")
                self.raw += line
                if line == b".\r\n":
                    return b"".join(lines)
                if not lines:
                    await self._fault("body")
                lines.append(line[1:] if line.startswith(b".") else line)
        except asyncio.IncompleteReadError as error:
            self.shelf.cut.append(b"".join(lines) + error.partial)
            if self.shelf.greedy:
                self.shelf.letters.append((self.sender or "", self.recipient or "", self.shelf.cut[-1]))
            raise
        except ConnectionError:
            self.shelf.cut.append(b"".join(lines))
            raise
