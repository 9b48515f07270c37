"""Slots of a worker: used between their start and their end on a server's clock, or handed back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaign.config.units import Rate
from campaign.delivery.pacing.server_clock import ServerClock
from campaign.delivery.pacing.slot_lanes import FEW, SOME, SlotBook, SlotLane
from campaign.delivery.pacing.slots import SlotThrottle
from campaign.system.postgres import StoreAddress
from tests.support.pacing_simulation import Simulation, fullest

#: The server's clock shows this much more than ours.
AHEAD = 1000.0


def book(limits: Sequence[Rate] = (Rate(100, 1),), domains: Mapping[str, Sequence[Rate]] | None = None) -> SlotBook:
    clock = ServerClock()
    clock.observe(0.0, 0.01, AHEAD + 0.005)
    return SlotBook(
        SlotLane("", tuple(limits)), [SlotLane(name, tuple(many)) for name, many in (domains or {}).items()], clock
    )


def answer(*slots: tuple[float, float, str, float | None], first: float = 0.0, blocked: int | None = None) -> Any:
    """What a store answers: slots on its clock, and when the account's next one can be had."""
    return {"era": 1, "slots": [list(slot) for slot in slots], "lanes": {"": [first, blocked]}, "steered": None}


def test_a_server_s_time_is_bounded_by_question_and_answer_whatever_the_latency() -> None:
    clock = ServerClock()
    clock.observe(10.0, 10.2, 500.15)
    assert clock.surely_from(500.15) == pytest.approx(10.2)
    assert clock.surely_until(500.15) == pytest.approx(10.0)
    clock.observe(11.0, 11.01, 501.105)  # a faster answer narrows it
    assert clock.doubt == pytest.approx(0.01, abs=0.001)
    clock.observe(12.0, 12.3, 502.2)  # a slow one does not widen it
    assert clock.doubt == pytest.approx(0.01, abs=0.002)


def test_a_server_s_clock_that_was_set_is_believed_again() -> None:
    clock = ServerClock()
    clock.observe(10.0, 10.01, 500.0)
    clock.observe(11.0, 11.01, 400.0)
    assert clock.surely_from(400.0) == pytest.approx(11.01)


def test_a_slot_is_used_after_its_latest_start_and_before_its_earliest_end() -> None:
    one = book()
    one.answered({}, answer((AHEAD + 1.0, AHEAD + 1.05, "", AHEAD + 1.05)), 0.5)
    assert one.wait("a.example", 0.9) == pytest.approx(0.105, abs=0.001)
    assert not one.take("a.example", 1.004)
    assert one.take("a.example", 1.006)
    assert not one.take("a.example", 1.007)


def test_a_slot_that_was_not_used_in_time_is_handed_back_with_its_own_end() -> None:
    one = book()
    one.answered({}, answer((AHEAD + 1.0, AHEAD + 1.05, "", AHEAD + 1.05)), 0.5)
    assert not one.take("a.example", 1.047)
    assert one.ask(1.06)["back"] == [{"lane": "", "era": 1, "stop": AHEAD + 1.05}]
    assert "back" not in one.ask(1.4)


def test_a_letter_to_a_limited_domain_needs_a_slot_of_both() -> None:
    one = book(domains={"d.example": [Rate(10, 1)]})
    one.answered({}, answer((AHEAD + 1.0, AHEAD + 1.2, "", AHEAD + 1.2)), 0.5)
    assert not one.take("d.example", 1.1)
    one.answered({}, answer((AHEAD + 1.0, AHEAD + 1.2, "d.example", AHEAD + 1.2)), 0.5)
    assert one.take("d.example", 1.1)
    assert one.take("a.example", 1.1)
    assert not one.take("a.example", 1.1)


def test_a_slot_of_a_domain_serves_any_letter_in_its_second_half_and_the_domain_s_turn_is_handed_back() -> None:
    one = book(domains={"d.example": [Rate(10, 1)]})
    one.answered({}, answer((AHEAD + 1.0, AHEAD + 1.2, "d.example", AHEAD + 1.3)), 0.5)
    assert one.wait("", 1.05) == 0.0
    assert not one.take("a.example", 1.05)
    assert one.take("a.example", 1.11)
    assert one.ask(1.15)["back"] == [{"lane": "d.example", "era": 1, "stop": AHEAD + 1.2}]


def test_an_account_without_limits_asks_for_nothing() -> None:
    one = book(limits=())
    assert one.wait("a.example", 1.0) == 0.0
    assert one.take("a.example", 1.0)
    assert one.ask(1.0) == {}


def test_nothing_is_asked_for_a_lane_that_no_letter_waits_for() -> None:
    one = book(domains={"d.example": [Rate(10, 1)]})
    assert one.ask(1.0) == {}
    one.wait("a.example", 1.0)
    ask = one.ask(1.0)
    assert ask["account"]["want"] == SOME
    assert "domains" not in ask
    one.wait("d.example", 1.1)
    assert [lane["name"] for lane in one.ask(1.1)["domains"]] == ["d.example"]
    assert one.ask(3.0) == {}


def test_a_worker_that_does_not_use_its_slots_asks_for_fewer_and_less_often() -> None:
    one = book()
    asked = []
    for hundredth in range(400):
        now = 1 + hundredth / 100
        one.wait("a.example", now)
        if ask := one.ask(now):
            want = ask["account"]["want"] if "account" in ask else 0
            asked += [want] if want else []
            server = AHEAD + now + 0.006
            one.answered({}, answer(*[(server, server + 0.004, "", server + 0.004)] * want), now)
    assert asked[0] == SOME
    assert asked[-1] <= FEW
    assert sum(asked) < 60


def test_a_worker_that_uses_its_slots_asks_for_as_many_as_it_needs_ahead() -> None:
    lane = SlotLane("", (Rate(1000, 1),))
    for _ in range(20):
        lane.used = 100
        lane.adapt(0.1)
    assert lane.target(0.001) == pytest.approx(SOME + 1000 * 0.102, abs=2)
    assert lane.target(0.05) > lane.target(0.001)


def test_without_slots_a_letter_waits_until_the_store_has_one() -> None:
    one = book([Rate(100, 1), Rate(20, 60)])
    one.wait("a.example", 1.0)
    one.answered({}, answer(first=AHEAD + 31.0, blocked=2), 1.0)
    assert one.wait("a.example", 1.0) == pytest.approx(30, abs=0.1)
    assert one.account.blocked == Rate(20, 60)
    assert one.ask(1.5) == {}  # but it looks again in a second: others may hand theirs back
    one.wait("a.example", 2.1)
    assert one.ask(2.1) != {}


def test_a_fraction_of_a_letter_is_asked_for_as_whole_letters_in_a_longer_window() -> None:
    lane = SlotLane("", (Rate(2.5, 1.0), Rate(100, 60.0)))
    asked = lane.ask(1)
    assert (asked["counts"], asked["pers"]) == ([5.0, 100.0], [2.0, 60.0])


class ModelStore:
    """One paced window in a few lines, as `pace.sql` does it, to play with where no server is."""

    def __init__(self) -> None:
        self.next = -math.inf
        self.grace = 0.0
        self.boot = "0"

    def __call__(self, ask: Mapping[str, Any], clock: float, boot: str) -> Mapping[str, Any]:
        lane = ask.get("account", {"want": 0, "counts": [1], "pers": [1]})
        self.grace = max(self.grace, ask["grace"])
        distance = (lane["pers"][0] + self.grace) / lane["counts"][0]
        if boot != self.boot:
            self.next, self.boot = clock + ask["horizon"] + distance, boot
        self.next = max(self.next, clock + ask["lead"])
        slots = []
        while len(slots) < lane["want"] and self.next <= clock + ask["horizon"]:
            slots.append((self.next, self.next + self.grace, "", self.next + self.grace))
            self.next += distance
        return answer(*slots, first=self.next) | {"clock": clock}


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    workers=st.lists(
        st.tuples(st.floats(-1e5, 1e5), st.floats(-2e-4, 2e-4), st.sampled_from([0.0005, 0.01, 0.05, 0.3])),
        min_size=1,
        max_size=5,
    ),
    stuck=st.sampled_from([0.01, 0.3]),
)
def test_workers_with_any_clocks_and_latencies_keep_a_window_that_the_store_paces(
    seed: int, workers: list[tuple[float, float, float]], stuck: float
) -> None:
    simulation = Simulation(ModelStore(), seed)
    for skew, drift, latency in workers:
        simulation.add([Rate(30, 0.5)], skew=skew, drift=drift, latency=latency, stuck=stuck)
    simulation.run(2.0)
    assert simulation.uses
    assert fullest(simulation.uses, 0.5) <= 30


ADDRESS = StoreAddress("postgresql://nowhere", {})


def test_without_a_store_there_is_no_turn_and_a_hold_counts_at_once() -> None:
    throttle = SlotThrottle(ADDRESS, "account", [Rate(10, 1)], clock=lambda: 1.0)
    assert throttle.take("a.example", 1.0) > 0
    assert throttle.hold("a.example", 1.0, 60.0) == "a.example: held for 60 s"
    assert throttle.wait("a.example", 2.0) == 59.0
    assert throttle.question(2.0)["steer"] == [{"lane": "a.example", "hold": 60.0}]
    throttle.close()


def test_what_others_slowed_and_held_counts_here_and_is_not_slowed_again() -> None:
    throttle = SlotThrottle(ADDRESS, "account", [Rate(10, 1)], clock=lambda: 1.0)
    throttle.learn_clock(1.0, 1.0, 501.0)
    told = answer() | {"clock": 501.0, "steered": [["", 0.5, 500.0, 10.0, 0.0], ["d.example", 0.0, 0.0, 0.0, 531.0]]}
    throttle.answered({}, told, 1.0, 1.0)
    assert throttle.wait("d.example", 1.0) == pytest.approx(30.0)
    assert throttle.slow(None, 2.0) == ""
    assert throttle.slow(None, 6.0) == "the relay: slowed from 5/s to 2.5/s; back to 10/s in 8 steps of 30 s"


def test_a_slow_down_says_the_pace_and_is_asked_of_the_others_once() -> None:
    throttle = SlotThrottle(ADDRESS, "account", [Rate(10, 1)], clock=lambda: 1.0)
    assert throttle.slow(None, 1.0) == "the relay: slowed from 10/s to 5/s; back to 10/s in 5 steps of 30 s"
    assert throttle.slow(None, 2.0) == ""
    asked = throttle.question(2.0)
    assert asked["steer"] == [{"lane": "", "slow": 0.5, "base": 10.0, "seen": 1.0}]
    throttle.learn_clock(2.0, 2.0, 2.0)
    throttle.answered(asked, answer() | {"clock": 2.0}, 2.0, 2.0)
    assert "steer" not in throttle.question(3.0)


def test_new_limits_give_up_the_slots_of_the_old_ones() -> None:
    throttle = SlotThrottle(ADDRESS, "account", [Rate(10, 1)], clock=lambda: 1.0)
    throttle.learn_clock(0.0, 0.0, 0.0)
    throttle.answered({}, answer((1.0, 1.5, "", 1.5)) | {"clock": 0.0}, 0.0, 0.0)
    assert throttle.wait("", 1.1) == 0.0
    throttle.set_rate([Rate(5, 1)])
    assert throttle.wait("", 1.1) > 0
    assert throttle.limits == (Rate(5, 1),)
    assert throttle.question(1.1)["account"]["counts"] == [5.0]


def test_slots_asked_for_under_limits_that_were_changed_meanwhile_are_handed_back() -> None:
    throttle = SlotThrottle(ADDRESS, "account", [Rate(10, 1)], clock=lambda: 1.0)
    throttle.learn_clock(0.0, 0.0, 0.0)
    throttle.wait("", 0.9)
    asked = throttle.question(0.9)
    throttle.set_rate([Rate(5, 1)])
    throttle.answered(asked, answer((1.0, 1.5, "", 1.5)) | {"clock": 1.0}, 1.0, 1.0)
    assert throttle.wait("", 1.1) > 0
    assert throttle.question(1.2)["back"] == [{"lane": "", "era": 1, "stop": 1.5}]


def test_a_letter_without_a_turn_is_told_again_if_the_store_did_not_answer() -> None:
    throttle = SlotThrottle(ADDRESS, "account", [Rate(10, 1)], clock=lambda: 1.0)
    throttle.spend("a.example", 1.0)
    asked = throttle.question(1.0)
    assert asked["account"]["spent"] == 1
    throttle.unanswered(asked)
    assert throttle.question(1.1)["account"]["spent"] == 1
    assert "account" not in throttle.question(1.2)
