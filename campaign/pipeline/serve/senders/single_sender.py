"""The one sender of a run that is served by its own process, with the run's checkpoint as its ledger."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

from campaign.delivery.control_file import Control
from campaign.delivery.send.connection_pool import Rest
from campaign.model import Recipient
from campaign.pipeline.serve.open_run import OpenRun
from campaign.pipeline.serve.pass_order import Allowance, PassOrder
from campaign.pipeline.serve.senders.sender import Sender
from campaign.report.live.progress import Counts


class SingleSender:
    """Makes the passes of a run in this process."""

    def __init__(self, run: OpenRun, counts: Counts, allowance: Allowance) -> None:
        self._run, self._allowance, self._stopped = run, allowance, False
        self._sender = Sender(run.job, run.chosen, run.checkpoint, counts, allowance.refund)

    @contextlib.asynccontextmanager
    async def opened(self, control: Control, note: Callable[[str], None]) -> AsyncIterator[None]:
        """Open the relays' accounts."""
        async with self._sender.opened(control, note):
            yield

    async def serve_pass(self, order: PassOrder) -> int:
        """Make one pass; returns how many verdicts it recorded."""
        before = self._sender.recorder.written
        self._run.checkpoint.expect_few(order.few)
        await self._sender.serve_pass(self._recipients(order))
        return self._sender.recorder.written - before

    async def before_pass(self, *, first: bool) -> None:
        """Read the suppression lists again."""
        await self._sender.suppression.before_pass(first=first)

    async def look(self) -> None:
        """Read the suppression lists again if they are out of date; called a few times a second."""
        await self._sender.suppression.look()

    @property
    def waiting(self) -> str:
        """As `Sender.waiting`."""
        return self._sender.waiting

    @property
    def rests(self) -> Sequence[Rest]:
        """As `Sender.rests`."""
        return self._sender.rests

    def drain(self) -> None:
        """As `Sender.drain`."""
        self._stopped = True
        self._sender.drain()

    def abort(self) -> None:
        """As `Sender.abort`."""
        self._sender.abort()

    def _recipients(self, order: PassOrder) -> Iterator[Recipient]:
        """The recipients of this pass, taken one by one, as many as are allowed; some ahead of their turn."""
        history, checkpoint = self._run.history, self._run.checkpoint

        def is_due(number: int) -> bool:
            return history.is_due(number) and order.includes(number)

        for recipient in self._run.plan.recipients(is_due, history.first_unsettled()):
            if self._stopped or not self._allowance.left:
                return
            checkpoint.reserve(recipient.number)
            self._allowance.spend(1)
            yield recipient
