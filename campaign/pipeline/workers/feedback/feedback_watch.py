"""What comes back while a worker sends: it is exchanged with the store, and whom it names get no further letter."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress

from campaign.audience.screening.suppression_list import Suppression
from campaign.errors import DamageError, StorageError
from campaign.feedback.suppression_rules import suppressed
from campaign.ledger.feedback.feedback_store import read_events, stored_end
from campaign.model import FeedbackEvent
from campaign.pipeline.command_context import Job
from campaign.pipeline.operate.suppression_view import entry_in_words, key_function, runs_in
from campaign.pipeline.serve.fresh_suppression import FreshSuppression
from campaign.pipeline.workers.feedback.shared_feedback import exchange_of

#: Seconds between two exchanges: what one machine adds is on all others after two of them, at most.
EXCHANGE_SECONDS = 3.0


class FeedbackWatch:
    """Watches for events that were added since it was made, by this machine and by others.

    Make it before the suppression lists are read. ``failure`` is the damage that it found, if any.
    """

    def __init__(self, job: Job) -> None:
        self._job, self._over = job, asyncio.Event()
        self._end = stored_end(job.directory)
        self._events: list[FeedbackEvent] = []
        self.failure: DamageError | None = None

    @asynccontextmanager
    async def working(self, suppression: FreshSuppression) -> AsyncIterator[None]:
        """Watch while the block runs, and have ``suppression`` heed it."""
        task = asyncio.create_task(self._watch(suppression))
        try:
            yield
        finally:
            self._over.set()  # an exchange is not given up half-way
            await task

    def news(self) -> Suppression | None:
        """Everybody left out by the events so far; None if there are no more of them than the last time."""
        start, self._end = self._end, stored_end(self._job.directory)
        if self._end < start:  # the file was replaced: its events are read again, which changes nothing
            start = 0
        added = list(read_events(self._job.directory, evidence=False, start=start, end=self._end))
        self._events += added
        return self._left_out() if added else None

    async def _watch(self, suppression: FreshSuppression) -> None:
        with closing(exchange_of(self._job)) as exchange:
            while not self.failure and not self._over.is_set():
                try:
                    await asyncio.to_thread(exchange.exchange)
                    if (newer := await asyncio.to_thread(self.news)) is not None:
                        suppression.heed(newer)
                except StorageError:  # the worker itself says when the store, or the disk, is away for long
                    exchange.close()
                except DamageError as damage:
                    self.failure = damage
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._over.wait(), EXCHANGE_SECONDS)

    def _left_out(self) -> Suppression:
        job, settings = self._job, self._job.settings
        found = suppressed(self._events, settings.feedback, time.time(), runs_in(job.directory), key_function(settings))
        audience = settings.audience.model_copy(update={"suppress": ()})
        told = ((entry.address, entry_in_words(entry)) for entry in found.values())
        return Suppression.load(audience, settings.base, told=told)
