"""Where the letters go: Postfix's smtp-sink in a process of its own, its smtp-source as the ceiling, and a witness.

The sink takes everything and counts; all senders meet the same one. The *light sink* is a program of ours in C, which
takes less of the cores that it shares with several senders. The *witness* is a small SMTP server in a thread
here that remembers who got what, and when the first letter was whole: for start-up, kills, and to look at letters.
It is slower than the sink, so no speed is ever measured against it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

PLACES = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/libexec/postfix", "/usr/local/sbin"])
ROOT = Path(__file__).resolve().parent.parent
_COUNT = re.compile(r"mesg=(\d+)")


def program(name: str) -> str | None:
    """Where a Postfix test program is, or None."""
    return shutil.which(name, path=PLACES)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def await_port(port: int, seconds: float = 10.0) -> None:
    """Return when something listens there. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return
        time.sleep(0.02)
    raise TimeoutError(f"nothing listens on port {port}")


@dataclass
class Sink:
    """A running sink: its port, its process, and what tells how many letters it has taken."""

    port: int
    _process: int
    _count: Callable[[], int]

    def cpu(self) -> float:
        """CPU seconds that it has taken since it was started; the system counts in hundredths."""
        fields = Path(f"/proc/{self._process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def messages(self) -> int:
        """How many letters it has taken since it was started."""
        return self._count()


@contextmanager
def light_sink() -> Iterator[Sink]:
    """Our sink in C on a free port of the loopback interface, ended with the block; smtp-sink without a compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        print("there is no C compiler, so smtp-sink takes the letters", file=sys.stderr)
        with smtp_sink() as heavier:
            yield heavier
        return
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        binary, counter = Path(folder) / "light_sink", Path(folder) / "counter"
        source = Path(__file__).with_name("light_sink.c")
        subprocess.run([compiler, "-O2", "-o", str(binary), str(source)], check=True)
        process = subprocess.Popen([str(binary), str(port), str(counter)])
        try:
            await_port(port)
            yield Sink(port, process.pid, lambda: int.from_bytes(counter.read_bytes(), sys.byteorder))
        finally:
            process.kill()
            process.wait()


def _told(counter: Path) -> int:
    """The last number that smtp-sink wrote to its output."""
    with counter.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 200))
        found = _COUNT.findall(file.read().decode("ascii", "replace"))
    return int(found[-1]) if found else 0


@contextmanager
def smtp_sink() -> Iterator[Sink]:
    """smtp-sink on a free port of the loopback interface, ended with the block."""
    place = program("smtp-sink")
    if place is None:
        raise SystemExit("smtp-sink is missing; it comes with Postfix: apt-get install postfix")
    port = free_port()
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory() as folder:
        counter = Path(folder) / "counter"
        with counter.open("wb") as out:
            process = subprocess.Popen([place, "-c", *user, f"127.0.0.1:{port}", "1000"], stdout=out, cwd=folder)
        try:
            await_port(port)
            yield Sink(port, process.pid, lambda: _told(counter))
        finally:
            process.kill()
            process.wait()


@contextmanager
def far_away(target: int, milliseconds: float) -> Iterator[int]:
    """A port behind which ``target`` seems ``milliseconds`` of round trip away."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.distance", str(port), str(target), str(milliseconds / 2)]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        await_port(port)
        yield port
    finally:
        process.kill()
        process.wait()


@contextmanager
def distance(target: int, milliseconds: float) -> Iterator[int]:
    """As `far_away`; no distance is ``target`` itself."""
    if not milliseconds:
        yield target
        return
    with far_away(target, milliseconds) as port:
        yield port


def round_trip(port: int, tries: int = 15) -> float:
    """Seconds from a NOOP to its answer, the median of some: what the distance really is."""
    with socket.create_connection(("127.0.0.1", port)) as line, line.makefile("rb") as answers:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answers.readline()
        times = []
        for _ in range(tries):
            began = time.perf_counter()
            line.sendall(b"NOOP\r\n")
            answers.readline()
            times.append(time.perf_counter() - began)
    return sorted(times)[tries // 2]


def source_command(port: int, count: int, octets: int) -> list[str]:
    """smtp-source over 20 connections that stay open: what C can do that renders nothing."""
    place = program("smtp-source") or "smtp-source"
    sizes = ["-s", "20", "-m", str(count), "-l", str(octets), "-d"]
    return [place, *sizes, "-f", "news@example.com", "-t", "reader@example.com", f"127.0.0.1:{port}"]


@dataclass
class Delivery:
    """One letter that the witness took. ``at`` is `time.monotonic`, ``content`` without the final dot, stuffed."""

    recipient: str
    at: float
    content: bytes


@dataclass
class Witness:
    """An SMTP server in a thread that remembers. ``take`` is called for each letter, before its reply goes out."""

    keep: bool = False
    port: int = 0
    deliveries: list[Delivery] = field(default_factory=list)
    sessions: list[_Session] = field(default_factory=list)

    def __enter__(self) -> Self:
        ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, args=(ready,), daemon=True)
        self._thread.start()
        ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _serve(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            self._loop.create_server(lambda: _Session(self), "127.0.0.1", 0, backlog=1000)
        )
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        self._loop.run_forever()
        server.close()
        for session in list(self.sessions):
            session.end()
        self._loop.run_until_complete(asyncio.sleep(0))  # the loop lets go of what was closed a round later
        self._loop.run_until_complete(asyncio.sleep(0))

    def message_ids(self) -> list[str]:
        """The Message-IDs of the letters kept, as a relay's log would have them."""
        found = (re.search(rb"(?mi)^message-id:\s*(<[^>]*>)", one.content) for one in self.deliveries)
        return [match[1].decode("ascii") for match in found if match]

    def wait_for(self, count: int, seconds: float = 120.0) -> bool:
        """Whether so many letters are there, waiting for them at most so long."""
        end = time.monotonic() + seconds
        while len(self.deliveries) < count and time.monotonic() < end:
            time.sleep(0.002)
        return len(self.deliveries) >= count


class _Session(asyncio.Protocol):
    """One connection to the witness: ESMTP with PIPELINING, everything is taken."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._rest, self._data, self._to = transport, b"", False, ""
        self._witness.sessions.append(self)
        transport.write(b"220 witness.example ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self._rest += data
        answers = b""
        while True:
            end, mark = (b"\r\n.\r\n", 2) if self._data else (b"\r\n", 2)
            at = self._rest.find(end)
            if at < 0:
                break
            piece, self._rest = self._rest[: at + mark], self._rest[at + len(end) :]
            answers += self._letter(piece) if self._data else self._command(piece)
        if answers:
            self._transport.write(answers)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - as asyncio calls it
        self._witness.sessions.remove(self)

    def end(self) -> None:
        self._transport.abort()

    def _letter(self, content: bytes) -> bytes:
        witness, self._data = self._witness, False
        witness.deliveries.append(Delivery(self._to, time.monotonic(), content if witness.keep else b""))
        return b"250 2.0.0 Ok\r\n"

    def _command(self, line: bytes) -> bytes:
        verb = line[:4].upper()
        if verb == b"EHLO":
            return (
                b"250-witness.example\r\n250-PIPELINING\r\n250-ENHANCEDSTATUSCODES\r\n250-SMTPUTF8\r\n250 8BITMIME\r\n"
            )
        if verb == b"RCPT":
            self._to = line.partition(b"<")[2].partition(b">")[0].decode("utf-8", "replace")
        if verb == b"DATA":
            self._data = True
            return b"354 Go ahead\r\n"
        return b"221 2.0.0 Bye\r\n" if verb == b"QUIT" else b"250 2.0.0 Ok\r\n"
