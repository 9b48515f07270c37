"""Dialling: a connected TCP socket to the first address of a relay that answers. No data is exchanged here."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import Sequence
from typing import Any

from campaign.delivery.relays.relay import Relay
from campaign.delivery.relays.source_address import SourceAddress
from campaign.delivery.replies.classify import Stage
from campaign.delivery.smtp.reply_parser import printable_reply
from campaign.delivery.transport_errors import ConnectFailed

#: Seconds of head start that each address of a relay has on the next.
HEAD_START = 0.25
#: Look-up errors for a name that does not exist or has no address. EAI_NODATA is not defined on all platforms.
NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}

Place = tuple[int, Any]


async def dial(relay: Relay, limit: float) -> socket.socket:
    """A connected TCP socket. Raises ConnectFailed."""
    loop = asyncio.get_running_loop()
    try:
        asking = loop.getaddrinfo(relay.host, relay.port, type=socket.SOCK_STREAM)
        found = await asyncio.wait_for(asking, max(limit, 5.0))
    except (OSError, TimeoutError) as error:
        raise ConnectFailed(
            Stage.CONNECT,
            f"the name {relay.host} cannot be looked up: {connect_error_text(error)}",
            unreachable=not _no_such_name(error),
        ) from error
    source = relay.source
    places = [(place[0], place[4]) for place in found if source is None or place[0] == source.family]
    if not places:
        raise ConnectFailed(
            Stage.CONNECT,
            f"the name {relay.host} has no address of the same kind as our source_address",
            hopeless=True,
            advice="name an address of the other kind (IPv4, IPv6) in delivery.source_address, or leave it out",
        )
    return await _race(places, limit, source)


async def _race(places: Sequence[Place], limit: float, source: SourceAddress | None) -> socket.socket:
    """Connect to the first of these addresses that answers; each has a head start on the next (RFC 8305).

    An address that swallows packets, as IPv6 behind a broken router does, costs `HEAD_START` and not the limit.
    """
    waiting, running = deque(places), set[asyncio.Task[socket.socket]]()
    lines: list[socket.socket] = []
    failures = []
    try:
        while not lines and (waiting or running):
            if waiting:
                running.add(asyncio.create_task(_connect(waiting.popleft(), limit, source)))
            patience = HEAD_START if waiting else None
            done, running = await asyncio.wait(running, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                error = task.exception()
                lines += [task.result()] if error is None else []
                failures += [str(error)] if error is not None else []
    finally:
        for task in running:
            task.cancel()
        late = await asyncio.gather(*running, return_exceptions=True)
        for line in (*lines[1:], *(one for one in late if isinstance(one, socket.socket))):
            line.close()
    if not lines:
        raise ConnectFailed(Stage.CONNECT, "no connection: " + "; ".join(failures), unreachable=True)
    return lines[0]


async def _connect(place: Place, limit: float, source: SourceAddress | None) -> socket.socket:
    family, address = place
    line = socket.socket(family, socket.SOCK_STREAM)
    try:
        line.setblocking(False)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source is not None:
            line.bind(source.place)
        await asyncio.wait_for(asyncio.get_running_loop().sock_connect(line, address), limit)
    except (OSError, TimeoutError) as error:
        line.close()
        raise ConnectionError(f"{address[0]}: {connect_error_text(error)}") from None
    except BaseException:
        line.close()
        raise
    return line


def _no_such_name(error: BaseException) -> bool:
    """The name service answered that there is no such name: a typing error rather than an outage."""
    return isinstance(error, socket.gaierror) and error.errno in NO_SUCH_NAME


def connect_error_text(error: BaseException) -> str:
    """What went wrong, in words for the operator."""
    while error.__cause__ is not None and not isinstance(error, TimeoutError):
        error = error.__cause__
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return os.strerror(error.errno) if error.errno and error.errno > 0 else printable_reply(error.strerror)
    if isinstance(error, ConnectionError) and not str(error):
        return "the relay cut the connection"
    return printable_reply(str(error)) or type(error).__name__
