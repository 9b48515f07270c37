"""Reads one source to its end: receive, judge, store, sync, and only then acknowledge.

After a kill at any point, unacknowledged items are read again, and the ids of their events show which are stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec

from campaign.errors import CampaignError
from campaign.feedback.feedback_source import FeedbackSource, Handled, Received
from campaign.model import FeedbackEvent
from campaign.pipeline.collect.collect_tally import CollectTally
from campaign.pipeline.collect.judge_notice import Judged

BATCH = 200  #: events per sync
FEW_EVENTS = 10  #: factor by which more items are received per sync, if few are about our recipients


class KeptEvents(Protocol):
    """The methods needed of the store of events."""

    def add(self, events: list[FeedbackEvent]) -> int:
        """Append those that are not stored; returns their number."""

    def sync(self) -> None:
        """Make all of them durable."""


class SourceReader(msgspec.Struct):
    """Reads a source into ``store``. ``judged`` makes events of a received item; ``at`` gets the number read so far."""

    store: KeptEvents
    judged: Callable[[Received], Judged]
    tally: CollectTally
    at: Callable[[int], None] = lambda _: None
    batch: int = BATCH
    _events: list[FeedbackEvent] = msgspec.field(default_factory=list)
    _handled: list[Handled] = msgspec.field(default_factory=list)

    def read(self, source: FeedbackSource) -> None:
        """Read everything. Errors of the source go into the tally's failures, errors of the store are raised."""
        failed = len(self.tally.failures)
        for count, received in enumerate(self._received(source), start=1):
            judged = self.judged(received)
            self.tally.add(judged)
            self._events += judged.events
            self._handled.append(Handled(received.receipt, judged.recognised))
            self.at(count)
            if self._is_full():
                self._keep(source)
                if len(self.tally.failures) > failed:
                    return
        self._keep(source)
        del self.tally.failures[failed + 1 :]  # if it broke off, the last ones could not be acknowledged either

    def _received(self, source: FeedbackSource) -> Iterator[Received]:
        try:
            yield from source.receive()
        except CampaignError as error:
            self.tally.failures.append(error)

    def _is_full(self) -> bool:
        return len(self._events) >= self.batch or len(self._handled) >= self.batch * FEW_EVENTS

    def _keep(self, source: FeedbackSource) -> None:
        """Make the batch durable, then acknowledge it."""
        events, handled, self._events, self._handled = self._events, self._handled, [], []
        if events:
            self.tally.new += self.store.add(events)
            self.store.sync()
        try:
            if handled:
                source.acknowledge(handled)
        except CampaignError as error:
            self.tally.failures.append(error)
