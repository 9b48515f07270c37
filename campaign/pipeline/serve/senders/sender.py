"""A sender: the relays with their limits, rendering, and recording, of one process. `serve_pass` makes one pass."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from campaign.delivery.control_file import Control
from campaign.delivery.embedded_mailbox import EmbeddedMailbox
from campaign.delivery.interfaces import Throttles
from campaign.delivery.pacing.shared_throttle import open_throttle
from campaign.delivery.pacing.throttle import Throttle
from campaign.delivery.relays.relay import Relay, open_relays
from campaign.delivery.send.connection_pool import Rest
from campaign.delivery.send.dispatcher import Dispatcher
from campaign.model import Letter, Recipient, Unrenderable, Verdict
from campaign.pipeline.command_context import Job
from campaign.pipeline.serve.fresh_suppression import FreshSuppression
from campaign.pipeline.serve.outcome_recorder import LedgerRecorder
from campaign.pipeline.serve.render_inline import InlineRenderer
from campaign.pipeline.start.choose_run import ChosenRun
from campaign.pipeline.workers.campaign_store import store_of
from campaign.report.live.progress import Counts

if TYPE_CHECKING:  # the interface, and what it names, are for readers and the type checker
    from campaign.ledger.protocol import SenderLedger


class Sender:
    """Sends to recipients that the ledger has for it. Use it within `opened`.

    ``withdrawn`` is called for each recipient who was taken, and unsubscribed before the letter left.
    """

    def __init__(
        self, job: Job, chosen: ChosenRun, ledger: SenderLedger, counts: Counts, withdrawn: Callable[[], None]
    ) -> None:
        self._job, self._chosen, self._ledger, self._withdrawn = job, chosen, ledger, withdrawn
        self.recorder = LedgerRecorder(job, chosen.plan, ledger, counts)
        self.suppression = FreshSuppression(job.suppression)
        self._renderer = InlineRenderer(chosen.composer, ledger.date_of)
        self._dispatcher: Dispatcher | None = None

    @contextlib.asynccontextmanager
    async def opened(
        self,
        control: Control,
        note: Callable[[str], None],
        connections: Callable[[], int] | None = None,
        caps: Callable[[list[Relay]], list[Relay]] = lambda relays: relays,
    ) -> AsyncIterator[None]:
        """Open the relays' accounts. ``connections`` gives the most connections, ``caps`` limits each relay's."""
        async with contextlib.AsyncExitStack() as stack:
            relays, throttles = await open_accounts(self._job, self._chosen, stack, note)
            self._dispatcher = Dispatcher(
                self._job.settings.delivery,
                caps(relays),
                self.recorder,
                control=control,
                throttles=throttles,
                resent=self._ledger.history.digests.__contains__,
                connections=connections,
            )
            yield

    async def serve_pass(self, recipients: Iterator[Recipient]) -> None:
        """One pass over ``recipients``, as `Dispatcher.serve_pass`."""
        if self._dispatcher:
            await self._dispatcher.serve_pass(self._renderer.recipients(recipients), self._compose)

    @property
    def waiting(self) -> str:
        """The outage or limit that holds up all letters, in words; empty if there is none."""
        return self._dispatcher.waiting if self._dispatcher else ""

    @property
    def rests(self) -> Sequence[Rest]:
        """When relays were paused because they were slow."""
        return self._dispatcher.rests if self._dispatcher else ()

    def drain(self) -> None:
        """Take no more recipients; what is in flight is finished and recorded."""
        if self._dispatcher:
            self._dispatcher.drain()

    def abort(self) -> None:
        """Cut every connection."""
        if self._dispatcher:
            self._dispatcher.abort()

    def _compose(self, recipient: Recipient) -> Letter | None:
        """The recipient's letter, or None if it was settled here instead."""
        letter = self._renderer.compose(recipient)
        number = letter.number
        # Checked now and not when the recipient was taken: an unsubscribe that came in between wins.
        if reason := self.suppression.covers(recipient.address):
            self._withdrawn()
            self.recorder.settle(number, Verdict.WITHDRAWN, reason)
            return None
        if isinstance(letter, Unrenderable):
            self.recorder.settle(number, Verdict.UNRENDERABLE, letter.reason)
            return None
        if not self._ledger.history.may_go(number, letter.digest):
            reason = "the letter cannot be made again with the bytes that are in doubt, so it is not sent again"
            self.recorder.settle(number, Verdict.IN_DOUBT, reason)
            return None
        return letter


async def open_accounts(
    job: Job, chosen: ChosenRun, stack: contextlib.AsyncExitStack, note: Callable[[str], None]
) -> tuple[list[Relay], Throttles]:
    """The relays of a run, and the throttle of each one's account; ``stack`` closes them. Raises ConfigError."""
    delivery, base = job.settings.delivery, job.settings.base
    box = None
    if job.rehearsal:
        box = await stack.enter_async_context(EmbeddedMailbox(chosen.folder / "mailbox"))
    relays = await open_relays(delivery, base, os.environ, box.url if box else None)

    def throttle(relay: Relay) -> Throttle:
        account = "mailbox" if box and relay.name == box.url else relay.account
        limited = delivery.model_copy(update={"rate": (*delivery.rate, *relay.limits)})
        if job.settings.ledger.store:
            from campaign.delivery.pacing.slots import open_slots

            return stack.enter_context(contextlib.closing(open_slots(limited, store_of(job.settings), account, base)))
        found = open_throttle(limited, job.directory, account, base)
        if found.shared and found.limits:
            note(f"another process sends through {account.lstrip('@')}: its rate is for both")
        return stack.enter_context(contextlib.closing(found))

    return relays, throttle
