"""The processes within a simulated one: that of the run, and its senders. A dead one does nothing any more.

Every callback of the loop carries in its context whose it is. What is left of a callback in which its member dies still
runs, but without any effect: the disk refuses it, the network and the pipes take nothing from it.
"""

from __future__ import annotations

import os
from contextvars import Context, ContextVar
from typing import Any

_close = os.close


class Member:
    """One of the processes. ``descriptors``: what it has open; ``kept``: what is left of it when it has died.

    Nothing of that may be collected as garbage, as a coroutine that is collected runs its last blocks.
    """

    def __init__(self, name: str, pid: int) -> None:
        self.name, self.pid = name, pid
        self.dead = False
        self.descriptors: set[int] = set()
        self.kept: list[Any] = []

    def release(self) -> None:
        """Close what it had open, as the kernel does; its locks go with it."""
        for descriptor in self.descriptors:
            _close(descriptor)
        self.descriptors.clear()


#: Whose code is running; None is the simulation itself.
CURRENT: ContextVar[Member | None] = ContextVar("member", default=None)
#: The context of what belongs to no member.
NOBODY = Context()


def is_ghost() -> bool:
    """Whether the code that is running belongs to a member that has died."""
    member = CURRENT.get()
    return member is not None and member.dead


def watch_descriptors() -> None:
    """Let each member know what it has open."""
    opened, closed = os.open, os.close

    def open_one(path: Any, *args: Any, **more: Any) -> int:
        descriptor = opened(path, *args, **more)
        if (member := CURRENT.get()) is not None and not str(path).endswith(".new"):  # a file object closes those
            member.descriptors.add(descriptor)
        return descriptor

    def close_one(descriptor: int) -> None:
        if (member := CURRENT.get()) is not None:
            member.descriptors.discard(descriptor)
        closed(descriptor)

    os.open, os.close = open_one, close_one
