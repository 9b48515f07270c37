"""Doubts that what came back settles, and those that it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.ledger import run_folder
from campaign.ledger.checkpoint import Checkpoint
from campaign.ledger.recovery import read_history
from campaign.model import FeedbackEvent, FeedbackOutcome, Verdict
from campaign.pipeline.collect import settle_doubts as module
from campaign.pipeline.collect.settle_doubts import may_have_doubts, settle_doubts, taken_letters
from campaign.pipeline.operate.manage import report
from tests.support.sent import SentCampaign

PEOPLE = ("ada@example.com", "bob@example.com", "eve@example.com")


@pytest.fixture
def gazette(tmp_path: Path) -> SentCampaign:
    gazette = SentCampaign(tmp_path)
    gazette.send(*PEOPLE, verdicts={PEOPLE[0]: Verdict.IN_DOUBT, PEOPLE[1]: Verdict.IN_DOUBT})
    return gazette


def event(outcome: FeedbackOutcome, matched_by: str = "message-id", run: str = "g/1", number: int = 7) -> FeedbackEvent:
    return FeedbackEvent("id", "s", outcome, 1.0, 1.0, "ada@example.com", matched_by, "g", run, number)


@pytest.mark.parametrize("outcome", list(FeedbackOutcome))
@pytest.mark.parametrize("matched_by", ["return-path", "message-id", "unsubscribe-token", "reply-id", "address", ""])
def test_a_letter_was_taken_where_a_key_names_it_and_it_could_not_have_come_back_otherwise(
    outcome: FeedbackOutcome, matched_by: str
) -> None:
    says_nothing = {FeedbackOutcome.UNKNOWN, FeedbackOutcome.RELEASED}
    taken = matched_by in {"return-path", "message-id"} and outcome not in says_nothing
    assert bool(taken_letters([event(outcome, matched_by)])) == taken


def test_letters_are_told_by_run() -> None:
    hard = FeedbackOutcome.HARD
    found = taken_letters([event(hard), event(hard, number=9), event(hard, run="g/2"), event(hard, run="")])
    assert {run: list(numbers) for run, numbers in found.items()} == {"g/1": [7, 9], "g/2": [7]}


def test_only_the_doubts_that_are_named_are_settled_and_only_once(gazette: SentCampaign) -> None:
    run = gazette.newest()
    assert settle_doubts(gazette.runs, {run.name: [0, 2]}) == (1, [])
    tally = read_history(run.folder).tally()
    assert (tally["accepted"], tally["in_doubt"]) == (2, 1)
    before = (run.folder / "checkpoint.journal").read_bytes()
    assert settle_doubts(gazette.runs, {run.name: [0, 2]}) == (0, [])
    assert (run.folder / "checkpoint.journal").read_bytes() == before


def test_a_run_that_is_served_is_left_for_the_next_time(gazette: SentCampaign) -> None:
    run = gazette.newest()
    serving = Checkpoint(run.folder)
    assert settle_doubts(gazette.runs, {run.name: [0]}) == (0, [])
    serving.close()
    with run_folder.locked(run.folder.parent):
        assert settle_doubts(gazette.runs, {run.name: [0]}) == (0, [])
    assert settle_doubts(gazette.runs, {run.name: [0]}) == (1, [])


def test_a_run_that_is_gone_or_damaged_keeps_no_other_from_being_settled(gazette: SentCampaign) -> None:
    run = gazette.newest()
    damaged = gazette.runs / "gazette" / "damaged"
    damaged.mkdir()
    (damaged / "checkpoint.journal").write_bytes(b"nonsense\n")
    settled, failures = settle_doubts(gazette.runs, {"gazette/gone": [1], "gazette/damaged": [1], run.name: [0]})
    assert settled == 1
    assert [str(damaged) in str(one) for one in failures] == [True]


def test_a_run_whose_summary_says_that_nothing_is_in_doubt_is_not_replayed(
    gazette: SentCampaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = gazette.newest()
    report(run.folder)
    assert may_have_doubts(run.folder)
    settle_doubts(gazette.runs, {run.name: [0, 1]})
    assert not may_have_doubts(run.folder)
    monkeypatch.setattr(module, "read_history", lambda _: pytest.fail("it was replayed"))
    assert settle_doubts(gazette.runs, {run.name: [0]}) == (0, [])


def test_a_run_that_was_killed_is_looked_at_whatever_its_summary_says(gazette: SentCampaign) -> None:
    run = gazette.newest()
    settle_doubts(gazette.runs, {run.name: [0, 1]})
    Checkpoint(run.folder).close()
    assert may_have_doubts(run.folder)
