"""One source, read to its end: receive, judge, keep, sync, and only then acknowledge.

A process killed at any point reads again what was not acknowledged, and the ids of the events show what is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from campaign.errors import CampaignError
from campaign.feedback.feedback_source import FeedbackSource, Handled, Received
from campaign.model import FeedbackEvent
from campaign.pipeline.collect.collect_tally import CollectTally
from campaign.pipeline.collect.judge_notice import Judged

BATCH = 200  #: events for each sync
FEW_EVENTS = 10  #: times as many things received, where most of them are about nobody of ours


class KeptEvents(Protocol):
    """What is asked of the store of events."""

    def add(self, events: list[FeedbackEvent]) -> int:
        """Append those that are not there; how many there were."""

    def sync(self) -> None:
        """All of them are on disk."""


@dataclass(slots=True)
class SourceReader:
    """Reads a source into ``store``. ``judged`` makes events of what is received, ``at`` is told how many were read."""

    store: KeptEvents
    judged: Callable[[Received], Judged]
    tally: CollectTally
    at: Callable[[int], None] = lambda _: None
    batch: int = BATCH
    _events: list[FeedbackEvent] = field(default_factory=list)
    _handled: list[Handled] = field(default_factory=list)

    def read(self, source: FeedbackSource) -> None:
        """All there is. What the source raises goes into the tally's failures, what the store raises ends it."""
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
        del self.tally.failures[failed + 1 :]  # where it broke off, it could not be told of the last ones either

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
