"""Relays by weight: who is given the next letters, who has to leave them to others, and nobody waits for nothing."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.config.delivery import DeliverySection
from campaign.delivery.relays.failover import A_WHILE, RelaySelector, RelayState
from campaign.delivery.relays.relay import Relay, open_relays
from campaign.delivery.relays.weights import PORTION, SLACK, Portion, ahead, behind, bring_forward
from campaign.errors import RelayError


def board(*weights: float, most: int = 0, slow_after: float = 0.0) -> RelaySelector:
    relays = [
        Relay(f"smtp://r{n}:25", f"r{n}", 25, "none", weight=weight, connections=most)
        for n, weight in enumerate(weights)
    ]
    return RelaySelector(relays, 120.0, 5, slow_after)


def chosen(relays: RelaySelector, now: float = 0.0) -> RelayState:
    found = relays.choose(now)
    assert isinstance(found, RelayState)
    return found


def serve(relays: RelaySelector, portions: int, now: float = 0.0) -> Counter[str]:
    """Give out so many portions, each carried at once."""
    given_to: Counter[str] = Counter()
    for _ in range(portions):
        breaker = chosen(relays, now)
        breaker.charge(PORTION)
        given_to[breaker.relay.host] += 1
    return given_to


# -- arithmetic


@given(st.lists(st.floats(0.01, 100.0), min_size=1, max_size=6), st.integers(1, 300))
def test_everybody_is_given_its_share_to_a_portion(weights: list[float], rounds: int) -> None:
    portions = [Portion(weight) for weight in weights]
    for _ in range(rounds):
        behind(portions).letters += PORTION
    for one in portions:
        assert abs(ahead(one, portions)) <= PORTION * len(portions)


@pytest.mark.parametrize(
    ("letters", "absent", "level"),
    [((300.0, 100.0), 0.0, 100.0), ((300.0, 100.0), 500.0, 250.0), ((0.0, 0.0), 0.0, 0.0)],
)
def test_who_was_absent_does_not_catch_up(letters: tuple[float, float], absent: float, level: float) -> None:
    present, away = [Portion(3.0, letters[0]), Portion(1.0, letters[1])], Portion(2.0, absent)
    bring_forward([away], present)
    assert away.level == level


# -- the board


@pytest.mark.parametrize(
    ("weights", "shares"),
    [((3, 1), (75, 25)), ((1, 1), (50, 50)), ((0.7, 0.2, 0.1), (70, 20, 10)), ((5,), (100,)), ((1, 0), (100, 0))],
)
def test_portions_follow_the_weights(weights: tuple[float, ...], shares: tuple[int, ...]) -> None:
    given_to = serve(board(*weights), 100)
    assert [given_to[f"r{n}"] for n in range(len(weights))] == list(shares)


def test_a_relay_that_fails_leaves_its_share_to_the_others_and_does_not_catch_up() -> None:
    relays = board(1, 1)
    relays.failed(relays.states[1], "refused", 0.0)
    assert serve(relays, 50) == {"r0": 50}
    assert serve(relays, 20, now=100.0) == {"r0": 10, "r1": 10}


def test_a_relay_of_weight_0_stands_by() -> None:
    relays = board(1, 0)
    first, spare = relays.states
    relays.failed(first, "refused", 0.0)
    assert relays.choose(0.5) is spare
    assert relays.stays(spare, 0.5)
    assert relays.choose(2.0) is first
    assert not relays.stays(spare, 2.0)
    assert relays.stays(first, 0.5)  # whether it may be used at all is asked elsewhere


def test_connections_leave_a_relay_that_is_ahead_and_stay_while_it_is_not() -> None:
    relays = board(3, 1)
    first, second = relays.states
    first.charge(3 * SLACK)
    assert relays.stays(first, 0.0)
    first.charge(2 * SLACK)
    assert not relays.stays(first, 0.0)
    assert relays.stays(second, 0.0)
    relays.failed(second, "refused", 0.0)
    assert relays.stays(first, 0.5)


def test_a_relay_that_takes_no_more_connections_does_not_hold_up_the_others() -> None:
    relays = board(1, 1, most=1)
    first, second = relays.states
    second.connections = 1
    first.charge(1000)
    assert relays.stays(first, 0.0)
    assert relays.choose(0.0) is first
    first.dialling = 1
    assert relays.choose(0.0) == A_WHILE
    assert relays.most(20, 0.0) == 2


def test_a_relay_seen_to_take_so_many_connections_is_not_asked_for_more_for_a_while() -> None:
    relays = board(1, 1)
    first, second = relays.states
    first.connections, first.enough = 2, (2, 30.0)
    assert relays.choose(0.0) is second
    assert relays.choose(30.0) is first
    assert relays.most(20, 0.0) == 20
    second.enough = (3, 30.0)
    assert relays.most(20, 0.0) == 5


def test_a_slow_relay_leaves_its_share_to_the_others() -> None:
    relays = board(3, 1, slow_after=2.0)
    first, second = relays.states
    while not first.slowness.greeted(9.0, 0.0):
        pass
    assert serve(relays, 10, now=1.0) == {"r1": 10}
    assert not relays.stays(first, 1.0)
    assert relays.stays(second, 1.0)
    relays.failed(second, "refused", 1.0)
    assert relays.choose(1.5) is first


def test_a_used_up_limit_leaves_the_rest_to_the_others_until_all_are_used_up() -> None:
    relays = board(1, 1)
    first, second = relays.states
    assert relays.spent(first, 5000.0, 0.0) == 0.0
    assert serve(relays, 10) == {"r1": 10}
    assert relays.spent(second, 3000.0, 1000.0) == 3000.0
    assert relays.choose(1000.0) == 3000.0
    assert serve(relays, 1, now=4000.0) == {"r1": 1}


def test_relays_of_one_account_are_used_up_together() -> None:
    relay = Relay("smtp://r0:25", "r0", 25, "none", weight=1.0)
    relays = RelaySelector([relay, relay], 120.0, 5)
    assert relays.spent(relays.states[0], 5000.0, 0.0) == 5000.0


def test_when_all_are_out_the_run_is_told_what_each_did() -> None:
    relays = board(1, 1)
    for breaker in relays.states:
        relays.failed(breaker, "certificate has expired", 0.0, hopeless=True)
    with pytest.raises(RelayError, match="None of the relays"):
        relays.choose(0.0)
    assert relays.most(20, 0.0) == 1


def test_a_list_in_order_has_no_shares() -> None:
    relays = RelaySelector([Relay(f"smtp://r{n}:25", f"r{n}", 25, "none") for n in range(2)], 120.0, 5)
    assert serve(relays, 10) == {"r0": 10}
    assert relays.stays(relays.states[1], 0.0)
    assert math.isinf(relays.states[0].cap(0.0))


# -- the campaign file


async def test_weights_stand_beside_urls(tmp_path) -> None:
    settings = DeliverySection.model_validate(
        {"relay": [{"url": "smtp://127.0.0.1", "weight": 3}, {"url": "smtps://b.example", "weight": 0}]}
    )
    assert settings.urls == ("smtp://127.0.0.1", "smtps://b.example")
    assert [one.weight for one in await open_relays(settings, tmp_path, {})] == [3.0, 0.0]


@pytest.mark.parametrize(
    ("relay", "complaint"),
    [
        ([{"url": "a", "weight": 1}, "b"], "or none has"),
        ([{"url": "a", "weight": 0}], "weight 0"),
        ([{"url": "a", "weight": -1}], "greater than or equal"),
        ([{"url": "a"}], "weight"),
        ([{"weight": 1}], "url"),
        ([{"url": "a", "weight": 1, "wieght": 2}], "wieght"),
    ],
)
def test_weights_that_cannot_be_are_refused(relay: object, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        DeliverySection.model_validate({"relay": relay})
