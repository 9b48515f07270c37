"""A run lasts as long as processes served it; hours in which none did are no part of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.ledger.journal import journal_reader
from campaign.ledger.journal.journal_records import Started, VerdictRecord
from campaign.model import Books
from campaign.pipeline.finish.close_run import Stream
from campaign.pipeline.serve import live_metrics
from campaign.pipeline.serve.live_metrics import Tail
from campaign.report.facts import RunFacts
from campaign.report.summary import summary_json
from campaign.report.telemetry.metrics import Snapshot

TWICE = (100.0, (103.0, 110.0)), (7300.0, (7305.0,))


@pytest.fixture
def stream() -> Stream:
    found = Stream()
    for begun, verdicts in TWICE:
        found.taken_up(begun)
        for at in verdicts:
            found.settled(VerdictRecord(0, "accepted", at))
    return found


def test_a_pause_between_two_processes_is_not_counted(stream: Stream) -> None:
    assert (stream.started, stream.ended, stream.active) == (100.0, 7305.0, 15.0)


def test_a_clock_that_steps_back_makes_no_run_shorter(stream: Stream) -> None:
    stream.settled(VerdictRecord(1, "accepted", 7000.0))
    stream.settled(VerdictRecord(2, "accepted", 7306.0))
    assert stream.active == 16.0


def test_report_summary_and_metrics_give_that_duration() -> None:
    found = RunFacts("gazette", "", "R1", "runs/x", 1, 100.0, 7305.0, Books(), {}, active=15.0)
    assert found.seconds == Snapshot.of(found).seconds == summary_json(found)["seconds"] == 15.0


def test_the_metrics_of_a_run_at_work_leave_the_pause_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [one for begun, ats in TWICE for one in (Started(begun, "boot", 1, "process"), *map(_verdict, ats))]
    (tmp_path / journal_reader.NAME).write_text("\n".join(map(str, range(len(records)))) + "\n")
    monkeypatch.setattr(live_metrics, "decode", lambda line: records[int(line)])
    tail = Tail(tmp_path / journal_reader.NAME)
    tail.advance()
    assert (tail.started, tail.active, tail.latest) == (100.0, 15.0, 7305.0)


def _verdict(at: float) -> VerdictRecord:
    return VerdictRecord(0, "accepted", at)
