"""A worker's session on a run that others serve too: it serves free shards until all are done."""

from __future__ import annotations

import time

from campaign.delivery.control_file import Control
from campaign.errors import StorageError
from campaign.exit_codes import ExitCode
from campaign.ledger.postgres.segment_writer import PATIENCE_SECONDS, LeaseLostError
from campaign.ledger.postgres.session_connection import StoreAwayError
from campaign.pipeline.command_context import Job, Options
from campaign.pipeline.serve.canary import Canary
from campaign.pipeline.serve.pass_order import Allowance
from campaign.pipeline.serve.serve_loop import ServeLoop
from campaign.pipeline.workers.shared_canary import SharedCanary
from campaign.pipeline.workers.store_sender import StoreSender
from campaign.report.live.event_log import Log
from campaign.report.live.progress import Counts, Progress

#: Seconds between two looks for a free shard, and between two tries of a store that is away.
LOOK_AGAIN_SECONDS = 0.5


class WorkerLoop(ServeLoop):
    """One worker's session; `serve` returns when all shards are done, or when this worker is to stop."""

    def __init__(
        self,
        job: Job,
        options: Options,
        control: Control,
        sender: StoreSender,
        allowance: Allowance,
        progress: Progress,
        counts: Counts,
        log: Log,
    ) -> None:
        super().__init__(job, options, control, sender, progress, counts, log)
        self._sender, self._allowance = sender, allowance
        self._canary = SharedCanary(Canary.of(job.settings.delivery, counts.total), progress.note)
        self._away_since: float | None = None

    async def _passes(self) -> None:
        idle = 0
        while not self._stop.is_set():
            if not self._allowance.left:
                self._halt(ExitCode.UNFINISHED)
                return
            try:
                written = await self._sender.serve_shards()
                if written is None and await self._over():
                    return
            except LeaseLostError as lost:
                self._progress.note(f"{lost.what} It goes on with other shards.")
                self._log.event("lease lost", shard=lost.shard, evidence=list(lost.evidence))
                await self._sender.begin_anew()
            except StoreAwayError as away:
                await self._wait_for_store(away)
            else:
                self._away_since = None
                idle = idle if written is None else 0 if written else idle + 1
                await self._refuse_idling(idle)

    async def _over(self) -> bool:
        """Whether nothing is left for any worker; else wait a moment."""
        standing = await self._sender.look_again()
        if not standing.open or not standing.left:
            return True
        if standing.failed:
            self._canary.stopped()
            self._halt(ExitCode.HELD)
            return True
        step = await self._canary.step(self._sender.session().canary) if standing.canary else "wait"
        if step == "stop":
            self._halt(ExitCode.HELD)
        elif step == "wait":
            await self._pause(LOOK_AGAIN_SECONDS)
        return False

    async def _wait_for_store(self, away: StoreAwayError) -> None:
        """Wait a moment for a store that does not answer. Raises its error if it has been away for too long."""
        now = time.monotonic()
        if self._away_since is None:
            self._away_since = now
            self._progress.note(f"{away.what} Nothing is sent until it does.")
        if now - self._away_since > PATIENCE_SECONDS:
            raise StorageError(away.what, evidence=away.evidence, next_step=away.next_step)
        await self._pause(LOOK_AGAIN_SECONDS)
