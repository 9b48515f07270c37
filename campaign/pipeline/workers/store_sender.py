"""The sender of a worker: it leases shards from the store as it needs them, serves them, and hands them back.

When it loses a shard or the store, its session ends: what could not be recorded is handed in, and a new one begins.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

from campaign.delivery.control_file import Control, write_control
from campaign.delivery.send.connection_pool import Rest
from campaign.errors import CampaignError
from campaign.ledger.journal.journal_records import Opened
from campaign.ledger.postgres.session_connection import StoreAwayError
from campaign.ledger.postgres.worker_session import StoreStanding, WorkerSession
from campaign.ledger.shards.lease import Lease, nobody_due
from campaign.ledger.shards.shard_ledger import Shard, ShardLedger
from campaign.ledger.state.recipient_states import VERDICTS
from campaign.ledger.state.run_state import RunState
from campaign.model import Recipient
from campaign.pipeline.command_context import Job
from campaign.pipeline.serve.pass_order import Allowance
from campaign.pipeline.serve.senders.sender import Sender
from campaign.pipeline.serve.senders.sender_process import ask_at
from campaign.pipeline.start.choose_run import ChosenRun
from campaign.pipeline.start.past_runs import fingerprints
from campaign.pipeline.workers.feedback.feedback_watch import FeedbackWatch
from campaign.report.live.progress import Counts

#: Seconds between two looks at an operator's requests, at the progress of all, and at shards to hand back.
LOOK_SECONDS, TALLY_SECONDS, TICK_SECONDS = 0.5, 2.0, 0.1
#: Seconds for which a session that ends waits for the store.
END_SECONDS = 15.0


class StoreSender:
    """The sender of one worker, as `serve_loop.LetterSenders` describes it."""

    def __init__(
        self,
        job: Job,
        chosen: ChosenRun,
        opened: Opened,
        new_session: Callable[[RunState, Callable[[], tuple[int, str]]], WorkerSession],
        counts: Counts,
        allowance: Allowance,
    ) -> None:
        self._folder, self._plan, self._counts, self._allowance = chosen.folder, chosen.plan, counts, allowance
        self._new_session, self._connections = new_session, job.settings.delivery.connections
        self._watch = FeedbackWatch(job)
        history = nobody_due(opened)
        history.fingerprints = dict(fingerprints(job, chosen.composer))  # as the operator may have accepted them since
        self._ledger = ShardLedger(history, self._open, self._finished)
        self._sender = Sender(job, chosen, self._ledger, Counts(), allowance.refund)
        self._granted: deque[Lease] = deque()
        self._needs, self._enough = asyncio.Event(), asyncio.Event()
        self._draining = False
        self._accounts = contextlib.AsyncExitStack()
        self._rests: list[Rest] = []
        self._session: WorkerSession | None = None
        self._working: asyncio.Task[None] | None = None
        self._looked = self._counted = float("-inf")
        self._served = 0
        self._heeded = 0
        self._control: Control
        self._note: Callable[[str], None]

    @contextlib.asynccontextmanager
    async def opened(self, control: Control, note: Callable[[str], None]) -> AsyncIterator[None]:
        """Open the relays' accounts, and begin a session with the store."""
        self._control, self._note = control, note
        await self._begin()
        try:
            async with self._watch.working(self._sender.suppression):
                yield
        finally:
            await self.count()
            await self._end()

    async def serve_shards(self) -> int | None:
        """Serve shards until none is free; returns how many verdicts that gave, None if none was free.

        Raises as `Dispatcher.serve_pass`; LeaseLostError once the session has lost a shard.
        """
        session = self.session()
        await session.hand_back()  # what could not be, while the store was away
        if (lease := await session.lease()) is None:
            return None
        self._granted.append(lease)
        await _lease_canary(session, self._granted, self._connections)
        before = self._sender.recorder.written
        self._enough.clear()
        keeping = asyncio.create_task(self._keep(session))
        try:
            await self._sender.suppression.before_pass(first=not self._served)
            self._served += 1
            await self._sender.serve_pass(self._recipients())
        finally:
            self._enough.set()
            await keeping  # a lease that is being taken must not be given up half-way
            while self._granted:
                self._ledger.take(self._granted.popleft())
            self._ledger.leave()
        await session.hand_back()
        return self._sender.recorder.written - before

    async def begin_anew(self) -> None:
        """End a session that has failed, and begin another, with connections of its own."""
        await self._end()
        await self._begin()

    async def look(self) -> None:
        """Look at the suppression lists, an operator's requests, and the progress; called a few times a second."""
        if self._watch.failure:
            raise self._watch.failure
        await self._sender.suppression.look()
        now = time.monotonic()
        if self._session is None or now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        with contextlib.suppress(StoreAwayError):
            self._heed(await self._session.standing())
            if now - self._counted >= TALLY_SECONDS:
                self._counted = now
                await self.count()

    async def count(self) -> None:
        """Take the progress of the whole run into the counts on the screen; a session that has failed is told later."""
        with contextlib.suppress(CampaignError):
            tally = await self.session().tally(len(VERDICTS))
            self._counts.take(dict(zip((verdict.value for verdict in VERDICTS), tally, strict=True)))

    async def look_again(self) -> StoreStanding:
        """Where the run stands now."""
        found = await self.session().standing()
        self._heed(found)
        return found

    @property
    def waiting(self) -> str:
        """As `Sender.waiting`."""
        return self._sender.waiting

    @property
    def rests(self) -> Sequence[Rest]:
        """As `Sender.rests`, of all sessions."""
        return [*self._rests, *self._sender.rests] if self._session else self._rests

    def drain(self) -> None:
        """As `Sender.drain`."""
        self._draining = True
        self._sender.drain()

    def abort(self) -> None:
        """As `Sender.abort`."""
        self._sender.abort()

    async def _begin(self) -> None:
        await self._accounts.enter_async_context(self._sender.opened(self._control, self._note))
        self._session = self._new_session(
            self._ledger.history, lambda: (self._sender.recorder.written, self._sender.waiting)
        )
        self._working = asyncio.create_task(self._session.work())

    async def _end(self) -> None:
        """End the session: what it could not record goes to whoever has its shards now."""
        session, working = self._session, self._working
        if session is None or working is None:
            return
        with contextlib.suppress(CampaignError, TimeoutError):  # what is still ours goes back in good order
            async with asyncio.timeout(END_SECONDS):
                await session.hand_back()
        self._session = None
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        with contextlib.suppress(CampaignError):
            await session.testify()
        await session.close()
        history = self._ledger.history
        history.digests.clear()
        history.pending.clear()
        self._rests += self._sender.rests
        await self._accounts.aclose()

    def session(self) -> WorkerSession:
        """The session as it is now. Raises its error if it has failed, StoreAwayError if it is over."""
        if self._session is None:
            raise StoreAwayError("The session with the store is over.", next_step="run the same command again")
        if self._session.failure:
            raise self._session.failure
        return self._session

    def _open(self, lease: Lease) -> Shard:
        assert self._session is not None  # noqa: S101 - shards are taken within a session only
        return self._session.open_shard(lease)

    def _finished(self, shard: Shard) -> None:
        if self._session is not None:
            self._session.finished(shard)

    def _recipients(self) -> Iterator[Recipient]:
        """The recipients of one shard after the other, as many as are allowed."""
        while self._granted:
            lease = self._granted.popleft()
            self._ledger.take(lease)
            wanted = frozenset(lease.numbers)
            found = self._plan.recipients(wanted.__contains__, lease.span.first, lease.span.beyond)
            for left, recipient in zip(range(len(wanted) - 1, -1, -1), found, strict=False):
                if self._draining or not self._allowance.left:
                    return
                if left == ask_at(len(wanted)):
                    self._needs.set()
                self._allowance.spend(1)
                yield recipient

    async def _keep(self, session: WorkerSession) -> None:
        """Lease the next shard when it is needed, and hand back those that are finished."""
        while not self._enough.is_set():
            if session.failure:
                self._sender.drain()  # what it recorded since is handed in as late testimony
                return
            with contextlib.suppress(StoreAwayError):
                if self._needs.is_set() and not self._draining:
                    self._needs.clear()
                    if (lease := await session.lease()) is not None:
                        self._granted.append(lease)
                await session.hand_back()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._enough.wait(), TICK_SECONDS)

    def _heed(self, found: StoreStanding) -> None:
        """Take what an operator asked for on any machine into this machine's control file."""
        if found.changed != self._heeded and not found.failed:  # else the loop ends it, and says why
            self._heeded = found.changed
            write_control(self._folder, state=found.state, rate=found.rates, connections=found.connections)


async def _lease_canary(session: WorkerSession, granted: deque[Lease], connections: int) -> None:
    """Lease a shard for each connection while the canary is out, as only few of each are to go."""
    with contextlib.suppress(StoreAwayError):
        while session.canary_is_out and sum(len(one.numbers) for one in granted) < connections:
            if (lease := await session.lease()) is None:
                return
            granted.append(lease)
