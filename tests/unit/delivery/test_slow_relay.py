"""When a relay is too slow to greet or to answer, for how long it rests, and who serves meanwhile."""

from __future__ import annotations

import pytest

from campaign.delivery.relays.failover import RelaySelector
from campaign.delivery.relays.relay import Relay
from campaign.delivery.relays.slow_relay import (
    DOT_ENOUGH,
    DOT_SECONDS,
    ENOUGH,
    FIRST_REST,
    LONGEST_REST,
    WINDOW,
    Slowness,
)


@pytest.mark.parametrize(
    ("greetings", "median"),
    [
        ([5.0], 0.0),
        ([5.0, 5.0], 0.0),
        ([5.0, 5.0, 5.0], 5.0),
        ([5.0, 0.1, 5.0], 5.0),
        ([60.0, 0.1, 0.1], 0.0),
        ([2.0, 2.0, 2.0], 0.0),
        ([2.0, 2.0, 2.5, 2.5], 2.25),
        ([0.1] * 5 + [9.0] * 4, 0.0),
        ([0.1] * 5 + [9.0] * 5, 9.0),
        ([0.1] * 100 + [9.0] * 5, 9.0),
    ],
)
def test_the_median_of_the_last_greetings_decides(greetings: list[float], median: float) -> None:
    found = Slowness(2.0)
    assert [found.greeted(seconds, 100.0) for seconds in greetings] == [0.0] * (len(greetings) - 1) + [median]
    assert found.until == (100.0 + FIRST_REST if median else 0.0)


def test_nothing_is_too_slow_without_a_limit() -> None:
    found = Slowness(0.0)
    assert not any(found.greeted(3600.0, 0.0) for _ in range(WINDOW * 2))


def test_after_a_rest_one_greeting_decides_and_rests_double() -> None:
    found, now, rests = Slowness(2.0), 0.0, []
    for _ in range(ENOUGH):
        found.greeted(9.0, now)
    for _ in range(7):
        rests.append(found.until - now)
        assert found.greeted(9.0, found.until - 0.1) == 0.0  # what it says while it rests does not count
        now = found.until
        assert found.greeted(9.0, now) == 9.0
    assert rests == [FIRST_REST * 2**n for n in range(5)] + [LONGEST_REST] * 2


def test_a_relay_that_greets_in_time_after_its_rest_is_as_good_as_new() -> None:
    found = Slowness(2.0)
    for _ in range(ENOUGH):
        found.greeted(9.0, 0.0)
    assert found.greeted(0.1, FIRST_REST) == 0.0
    assert [found.greeted(9.0, FIRST_REST), found.greeted(9.0, FIRST_REST)] == [0.0, 9.0]
    assert found.until == 2 * FIRST_REST


def answers(found: Slowness, seconds: float, begin: float, lasting: float) -> list[float]:
    """The medians by which a rest begins, with an answer each half second."""
    told = [found.answered(seconds, begin + half / 2) for half in range(int(lasting * 2) + 1)]
    return [one for one in told if one]


def test_a_relay_that_answers_the_final_dot_too_slowly_for_a_while_rests() -> None:
    found = Slowness(0.5)
    assert not answers(found, 0.6, 100.0, DOT_SECONDS)
    assert answers(found, 0.6, 100.5 + DOT_SECONDS, 5.0) == [0.6]
    assert found.until > 110.0 + FIRST_REST


def test_slow_answers_that_pass_at_once_make_nobody_rest() -> None:
    found = Slowness(0.5)
    for minute in range(20):
        assert not answers(found, 0.9, minute * 60.0, DOT_SECONDS - 5.0)
        assert not answers(found, 0.1, minute * 60.0 + 10.0, 20.0)
    assert found.until == 0.0


def test_a_few_letters_held_for_long_make_nobody_rest() -> None:
    found = Slowness(0.5)
    for letter in range(1000):
        assert not found.answered(30.0 if letter % 3 == 0 else 0.1, float(letter))


def test_after_a_rest_some_slow_answers_are_enough_and_a_quick_greeting_does_not_hide_them() -> None:
    found, now = Slowness(0.5), 0.0
    assert answers(found, 0.6, now, DOT_SECONDS + 5.0)
    rests = []
    for _ in range(6):
        now = found.until
        assert found.greeted(0.1, now) == 0.0
        assert answers(found, 0.6, now, DOT_ENOUGH / 2)
        rests.append(round(found.until - now - (DOT_ENOUGH - 1) / 2, 3))
    assert rests == [60.0, 120.0, 240.0, 480.0, LONGEST_REST, LONGEST_REST]


def test_while_it_rests_nothing_counts() -> None:
    found = Slowness(0.5)
    assert answers(found, 0.6, 0.0, DOT_SECONDS + 5.0)
    until = found.until
    assert not answers(found, 9.0, until - 20.0, 19.0)
    assert not any(found.greeted(9.0, until - 1.0) for _ in range(WINDOW))
    assert found.until == until


def board(count: int) -> RelaySelector:
    return RelaySelector([Relay(f"smtp://r{n}:25", f"r{n}", 25, "none") for n in range(count)], 120.0, 5, 2.0)


def slow(relays: RelaySelector, number: int, now: float) -> None:
    while not relays.states[number].slowness.greeted(9.0, now):
        pass


def test_a_slow_relay_rests_while_another_serves_and_comes_back() -> None:
    relays = board(2)
    first, second = relays.states
    slow(relays, 0, 0.0)
    assert relays.choose(1.0) is second
    assert (relays.stays(first, 1.0), relays.stays(second, 1.0)) == (False, True)
    assert relays.choose(FIRST_REST) is first
    assert relays.stays(first, FIRST_REST)


def test_a_slow_relay_serves_where_no_other_can() -> None:
    relays = board(2)
    first, second = relays.states
    slow(relays, 0, 0.0)
    relays.failed(second, "refused", 0.0)
    assert relays.choose(0.5) is first
    assert relays.stays(first, 0.5)
    slow(relays, 1, 0.0)
    assert relays.choose(5.0) is first


def test_a_lonely_relay_is_never_given_up_for_being_slow() -> None:
    relays = board(1)
    for now in range(0, 10_000, 100):
        relays.states[0].slowness.greeted(60.0, float(now))
        assert relays.choose(float(now)) is relays.states[0]
        assert relays.stays(relays.states[0], float(now))
