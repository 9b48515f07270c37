"""What came back is seen where people look: in the report of its run, in summary.json, in the metrics, in the stats."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.bounces import Maildir, bounce, complaint
from tests.support.servers.shelf import Shelf
from tests.support.stand import Stand


@pytest.fixture
def bounces(stand: Stand) -> Maildir:
    stand.set(
        campaign__return_path="bounce+{token}@example.com",
        feedback__source=[{"url": "maildir:bounces"}],
        report__metrics_file="gazette.prom",
    )
    return Maildir(stand.folder / "bounces")


def bounced(shelf: Shelf, number: int, **more: Any) -> bytes:
    address = f"p{number}@example.com"
    sender, content = next((sender, content) for sender, to, content in shelf.letters if to == address)
    return bounce(sender, content, recipient=address, **more)


def summary(stand: Stand) -> dict[str, Any]:
    return dict(json.loads((stand.run / "summary.json").read_text(encoding="utf-8"))["feedback"])


async def test_a_collect_draws_the_report_of_the_run_anew(stand: Stand, shelf: Shelf, bounces: Maildir) -> None:
    (await stand.set(campaign__edition="one").send()).ends(0)
    assert summary(stand)["events"] == 0
    assert "Nothing has come back so far" in (stand.run / "report.html").read_text(encoding="utf-8")
    bounces.put(
        *(bounced(shelf, number) for number in range(4)),
        bounced(shelf, 4, status="5.7.1", said="550 5.7.1 rejected as spam"),
        complaint("abuse@example.com", shelf.letters[7][2]),
    )
    (await stand.campaign("collect", stand.file)).ends(0, "6 new events", "1 report written again")
    found = summary(stand)
    assert (found["events"], found["accepted"], found["bounced"], found["outcomes"]["complaint"]) == (6, 20, 5, 1)
    assert found["providers"] == [
        {
            "name": "example.com",
            "accepted": 20,
            "bounced": 5,
            "outcomes": {"hard": 4, "not_their_fault": 1, "complaint": 1},
        }
    ]
    assert [one["level"] for one in found["alarms"]] == ["too_few", "alarm", "too_few"]
    page = (stand.run / "report.html").read_text(encoding="utf-8")
    assert "no such address" in page
    assert "taken for spam" in page
    assert 'campaign_feedback_events{campaign="gazette",outcome="hard"} 4.0' in (
        stand.folder / "gazette.prom"
    ).read_text(encoding="utf-8")
    ended = (await stand.campaign("report", stand.file)).ends(0)
    assert "Bounces 5 of 20 accepted (25.0 %): 4 hard, 1 our own fault; 1 complaint, 0 unsubscribes" in ended.out
    assert "ALARM   25.0 % bounced. " in ended.out


async def test_news_of_an_earlier_edition_leave_the_metrics_of_the_newest(
    stand: Stand, shelf: Shelf, bounces: Maildir
) -> None:
    (await stand.set(campaign__edition="one").send()).ends(0)
    first, late = stand.run, bounced(shelf, 1)
    (await stand.set(campaign__edition="two").send()).ends(0)
    bounces.put(late)
    (await stand.campaign("collect", stand.file)).ends(0, "1 report written again")
    assert json.loads((first / "summary.json").read_text(encoding="utf-8"))["feedback"]["bounced"] == 1
    metrics = (stand.folder / "gazette.prom").read_text(encoding="utf-8")
    assert 'edition="two"' in metrics
    assert 'campaign_feedback_events{campaign="gazette",outcome="hard"} 0.0' in metrics
    ended = (await stand.campaign("stats", stand.file)).ends(0, "editions.html")
    one, two = ended.out.strip().split("\n")[1:]
    assert (one.split()[0], two.split()[0]) == ("one", "two")
    assert "5.0 %" in one
    assert "5.0 %" not in two
