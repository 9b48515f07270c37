"""The editions of a campaign, compared: one row for each, its recipients once, bounces from the store of feedback."""

from __future__ import annotations

import csv
import io
import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from campaign.cli.main import cli
from campaign.config import load
from campaign.errors import ConfigError, DamageError
from campaign.exit_codes import ExitCode
from campaign.ledger.checkpoint import Checkpoint
from campaign.ledger.feedback.feedback_store import FeedbackStore
from campaign.model import FeedbackEvent, FeedbackOutcome, Verdict
from campaign.pipeline.operate.edition_stats import EditionStats, distinct_recipients, edition_stats
from campaign.pipeline.operate.manage import report
from tests.support.sent import SentCampaign

HARD, COMPLAINT, UNSUBSCRIBE = FeedbackOutcome.HARD, FeedbackOutcome.COMPLAINT, FeedbackOutcome.UNSUBSCRIBE
NUMBERS = count()
SOURCE = '[[feedback.source]]\nurl = "maildir:bounces"\n'


@pytest.fixture
def gazette(tmp_path: Path) -> SentCampaign:
    return SentCampaign(tmp_path)


def tell(gazette: SentCampaign, run: Path, *told: tuple[FeedbackOutcome, int], **more: Any) -> None:
    given: dict[str, Any] = {"address": "a@example.com", "matched_by": "message-id", "source": "maildir"} | more
    name = run.relative_to(gazette.runs).as_posix()
    with FeedbackStore(gazette.runs) as store:
        store.add([
            FeedbackEvent(str(next(NUMBERS)), outcome=outcome, at=1.0, seen=1.0, run=name, number=number, **given)
            for outcome, number in told
        ])  # fmt: skip


def stats(gazette: SentCampaign, more: str = "") -> EditionStats:
    gazette.job(more=more)
    return edition_stats(load(gazette.file, {}))


def test_each_edition_is_a_row_with_what_came_back(gazette: SentCampaign) -> None:
    one = gazette.send("a@example.com", "b@example.com", edition="one")
    two = gazette.send("a@example.com", "b@example.com", edition="two", verdicts={"b@example.com": Verdict.REJECTED})
    tell(gazette, one, (HARD, 1), (HARD, 1), (COMPLAINT, 0))
    tell(gazette, two, (UNSUBSCRIBE, 0), (FeedbackOutcome.DELIVERED, 0))
    found = stats(gazette)
    rows = [
        (row.edition, row.recipients, row.accepted, row.bounced, row.complained, row.unsubscribed)
        for row in found.editions
    ]
    assert rows == [("one", 2, 2, 1, 1, 0), ("two", 2, 1, 0, 0, 1)]
    assert found.unread == ()


def test_several_runs_of_an_edition_are_one_row(gazette: SentCampaign) -> None:
    first = gazette.send("a@example.com", "b@example.com", verdicts={"b@example.com": Verdict.REJECTED})
    second = gazette.send("a@example.com", "c@example.com")
    tell(gazette, first, (HARD, 0))
    tell(gazette, second, (HARD, 0))
    [row] = stats(gazette).editions
    assert (row.runs, row.recipients, row.accepted, row.bounced) == (2, 3, 2, 2)


def test_a_recipient_in_several_plans_counts_once(gazette: SentCampaign) -> None:
    plans = [gazette.send(*some, edition=some[0][0]) for some in (["a@x.example", "b@x.example"], ["b@x.example"])]
    assert [distinct_recipients(some) for some in (plans[:1], plans[1:], plans)] == [2, 1, 2]


def test_an_edition_that_was_served_again_has_a_row_for_each_time(gazette: SentCampaign) -> None:
    gazette.send("a@example.com", edition="one")
    gazette.send("a@example.com", edition="one", again=True)
    assert [(row.name, row.recipients, row.accepted) for row in stats(gazette).editions] == [
        ("one", 1, 1),
        ("one, again", 1, 1),
    ]


def test_the_order_is_that_of_the_begin_and_not_of_the_names(gazette: SentCampaign) -> None:
    for edition in ("z", "a", "m"):
        gazette.send("a@example.com", edition=edition)
    assert [row.edition for row in stats(gazette).editions] == ["z", "a", "m"]


def test_where_no_feedback_is_read_nobody_says_that_nobody_bounced(gazette: SentCampaign) -> None:
    one, two = (gazette.send("a@example.com", edition=edition) for edition in ("one", "two"))
    tell(gazette, one, (HARD, 0), source="smtp")  # a refusal in the session
    assert [row.bounced for row in stats(gazette).editions] == [None, None]
    tell(gazette, two, (COMPLAINT, 0))
    assert [row.bounced for row in stats(gazette).editions] == [None, 0]
    assert [row.bounced for row in stats(gazette, SOURCE).editions] == [0, 0]


def test_an_event_that_only_names_an_address_counts_if_the_settings_say_so(gazette: SentCampaign) -> None:
    tell(gazette, gazette.send("a@example.com"), (HARD, 0), matched_by="address")
    assert [row.bounced for row in stats(gazette).editions] == [0]
    assert [row.bounced for row in stats(gazette, "[feedback]\ntrust_addresses = true").editions] == [1]


def test_rehearsals_and_other_campaigns_are_left_out(gazette: SentCampaign) -> None:
    gazette.send("a@example.com", relay="mailbox")
    gazette.send("a@example.com", name="another")
    with pytest.raises(ConfigError) as caught:
        stats(gazette)
    assert "1 rehearsal left out" in caught.value.evidence[0]
    gazette.send("a@example.com")
    assert len(stats(gazette).editions) == 1


def test_a_summary_is_used_only_if_the_run_was_left_in_good_order_since(gazette: SentCampaign) -> None:
    run = gazette.send("a@example.com", "b@example.com", verdicts={"b@example.com": Verdict.IN_DOUBT})
    report(run)
    summary = json.loads((run / "summary.json").read_text())
    summary["seconds"] = 77.0
    (run / "summary.json").write_text(json.dumps(summary))
    assert [(row.accepted, row.seconds) for row in stats(gazette).editions] == [(1, 77.0)]
    checkpoint = Checkpoint(run)
    checkpoint.settle(1, Verdict.ACCEPTED, "found")
    checkpoint.close()
    assert [row.accepted for row in stats(gazette).editions] == [2]


@pytest.mark.parametrize("summary", ["", "{}", "[]", '{"verdicts": {"accepted": "x"}, "seconds": 1}'])
def test_a_summary_that_cannot_be_read_is_made_up_for_by_the_journal(gazette: SentCampaign, summary: str) -> None:
    run = gazette.send("a@example.com")
    (run / "summary.json").write_text(summary)
    assert [row.accepted for row in stats(gazette).editions] == [1]


def test_a_damaged_run_is_left_out_and_named(gazette: SentCampaign) -> None:
    one, _ = (gazette.send("a@example.com", edition=edition) for edition in ("one", "two"))
    (one / "checkpoint.journal").write_text("no journal\n")
    found = stats(gazette)
    assert [row.edition for row in found.editions] == ["two"]
    assert [str(one) in sentence for sentence in found.unread] == [True]


def test_where_no_run_can_be_read_that_is_an_error(gazette: SentCampaign) -> None:
    (gazette.send("a@example.com") / "checkpoint.journal").write_text("no journal\n")
    with pytest.raises(DamageError):
        stats(gazette)


def test_a_plan_that_is_gone_leaves_the_largest_number_known(gazette: SentCampaign) -> None:
    first = gazette.send("a@example.com", "b@example.com")
    gazette.send("c@example.com")
    (first / "plan.jsonl").unlink()
    found = stats(gazette)
    assert found.editions[0].recipients == 2
    assert "largest run" in found.unread[0]


def test_the_table_is_for_people_the_csv_and_the_object_for_programs(gazette: SentCampaign) -> None:
    run = gazette.send("a@example.com", "b@example.com", edition="one")
    tell(gazette, run, (HARD, 0))
    gazette.send("b@example.com", edition="two")
    found = stats(gazette)
    heading, one, two = found.table().split("\n")
    assert heading.split() == [
        "edition", "begun", "(UTC)", "recipients", "accepted", "bounced", "complained", "unsubscribed", "duration",
    ]  # fmt: skip
    assert one.startswith("one  ")
    assert "100.0 %   50.0 %" in one
    assert two.split()[-4:-1] == ["–", "–", "–"]
    rows = list(csv.DictReader(io.StringIO(found.csv())))
    assert [(row["edition"], row["bounced"], row["bounced_share"]) for row in rows] == [
        ("one", "1", "0.5"),
        ("two", "", ""),
    ]
    facts = json.loads(json.dumps(found.facts()))
    assert facts["campaign"] == "gazette"
    assert facts["editions"][0]["bounced_share"] == 0.5
    assert facts["editions"][1]["bounced"] is None
    assert facts["editions"][0]["begun"].endswith("Z")


# -- the command


def test_the_command_prints_the_table_and_writes_the_page(gazette: SentCampaign) -> None:
    gazette.send("a@example.com", edition="one")
    done = CliRunner().invoke(cli, ["stats", str(gazette.file)])
    assert done.exit_code == 0, done.output
    assert done.stdout.split("\n")[1].split()[0] == "one"
    page = gazette.runs / "gazette" / "editions.html"
    assert "1 edition" in page.read_text()
    assert f"written: {page}" in done.stderr
    assert page.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("name", "begins"), [("own.html", "<!doctype html>"), ("own.svg", "<svg ")])
def test_a_chart_goes_where_it_is_wanted(gazette: SentCampaign, name: str, begins: str) -> None:
    gazette.send("a@example.com", edition="one")
    path = gazette.folder / name
    done = CliRunner().invoke(cli, ["stats", str(gazette.file), "--json", "--chart", str(path)])
    assert done.exit_code == 0, done.output
    assert path.read_text().startswith(begins)
    assert json.loads(done.stdout)["editions"][0]["edition"] == "one"
    assert not (gazette.runs / "gazette" / "editions.html").exists()


def test_csv_goes_to_a_file_or_to_standard_output_and_nothing_else_is_printed_there(gazette: SentCampaign) -> None:
    gazette.send("a@example.com", edition="one")
    path = gazette.folder / "editions.csv"
    printed = CliRunner().invoke(cli, ["stats", str(gazette.file), "--csv", "-"]).stdout
    done = CliRunner().invoke(cli, ["stats", str(gazette.file), "--csv", str(path)])
    assert done.exit_code == 0
    assert done.stdout == ""
    assert path.read_text() == printed
    assert printed.startswith("edition,generation,begun,runs,recipients,accepted,")


@pytest.mark.parametrize(
    ("options", "said"), [(["--json", "--csv", "-"], "one of --json"), (["--chart", "x.png"], ".svg or .html")]
)
def test_what_cannot_be_meant_is_refused(gazette: SentCampaign, options: list[str], said: str) -> None:
    gazette.send("a@example.com")
    done = CliRunner().invoke(cli, ["stats", str(gazette.file), *options])
    assert done.exit_code == ExitCode.USAGE
    assert said in done.stderr


def test_a_page_that_cannot_be_written_comes_after_the_table(gazette: SentCampaign) -> None:
    gazette.send("a@example.com", edition="one")
    done = CliRunner().invoke(cli, ["stats", str(gazette.file), "--chart", str(gazette.folder / "gone" / "x.svg")])
    assert "one" in done.stdout
    assert "x.svg cannot be written" in str(done.exception)
