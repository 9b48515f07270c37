"""Whom what came back leaves out, and until when."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Any

import pytest

from campaign.config.feedback import FeedbackSection
from campaign.feedback.suppression_rules import SuppressionEntry, happened, suppressed
from campaign.model import FeedbackEvent
from campaign.model import FeedbackOutcome as F

DAY = 86_400.0
NOW = 1_000 * DAY
NUMBERS = count()
A, B, C, D, E = "abcde"
#: Days on which the runs g/a, g/b, ... of campaign g began.
RUNS = {"g": [(f"g/{name}", (10.0 * at) * DAY) for at, name in enumerate("abcdefghij", 1)]}


def event(outcome: F, day: float, run: str = "", **fields: Any) -> FeedbackEvent:
    at = day * DAY
    base = FeedbackEvent(str(next(NUMBERS)), "imap:b@example.com", outcome, at, at, "Ada@example.com", "return-path")
    named = {"campaign": "g", "run": f"g/{run}"} if run else {}
    return base._replace(**{**named, **fields})


def soft(run: str, day: float | None = None, **fields: Any) -> FeedbackEvent:
    """A soft bounce a day after the run began."""
    return event(F.SOFT, dict(RUNS["g"])[f"g/{run}"] / DAY + 1 if day is None else day, run, **fields)


def full(run: str, **fields: Any) -> FeedbackEvent:
    return soft(run, reason="full", **fields)


def found(
    events: Iterable[FeedbackEvent],
    now: float = NOW,
    runs: Mapping[str, Sequence[tuple[str, float]]] | None = None,
    **settings: Any,
) -> SuppressionEntry | None:
    told = RUNS if runs is None else runs
    entries = suppressed(events, FeedbackSection(**settings), now, lambda name: told.get(name, ()), str.lower)
    assert entries.keys() <= {"ada@example.com"}
    return entries.get("ada@example.com")


def short(entry: SuppressionEntry | None) -> tuple[str, float, float | None] | None:
    if entry is None:
        return None
    return (entry.reason, entry.since / DAY, None if entry.until is None else entry.until / DAY)


@pytest.mark.parametrize(
    ("events", "entry"),
    [
        ([], None),
        ([event(F.HARD, 5, reason="no_such_user")], ("hard", 5, None)),
        ([event(F.HARD, 5, "a"), event(F.HARD, 9, "b")], ("hard", 5, None)),
        ([event(F.HARD, 5), event(F.DELIVERED, 6)], ("hard", 5, None)),
        ([event(F.COMPLAINT, 5)], ("complaint", 5, None)),
        ([event(F.UNSUBSCRIBE, 5)], ("unsubscribe", 5, None)),
        ([event(F.HARD, 4), event(F.UNSUBSCRIBE, 5)], ("unsubscribe", 5, None)),
        ([event(outcome, 5) for outcome in (F.NOT_THEIR_FAULT, F.DELAYED, F.AUTOMATIC_REPLY, F.UNKNOWN)], None),
        ([event(F.DELIVERED, 5)], None),
        ([event(F.HARD, 5, "a", reason="disabled")], None),
        ([event(F.HARD, 5, "a", reason="disabled")] * 3, None),
        ([event(F.HARD, 5, reason="disabled"), event(F.HARD, 6, reason="disabled")], ("hard", 6, None)),
        ([event(F.HARD, 5, "a", reason="disabled"), event(F.HARD, 6, "b", reason="disabled")], ("hard", 6, None)),
        (
            [event(F.HARD, 5, "a", reason="disabled"), event(F.DELIVERED, 6), event(F.HARD, 7, "b", reason="disabled")],
            None,
        ),
        ([event(F.HARD, 5, source="smtp", matched_by="reply")], ("hard", 5, None)),
    ],
)
def test_what_is_final_leaves_out_at_once_and_for_ever(
    events: list[FeedbackEvent], entry: tuple[str, float, float | None] | None
) -> None:
    assert short(found(events)) == entry


@pytest.mark.parametrize(
    ("events", "entry"),
    [
        ([soft(A), soft(B)], None),
        ([soft(A), soft(B), soft(C)], ("soft", 31, 121)),
        ([soft(A), soft(A), soft(A)], None),
        ([soft(A, 11), soft(A, 20), soft(A, 30), soft(B)], None),
        ([soft(C), soft(A), soft(B)], ("soft", 31, 121)),  # read in another order than they happened
        ([soft(A), soft(B), soft(D)], None),  # nothing came back from run c
        ([soft(A), soft(C), soft(D), soft(E)], ("soft", 51, 141)),
        ([soft(A), soft(B), event(F.DELIVERED, 25), soft(C)], None),
        ([soft(A), soft(B), event(F.DELIVERED, 25, "b"), soft(C)], ("soft", 31, 121)),
        ([soft(A), soft(B), event(F.DELIVERED, 35), soft(C)], ("soft", 31, 121)),
        ([soft(A), soft(B), event(F.NOT_THEIR_FAULT, 31, "c"), soft(D)], ("soft", 41, 131)),
        ([soft(A), event(F.HARD, 21, "b", reason="disabled"), soft(C), soft(D)], ("soft", 41, 131)),
        ([soft(A, 11), soft(B, 12), soft(C, 13)], None),  # all within a week
        ([soft(A), soft(B), event(F.RELEASED, 22, matched_by="person"), soft(C)], None),
    ],
)
def test_soft_bounces_of_three_runs_in_a_row_leave_out_for_ninety_days(
    events: list[FeedbackEvent], entry: tuple[str, float, float | None] | None
) -> None:
    assert short(found(events, now=150 * DAY if entry is None else entry[1] * DAY + 1)) == entry


def test_after_its_rest_an_address_is_tried_and_a_further_soft_bounce_renews_it_at_once() -> None:
    row = [soft(A), soft(B), soft(C)]
    runs = {"g": [*RUNS["g"], ("g/later", 125 * DAY), ("g/last", 135 * DAY)]}  # runs d to j fell into its rest
    assert found(row, now=121 * DAY - 1, runs=runs) is not None
    assert found(row, now=121 * DAY, runs=runs) is None
    again = [*row, event(F.SOFT, 126, "later")]
    assert short(found(again, now=127 * DAY, runs=runs)) == ("soft", 126, 216)
    well = [*row, event(F.SOFT, 136, "last")]  # run `later` tried it, and nothing came back
    assert found(well, now=137 * DAY, runs=runs) is None
    delivered = [*row, event(F.DELIVERED, 125.5, "later"), event(F.SOFT, 136, "last")]
    assert found(delivered, now=137 * DAY, runs=runs) is None


def test_a_soft_bounce_during_the_rest_prolongs_it() -> None:
    row = [soft(A), soft(B), soft(C), event(F.SOFT, 60, campaign="other", run="other/x")]
    assert short(found(row, now=61 * DAY)) == ("soft", 60, 150)


def test_runs_of_other_campaigns_count_in_a_row_and_break_none() -> None:
    runs = {**RUNS, "h": [("h/x", 25 * DAY), ("h/y", 26 * DAY)]}
    assert found([soft(A), soft(B), soft(C)], now=32 * DAY, runs=runs) is not None
    mixed = [soft(A), event(F.SOFT, 26, campaign="h", run="h/x"), soft(B, 27)]
    assert short(found(mixed, now=32 * DAY, runs=runs)) == ("soft", 27, 117)


def test_a_later_run_for_newcomers_of_the_same_edition_breaks_no_row() -> None:
    runs = {"g": [("g/1/a", DAY), ("g/1/newcomers", 2 * DAY), ("g/2/b", 10 * DAY), ("g/3/c", 20 * DAY)]}
    row = [event(F.SOFT, day, run) for day, run in ((1.5, "1/a"), (11, "2/b"), (21, "3/c"))]
    assert short(found(row, now=22 * DAY, runs=runs)) == ("soft", 21, 111)
    runs["g"].insert(3, ("g/2b/between", 15 * DAY))
    assert found(row, now=22 * DAY, runs=runs) is None


def test_a_run_whose_folder_is_gone_is_ordered_by_its_bounce() -> None:
    assert found([soft(A), soft(B), soft(C)], now=32 * DAY, runs={}) is not None
    assert found([soft(A), soft(B), soft(C)], now=32 * DAY, runs={"g": [("g/x", 25 * DAY)]}) is None


@pytest.mark.parametrize(
    ("events", "now", "entry"),
    [
        ([full(run) for run in "abcde"], 2_000, ("full", 51, None)),
        ([full(run) for run in "abcd"], 42, ("soft", 41, 131)),
        ([*(full(run) for run in "abcd"), soft(E)], 52, ("soft", 51, 141)),
        ([*(full(run) for run in "abcd"), soft(E), full("f")], 2_000, ("full", 61, None)),
        ([full(A), full(B), event(F.DELIVERED, 25), full(C), full(D), full(E)], 52, ("soft", 51, 141)),
        ([*(full(run) for run in "abcde"), event(F.DELIVERED, 60)], 2_000, ("full", 51, None)),
    ],
)
def test_a_mailbox_found_full_for_long_is_as_good_as_dead(
    events: list[FeedbackEvent], now: float, entry: tuple[str, float, float | None]
) -> None:
    assert short(found(events, now=now * DAY)) == entry


@pytest.mark.parametrize("outcome", [F.HARD, F.COMPLAINT, F.UNSUBSCRIBE, F.RELEASED])
@pytest.mark.parametrize("matched_by", ["address", ""])
def test_what_names_an_address_alone_counts_only_where_it_is_trusted(outcome: F, matched_by: str) -> None:
    told = event(outcome, 5, matched_by=matched_by)
    before = [] if outcome is not F.RELEASED else [event(F.HARD, 4)]
    assert bool(found([*before, told])) == (outcome is F.RELEASED)
    assert bool(found([*before, told], trust_addresses=True)) == (outcome is not F.RELEASED)


@pytest.mark.parametrize("outcome", [F.HARD, F.COMPLAINT, F.UNSUBSCRIBE])
def test_a_release_ends_what_was_read_before_it_and_nothing_after(outcome: F) -> None:
    released = event(F.RELEASED, 6, matched_by="person")
    assert found([event(outcome, 5), released]) is None
    assert short(found([event(outcome, 5), released, event(outcome, 7)])) == (outcome, 7, None)


def test_a_bounce_from_before_the_release_is_ignored_whenever_it_is_read_and_an_unsubscribe_is_not() -> None:
    released = event(F.RELEASED, 6, matched_by="person")
    assert found([released, event(F.HARD, 5, seen=8 * DAY)]) is None
    assert short(found([released, event(F.UNSUBSCRIBE, 5, seen=8 * DAY)])) == ("unsubscribe", 5, None)


def test_what_a_person_lists_after_the_release_counts_whatever_time_it_bears() -> None:
    released = event(F.RELEASED, 6, matched_by="person")
    assert short(found([released, event(F.HARD, 5, matched_by="person")])) == ("hard", 5, None)
    assert found([event(F.HARD, 5, matched_by="person"), released]) is None


def test_the_figures_are_those_of_the_settings() -> None:
    two = [soft(A), soft(B)]
    assert short(found(two, now=21.5 * DAY, soft_runs=2, soft_span="10d", soft_rest="1d")) is not None
    assert found(two, now=22 * DAY, soft_runs=2, soft_span="11d") is None
    assert found(two, now=22 * DAY + 1, soft_runs=2, soft_rest="1d") is None
    assert short(found([full(A), full(B)], full_runs=2, full_span="10d")) == ("full", 21, None)


def test_an_entry_holds_the_evidence_that_led_to_it() -> None:
    row = [soft(A), event(F.DELIVERED, 12), soft(B), soft(C), soft(D)]
    entry = found(row, now=42 * DAY)
    assert entry is not None
    assert entry.events == tuple(row[2:])
    hard = event(F.HARD, 5)
    assert found([soft(A), hard]) == SuppressionEntry("Ada@example.com", "hard", 5 * DAY, None, (hard,))  # type: ignore[arg-type]


@pytest.mark.parametrize(("at", "seen", "then"), [(5.0, 9.0, 5.0), (0.0, 9.0, 9.0), (99.0, 9.0, 9.0)])
def test_nothing_happened_after_it_was_read(at: float, seen: float, then: float) -> None:
    assert happened(event(F.HARD, 1, at=at, seen=seen)) == then


def test_memory_grows_with_those_who_bounced_and_not_with_the_events() -> None:
    def many(size: int) -> Iterable[FeedbackEvent]:
        yield event(F.SOFT, 1, "a")
        for number in range(size):
            yield FeedbackEvent("x", "s", F.DELIVERED, 1.0, 1.0, f"p{number}@example.com", "message-id")

    def peak(size: int) -> int:
        tracemalloc.start()
        found(many(size))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(50_000) < peak(100) + 100_000
