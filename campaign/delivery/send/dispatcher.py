"""The dispatcher of a pass: how many workers run, for how long, over which relay, and how the pass ends.

A `Dispatcher` serves one pass at a time. It adds workers one by one as there is work for them, adjusts the pace, the
relays or the run as replies require, and follows `Control` in pace and pauses. It stops in one of three ways: nothing
left, drained, or aborted. It does not compose letters, write records or decide about recipients.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence

from campaign.config.delivery import DeliverySection
from campaign.config.units import Rate
from campaign.delivery.control_file import Control
from campaign.delivery.interfaces import Compose, OutcomeRecorder, Throttles
from campaign.delivery.pacing.domain_groups import domain_groups, domain_name
from campaign.delivery.pacing.throttle import Throttle
from campaign.delivery.queue.admission import NAP, Admission
from campaign.delivery.queue.backlog import Backlog
from campaign.delivery.relays.relay import Relay
from campaign.delivery.replies.classify import Rules
from campaign.delivery.send.connection_pool import ConnectionPool, Rest
from campaign.delivery.send.worker import Worker
from campaign.errors import CampaignError, ConfigError, UnfinishedError
from campaign.model import Recipient

log = logging.getLogger(__name__)


class Dispatcher:
    """Sends letters to the recipients it is given, within every bound of ``settings``.

    ``throttles`` gives the throttle of an account (`Relay.account`), to be kept across runs; without it each account
    gets its own. ``clock`` is theirs, in seconds. ``rules`` decide about replies; ``resent`` tells for which recipients
    the relay may have a letter already. ``connections`` gives the most connections at any time; without it, the control
    file and ``settings`` do.
    """

    def __init__(
        self,
        settings: DeliverySection,
        relays: Sequence[Relay],
        recorder: OutcomeRecorder,
        *,
        clock: Callable[[], float] = time.monotonic,
        control: Control | None = None,
        throttles: Throttles | None = None,
        rules: Rules | None = None,
        resent: Callable[[int], bool] = lambda _: False,
        connections: Callable[[], int] | None = None,
    ) -> None:
        if not relays:
            raise ConfigError("There is no relay to send through.", next_step="set delivery.relay")
        self._settings = settings
        self._clock = clock
        self._control = control
        self._connections = connections or (lambda: (control and control.connections) or settings.connections)
        self._rate: tuple[Rate, ...] | None = None  # none of the operator's is in force yet
        self._pool = ConnectionPool(
            settings,
            relays,
            recorder,
            fail=self._fail,
            grow=self._grow,
            clock=clock,
            rules=rules or Rules.load(settings.reply_rules),
            throttles=throttles or self._own_throttle,
            resent=resent,
        )
        self._workers: dict[asyncio.Task[None], Worker] = {}
        self._error: BaseException | None = None
        self._finished: asyncio.Future[None] | None = None
        self._stopping = False
        self._drain_alarm: asyncio.TimerHandle | None = None
        self._pool.begin(self._new_admission(iter(())), lambda _: None)  # it may be stopped before its first pass

    # -- called by the pipeline

    @property
    def in_flight(self) -> int:
        """Letters taken whose attempt has not ended."""
        return sum(len(worker.items) for worker in self._workers.values())

    @property
    def connections(self) -> int:
        """Connections open now."""
        return sum(worker.connection is not None for worker in self._workers.values())

    @property
    def rests(self) -> Sequence[Rest]:
        """When relays were paused because they were slow."""
        return self._pool.rests

    @property
    def waiting(self) -> str:
        """The outage or limit that holds up all letters, in words; empty if there is none."""
        if self._pool.outage.words or self.in_flight:
            return self._pool.outage.words
        held = [account.limit_wait(self._clock(), time.time()) for account in self._pool.accounts.values()]
        return min(held) if held and all(held) else ""

    async def serve_pass(self, recipients: Iterator[Recipient], compose: Compose) -> None:
        """One pass over ``recipients``; returns when none is left, or after `drain` or `abort`.

        Raises RelayError, LoginError or UnfinishedError when the run cannot go on (what was in flight is finished
        first), and whatever the recorder or ``compose`` raises (then every connection is cut at once).
        """
        if self._stopping:
            return
        self._error = None
        self._pool.begin(self._new_admission(recipients), compose)
        watching = asyncio.create_task(self._watch())
        try:
            self._finished = asyncio.get_running_loop().create_future()
            self._grow()
            if self._workers:
                await self._finished
        except BaseException:
            await self._cut()
            raise
        finally:
            watching.cancel()
            if self._drain_alarm is not None:
                self._drain_alarm.cancel()
                self._drain_alarm = None
        if self._error is not None:
            raise self._error
        if self._pool.admission.stuck and not self._stopping:
            raise _limited(self._pool.admission.stuck)

    def drain(self) -> None:
        """First signal: take no more recipients and finish what is past its envelope, within `settings.drain` s."""
        self._stopping = True
        self._close()

    def abort(self) -> None:
        """Second signal: cut every connection. Letters past their dot become in doubt, the others get no verdict."""
        self._stopping = True
        self._pool.admission.close()
        for task, worker in self._workers.items():
            if worker.connection is not None:
                worker.connection.stream.abort("we were told to stop at once")
            if not worker.awaiting_verdict:
                task.cancel()

    # -- inside

    def _own_throttle(self, relay: Relay) -> Throttle:
        own, limits = self._settings, (*self._settings.rate, *relay.limits)
        return Throttle(limits, own.domain_rate, groups=domain_groups(own), ramp=own.ramp)

    def _new_admission(self, recipients: Iterator[Recipient]) -> Admission:
        settings = self._settings
        backlog = Backlog(recipients, settings.limit_wait, _intervals(settings), domain_groups(settings))
        return Admission(backlog, self._clock, settings.limit_wait)

    def _grow(self) -> None:
        """Start more workers if there is work that no idle worker would take and no bound forbids it."""
        starting = sum(worker.connection is None for worker in self._workers.values())
        try:
            while len(self._workers) < self._most() and self._pool.wants_worker(len(self._workers), starting):
                worker = Worker(self._pool)
                task = asyncio.create_task(worker.run())
                self._workers[task] = worker
                task.add_done_callback(self._ended)
                starting += 1
        except CampaignError as error:  # the account of the next relay cannot be opened
            self._fail(error)

    def _most(self) -> int:
        return self._pool.most(self._connections())

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._pool.leaving.discard(self._workers.pop(task))
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)
        self._grow()
        if not self._workers and self._finished is not None and not self._finished.done():
            self._finished.set_result(None)

    def _fail(self, error: BaseException) -> None:
        """End the run with the first error. Expected errors let replies in flight be recorded; others abort."""
        self._error = self._error or error
        if isinstance(error, CampaignError):
            self._close()
        else:
            self.abort()

    def _close(self) -> None:
        self._pool.admission.close()
        for task, worker in self._workers.items():
            if worker.connection is None and task is not asyncio.current_task():
                task.cancel()
        if self._drain_alarm is None and self._workers:
            self._drain_alarm = asyncio.get_running_loop().call_later(self._settings.drain, self.abort)

    async def _cut(self) -> None:
        self.abort()
        while self._workers:
            await asyncio.wait(self._workers)

    async def _watch(self) -> None:
        """Poll for changes that no event announces: operator requests, and whether another worker may start."""
        while True:
            try:
                if self._control is not None:
                    self._control.poll(asyncio.get_running_loop().time())
                    self._obey(self._control)
                self._pool.limit(len(self._workers), self._most(), self._workers.values())
                self._grow()
            except CampaignError as error:
                self._fail(error)
            await asyncio.sleep(NAP)

    def _obey(self, control: Control) -> None:
        admission = self._pool.admission  # stop and cancel are left to the pipeline, which calls `drain`
        if admission.paused != (control.state == "pause"):
            admission.paused = control.state == "pause"
            log.info("paused" if admission.paused else "resumed")
            admission.ring()
        if control.rate != self._rate:
            self._rate = control.rate
            self._pool.set_rate(self._settings.rate if control.rate is None else control.rate)
            admission.ring()


def _intervals(settings: DeliverySection) -> dict[str, float]:
    """Seconds between the letters of each group that has a limit."""
    return {
        domain_name(group): 1 / min(one.per_second for one in limits)
        for group, limits in settings.domain_rate.items()
        if limits
    }


def _limited(seconds: float) -> UnfinishedError:
    hours, minutes = divmod(round(seconds / 60), 60)
    return UnfinishedError(
        f"A limit is used up; the next letter may go in {hours} h {minutes} min.",
        next_step="run the same command again then; delivery.limit_wait says how long a run waits by itself",
    )
