"""When what came back gives reason to worry, and how it is said."""

from __future__ import annotations

import re

import pytest

from campaign.model import FeedbackOutcome
from campaign.report.facts import RunFacts
from campaign.report.feedback.feedback_facts import (
    BOUNCE_LEVELS,
    COMPLAINT_LEVELS,
    FeedbackFacts,
    FeedbackLevel,
    feedback_alarms,
    feedback_level,
)
from campaign.report.feedback.feedback_text import feedback_lines
from campaign.report.formatting import share_text
from campaign.report.summary import tally
from tests.unit.report.test_summary import facts as run_facts

HARD, SOFT, OURS = FeedbackOutcome.HARD, FeedbackOutcome.SOFT, FeedbackOutcome.NOT_THEIR_FAULT
COMPLAINT, UNSUBSCRIBE = FeedbackOutcome.COMPLAINT, FeedbackOutcome.UNSUBSCRIBE


@pytest.mark.parametrize(
    ("complained", "accepted", "level"),
    [
        (0, 0, "quiet"),
        (0, 10_000, "quiet"),
        (9, 10_000, "quiet"),
        (10, 10_000, "warning"),
        (30, 10_000, "warning"),
        (31, 10_000, "alarm"),
        (10_000, 10_000, "alarm"),
        (1, 1_000, "too_few"),
        (2, 180, "too_few"),
        (3, 180, "alarm"),
        (1, 1, "too_few"),
    ],
)
def test_complaints_are_held_against_the_levels_of_receivers(complained: int, accepted: int, level: str) -> None:
    share = complained / accepted if accepted else 0.0
    assert feedback_level(complained, share, *COMPLAINT_LEVELS) == level


@pytest.mark.parametrize(
    ("bounced", "level"), [(199, "quiet"), (200, "warning"), (500, "warning"), (501, "alarm"), (2, "quiet")]
)
def test_bounces_are_held_against_theirs(bounced: int, level: str) -> None:
    assert feedback_level(bounced, bounced / 10_000, *BOUNCE_LEVELS) == level


@pytest.mark.parametrize(("count", "level"), [(99, "quiet"), (100, "quiet"), (101, "alarm")])
def test_our_own_fault_has_one_level_and_no_warning_below_it(count: int, level: str) -> None:
    assert feedback_level(count, count / 10_000, 0.01, 0.01) == level


def test_every_warning_and_alarm_says_in_a_sentence_what_to_do() -> None:
    for counts in ({COMPLAINT: 20, HARD: 300, OURS: 0}, {COMPLAINT: 90, HARD: 500, OURS: 300}):
        for one in feedback_alarms(FeedbackFacts(500, 10_000, counts)):
            worrying = one.level in (FeedbackLevel.WARNING, FeedbackLevel.ALARM)
            assert bool(re.fullmatch(r"[A-Z][^.]+\.", one.advice)) == worrying, one
    assert all(not one.advice for one in feedback_alarms(FeedbackFacts(5, 10_000, {HARD: 5})))


def test_the_campaign_sets_the_level_of_its_own_fault() -> None:
    levels = [
        feedback_alarms(FeedbackFacts(50, 1_000, {OURS: 50}, alarm_share=share))[2].level for share in (0.01, 0.05)
    ]
    assert levels == ["alarm", "quiet"]


def test_bounces_of_all_kinds_are_bounces_and_a_share_is_at_most_all() -> None:
    some = FeedbackFacts(9, 4, {HARD: 3, SOFT: 2, OURS: 1, COMPLAINT: 7})
    assert some.bounced == 6
    assert some.share(some.bounced) == 1.0
    assert FeedbackFacts(9, 0, {HARD: 3}).share(3) == 0.0


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0.0, "0.0 %"),
        (0.00001, "<0.01 %"),
        (0.0012, "0.12 %"),
        (0.00999, "1.00 %"),
        (0.01, "1.0 %"),
        (0.0345, "3.5 %"),
        (1.0, "100.0 %"),
    ],
)
def test_a_share_is_said_to_two_decimals_where_one_would_hide_it(share: float, said: str) -> None:
    assert share_text(share) == said


def test_the_tally_says_what_came_back_and_what_to_do() -> None:
    back = FeedbackFacts(30, 996, {HARD: 8, SOFT: 3, COMPLAINT: 4, UNSUBSCRIBE: 1})
    said = [line for line in tally(run_facts(feedback=back)).split("\n") if line[:8] in ("Bounces ", "ALARM   ")]
    assert said[0] == "Bounces 11 of 996 accepted (1.1 %): 8 hard, 3 soft; 4 complaints, 1 unsubscribe"
    assert said[1].startswith("ALARM   0.40 % complained. At this share Google and Yahoo")
    assert len(said) == 2


@pytest.mark.parametrize("back", [None, FeedbackFacts(0, 996)])
def test_a_tally_of_a_run_from_which_nothing_came_back_says_nothing_of_it(back: FeedbackFacts | None) -> None:
    some: RunFacts = run_facts(feedback=back)
    assert tally(some) == tally(run_facts())
    assert feedback_lines(FeedbackFacts(0, 996)) == []
