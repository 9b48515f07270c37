"""Writes down, in order, what a run did to its files and every dot that left, for losses of power to be played."""

from __future__ import annotations

import os
from typing import Any

from torture.calls import Calls


def install(under: str, into: str) -> None:
    """One line an event into the file ``into``: kind, path and octets (hex), or the number of a letter at its dot."""
    log = os.open(into, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    write = os.write

    def note(kind: str, path: str, data: bytes) -> str:
        write(log, f"{kind}\t{path}\t{data.hex()}\n".encode())
        return ""

    Calls(under, note).install()
    _watch_removals(os.path.realpath(under) + os.sep, lambda path: note("unlink", path, b""))
    _watch_dots(lambda number: note("dot", str(number), b""))


def _watch_removals(under: str, told: Any) -> None:
    original = os.unlink

    def unlink(path: Any, **more: Any) -> None:
        if os.path.abspath(path).startswith(under):
            told(os.path.abspath(path))
        original(path, **more)

    os.unlink = unlink


def _watch_dots(told: Any) -> None:
    from campaign.delivery.send.worker import Worker

    original = Worker._send_dot

    async def send_dot(self: Worker, *given: Any) -> Any:
        item = next(one for one in given if hasattr(one, "recipient"))
        told(item.recipient.number)
        return await original(self, *given)

    setattr(Worker, "_send_dot", send_dot)  # noqa: B010 - its type is none of our business
