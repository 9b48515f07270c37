"""The age of letters and the time of their next try hold when somebody sets the clock."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.ledger.checkpoint import Checkpoint, create
from campaign.ledger.journal.journal_records import Opened, Pass, Record, Started, VerdictRecord
from campaign.ledger.state.run_clock import LONGEST_GAP, RunClock
from campaign.ledger.state.run_state import RunState
from campaign.model import Outcome, Verdict

YEARS = 10 * 365 * 86400.0
NOON = 1_780_000_000.0


def opened(recipients: int = 3) -> Opened:
    return Opened("gazette", "", "run", 1, recipients, "plan", {}, "shape", NOON, "trace")


def replay(*records: Record) -> RunState:
    return RunState.replay([opened(), *records])


def deferred(number: int, at: float, wait: float) -> VerdictRecord:
    return VerdictRecord(number, "deferred", at, 451, relay="relay", not_before=at + wait)


@pytest.mark.parametrize(
    ("ticks", "elapsed"),
    [
        ([10, 70], 70.0),
        ([10, 5, 15], 20.0),
        ([10, YEARS, YEARS + 10], 20.0 + LONGEST_GAP),
        ([YEARS, 10, 20], 10.0 + LONGEST_GAP),
    ],
    ids=["as it goes", "a little back", "far ahead", "ahead and set right"],
)
def test_time_adds_up_whatever_the_clock_does(ticks: list[float], elapsed: float) -> None:
    clock = RunClock(NOON)
    for tick in ticks:
        clock.tick(NOON + tick)
    assert clock.elapsed == pytest.approx(elapsed)


def test_the_process_that_writes_counts_by_a_clock_that_nobody_sets() -> None:
    clock, now = RunClock(NOON), [100.0]
    clock.tick(NOON + 10)
    clock.go_by(lambda: now[0])
    now[0] += 7
    clock.tick(NOON + YEARS)
    assert clock.elapsed == 17.0


def test_the_age_of_a_letter_counts_from_when_a_relay_first_put_it_off() -> None:
    later = deferred(0, NOON + 105, 60)
    history = replay(Pass(1, NOON), deferred(0, NOON + 5, 60), Pass(2, NOON + 100), later, Pass(3, NOON + YEARS))
    assert history.age(0) == 100.0 + LONGEST_GAP
    assert history.age(1) == 0.0


def test_a_letter_that_a_limit_of_ours_held_is_no_older_for_it() -> None:
    held = VerdictRecord(0, "deferred", NOON + 5, not_before=NOON + 65)
    history = replay(Pass(1, NOON), held, Pass(2, NOON + 100), deferred(0, NOON + 105, 60), Pass(3, NOON + 200))
    assert history.age(0) == 95.0


def test_who_was_put_off_by_a_clock_that_was_ahead_is_drawn_in_once_it_is_right() -> None:
    ahead = NOON + YEARS
    history = replay(
        Pass(1, ahead), deferred(0, ahead, 300), deferred(1, ahead, 60), Started(NOON + 9, "b", 1, "process")
    )
    assert history.drawn_in == 2
    assert [history.not_before[number] for number in (0, 1)] == [int(NOON + 310)] * 2


def test_who_waits_for_a_limit_of_days_waits_on_when_the_clock_is_set_back_an_hour() -> None:
    history = replay(deferred(0, NOON, 3 * 86400), deferred(1, NOON, 60), Started(NOON - 3600, "b", 1, "process"))
    assert history.not_before[0] == int(NOON - 3600 + 3 * 86400 + 1)
    assert history.not_before[1] == NOON + 60


def test_a_clock_that_goes_as_it_should_draws_nobody_in() -> None:
    history = replay(deferred(0, NOON, 3 * 86400), Pass(1, NOON - 0.9), Started(NOON + 5, "b", 1, "process"))
    assert history.drawn_in == 0


def test_whoever_takes_up_the_run_says_that_the_clock_was_ahead(tmp_path: Path) -> None:
    create(tmp_path, opened())
    now = [NOON + YEARS]
    first = Checkpoint(tmp_path, clock=lambda: now[0])
    first.begin_pass()
    first.verdict(Outcome(0, Verdict.DEFERRED, "later", 451, relay="relay"), now[0] + 300)
    first.close()
    now[0] = NOON
    second = Checkpoint(tmp_path, clock=lambda: now[0])
    second.close()
    assert second.notices == ["The clock was ahead when 1 letter had to wait; it is tried again within 5 min."]
    third = Checkpoint(tmp_path, clock=lambda: now[0])
    third.close()
    assert third.notices == []
    assert third.history.not_before[0] == int(NOON + 301)


def test_a_clock_set_back_while_a_run_waits_is_noticed(tmp_path: Path) -> None:
    create(tmp_path, opened())
    now = [NOON + YEARS]
    checkpoint = Checkpoint(tmp_path, clock=lambda: now[0])
    checkpoint.begin_pass()
    for number in (0, 1):
        checkpoint.verdict(Outcome(number, Verdict.DEFERRED, "later", 451, relay="relay"), now[0] + 300)
    assert checkpoint.look_at_clock() == ""
    now[0] = NOON
    assert checkpoint.look_at_clock() == (
        "The clock was ahead when 2 letters had to wait; they are tried again within 5 min."
    )
    assert checkpoint.look_at_clock() == ""
    checkpoint.close()


@pytest.mark.parametrize(
    ("ticks", "elapsed"),
    [
        ([10, 8.5, 9.9, 12], 12.0),
        ([10, 8, 12], 12.0),
        ([10, 7.9, 12], 14.1),
    ],
    ids=["within two seconds", "two seconds", "the clock was set"],
)
def test_records_of_several_senders_that_are_a_little_out_of_order_make_no_time(
    ticks: list[float], elapsed: float
) -> None:
    clock = RunClock(NOON)
    for tick in ticks:
        assert not clock.tick(NOON + tick)
    assert clock.elapsed == pytest.approx(elapsed)


def test_a_journal_merged_out_of_order_ages_nobody() -> None:
    records = [VerdictRecord(0, "accepted", NOON + at) for at in (1.0, 0.2, 1.5, 0.4, 2.0) * 200]
    assert replay(*records).run_clock.elapsed == pytest.approx(2.0)


def test_a_copy_for_another_process_stands_still() -> None:
    clock, now = RunClock(NOON), [100.0]
    clock.tick(NOON + 10)
    clock.go_by(lambda: now[0])
    now[0] += 50
    copy = clock.snapshot()
    now[0] += 1000
    assert copy.elapsed == 60.0
    copy.go_by(lambda: now[0])
    now[0] += 5
    assert copy.elapsed == 65.0
    assert clock.elapsed == 1065.0
