"""The throttle on a fake clock: nothing here sleeps."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaign.config.units import Ramp, Rate, ramp, rate
from campaign.delivery.pacing.sliding_window import RING, SlidingWindow
from campaign.delivery.pacing.throttle import Throttle, seconds_for
from campaign.errors import ConfigError, InternalError

DAY = 86400.0


def limits(*many: str) -> list[Rate]:
    return [rate(one) for one in many]


def saturate(
    throttle: Throttle, *, until: float = float("inf"), letters: int = 10**9, start: float = 0.0
) -> list[float]:
    """Always another letter waiting; a perfect timer. Returns when each one left."""
    now, left = start, []
    while len(left) < letters:
        wait = throttle.take("example.com", now)
        if not wait:
            left.append(now)
            continue
        now += wait
        if now >= until:
            break
    return left


def most_in_any_window(left: Sequence[float], per: float, slack: float = 1e-9) -> int:
    """Most letters in any half-open window of ``per`` seconds."""
    most, first = 0, 0
    for last, when in enumerate(left):
        while left[first] <= when - per + slack:
            first += 1
        most = max(most, last - first + 1)
    return most


@pytest.mark.parametrize("per_second", [5, 50, 500, 2000])
def test_sixty_seconds_hold_exactly_sixty_times_the_rate(per_second: int) -> None:
    left = saturate(Throttle(limits(f"{per_second}/s")), until=60.0)
    assert len(left) == 60 * per_second
    assert most_in_any_window(left, 1.0) == per_second
    assert most_in_any_window(left, 0.1) <= -(-per_second // 10)


def test_a_daily_limit_beside_a_rate_lets_all_go_in_34_minutes_and_then_none_for_a_day() -> None:
    left = saturate(Throttle(limits("50/s", "100000/day")), letters=100_100, start=1000.0)
    assert left[99_999] - left[0] == pytest.approx(2000.0, abs=0.1)  # 33 minutes and 20 seconds
    assert left[100_000] - left[0] >= DAY
    assert left[100_000] - left[0] < DAY + 1.0
    assert most_in_any_window(left, DAY) == 100_000
    assert most_in_any_window(left, 1.0) == 50


def test_nothing_leaves_in_a_heap_at_the_start() -> None:
    throttle = Throttle(limits("50/s"))
    assert throttle.take("example.com", 10.0) == 0.0
    assert throttle.wait("example.com", 10.0) == pytest.approx(0.02)


def test_a_long_idle_time_earns_nothing() -> None:
    throttle = Throttle(limits("500/s"))
    saturate(throttle, letters=100)
    left = saturate(throttle, letters=50, start=3600.0)
    assert min(later - earlier for earlier, later in itertools.pairwise(left)) >= 0.002 - 1e-9


def test_a_timer_that_wakes_late_costs_no_throughput() -> None:
    throttle, now, left = Throttle(limits("500/s")), 0.0, []
    while now < 60.0:
        if wait := throttle.take("example.com", now):
            now += max(wait, 0.0011)  # an event loop rounds up to its milliseconds
        else:
            left.append(now)
    assert len(left) == pytest.approx(30_000, rel=0.01)
    assert most_in_any_window(left, 1.0) <= 500


def test_a_stall_is_not_made_up_for() -> None:
    throttle = Throttle(limits("100/s"))
    before = saturate(throttle, until=5.0)
    after = saturate(throttle, until=9.995, start=7.5)
    assert len(after) == 250
    assert most_in_any_window(before + after, 1.0) <= 100


def test_a_turn_spent_out_of_turn_counts_all_the_same() -> None:
    throttle = Throttle(limits("10/s"))
    for _ in range(10):
        throttle.spend("example.com", 1.0)
    assert throttle.wait("example.com", 1.0) == pytest.approx(1.0)


def test_without_limits_nothing_waits() -> None:
    throttle = Throttle([])
    assert [throttle.take("example.com", 1.0) for _ in range(1000)] == [0.0] * 1000


def test_a_limit_of_an_hour_is_paced_and_one_of_a_day_alone_is_not() -> None:
    assert len(saturate(Throttle(limits("3600/h")), until=60.0)) == 60
    assert len(saturate(Throttle(limits("2000/day")), letters=2000, start=5.0)) == 2000


def test_fractional_rates_keep_their_mean() -> None:
    assert len(saturate(Throttle(limits("2.5/s")), until=60.0)) == 150
    assert len(saturate(Throttle(limits("0.5/s")), until=60.0)) == 30


def test_a_limit_beyond_what_can_be_kept_exactly_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="too large"):
        Throttle([Rate(1e9, DAY)])


# ---------------------------------------------------------------- properties

windows = st.builds(
    Rate, st.integers(1, 300).map(float), st.sampled_from([0.5, 1.0, 2.0, 10.0, 60.0, 600.0, 3600.0, 86400.0])
)
gaps = st.one_of(
    st.just(0.0), st.floats(0.0, 0.01), st.floats(0.0, 2.0), st.floats(0.0, 5000.0), st.sampled_from([0.02, 1.0, 60.0])
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(many=st.lists(windows, min_size=1, max_size=4), pauses=st.lists(gaps, min_size=1, max_size=300), start=gaps)
def test_no_sliding_window_of_any_limit_is_ever_exceeded(many: list[Rate], pauses: list[float], start: float) -> None:
    throttle, now, left = Throttle(many), start, []
    for pause in pauses:
        now += pause
        for _ in range(3):  # somebody eager, who also waits as told and not a bit longer
            if wait := throttle.take("example.com", now):
                now += wait
            else:
                left.append(now)
    for limit in many:
        assert most_in_any_window(left, limit.per) <= limit.count


@settings(max_examples=40, deadline=None)
@given(count=st.integers(RING, 4 * RING), per=st.sampled_from([60.0, 3600.0, DAY]), seed=st.integers(0, 999))
def test_windows_larger_than_the_memory_of_single_letters_are_never_exceeded(count: int, per: float, seed: int) -> None:
    throttle, now, left = Throttle([Rate(float(count), per)]), 0.0, []
    throttle._account._interval = 0.0  # let the long window do the work alone
    for number in range(3 * count):
        now += ((number * 7919 + seed) % 11) * per / count / 8
        if wait := throttle.take("example.com", now):
            now += wait
            assert throttle.take("example.com", now) == 0.0
        left.append(now)
    assert most_in_any_window(left, per) <= count


@settings(max_examples=60, deadline=None)
@given(limit=windows)
def test_the_mean_under_saturation_is_the_limit_within_one_percent(limit: Rate) -> None:
    periods = max(3, int(2000 / limit.count))
    left = saturate(Throttle([limit]), until=periods * limit.per)
    assert len(left) == pytest.approx(limit.count * periods, rel=0.01)


@pytest.mark.parametrize("count", [RING - 1, RING, RING + 1, 2 * RING - 2, 2 * RING - 1, 5 * RING, 20_000])
def test_large_windows_let_through_what_they_allow(count: int) -> None:
    left = saturate(Throttle([Rate(float(count), 60.0)]), until=180.0)
    assert len(left) == pytest.approx(3 * count, rel=0.001)
    assert most_in_any_window(left, 60.0) <= count


@settings(max_examples=40, deadline=None)
@given(first=windows, second=windows, third=windows)
def test_a_limit_changed_on_the_way_holds_from_then_on_for_what_has_left_too(
    first: Rate, second: Rate, third: Rate
) -> None:
    throttle, left, now = Throttle([first]), [], 0.0
    for limit in (first, second, third):
        throttle.set_rate([limit])
        before = len(left)
        for _ in range(200):
            if wait := throttle.take("example.com", now):
                now += wait
            else:
                left.append(now)
        for index in range(max(before, int(limit.count)), len(left)):
            assert left[index] - left[index - int(limit.count)] >= limit.per - 1e-6


# ---------------------------------------------------------------- domains and groups


def test_domains_have_limits_of_their_own_beside_the_account() -> None:
    throttle = Throttle(limits("100/s"), {"gmail.example": limits("10/s")})
    assert throttle.take("gmail.example", 1.0) == 0.0
    assert throttle.wait("gmail.example", 1.0) == pytest.approx(0.1)
    assert throttle.wait("other.example", 1.0) == pytest.approx(0.01)


def test_the_domains_of_a_group_count_as_one() -> None:
    throttle = Throttle(
        [], {"google": limits("1/s")}, groups={"gmail.example": "google", "googlemail.example": "google"}
    )
    assert throttle.take("gmail.example", 1.0) == 0.0
    assert throttle.wait("googlemail.example", 1.0) == pytest.approx(1.0)
    assert throttle.wait("other.example", 1.0) == 0.0


def test_a_limit_written_for_one_domain_of_a_group_holds_for_the_group() -> None:
    throttle = Throttle([], {"gmail.example": limits("1/s")}, groups={"gmail.example": "google", "g.example": "google"})
    throttle.spend("gmail.example", 1.0)
    assert throttle.wait("g.example", 1.0) == pytest.approx(1.0)


def test_what_holds_a_letter_up_is_named() -> None:
    throttle = Throttle(limits("10/s", "3/day"), {"d.example": limits("1/h")})
    throttle.spend("d.example", 1.0)
    assert throttle.held_by("d.example", 1.0)[0::2] == ("d.example", pytest.approx(3600.0))
    throttle.spend("a.example", 2.0)
    throttle.spend("a.example", 3.0)
    name, limit, seconds = throttle.held_by("a.example", 3.0)
    assert (name, str(limit), seconds) == ("", "3/day", pytest.approx(DAY - 2.0))


# ---------------------------------------------------------------- slower and faster


def test_a_cut_halves_the_pace_at_once_and_says_so() -> None:
    throttle = Throttle(limits("20/s"))
    saturate(throttle, until=1.0)
    sentence = throttle.slow(None, 1.0)
    assert sentence == "the relay: slowed from 20/s to 10/s; back to 20/s in 5 steps of 30 s"
    assert len(saturate(throttle, start=1.0, until=21.0)) == pytest.approx(200, abs=1)


def test_the_pace_comes_back_by_steps_and_not_beyond_the_limit() -> None:
    throttle = Throttle(limits("20/s"))
    saturate(throttle, until=1.0)
    throttle.slow(None, 1.0)
    left = saturate(throttle, start=1.0, until=200.0)
    per_step = [sum(1.0 + 30 * n <= when < 1.0 + 30 * (n + 1) for when in left) for n in range(6)]
    assert per_step == [pytest.approx(30 * 20 * share, abs=3) for share in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)]


def test_replies_to_letters_under_way_together_count_as_one_cut() -> None:
    throttle = Throttle(limits("20/s"))
    assert throttle.slow(None, 10.0)
    assert throttle.slow(None, 10.5) == ""
    assert "from 10/s to 5/s" in throttle.slow(None, 16.0)


def test_a_cut_after_full_recovery_starts_from_the_limit_of_that_time() -> None:
    throttle = Throttle(limits("20/s"))
    throttle.slow(None, 10.0)
    throttle.set_rate(limits("100/s"))
    assert "from 100/s to 50/s" in throttle.slow(None, 1000.0)


def test_of_two_limits_of_the_same_length_the_lower_one_sets_the_pace() -> None:
    left = saturate(Throttle(limits("50/s", "30/s", "40/s")), until=2.0)
    assert len(left) == 60
    assert min(later - earlier for earlier, later in itertools.pairwise(left)) == pytest.approx(1 / 30)


def test_cuts_without_end_leave_a_trickle() -> None:
    throttle = Throttle(limits("100/s"))
    for number in range(60):
        throttle.slow(None, 10.0 + 6 * number)
    assert throttle.wait("example.com", 10.0 + 6 * 59) <= 1.0


def test_a_domain_without_a_limit_is_slowed_by_what_the_account_may() -> None:
    throttle = Throttle(limits("40/s"))
    assert "d.example: slowed from 40/s to 20/s" in throttle.slow("d.example", 5.0)
    throttle.spend("d.example", 6.0)
    assert throttle.wait("d.example", 6.0) == pytest.approx(0.05)
    assert throttle.wait("other.example", 6.0) == pytest.approx(0.025)


def test_without_any_limit_the_pace_seen_lately_is_what_is_cut() -> None:
    throttle = Throttle([])
    for number in range(200):
        throttle.spend("a.example", number * 0.1)
    assert "slowed from 10/s to 5/s" in throttle.slow(None, 19.95)


def test_a_lane_that_was_only_slowed_is_forgotten_once_it_is_back() -> None:
    throttle = Throttle(limits("40/s"), {"kept.example": limits("1/s")})
    throttle.slow("d.example", 0.0)
    throttle.slow("e.example", 1000.0)
    assert set(throttle.state()["windows"]) == {"", "kept.example", "e.example"}


def test_a_hold_stops_a_domain_or_everything_until_it_is_over() -> None:
    throttle = Throttle(limits("10/s"))
    assert throttle.hold("y.example", 5.0, 7200) == "y.example: held for 7200 s"
    assert throttle.wait("y.example", 5.0) == pytest.approx(7200.0)
    assert throttle.wait("x.example", 5.0) == 0.0
    throttle.hold(None, 5.0, 60)
    throttle.hold(None, 6.0, 1)
    assert throttle.wait("x.example", 6.0) == pytest.approx(59.0)


def test_a_higher_rate_takes_effect_without_waiting_out_the_old_pace() -> None:
    throttle = Throttle(limits("1/h"))
    throttle.spend("a.example", 10.0)
    throttle.set_rate(limits("50/s"))
    assert throttle.wait("a.example", 10.1) == 0.0


# ---------------------------------------------------------------- ramps and warm-up


def test_a_ramp_grows_evenly_and_ends_at_its_end() -> None:
    throttle = Throttle(limits("500/s"), ramp=ramp("10/s..200/s over 30m"))
    left = saturate(throttle, until=2000.0)
    first, middle, last = (sum(at <= when < at + 10 for when in left) for at in (0, 895, 1900))
    assert (first, middle, last) == (
        pytest.approx(105, abs=3),
        pytest.approx(1050, rel=0.01),
        pytest.approx(2000, rel=0.01),
    )


def test_a_ramp_goes_on_after_a_restart_and_begins_anew_after_a_long_rest() -> None:
    slope = Ramp(rate("10/s"), rate("100/s"), 90.0)
    throttle = Throttle([], ramp=slope)
    saturate(throttle, until=89.0)
    again = Throttle.restore(throttle.state(), [], ramp=slope)
    assert len(saturate(again, start=90.0, until=91.0)) == pytest.approx(100, abs=2)
    assert len(saturate(again, start=300.0, until=301.0)) == pytest.approx(10, abs=1)


@pytest.mark.parametrize("text", ["fast", "10/s", "10/s..20/s", "10/s..20/s over 0s", "10..20 over 1m", 7])
def test_what_is_no_ramp_is_refused_with_the_form_it_should_have(text: object) -> None:
    with pytest.raises(ValueError, match=r"not a ramp|not a rate"):
        ramp(text)


def test_a_warm_up_plan_caps_each_day_of_the_accounts_life_and_then_no_more() -> None:
    throttle = Throttle(limits("10/s"), warmup=(100, 250))
    left = saturate(throttle, until=3 * DAY + 100.0, start=500.0, letters=5000)
    assert sum(when < 500 + DAY for when in left) == 100
    assert sum(500 + DAY <= when < 500 + 2 * DAY for when in left) == 250
    assert most_in_any_window([when for when in left if when < 500 + 2 * DAY], DAY) <= 250
    assert sum(when >= 500 + 2 * DAY for when in left) > 1000


# ---------------------------------------------------------------- state


@settings(max_examples=30, deadline=None)
@given(many=st.lists(windows, min_size=1, max_size=3), letters=st.integers(0, 400))
def test_state_survives_a_trip_through_json(many: list[Rate], letters: int) -> None:
    throttle = Throttle(many, {"d.example": [Rate(3.0, 60.0)]})
    now = saturate(throttle, letters=letters)[-1] if letters else 0.0
    throttle.spend("d.example", now)
    again = Throttle.restore(json.loads(json.dumps(throttle.state())), many, {"d.example": [Rate(3.0, 60.0)]})
    for domain in ("example.com", "d.example"):
        assert again.wait(domain, now) == throttle.wait(domain, now)


def test_state_of_another_version_is_refused() -> None:
    with pytest.raises(InternalError):
        Throttle.restore({"version": 2, "lanes": {}}, [])


def test_times_move_with_a_new_clock() -> None:
    throttle = Throttle(limits("10/min"))
    left = saturate(throttle, letters=10, start=1000.0)
    throttle._account.shift(-500.0)
    assert throttle.held_by("example.com", left[-1] - 500.0)[2] == pytest.approx(6.0)
    assert throttle.take("example.com", left[-1] - 500.0 + 6.0) == 0.0


# ---------------------------------------------------------------- estimates and cost


@pytest.mark.parametrize(
    ("letters", "many", "seconds"),
    [(1000, ["10/s"], 100.0), (1000, [], 0.0), (250_000, ["50/s", "100000/day"], 2 * DAY), (100, ["100/day"], 0.0)],
)
def test_how_long_a_run_takes_at_least(letters: int, many: list[str], seconds: float) -> None:
    assert seconds_for(letters, limits(*many)) == pytest.approx(seconds)


def test_waiting_and_spending_costs_microseconds() -> None:
    throttle = Throttle(limits("2000/s", "1000000/day"))
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for number in range(2000):
            throttle.wait("example.com", float(number))
            throttle.spend("example.com", float(number))
        best = min(best, (time.perf_counter() - began) / 2000)
    assert best < 10e-6  # 1.4 us where this was written; the bound is for slow and busy machines


def test_a_year_of_letters_needs_no_more_memory_than_a_day() -> None:
    throttle = Throttle(limits("100000/day"))
    before = len(throttle._account.cells)
    saturate(throttle, letters=150_000, start=1.0)
    assert len(throttle._account.cells) == before


def test_pacing_constants_are_what_the_docs_say() -> None:
    assert (SlidingWindow.STEP, SlidingWindow.STEP_EVERY, SlidingWindow.CATCH_UP) == (0.1, 30.0, 0.1)
