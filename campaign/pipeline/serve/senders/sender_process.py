"""A sender in a process of its own: it serves the shards it is granted until its parent has no more, or is gone.

If the parent ends in any way, the pipe ends too. Then the sender finishes the letters in flight, records them in the
journals of its shards, which the next command merges, and ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol

from campaign.audience.plan.plan_reader import Plan
from campaign.compose.composer import Composer
from campaign.delivery.control_file import Control
from campaign.delivery.relays.relay import Relay
from campaign.errors import CampaignError, InternalError
from campaign.ledger import run_folder
from campaign.ledger.shards.lease import Lease, nobody_due
from campaign.ledger.shards.shard_ledger import FileShard, ShardLedger
from campaign.ledger.state.run_state import RunState
from campaign.model import Recipient
from campaign.pipeline.serve.gc_tuning import seldom
from campaign.pipeline.serve.senders import sender_messages as messages
from campaign.pipeline.serve.senders.sender import Sender
from campaign.pipeline.start.choose_run import ChosenRun
from campaign.report.live.progress import Counts
from campaign.system.boot import boot_clock

WATCH_SECONDS = 0.25
#: A sender asks for its next shard when so many recipients of one are left, or this share: in time, and no earlier.
ASK_AT, ASK_SHARE = 128, 0.25
#: Signals of a terminal or a service manager, which the parent handles for all.
NOT_FOR_SENDERS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})


class Pipe(Protocol):
    """One end of a pipe of messages; `recv` raises EOFError or OSError once the other end is gone."""

    def fileno(self) -> int:
        """Readable when a message waits, or the pipe has ended."""

    def poll(self) -> bool:
        """Whether `recv` would return or raise at once."""

    def recv(self) -> messages.ToSender:
        """Wait for the next message."""

    def send(self, message: messages.FromSender) -> None:
        """Send a message."""


class SenderProcess:
    """The work of one sender process; `serve` returns when it is to end."""

    def __init__(self, pipe: Pipe, start: messages.Start) -> None:
        self._pipe, self._start = pipe, start
        self._granted: deque[Lease] = deque()
        self._no_more = self._draining = self._alone = False
        self._connections = start.connections
        self._news = asyncio.Event()
        self._waiting = ""
        self._passes = 0
        job, folder = start.job, Path(start.folder)
        self._control = Control(folder)
        plan = Plan.open(folder / run_folder.PLAN)
        composer = Composer(start.brief, start.inlining)
        chosen = ChosenRun(folder, plan, composer, start.opened.generation, continued=True)
        self._plan = plan
        power, history = job.settings.ledger.durability == "power", state_of_leases(start)
        self._ledger = ShardLedger(
            history,
            lambda lease: FileShard(folder, lease, history, power=power),
            lambda shard: self._send(messages.Left(shard.span.shard)),
        )
        self._sender = Sender(job, chosen, self._ledger, Counts(), withdrawn=lambda: None)

    async def serve(self) -> None:
        """Serve until drained, or until the parent has no more work or is gone. Raises CampaignError."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._pipe.fileno(), self._read)
        watching = asyncio.create_task(self._watch())
        try:
            async with self._sender.opened(self._control, self._note, lambda: self._connections, self._caps):
                await self._passes_until_drained()
        finally:
            watching.cancel()
            loop.remove_reader(self._pipe.fileno())
            self._ledger.leave()

    async def _passes_until_drained(self) -> None:
        self._send(messages.Want())
        while await self._granted_one():
            error: CampaignError | None = None
            try:
                await self._sender.suppression.before_pass(first=not self._passes)
                self._passes += 1
                await self._sender.serve_pass(self._recipients())
            except CampaignError as found:
                error = found
            self._ledger.leave()
            self._send(messages.Passed(error, tuple(self._sender.rests)))
            if error:
                return
            self._no_more = False
            self._send(messages.Want())

    async def _granted_one(self) -> bool:
        """Wait for the first shard of a pass; False if there will be none."""
        while not self._granted and not self._draining:
            self._news.clear()
            await self._news.wait()
        return not self._draining

    def _recipients(self) -> Iterator[Recipient]:
        """The recipients of one shard after the other."""
        while (lease := self._next_lease()) is not None:
            self._ledger.take(lease)
            wanted = frozenset(lease.numbers)
            found = self._plan.recipients(wanted.__contains__, lease.span.first, lease.span.beyond)
            for left, recipient in zip(range(len(wanted) - 1, -1, -1), found, strict=False):
                if self._draining:
                    return
                if left == ask_at(len(wanted)):
                    self._send(messages.Want())
                self._ledger.reserve(recipient.number)
                yield recipient

    def _next_lease(self) -> Lease | None:
        """The next shard; one that was asked for in time is here already. None if this pass has no more."""
        while not self._granted:
            if self._no_more or self._draining:
                return None
            self._receive()
        return self._granted.popleft()

    def _read(self) -> None:
        while not self._alone and self._pipe.poll():
            self._receive()

    def _receive(self) -> None:
        """Take one message; if the parent is gone, finish what is in flight."""
        try:
            self._take(self._pipe.recv())
        except (EOFError, OSError):
            self._alone = True
            asyncio.get_running_loop().remove_reader(self._pipe.fileno())
            self._drain()

    def _take(self, message: messages.ToSender) -> None:
        match message:
            case messages.Grant(lease):
                self._granted.append(lease)
            case messages.NoMore():
                self._no_more = True
            case messages.Connections(most):
                self._connections = most
            case messages.Drain():
                self._drain()
            case messages.Abort():
                self._drain()
                self._sender.abort()
        self._news.set()

    def _drain(self) -> None:
        self._draining = True
        self._news.set()
        self._sender.drain()

    def _send(self, message: messages.FromSender) -> None:
        with contextlib.suppress(OSError):  # the parent is gone, which `_receive` notices
            self._pipe.send(message)

    def _note(self, _text: str) -> None:
        """The parent tells the operator what all senders would."""

    def _caps(self, relays: list[Relay]) -> list[Relay]:
        """The relays, with this sender's share of the connections that each accepts."""
        index, senders = self._start.index, self._start.senders
        return [
            replace(relay, connections=connection_share(relay.connections, index, senders))
            if relay.connections
            else relay
            for relay in relays
        ]

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                await self._sender.suppression.look()
            except CampaignError as error:
                self._send(messages.Passed(error))
                self._drain()
                return
            if self._sender.waiting != self._waiting:
                self._waiting = self._sender.waiting
                self._send(messages.Waiting(self._waiting))


class Forward(logging.Handler):
    """Sends log records to the parent."""

    def __init__(self, pipe: Pipe) -> None:
        super().__init__(logging.INFO)
        self._pipe = pipe

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record."""
        with contextlib.suppress(OSError):
            self._pipe.send(messages.Told(record.levelno, record.name, record.getMessage()))


def ask_at(recipients: int) -> int:
    """How many recipients of a shard of so many are left when its holder asks for the next."""
    return min(ASK_AT, int(recipients * ASK_SHARE))


def connection_share(total: int, index: int, senders: int) -> int:
    """The part of ``total`` that the ``index``-th of so many senders may use; together they use all of it."""
    return total // senders + (index < total % senders)


def state_of_leases(start: messages.Start) -> RunState:
    """The state that leases are laid into, with the run's inputs and time."""
    history = nobody_due(start.opened)
    history.fingerprints = dict(start.fingerprints)
    history.run_clock = start.run_clock
    return history


def begin_sender(descriptor: int) -> None:
    """The main function of a sender process, whose end of the pipe is this open descriptor."""
    for number in NOT_FOR_SENDERS:
        signal.signal(number, signal.SIG_IGN)
    pipe = Connection(descriptor)
    try:
        start = pipe.recv()
    except (EOFError, OSError):  # the parent has ended already
        return
    run_sender(pipe, start)


@seldom()
def run_sender(pipe: Pipe, start: messages.Start) -> None:
    """Serve what the parent leases, until it or the pipe ends."""
    logger = logging.getLogger("campaign")
    logger.addHandler(Forward(pipe))
    logger.setLevel(logging.INFO)
    logger.propagate = False
    start.run_clock.go_by(boot_clock)
    asyncio.run(serve_or_tell(pipe, start))


async def serve_or_tell(pipe: Pipe, start: messages.Start) -> None:
    """Serve; whatever ends this sender reaches the parent in words, and no traceback the terminal."""
    error: CampaignError | None = None
    try:
        await SenderProcess(pipe, start).serve()
    except CampaignError as found:
        error = found
    except Exception as found:  # noqa: BLE001 - the parent must learn why this sender ends
        error = InternalError(f"A sending process failed: {found!r}.")
    if error:
        with contextlib.suppress(OSError):  # the parent is gone
            pipe.send(messages.Passed(error))
