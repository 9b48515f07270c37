"""The sender processes of a run: how many there are, their connections, and how they are started and ended."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol

import msgspec

from campaign.delivery.control_file import Control
from campaign.delivery.relays.relay import Relay
from campaign.delivery.send.connection_pool import Rest
from campaign.pipeline.serve.open_run import OpenRun
from campaign.pipeline.serve.senders import sender_messages as messages
from campaign.pipeline.serve.senders.sender_process import connection_share

#: Seconds that senders may take to end once they were told to abort, or have nothing left to do.
END_SECONDS = 5.0


class Link(Protocol):
    """The parent's end of a sender process."""

    closed: bool

    @property
    def end(self) -> str:
        """How it ended, in words."""

    def send(self, message: messages.ToSender) -> None:
        """Send a message; to a process that has ended it is lost."""

    def kill(self) -> None:
        """Kill the process."""


#: Starts a sender: called with what it starts with, what takes its messages, and what is called when it has ended.
Launch = Callable[[messages.Start, Callable[[messages.FromSender], None], Callable[[], None]], Link]


class Slot(msgspec.Struct, eq=False):
    """The place of one sender.

    ``wants``: it waits for an answer; ``passing``: it takes part in the pass; ``leaving``: it was told to end.
    ``waiting`` is what holds up all its letters, in words.
    """

    index: int
    link: Link | None = None
    shards: set[int] = msgspec.field(default_factory=set)
    wants: bool = False
    passing: bool = False
    leaving: bool = False
    connections: int = 0
    waiting: str = ""
    rests: Sequence[Rest] = ()

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self.link is not None and not self.link.closed

    def send(self, message: messages.ToSender) -> None:
        """Send a message to its process, if there is one."""
        if self.link is not None and not self.link.closed:
            self.link.send(message)


class SenderSlots:
    """At most ``processes`` senders, which share the connections that the relays accept and the operator allows.

    ``take`` gets each message of a sender, and ``ended`` is called when one has ended.
    """

    def __init__(
        self,
        run: OpenRun,
        processes: int,
        relays: Sequence[Relay],
        control: Control,
        launch: Launch,
        take: Callable[[Slot, messages.FromSender], None],
        ended: Callable[[Slot], None],
    ) -> None:
        self._run, self._control, self._launch, self._take, self._ended = run, control, launch, take, ended
        self._relays, self._connections = relays, run.job.settings.delivery.connections
        most = connection_cap(relays, self._connections)
        fewest = min((relay.connections for relay in relays if relay.connections), default=most)
        self._slots = [Slot(index) for index in range(max(1, min(processes, most, fewest)))]

    def __iter__(self) -> Iterator[Slot]:
        """All slots, whether a process runs in them or not."""
        return iter(self._slots)

    def __len__(self) -> int:
        """How many senders there are at most."""
        return len(self._slots)

    @property
    def alive(self) -> bool:
        """Whether any process runs."""
        return any(slot.alive for slot in self._slots)

    @property
    def passing(self) -> list[Slot]:
        """Those at work on the pass."""
        return [slot for slot in self._slots if slot.passing and slot.alive]

    def start_missing(self) -> None:
        """Start a process in each slot that has connections and no process."""
        for slot in self._slots:
            slot.connections = self._share(slot)
            if slot.connections and not slot.alive:
                slot.leaving = slot.wants = slot.passing = False
                slot.link = self._launch(self._start(slot), partial(self._take, slot), partial(self._ended, slot))

    def share_connections(self) -> None:
        """Tell each sender its connections, as an operator may have changed them; one without any is to end."""
        for slot in self._slots:
            part = self._share(slot)
            if not slot.alive or slot.leaving or part == slot.connections:
                continue
            slot.connections = part
            if part:
                slot.send(messages.Connections(part))
            else:
                self.drain(slot)

    def drain(self, slot: Slot) -> None:
        """Tell a sender to finish what is in flight, and end."""
        slot.leaving = True
        slot.send(messages.Drain())

    def drain_all(self) -> None:
        """Tell all senders to finish what is in flight, and end."""
        for slot in self._slots:
            self.drain(slot)

    def abort_all(self) -> None:
        """Tell all senders to cut their connections, and end; those that do not are killed."""
        for slot in self._slots:
            slot.leaving = True
            slot.send(messages.Abort())
        asyncio.get_running_loop().call_later(END_SECONDS, self.kill_all)

    def kill_all(self) -> None:
        """Kill all senders."""
        for slot in self._slots:
            if slot.link is not None and slot.alive:
                slot.link.kill()

    def _share(self, slot: Slot) -> int:
        most = connection_cap(self._relays, self._control.connections or self._connections)
        return connection_share(most, slot.index, len(self._slots))

    def _start(self, slot: Slot) -> messages.Start:
        run, history = self._run, self._run.history
        return messages.Start(
            job=run.job,
            folder=str(run.folder),
            brief=run.chosen.composer.brief,
            inlining=run.chosen.composer.inlining,
            opened=history.opened,
            fingerprints=history.fingerprints,
            run_clock=history.run_clock.snapshot(),
            index=slot.index,
            senders=len(self._slots),
            connections=slot.connections,
        )


def connection_cap(relays: Sequence[Relay], connections: int) -> int:
    """The most connections of all senders together: those wanted, within what the relays' presets allow."""
    caps = [relay.connections or math.inf for relay in relays]
    return int(min(connections, min(caps) if relays[0].weight is None else sum(caps)))
