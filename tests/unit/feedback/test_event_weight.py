"""How each thing that came back counts, in words."""

from __future__ import annotations

from typing import Any

import pytest

from campaign.config.feedback import FeedbackSection
from campaign.feedback.event_weight import weights_in_words
from campaign.feedback.suppression_rules import suppressed
from campaign.model import FeedbackEvent, FeedbackOutcome

DAY = 86_400.0


def event(outcome: str, day: float = 1, **fields: Any) -> FeedbackEvent:
    base = FeedbackEvent(f"{outcome}{day}", "s", FeedbackOutcome(outcome), day * DAY, day * DAY, "a@b.de", "message-id")
    return base._replace(**fields)


def words(*events: FeedbackEvent) -> list[str]:
    settings = FeedbackSection()
    entries = suppressed(events, settings, 100 * DAY, lambda _: (), str.lower)
    return weights_in_words(events, entries.get("a@b.de"), settings)


@pytest.mark.parametrize(
    ("told", "how"),
    [
        (event("hard"), "it leaves the address out permanently"),
        (event("complaint"), "it leaves the address out permanently"),
        (event("hard", matched_by="address"), "it names an address but no letter that was sent"),
        (event("hard", reason="disabled"), "after two runs"),
        (event("soft"), "after 3 runs in a row, over at least 7 days"),
        (event("not_their_fault"), "for what or who we are"),
        (event("delivered"), "ends a row of soft bounces"),
        (event("delayed"), "counts for nothing"),
        (event("automatic_reply"), "counts for nothing"),
        (event("unknown"), "counts for nothing"),
        (event("released", matched_by="person"), "a person released the address"),
    ],
)
def test_a_single_event_is_told_as_the_rules_take_it(told: FeedbackEvent, how: str) -> None:
    assert how in words(told)[0]


def test_every_outcome_has_its_words() -> None:
    assert all(words(event(outcome)) for outcome in FeedbackOutcome)


def test_a_row_of_soft_bounces_is_counted() -> None:
    row = [event("soft", day, run=f"g/{day}", campaign="g") for day in (80, 90, 99)]
    assert words(*row) == ["one of 3 in a row, which leave the address out"] * 3


def test_what_a_release_undid_and_what_came_after_it_are_told_apart() -> None:
    told = words(event("hard", 1), event("released", 2, matched_by="person"), event("hard", 3))
    assert told[0] == "the address was released later, so it no longer counts"
    assert told[2] == "it leaves the address out permanently"
    assert "leaves an address out" in words(event("hard", 1), event("unsubscribe", 3))[0]
