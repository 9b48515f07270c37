"""What came back, as the report page shows it."""

from __future__ import annotations

import re

import pytest

from campaign.delivery.replies.rule_parser import MEANINGS
from campaign.model import FeedbackOutcome
from campaign.report.feedback.feedback_facts import BounceTally, FeedbackFacts, ProviderTally
from campaign.report.html.feedback_section import CLASS_WORDS, OUTCOME_WORDS
from campaign.report.html.html_builder import html_document
from campaign.report.html.report_page import page
from tests.unit.report.test_report_page import HOSTILE, facts, read

HARD, SOFT, OURS = FeedbackOutcome.HARD, FeedbackOutcome.SOFT, FeedbackOutcome.NOT_THEIR_FAULT
COMPLAINT = FeedbackOutcome.COMPLAINT


def came_back(**changes: object) -> FeedbackFacts:
    given: dict[str, object] = {
        "events": 90,
        "accepted": 996,
        "outcomes": {HARD: 41, SOFT: 1, COMPLAINT: 2, FeedbackOutcome.AUTOMATIC_REPLY: 5},
        "bounces": [BounceTally(HARD, "no_such_user", 41), BounceTally(SOFT, "full", 1)],
        "providers": [ProviderTally("microsoft", 400, {HARD: 41, SOFT: 1, COMPLAINT: 2})],
        "provider_count": 3,
        "not_recognised": 7,
    }
    return FeedbackFacts(**(given | changes))  # type: ignore[arg-type] # each test gives what fits


def text(back: FeedbackFacts | None) -> str:
    return "".join(read(page(facts(feedback=back))).text)


@pytest.mark.parametrize(
    "said",
    [
        "4.2 %",
        "42 of 996",
        "warning from 2\N{NO-BREAK SPACE}%, alarm above 5\N{NO-BREAK SPACE}%",
        "Part of your list is out of date",
        "too few to judge",
        "hard bounces41",
        "automatic replies5",
        "not recognised7",
        "no such address41",
        "mailbox full1",
        "microsoft10.5 % of 400",
        "41 hard bounces, 1 soft bounce, 2 complaints",
        "And 2 providers more.",
        "Not recognised are messages of the first week",
    ],
)
def test_the_page_says_of_what_came_back(said: str) -> None:
    assert said in text(came_back())


def levels(back: FeedbackFacts) -> list[str]:
    return re.findall(r'<li class="is-(\w+)">', page(facts(feedback=back)))


def test_each_figure_is_painted_as_its_level_says() -> None:
    assert levels(came_back()) == ["too_few", "warning", "quiet"]
    assert levels(came_back(outcomes={COMPLAINT: 4, OURS: 100})) == ["alarm", "alarm", "alarm"]


def test_a_run_whose_feedback_is_not_read_has_no_word_of_it() -> None:
    assert "Feedback" not in text(None)


def test_where_nothing_has_come_back_the_page_says_how_to_look() -> None:
    said = text(FeedbackFacts(0, 996))
    assert "Nothing has come back so far. campaign collect gazette.toml reads what has." in said
    assert 'class="gauges"' not in page(facts(feedback=FeedbackFacts(0, 996)))


def test_what_did_not_happen_is_not_listed() -> None:
    said = text(came_back(outcomes={HARD: 1}, bounces=[], providers=[], not_recognised=0))
    assert "delivered" not in said
    assert "provider" not in said
    assert "by class" not in said
    assert "recognised" not in said


def test_what_strangers_wrote_is_text_and_never_markup() -> None:
    hostile = came_back(
        bounces=[BounceTally(HARD, HOSTILE, 1)], providers=[ProviderTally(HOSTILE, 0, {HARD: 1})], provider_count=1
    )
    html = page(facts(feedback=hostile))
    assert read(html).tags == read(page(facts(feedback=came_back()))).tags
    assert "<script>alert" not in html
    assert not set(html) & set("\x1b\u202e\r")


def test_of_many_classes_the_most_frequent_are_shown_and_the_others_added_up() -> None:
    said = text(came_back(bounces=[BounceTally(HARD, f"class {at}", 100 - at) for at in range(20)]))
    assert "class 11" in said
    assert "class 12" not in said
    assert f"of other classes{sum(100 - at for at in range(12, 20))}" in said


def test_every_class_and_outcome_has_words_and_every_outcome_a_colour() -> None:
    assert set(CLASS_WORDS) == MEANINGS
    assert set(OUTCOME_WORDS) == set(FeedbackOutcome) - {FeedbackOutcome.RELEASED}
    style = html_document("", "page.css")
    assert [one for one in OUTCOME_WORDS if f".{one.value} {{ background" not in style] == []
