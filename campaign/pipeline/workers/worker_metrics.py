"""The metrics of a run in a store while workers serve it: each of them publishes the numbers of the whole run."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from campaign.errors import StorageError
from campaign.exit_codes import ExitCode
from campaign.ledger.postgres.runs.stored_runs import SILENT_SECONDS, StoredStanding
from campaign.pipeline.command_context import Job
from campaign.pipeline.serve.live_metrics import MetricsLoop
from campaign.pipeline.workers.join_run import JoinedRun
from campaign.pipeline.workers.stored_run import stored_standing
from campaign.report.telemetry.metrics import Snapshot, WorkerFigures, write_metrics


class WorkerObserver(MetricsLoop):
    """Publishes the numbers of a run that this worker serves beside others."""

    def __init__(self, job: Job, joined: JoinedRun) -> None:
        super().__init__(job)
        self._joined = joined

    def _numbers(self, tally: Mapping[str, int], now: float) -> Snapshot:  # noqa: ARG002 - the store has it
        return whole_run_numbers(self._joined, stored_standing(self._job, self._joined.chosen.folder), now)


def whole_run_numbers(
    joined: JoinedRun, found: StoredStanding, now: float, exit_code: ExitCode | None = None
) -> Snapshot:
    """The numbers of a whole run. ``exit_code``: how this worker's command ends, if it does."""
    opened = joined.opened
    return Snapshot(
        campaign=opened.campaign,
        edition=opened.edition,
        run=opened.run,
        trace_id=opened.trace,
        at=now,
        started=opened.at,
        planned=opened.recipients,
        verdicts=found.tally,
        exit_code=exit_code,
        workers=figures_of(found) if exit_code is None else None,
    )


def figures_of(found: StoredStanding) -> WorkerFigures:
    """Shards and workers of a run, as a store lists them."""
    alive = [worker for worker in found.workers if worker.silent < SILENT_SECONDS]
    shards = {
        "open": found.shards - found.done,
        "held": found.held,
        "silent": found.silent,
        "finished": found.done,
    }
    return WorkerFigures(shards, len(alive), max((worker.append_ms for worker in alive), default=0.0) / 1000)


def note_left(job: Job, joined: JoinedRun, code: ExitCode, now: float) -> None:
    """Say in this machine's metrics file that its worker has left a run which another one closes."""
    if path := job.settings.report.metrics_file:
        with suppress(StorageError):  # no run depends on its metrics
            found = stored_standing(job, joined.chosen.folder)
            write_metrics(job.settings.base / path, whole_run_numbers(joined, found, now, code))
