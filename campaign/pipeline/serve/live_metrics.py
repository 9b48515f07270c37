"""Live metrics of a run: published at intervals beside the sending, without delaying it.

Verdicts come from the checkpoint; the relays' response times are read from the journal as it grows, so that measuring
costs a letter nothing and a resumed run continues its counts.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from campaign.errors import StorageError
from campaign.ledger.journal import journal_reader
from campaign.ledger.journal.journal_records import Started, VerdictRecord, decode
from campaign.model import Verdict
from campaign.pipeline.command_context import Job
from campaign.pipeline.operate.publish_metrics import is_asked_for, publish
from campaign.pipeline.serve.open_run import OpenRun
from campaign.report.telemetry.reply_latency import SendTimes

if TYPE_CHECKING:  # loaded for a campaign that asks for metrics
    from campaign.report.telemetry.metrics import Snapshot

log = logging.getLogger(__name__)
CHUNK = 1 << 20  #: octets of the journal read at a time

T = TypeVar("T")


class MetricsLoop:
    """Publishes numbers at the beginning of a session and each ``metrics_interval``. A subclass takes them."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._said: list[str] = []

    async def beside(self, work: Coroutine[object, object, T]) -> T:
        """Await ``work``, and keep the numbers fresh meanwhile. No write outlasts the call."""
        if not is_asked_for(self._job):
            return await work
        over = asyncio.Event()
        task = asyncio.create_task(self._keep_fresh(over))
        try:
            return await work
        finally:
            over.set()
            for failure in await asyncio.gather(task, return_exceptions=True):
                if failure:
                    log.warning("The metrics were not kept fresh: %r", failure)

    async def _keep_fresh(self, over: asyncio.Event) -> None:
        while not over.is_set():
            self._say(await asyncio.to_thread(self._publish, self._tally(), time.time()))
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), self._job.settings.report.metrics_interval)

    def _say(self, complaints: list[str]) -> None:
        """Log each complaint once, until it changes."""
        for complaint in complaints:
            if complaint not in self._said:
                log.warning(complaint)
        self._said = complaints

    def _publish(self, tally: Mapping[str, int], now: float) -> list[str]:
        try:
            return publish(self._job, self._numbers(tally, now))
        except StorageError as error:  # they come from a store that is away
            return [error.what]

    def _tally(self) -> Mapping[str, int]:
        """The recipients by verdict, as far as the event loop alone may count them."""
        return {}

    def _numbers(self, tally: Mapping[str, int], now: float) -> Snapshot:
        """The numbers at ``now``; called in a thread."""
        raise NotImplementedError


class Observer(MetricsLoop):
    """Publishes the numbers of one process's session on a run."""

    def __init__(self, run: OpenRun) -> None:
        super().__init__(run.job)
        self._run = run
        self._tail = Tail(run.folder / journal_reader.NAME)

    def _tally(self) -> Mapping[str, int]:
        return self._run.history.tally()

    def _numbers(self, tally: Mapping[str, int], now: float) -> Snapshot:
        from campaign.report.telemetry.metrics import Snapshot

        self._tail.advance()
        opened = self._run.history.opened
        return Snapshot(
            campaign=opened.campaign,
            edition=opened.edition,
            run=opened.run,
            trace_id=opened.trace,
            at=now,
            started=self._tail.started or now,
            planned=self._run.plan.size,
            verdicts=tally,
            deferrals=self._tail.deferrals,
            latency_buckets=self._tail.times.buckets(),
            latency_sum=self._tail.times.sum,
            seconds=self._tail.active + max(0.0, now - (self._tail.latest or now)),
        )


class Tail:
    """Running totals of the journal at ``path`` as it grows: when the run started, deferrals, send times."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0
        self.started = 0.0
        #: Seconds in which a process served the run, up to the ``latest`` record that has a time.
        self.active = self.latest = 0.0
        self.deferrals = 0
        self.times = SendTimes()

    def advance(self) -> None:
        """Read the whole lines that were appended since the last call."""
        with suppress(OSError), self._path.open("rb") as file:
            file.seek(self._offset)
            while chunk := file.read(CHUNK):
                lines, feed, _ = chunk.rpartition(b"\n")
                if not feed:
                    return
                for line in lines.split(b"\n"):
                    self._take(line)
                self._offset += len(lines) + 1
                file.seek(self._offset)

    def _take(self, line: bytes) -> None:
        match decode(line):
            case VerdictRecord() as record:
                self.active += max(0.0, record.at - self.latest)
                self.latest = max(self.latest, record.at)
                self.deferrals += record.verdict == Verdict.DEFERRED
                if record.took and record.verdict != Verdict.IN_DOUBT:
                    self.times.add(record.took)
            case Started() as record:
                self.started = self.started or record.at
                self.latest = record.at
            case _:
                pass
