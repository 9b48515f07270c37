"""What workers publish of the run that they share, and when the store cannot be asked."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from campaign.config import load
from campaign.errors import StorageError
from campaign.ledger.postgres.runs.stored_runs import StoredStanding, WorkerStanding
from campaign.pipeline.command_context import prepare
from campaign.pipeline.serve.live_metrics import MetricsLoop
from campaign.pipeline.workers.worker_metrics import figures_of
from campaign.report.telemetry.metrics import Snapshot
from tests.support.sent import SentCampaign


def worker(name: str, silent: float, append_ms: float) -> WorkerStanding:
    return WorkerStanding(name, 1, 10.0, "", silent, append_ms)


def test_only_workers_that_were_heard_of_count_and_the_slowest_gives_the_time_of_an_append() -> None:
    workers = [worker("a", 1.0, 5.0), worker("b", 2.0, 8.0), worker("gone", 30.0, 900.0)]
    found = figures_of(StoredStanding(True, "run", {}, 30, 13, 3, 1, None, 0, workers))
    assert found.shards == {"open": 17, "held": 3, "silent": 1, "finished": 13}
    assert (found.workers, found.append_seconds) == (2, 0.008)


def test_a_run_without_workers_has_figures_too() -> None:
    found = figures_of(StoredStanding(True, "run", {}, 30, 13, 0, 0, None, 0, []))
    assert (found.workers, found.append_seconds) == (0, 0.0)


def test_a_store_that_is_away_is_a_line_in_the_log_once_and_the_sending_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked = 0

    class Away(MetricsLoop):
        def _numbers(self, tally: object, now: float) -> Snapshot:
            nonlocal asked
            asked += 1
            raise StorageError("The store is away.")

    gazette = SentCampaign(tmp_path)
    gazette.job(more='[report]\nmetrics_file = "gazette.prom"\nmetrics_interval = "1s"\n')
    settings = load(gazette.file, {})
    report = settings.report.model_copy(update={"metrics_interval": 0.0})
    job = prepare(settings.model_copy(update={"report": report}), environment={})

    async def sending() -> str:
        while asked < 3:  # noqa: ASYNC110 - a thread counts
            await asyncio.sleep(0)
        return "sent"

    with caplog.at_level(logging.WARNING):
        assert asyncio.run(Away(job).beside(sending())) == "sent"
    assert [record.message for record in caplog.records] == ["The store is away."]
