"""What a passing failure leads to: tried again, by when, or given up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from campaign.config.delivery import DeliverySection
from campaign.delivery.replies import recipient_outcome
from campaign.ledger.checkpoint import Checkpoint, create
from campaign.ledger.journal.journal_records import Opened
from campaign.ledger.state.recipient_states import CODE
from campaign.model import Outcome, Verdict
from campaign.pipeline.serve.outcome_recorder import LedgerRecorder
from campaign.report.live.progress import Counts
from campaign.system.boot import boot_clock

DAY = 86400.0
YEARS = 10 * 365 * DAY


@pytest.fixture
def checkpoint(tmp_path: Path) -> Iterator[Checkpoint]:
    create(tmp_path, Opened("gazette", "", "run", 1, 3, "plan", {}, "shape", 1.0, "trace"))
    opened = Checkpoint(tmp_path)
    opened.begin_pass()
    yield opened
    opened.close()


@pytest.fixture
def recorder(checkpoint: Checkpoint) -> LedgerRecorder:
    job: Any = SimpleNamespace(settings=SimpleNamespace(delivery=DeliverySection()))
    return LedgerRecorder(job, cast("Any", None), checkpoint, Counts())


def postponed(seconds: float) -> Outcome:
    return Outcome(1, Verdict.DEFERRED, "its domain's limits allow it only later", counted=False, retry_after=seconds)


def test_who_waits_for_a_limit_of_ours_is_never_given_up(recorder: LedgerRecorder, checkpoint: Checkpoint) -> None:
    recorder.verdict(postponed(3 * DAY))
    assert checkpoint.history.verdict(1) is Verdict.DEFERRED
    assert checkpoint.history.not_before[1] == pytest.approx(time.time() + 3 * DAY, abs=5)


def test_a_letter_whose_turn_comes_late_in_a_long_pass_is_not_given_up_at_its_first_try(
    recorder: LedgerRecorder, checkpoint: Checkpoint
) -> None:
    seconds = boot_clock() + 2 * DAY
    checkpoint.history.run_clock.go_by(lambda: seconds)
    checkpoint.history.pass_at -= int(2 * DAY)
    recorder.verdict(Outcome(1, Verdict.DEFERRED, "later", 451, relay="relay"))
    assert checkpoint.history.verdict(1) is Verdict.DEFERRED
    seconds += DAY
    recorder.verdict(Outcome(1, Verdict.DEFERRED, "later", 451, relay="relay"))
    assert checkpoint.history.verdict(1) is Verdict.REJECTED


@pytest.mark.parametrize("jump", [YEARS, -YEARS])
def test_a_clock_that_jumps_gives_nobody_up(
    recorder: LedgerRecorder, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    recorder.verdict(Outcome(1, Verdict.DEFERRED, "later", 451, relay="relay"))
    now = time.time() + jump
    monkeypatch.setattr("campaign.pipeline.serve.outcome_recorder.time.time", lambda: now)
    recorder.verdict(Outcome(1, Verdict.DEFERRED, "later", 451, relay="relay"))
    recorder.verdict(Outcome(2, Verdict.DEFERRED, "later", 451, relay="relay"))
    assert checkpoint.history.counts[CODE[Verdict.DEFERRED]] == 2
    assert 0 < checkpoint.history.not_before[1] - now < 3 * DeliverySection().retry_after


def test_a_letter_held_back_goes_at_once_and_again_only_after_a_while(
    recorder: LedgerRecorder, checkpoint: Checkpoint
) -> None:
    recorder.verdict(recipient_outcome.held_back(1, "not sent: the relay spoke out of turn", "relay"))
    assert checkpoint.history.not_before[1] <= time.time() + 1
    recorder.verdict(recipient_outcome.held_back(1, "not sent: the relay spoke out of turn", "relay"))
    assert checkpoint.history.not_before[1] >= time.time() + DeliverySection().retry_after - 1


def test_a_letter_held_back_for_a_day_is_given_up(recorder: LedgerRecorder, checkpoint: Checkpoint) -> None:
    recorder.verdict(recipient_outcome.held_back(1, "not sent: the relay spoke out of turn", "relay"))
    checkpoint.history.first_put_off[1] -= int(DAY)
    recorder.verdict(recipient_outcome.held_back(1, "not sent: the relay spoke out of turn", "relay"))
    assert checkpoint.history.verdict(1) is Verdict.REJECTED


@pytest.mark.parametrize("given_up", [False, True])
def test_a_letter_in_doubt_that_is_refused_when_sent_again_stays_in_doubt(
    recorder: LedgerRecorder, checkpoint: Checkpoint, given_up: bool
) -> None:
    recorder.verdict(recipient_outcome.broken(1, "the connection broke", "relay"))
    checkpoint.history.reopen_doubts()
    if given_up:
        checkpoint.history.attempts[1] = 200
    refused = Verdict.DEFERRED if given_up else Verdict.REJECTED
    recorder.verdict(Outcome(1, refused, "content refused", 451 if given_up else 554, relay="relay"))
    assert checkpoint.history.verdict(1) is Verdict.IN_DOUBT
    assert 1 in checkpoint.history.digests


def test_a_letter_in_doubt_to_an_address_that_does_not_exist_is_settled(
    recorder: LedgerRecorder, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "_job", SimpleNamespace(rehearsal=True, settings=recorder._job.settings))
    recorder.verdict(recipient_outcome.broken(1, "the connection broke", "relay"))
    checkpoint.history.reopen_doubts()
    monkeypatch.setattr(recorder, "_job", SimpleNamespace(rehearsal=False, settings=recorder._job.settings))
    monkeypatch.setattr(recorder, "_dead", SimpleNamespace(suppress=lambda _: None))
    recorder.verdict(Outcome(1, Verdict.REJECTED, "no such user", 550, relay="relay", suppress=True))
    assert checkpoint.history.verdict(1) is Verdict.REJECTED
