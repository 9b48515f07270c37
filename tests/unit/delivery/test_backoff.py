"""When a deferred letter is tried again: a pure decision."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.delivery.replies.backoff import LONGEST, SPREAD, GiveUp, Retry, decide_retry
from campaign.model import Outcome, Verdict

HOUR = 3600.0


def outcome(**more: object) -> Outcome:
    return Outcome(7, Verdict.DEFERRED, **{"reason": "greylisted", "code": 451, "enhanced": "4.7.1", **more})  # type: ignore[arg-type]  # fields by name


def decide(
    attempts: int,
    *,
    first_try: float = 0.0,
    now: float = 0.0,
    limit: int = 100,
    give_up_after: float = 1e9,
    first_delay: float = 300.0,
    key: int = 7,
    **more: object,
) -> Retry | GiveUp:
    return decide_retry(
        outcome(**more),
        attempts,
        first_try,
        now,
        limit=limit,
        give_up_after=give_up_after,
        first_delay=first_delay,
        key=key,
    )


@pytest.mark.parametrize(
    ("attempts", "round_figure"),
    [
        (0, 300.0),
        (1, 300.0),
        (2, 600.0),
        (3, 1200.0),
        (4, 2400.0),
        (5, 4800.0),
        (6, 9600.0),
        (7, LONGEST),
        (99, LONGEST),
    ],
)
def test_each_wait_is_twice_the_last_up_to_four_hours(attempts: int, round_figure: float) -> None:
    again = decide(attempts, now=1000.0)
    assert isinstance(again, Retry)
    assert round_figure <= again.not_before - 1000.0 <= min(LONGEST, round_figure * (1 + SPREAD))


@pytest.mark.parametrize(
    ("hint", "least"), [(None, 300.0), (0.0, 300.0), (10.0, 300.0), (1800.0, 1800.0), (8 * HOUR, 8 * HOUR)]
)
def test_the_servers_hint_is_a_minimum(hint: float | None, least: float) -> None:
    again = decide(1, retry_after=hint)
    assert isinstance(again, Retry)
    assert least <= again.not_before <= max(least, 300.0 * (1 + SPREAD))


@pytest.mark.parametrize(
    ("attempts", "limit", "goes_on"), [(1, 5, True), (4, 5, True), (5, 5, False), (6, 5, False), (1, 1, False)]
)
def test_attempts_run_out(attempts: int, limit: int, goes_on: bool) -> None:
    assert isinstance(decide(attempts, limit=limit), Retry) is goes_on


@pytest.mark.parametrize(
    ("age", "give_up_after", "hint", "goes_on"),
    [
        (0.0, 24 * HOUR, None, True),
        (20 * HOUR, 24 * HOUR, None, True),
        (24 * HOUR, 24 * HOUR, None, False),
        (23.99 * HOUR, 24 * HOUR, None, False),  # the next try would begin too late
        (1 * HOUR, 24 * HOUR, 23.5 * HOUR, False),
        (0.0, 0.0, None, False),
    ],
)
def test_a_letter_too_old_is_given_up(age: float, give_up_after: float, hint: float | None, goes_on: bool) -> None:
    found = decide(2, first_try=1000.0, now=1000.0 + age, give_up_after=give_up_after, retry_after=hint)
    assert isinstance(found, Retry) is goes_on


def test_the_reason_says_how_often_and_what_was_said_last() -> None:
    assert decide(5, limit=5) == GiveUp("given up after 5 attempts; last: 451 4.7.1 greylisted")
    assert decide(1, limit=1, code=0, enhanced="", reason="") == GiveUp("given up after 1 attempt")


def test_the_reason_says_how_old() -> None:
    found = decide(2, now=25 * HOUR, give_up_after=24 * HOUR)
    assert found == GiveUp("given up after 25 hours; last: 451 4.7.1 greylisted")


def test_letters_refused_together_do_not_come_back_together() -> None:
    times = [again.not_before for key in range(1000) if isinstance(again := decide(1, key=key), Retry)]
    per_bucket = [sum(300 + 7.5 * n <= when < 300 + 7.5 * (n + 1) for when in times) for n in range(10)]
    assert len(times) == 1000
    assert min(per_bucket) > 60


@given(st.integers(0, 2**63), st.integers(0, 10_000), st.floats(0.1, 1e6))
def test_the_same_letter_always_waits_equally_long_and_never_less_than_asked(
    key: int, attempts: int, delay: float
) -> None:
    first, second = (decide(attempts, key=key, first_delay=delay, limit=10**6) for _ in range(2))
    assert first == second
    assert isinstance(first, Retry)
    assert min(delay, LONGEST) <= first.not_before <= LONGEST
