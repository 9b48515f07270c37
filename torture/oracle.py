"""The oracle: an SMTP server of its own, in a process of its own, that writes down every letter before it answers.

Not our code under test: its own parser, no import of ours. What it wrote is what the relay's side knows, whatever
became of the sender. Steered over stdin with one JSON object a line (`scene`, `faults`, `end`), it answers each on
stdout. Counters for whoever aims a kill lie in a small mapped file: connections open, envelopes open, letters taken,
letters past their dot and not yet answered.

    python -m torture.oracle COUNTERS
"""

from __future__ import annotations

import asyncio
import json
import logging
import mmap
import os
import socket
import ssl
import struct
import sys
import time
from pathlib import Path
from typing import Any

from torture.misdeeds import Script
from torture.session import Session

COUNTERS = struct.Struct("4Q")


class Oracle:
    """What all sessions share: the script, the log, the counters."""

    def __init__(self, counters: Path) -> None:
        self.script = Script()
        self.sessions: set[Session] = set()
        self.context: ssl.SSLContext | None = None
        self.taken = self.open = self.dotted = self.connections = 0
        self._log = os.open(os.devnull, os.O_WRONLY)
        counters.write_bytes(bytes(COUNTERS.size))
        with counters.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), COUNTERS.size)

    def scene(self, told: dict[str, Any]) -> None:
        """A new log and a new script; conversations of the last scene end."""
        for session in list(self.sessions):
            session.reset()
        os.close(self._log)
        self._log = os.open(told["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self.taken = 0
        self.faults(told)

    def faults(self, told: dict[str, Any]) -> None:
        """Another script, on the same log."""
        self.script = Script.read(told.get("script", {}))
        if told.get("certificate"):
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(told["certificate"])
        self.share()

    def write(self, event: str, **facts: object) -> None:
        """One line, by one write, before anything is answered."""
        os.write(self._log, json.dumps({"is": event, "t": time.time(), **facts}).encode() + b"\n")

    def share(self) -> None:
        """Show the counters to whoever aims."""
        COUNTERS.pack_into(self._shared, 0, self.connections, self.open, self.taken, self.dotted)


async def serve(counters: Path) -> None:
    """Listen on a free port of the loopback, say which, and obey stdin until it ends."""
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # that a killed sender is gone is no news here
    oracle, loop = Oracle(counters), asyncio.get_running_loop()
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio turns Nagle off by it
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # A small window, so that a letter of some size cannot be on its way whole before anybody has read it.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    listener.bind(("127.0.0.1", 0))
    server = await loop.create_server(lambda: Session(oracle), sock=listener, backlog=512)
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    told = asyncio.StreamReader(limit=1 << 24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(told), sys.stdin)
    while line := await told.readline():
        order = json.loads(line)
        if order["do"] == "end":
            break
        if order["do"] == "scene":
            oracle.scene(order)
        elif order["do"] == "faults":
            oracle.faults(order)
        print(json.dumps({"struck": oracle.script.struck, "connections": oracle.connections}), flush=True)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
