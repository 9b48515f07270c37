"""A run in the middle of its passes, whose sending processes are played by the tests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from campaign.config.delivery import DeliverySection
from campaign.config.ledger import LedgerSection
from campaign.delivery.control_file import Control
from campaign.ledger.checkpoint import Checkpoint, create
from campaign.ledger.journal.journal_file import JournalFile
from campaign.ledger.journal.journal_records import Intent, Opened, Record, VerdictRecord, encode
from campaign.ledger.shards.lease import Lease
from campaign.ledger.shards.shard_reader import shard_path
from campaign.pipeline.serve.pass_loop import EVERYBODY
from campaign.pipeline.serve.pass_order import Allowance, PassOrder
from campaign.pipeline.serve.senders import sender_messages as messages
from campaign.pipeline.serve.senders.sender_pool import SenderPool
from campaign.report.live.progress import Counts

NOW = 1000.0


def verdict(number: int, is_: str = "accepted", **more: Any) -> VerdictRecord:
    return VerdictRecord(number, is_, NOW + 1, relay="relay", **more)


def intent(number: int) -> Intent:
    return Intent(number, f"{number:064x}", NOW, "relay")


@dataclass(eq=False)
class Played:
    """A sender process as its parent sees it."""

    run: Path
    start: messages.Start
    take: Callable[[messages.FromSender], None]
    ended: Callable[[], None]
    sent: list[messages.ToSender] = field(default_factory=list)
    closed: bool = False
    killed: bool = False
    end: str = ""
    leases: list[Lease] = field(default_factory=list)
    journals: dict[int, JournalFile] = field(default_factory=dict)

    # -- the parent's side

    def send(self, message: messages.ToSender) -> None:
        assert not self.closed
        self.sent.append(message)
        if isinstance(message, messages.Grant):
            self.leases.append(message.lease)

    def kill(self) -> None:
        self.killed = True
        self.die("signal 9")

    # -- the test's side

    def want(self) -> None:
        self.take(messages.Want())

    def say(self, message: messages.FromSender) -> None:
        self.take(message)

    def begin(self) -> Lease:
        """Begin with the last shard granted, as a sender does."""
        lease = self.leases[-1]
        self.journals[lease.span.shard] = JournalFile(shard_path(self.run, lease.span))
        return lease

    def write(self, *records: Record) -> None:
        """Write into the shard that was granted last."""
        with shard_path(self.run, self.leases[-1].span).open("ab") as file:
            file.write(b"".join(map(encode, records)))

    def serve(self, *numbers: int, is_: str = "accepted") -> None:
        for number in numbers or self.leases[-1].numbers:
            self.write(intent(number), verdict(number, is_))

    def leave(self) -> None:
        """Close the journal of the last shard, and say so."""
        shard = self.leases[-1].span.shard
        if shard in self.journals:
            self.journals.pop(shard).close()
        self.say(messages.Left(shard))

    def passed(self, error: Any = None, rests: Any = ()) -> None:
        self.say(messages.Passed(error, rests))

    def done(self) -> None:
        """Serve all of the last shard, and end the pass."""
        self.serve()
        self.leave()
        self.passed()

    def die(self, end: str = "signal 9") -> None:
        for journal in self.journals.values():
            journal.close()
        self.journals.clear()
        self.closed, self.end = True, end
        self.ended()

    def was_told(self, kind: type) -> bool:
        return any(isinstance(message, kind) for message in self.sent)


class Stage:
    """``people`` recipients, and a pool of ``processes`` senders; ``played`` are those started, in order."""

    def __init__(
        self, folder: Path, *, people: int = 1000, processes: int = 3, limit: int | None = None, **delivery: Any
    ) -> None:
        self.folder = folder
        create(folder, Opened("gazette", "", "run", 1, people, "plan", {}, "shape", 1.0, "trace"))
        self.checkpoint = Checkpoint(folder, boot="boot", clock=lambda: NOW)
        self.history = self.checkpoint.history
        section = {"relay": "smtp://127.0.0.1:2525", "connections": 12, **delivery}
        settings = SimpleNamespace(
            delivery=DeliverySection.model_validate(section), ledger=LedgerSection(), base=folder
        )
        job = SimpleNamespace(settings=settings, rehearsal=False, directory=folder / "ledger")
        composer = SimpleNamespace(brief=None, inlining=None)
        run: Any = SimpleNamespace(
            job=job, chosen=SimpleNamespace(folder=folder, composer=composer), checkpoint=self.checkpoint,
            folder=folder, history=self.history,
        )  # fmt: skip
        (folder / "ledger").mkdir()
        self.control = Control(folder)
        self.counts, self.allowance = Counts(total=people), Allowance(limit)
        self.played: list[Played] = []
        self.notes: list[str] = []
        self.pool = SenderPool(run, self.counts, self.allowance, processes, self._launch)

    def _launch(self, start: messages.Start, take: Any, ended: Any) -> Played:
        self.played.append(Played(self.folder, start, take, ended))
        return self.played[-1]

    @property
    def alive(self) -> list[Played]:
        return [one for one in self.played if not one.closed]

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """The pool at work. At the end each sender that was told to ends, as if by itself."""
        async with self.pool.opened(self.control, self.notes.append):
            try:
                yield
            finally:
                asyncio.get_running_loop().call_soon(self.let_end)

    def let_end(self) -> None:
        for one in self.alive:
            one.die("exit code 0")

    def begin_pass(self, order: PassOrder = EVERYBODY) -> asyncio.Task[int]:
        self.checkpoint.begin_pass()
        return asyncio.create_task(self.pool.serve_pass(order))

    async def make_pass(self, play: Callable[[], Awaitable[None]]) -> int:
        """The whole of a run with one pass, in which ``play`` happens."""
        async with self.opened():
            under_way = self.begin_pass()
            await settle()
            await play()
            return await under_way

    async def look(self) -> None:
        await self.pool.look()
        await settle()


async def settle() -> None:
    """Let all callbacks and tasks go as far as they can."""
    for _ in range(10):
        await asyncio.sleep(0)
