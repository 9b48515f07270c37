"""The senders of a run that is served by several processes: leases them shards, follows their journals, replaces them.

This process opens no connection and renders nothing. It holds the run's journal, into which it merges what the senders
write into those of their shards. A sender that dies is replaced; its letters between dot and reply are in doubt, and
the rest of its shards goes to the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence

from campaign.delivery.control_file import Control
from campaign.delivery.send.connection_pool import Rest
from campaign.errors import CampaignError, InternalError
from campaign.pipeline.serve.open_run import OpenRun
from campaign.pipeline.serve.pass_order import Allowance, PassOrder
from campaign.pipeline.serve.senders import sender_messages as messages
from campaign.pipeline.serve.senders.pass_shards import PassShards
from campaign.pipeline.serve.senders.sender import open_accounts
from campaign.pipeline.serve.senders.sender_link import SenderLink
from campaign.pipeline.serve.senders.sender_slots import END_SECONDS, Launch, SenderSlots, Slot
from campaign.report.formatting import counted
from campaign.report.live.progress import Counts

log = logging.getLogger(__name__)

#: Deaths in a row, without any verdict between them, that end the run.
MOST_DEATHS = 4


class SenderPool:
    """The senders of one run, as `pass_loop.RunSenders` describes them; at most ``processes`` of them."""

    def __init__(
        self, run: OpenRun, counts: Counts, allowance: Allowance, processes: int, launch: Launch = SenderLink
    ) -> None:
        self._run, self._counts, self._allowance = run, counts, allowance
        self._processes, self._launch = processes, launch
        self._slots: SenderSlots | None = None
        self._error: CampaignError | None = None
        self._stopped, self._deaths = False, 0
        self._changed = asyncio.Event()

    @contextlib.asynccontextmanager
    async def opened(self, control: Control, note: Callable[[str], None]) -> AsyncIterator[None]:
        """Check relays and logins, and start the senders; they have ended when the block has."""
        run = self._run
        async with contextlib.AsyncExitStack() as stack:
            relays, throttles = await open_accounts(run.job, run.chosen, stack, note)
            for relay in relays:  # held open while the senders use it, which also tells if other runs do
                throttles(relay)
            slots = SenderSlots(run, self._processes, relays, control, self._launch, self._take, self._ended)
            self._shards = PassShards(run, self._counts, self._allowance, len(slots), self._heard)
            self._slots = slots
            try:
                if not self._stopped:
                    slots.start_missing()
                yield
            finally:
                await self._end(slots)

    async def before_pass(self, *, first: bool) -> None:
        """Each sender reads the suppression lists by itself."""

    async def serve_pass(self, order: PassOrder) -> int:
        """Make one pass; returns how many verdicts were recorded. Raises the first error of a sender."""
        self._shards.begin(order)
        await self.look()
        self._grant()
        while (self._slots and self._slots.passing) or (self._shards.left and not self._stopped):
            self._changed.clear()
            await self._changed.wait()
        self._shards.end()
        if self._error:
            raise self._error
        return self._shards.written

    async def look(self) -> None:
        """Follow the journals of the senders, and an operator's wish for connections; called a few times a second."""
        if self._slots and not self._stopped:
            self._guarded(self._shards.follow)
            self._slots.share_connections()
            if self._shards.left:
                self._slots.start_missing()

    @property
    def waiting(self) -> str:
        """What holds up all letters, in words; empty if something is under way anywhere."""
        passing = self._slots.passing if self._slots else []
        return passing[0].waiting if passing and all(slot.waiting for slot in passing) else ""

    @property
    def rests(self) -> Sequence[Rest]:
        """When relays were paused because they were slow."""
        return [rest for slot in self._slots or () for rest in slot.rests]

    def drain(self) -> None:
        """Take no more recipients; what is in flight is finished and recorded."""
        self._stopped = True
        if self._slots:
            self._slots.drain_all()
        self._changed.set()

    def abort(self) -> None:
        """Cut every connection; a sender that does not heed it is killed."""
        self._stopped = True
        if self._slots:
            self._slots.abort_all()

    async def _end(self, slots: SenderSlots) -> None:
        """Let the senders end, and merge the rest of what they wrote."""
        self._stopped = True
        slots.drain_all()
        patience = END_SECONDS + self._run.job.settings.delivery.drain
        alarm = asyncio.get_running_loop().call_later(patience, slots.kill_all)
        while slots.alive:
            self._changed.clear()
            await self._changed.wait()
        alarm.cancel()
        self._shards.close()
        if self._error:
            raise self._error

    # -- what senders say

    def _take(self, slot: Slot, message: messages.FromSender) -> None:
        self._guarded(lambda: self._heed(slot, message))

    def _ended(self, slot: Slot) -> None:
        self._guarded(lambda: self._release(slot))

    def _guarded(self, work: Callable[[], None]) -> None:
        """Do something in a callback of the loop; an error ends the run."""
        try:
            work()
        except CampaignError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - a callback's error would be lost, and the run would wait for ever
            self._fail(InternalError(f"The senders cannot be followed: {error!r}."))
        self._changed.set()

    def _fail(self, error: CampaignError) -> None:
        self._error = self._error or error
        self.drain()

    def _heed(self, slot: Slot, message: messages.FromSender) -> None:
        match message:
            case messages.Want():
                slot.wants = True
                self._grant()
            case messages.Left(shard):
                slot.shards.discard(shard)
                self._shards.finish(shard)
            case messages.Passed(error, rests):
                slot.passing, slot.rests, slot.waiting = False, rests, ""
                if error:
                    self._fail(error)
            case messages.Waiting(text):
                slot.waiting = text
            case messages.Told(level, logger, text):
                logging.getLogger(logger).log(level, "%s", text)

    def _grant(self) -> None:
        """Answer those who want a shard. The first sender goes alone until somebody has a verdict.

        So a wrong password, or a run that every relay refuses, is tried once and not by all senders at once.
        """
        for slot in self._slots or ():
            if not slot.wants or slot.leaving or not slot.alive:
                continue
            alone = self._slots is not None and not self._slots.passing
            if slot.passing or (self._shards.left and (self._shards.proved or alone)):
                self._answer(slot)

    def _answer(self, slot: Slot) -> None:
        lease = None if self._stopped else self._shards.lease()
        if lease is not None:
            slot.shards.add(lease.span.shard)
            slot.wants, slot.passing = False, True
            slot.send(messages.Grant(lease))
        elif slot.passing:
            slot.wants = False
            slot.send(messages.NoMore())

    def _heard(self) -> None:
        """Verdicts were recorded: senders work, so all may begin."""
        self._deaths = 0
        self._grant()

    def _release(self, slot: Slot) -> None:
        """A sender's process has ended: take its shards back, and replace it if it was to go on."""
        slot.passing = slot.wants = False
        doubts = 0
        while slot.shards:
            doubts += self._shards.take_back(slot.shards.pop())
        if not (slot.leaving or self._stopped):
            self._replace(slot, doubts)
        self._grant()

    def _replace(self, slot: Slot, doubts: int) -> None:
        end = slot.link.end if slot.link else ""
        log.warning("a sending process ended (%s), %s in doubt; another takes over", end, counted(doubts, "letter"))
        self._deaths += 1
        if self._deaths >= MOST_DEATHS:
            raise InternalError(
                "Several sending processes in a row have ended early, so the run stops.",
                evidence=f"the last one by {end}",
                next_step="see in the system's log whether memory ran out; delivery.processes = 1 needs the least",
            )
        if self._slots:
            self._slots.start_missing()
