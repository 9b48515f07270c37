"""What came back, and editions compared, as a browser shows them: on a telephone and at a desk, in light and dark."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from campaign.model import FeedbackOutcome
from campaign.report.feedback.feedback_facts import BounceTally, FeedbackFacts, ProviderTally
from campaign.report.html.editions_page import EditionFigures, editions_page, editions_svg
from campaign.report.html.report_page import write_page
from tests.integration.test_pages_in_a_browser import PAINT, colours, measured, report_facts

HARD, SOFT, OURS = FeedbackOutcome.HARD, FeedbackOutcome.SOFT, FeedbackOutcome.NOT_THEIR_FAULT
COMPLAINT = FeedbackOutcome.COMPLAINT
LONG = "a-rather-long-domain-of-somebody-with-many-labels.in-a-country.example"


def came_back(hard: int, ours: int, complaints: int) -> FeedbackFacts:
    outcomes = {HARD: hard, SOFT: 12, OURS: ours, COMPLAINT: complaints, FeedbackOutcome.DELIVERED: 8_012}
    bounces = [BounceTally(HARD, "no_such_user", hard), BounceTally(OURS, "word " * 40, ours)]
    providers = [ProviderTally("microsoft", 2_253, {HARD: hard}), ProviderTally(LONG, 40, {SOFT: 12})]
    return FeedbackFacts(12_345_678, 9_012, outcomes, bounces, providers, 40, 7)


GOOD, WARNING, ALARM = came_back(41, 3, 2), came_back(260, 30, 14), came_back(4_200, 140, 61)


@pytest.mark.parametrize("width", [375, 1280])
@pytest.mark.parametrize("back", [GOOD, WARNING, ALARM], ids=["good", "warning", "alarm"])
def test_what_came_back_fits_a_telephone_and_a_desk(tmp_path: Path, back: FeedbackFacts, width: int) -> None:
    found = measured(write_page(tmp_path, replace(report_facts(), feedback=back)), width)
    assert (found["overflow"], found["beyond"], found["torn"]) == (0, [], [])
    assert found["smallest"] >= 12


def alone(tmp_path: Path, back: FeedbackFacts) -> Path:
    """A report without anything else that is red or yellow."""
    facts = replace(report_facts(), verdicts={"accepted": 10_000}, by_domain={}, by_reply=[], timeline=[], in_doubt=[])
    return write_page(tmp_path, replace(facts, feedback=replace(back, outcomes={**back.outcomes}, bounces=[])))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_warnings_are_yellow_and_alarms_red(tmp_path: Path, scheme: str) -> None:
    paint, frame = PAINT[scheme], 1_000  # a card's frame and the bar in it have more pixels than that
    seen = {}
    for name, back in {"good": GOOD, "warning": WARNING, "alarm": ALARM}.items():
        only = replace(back, providers=[], outcomes={one: back.outcomes[one] for one in (HARD, OURS, COMPLAINT)})
        (tmp_path / name).mkdir()
        seen[name] = colours(alone(tmp_path / name, only), scheme=scheme)
    assert seen["good"].get(paint["rejected"], 0) < frame > seen["good"].get(paint["deferred"], 0)
    assert seen["warning"].get(paint["rejected"], 0) < frame < seen["warning"][paint["deferred"]]
    assert seen["alarm"][paint["rejected"]] > frame > seen["alarm"].get(paint["deferred"], 0)


def year(count: int = 12) -> list[EditionFigures]:
    return [
        EditionFigures(f"2026-{at + 1:02}", 1, 1767225600.0 + at * 2_629_800, 1, 12_345_678, 12_000_000,
                       200_000 * (at % 3), 9_000 * (at % 5), 40_000, 86_400.0 + at)
        for at in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("width", [375, 1280])
@pytest.mark.parametrize("count", [1, 12, 90])
def test_editions_side_by_side_fit_a_telephone_and_a_desk(tmp_path: Path, count: int, width: int) -> None:
    page = tmp_path / "editions.html"
    page.write_text(editions_page("gazette", year(count)), encoding="utf-8")
    found = measured(page, width)
    assert (found["overflow"], found["beyond"]) == (0, [])
    assert found["smallest"] >= 12
    if count > 1:
        assert found["plot"] > 0.5 * width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_charts_alone_are_painted_as_on_the_page(tmp_path: Path, scheme: str) -> None:
    picture = tmp_path / "editions.svg"
    picture.write_text(editions_svg("gazette", year()), encoding="utf-8")
    seen = colours(picture, scheme=scheme, width=720, height=960)
    assert max(seen, key=lambda one: seen[one]) == PAINT[scheme]["paper"]
    assert seen[PAINT[scheme]["accepted"]] > 10_000
    assert seen[PAINT[scheme]["rejected"]] > 5_000
