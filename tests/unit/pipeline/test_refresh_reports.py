"""After a collect, the report of each run shows all that has come back about it."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from campaign.errors import CampaignError, StorageError
from campaign.ledger.checkpoint import Checkpoint
from campaign.ledger.feedback.feedback_store import FeedbackStore, read_events
from campaign.model import FeedbackEvent, FeedbackOutcome, Verdict
from campaign.pipeline.collect.collect_tally import CollectTally
from campaign.pipeline.finish.refresh_reports import events_of_runs, refresh_reports, shown_events
from campaign.pipeline.operate.manage import report
from tests.support.sent import SentCampaign

HARD = FeedbackOutcome.HARD
NUMBERS = count()


@pytest.fixture
def gazette(tmp_path: Path) -> SentCampaign:
    return SentCampaign(tmp_path)


def tell(gazette: SentCampaign, run: Path, **more: Any) -> None:
    name = run.relative_to(gazette.runs).as_posix()
    given: dict[str, Any] = {"address": "a@example.com", "matched_by": "return-path", "run": name} | more
    with FeedbackStore(gazette.runs) as store:
        store.add([FeedbackEvent(str(next(NUMBERS)), more.pop("source", "maildir"), HARD, 1.0, 1.0, **given)])


def refresh(gazette: SentCampaign) -> tuple[int, list[CampaignError]]:
    return refresh_reports(gazette.runs, read_events(gazette.runs))


def bounced(run: Path) -> int:
    return int(json.loads((run / "summary.json").read_text())["feedback"]["bounced"])


def test_only_runs_of_which_something_new_came_back_are_reported_again(gazette: SentCampaign) -> None:
    one, two = (gazette.send("a@example.com", edition=edition) for edition in ("one", "two"))
    for run in (one, two):
        report(run)
    assert refresh(gazette) == (0, [])
    tell(gazette, one)
    before = (two / "summary.json").stat().st_mtime_ns
    assert refresh(gazette) == (1, [])
    assert bounced(one) == 1
    assert "hard bounces" in (one / "report.html").read_text()
    assert (two / "summary.json").stat().st_mtime_ns == before
    assert refresh(gazette) == (0, [])


def test_a_report_that_was_never_written_is_written(gazette: SentCampaign) -> None:
    run = gazette.send("a@example.com")
    tell(gazette, run)
    assert shown_events(run) == -1
    assert refresh(gazette) == (1, [])
    assert bounced(run) == 1


def test_an_event_that_only_names_an_address_does_not_have_reports_written_for_ever(gazette: SentCampaign) -> None:
    run = gazette.send("a@example.com")
    tell(gazette, run, matched_by="address")
    assert [refresh(gazette)[0] for _ in range(2)] == [1, 0]


def test_a_run_that_is_being_served_reports_by_itself(gazette: SentCampaign) -> None:
    run = gazette.send("a@example.com")
    tell(gazette, run)
    checkpoint = Checkpoint(run)
    assert refresh(gazette) == (0, [])
    checkpoint.close()
    assert refresh(gazette) == (1, [])


def test_a_folder_or_campaign_file_that_is_gone_is_no_failure(gazette: SentCampaign) -> None:
    run = gazette.send("a@example.com")
    tell(gazette, run)
    tell(gazette, gazette.runs / "gazette" / "gone")
    gazette.file.rename(gazette.folder / "elsewhere.toml")
    assert refresh(gazette) == (0, [])


def test_a_report_that_cannot_be_written_is_a_failure_and_keeps_no_other_from_being_written(
    gazette: SentCampaign,
) -> None:
    one, two = (gazette.send("a@example.com", edition=edition) for edition in ("one", "two"))
    for run in (one, two):
        tell(gazette, run)
    (one / "plan.jsonl").unlink()
    written, [failure] = refresh(gazette)
    assert written == 1
    assert isinstance(failure, StorageError)
    assert bounced(two) == 1


@pytest.mark.parametrize(
    ("summary", "shown"),
    [
        (None, -1),
        ("", -1),
        ("[]", -1),
        ("{}", 0),
        ('{"feedback": null}', 0),
        ('{"feedback": {"events": 3}}', 3),
        ('{"feedback": {"events": null}}', -1),
        ('{"feedback": 7}', -1),
    ],
)
def test_how_many_events_a_summary_shows_is_read_from_it(tmp_path: Path, summary: str | None, shown: int) -> None:
    if summary is not None:
        (tmp_path / "summary.json").write_text(summary)
    assert shown_events(tmp_path) == shown


def test_refusals_in_the_session_and_events_of_no_run_are_not_counted() -> None:
    event = FeedbackEvent("1", "maildir", HARD, 1.0, 1.0, run="gazette/r")
    assert events_of_runs([event, event._replace(source="smtp"), event._replace(run="")]) == {"gazette/r": 1}


def test_metrics_are_those_of_the_newest_run_whatever_run_is_reported_again(gazette: SentCampaign) -> None:
    metrics = f'[report]\nmetrics_file = "{gazette.folder}/gazette.prom"\n'
    one = gazette.send("a@example.com", edition="one")
    path = gazette.folder / "gazette.prom"
    gazette.job(edition="one", more=metrics)
    tell(gazette, one)
    refresh(gazette)
    assert 'campaign_feedback_events{campaign="gazette",outcome="hard"} 1.0' in path.read_text()
    two = gazette.send("a@example.com", "b@example.com", edition="two", verdicts={"b@example.com": Verdict.IN_DOUBT})
    gazette.job(edition="two", more=metrics)
    path.unlink()  # as where the numbers are only pushed
    report(one)
    assert not path.exists()
    report(two)
    assert 'edition="two"' in path.read_text()


def test_the_tally_of_a_collect_says_how_many_reports_it_wrote() -> None:
    assert CollectTally(reports=2).text(1.0).split("\n")[-1] == "2 reports written again"
    assert "report" not in CollectTally().text(1.0)
    assert CollectTally(reports=2).facts()["reports"] == 2
