"""How each kind of misdeed looks on a socket: FIN, RST, silence, a 421 and FIN, or something that is no reply."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable

from torture.misdeeds import Misdeed

GARBAGE = b"\xff\xfe not a reply \x00 at all\r\n"
BYE = b"421 4.3.2 oracle.test is closing this channel\r\n"
#: Seconds after our FIN in which the other side may say its own.
LINGER = 2.0


def commit(transport: asyncio.Transport, misdeed: Misdeed, half: bytes) -> None:
    """Break this conversation; ``half`` of the right answer comes first where that leaves no whole reply behind."""
    if misdeed.stage == "reply" and misdeed.kind in {"421", "garbage"}:
        transport.write(half + b"k\r\n")
    elif half and misdeed.kind not in {"421", "garbage"}:
        transport.write(half)
    _KINDS[misdeed.kind](transport)


def fin(transport: asyncio.Transport) -> None:
    """A half close; over TLS, which has none, a close."""
    if transport.can_write_eof():
        with contextlib.suppress(OSError):  # the other side may have gone first
            transport.write_eof()
        asyncio.get_running_loop().call_later(LINGER, transport.abort)
    else:
        transport.close()


def rst(transport: asyncio.Transport) -> None:
    """A reset, at once."""
    line = transport.get_extra_info("socket")
    if line is not None and line.fileno() >= 0:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def stall(_transport: asyncio.Transport) -> None:
    """Nothing; the connection stays until the other side has had enough."""


def bye(transport: asyncio.Transport) -> None:
    """421, as RFC 5321 3.8 has it."""
    transport.write(BYE)
    fin(transport)


def garbage(transport: asyncio.Transport) -> None:
    """A line that is no reply, and then silence."""
    transport.write(GARBAGE)


_KINDS: dict[str, Callable[[asyncio.Transport], None]] = {
    "fin": fin, "rst": rst, "stall": stall, "421": bye, "garbage": garbage,
}  # fmt: skip
