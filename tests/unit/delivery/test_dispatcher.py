"""The decisions behind a pass, without a network: who is drawn, which relay, when to stop, what a reply means."""

from __future__ import annotations

import asyncio
import math
import time

import pytest

from campaign.config.units import Rate
from campaign.delivery.pacing.throttle import Throttle
from campaign.delivery.queue.admission import NAP, Admission, RelayAccount, TurnTooFar
from campaign.delivery.queue.backlog import Backlog, QueueItem
from campaign.delivery.relays.failover import FIRST_PAUSE, LONGEST_PAUSE, RelaySelector, RelayState
from campaign.delivery.relays.relay import Relay
from campaign.delivery.replies.classify import Rules, Stage
from campaign.delivery.replies.recipient_outcome import outcome_of
from campaign.delivery.replies.stop_conditions import StopConditions
from campaign.errors import LoginError, RelayError, UnfinishedError
from campaign.model import Recipient, Reply, Verdict

RULES = Rules.load()


def people(*domains: str) -> list[Recipient]:
    return [Recipient(n, f"u{n}@{domain}", f"u{n}", "", n, {}) for n, domain in enumerate(domains)]


# -- backlog


def free(_: str) -> float:
    return 0.0


def numbers(backlog: Backlog, now: float = 0.0, wait=free) -> list[int]:
    found = []
    while isinstance(errand := backlog.take(now, wait), QueueItem):
        found.append(errand.recipient.number)
    return found


def test_recipients_are_drawn_in_order_and_only_when_asked() -> None:
    asked: list[int] = []
    backlog = Backlog((asked.append(one.number) or one for one in people("a", "b", "c")), 900.0)
    first = backlog.take(0, free)
    assert isinstance(first, QueueItem)
    assert asked == [0]
    assert numbers(backlog) == [1, 2]
    assert backlog.take(0, free) is None
    assert not backlog.more()


def test_who_is_put_back_goes_first() -> None:
    backlog = Backlog(iter(people("a", "b", "c")), 900.0)
    first = backlog.take(0, free)
    assert isinstance(first, QueueItem)
    backlog.put_back(first)
    assert numbers(backlog) == [0, 1, 2]


def test_a_domain_that_waits_is_passed_and_comes_back_in_order() -> None:
    backlog = Backlog(iter(people("slow", "a", "slow", "b", "slow")), 900.0)
    assert numbers(backlog, 0.0, lambda domain: 5.0 if domain == "slow" else 0.0) == [1, 3]
    assert backlog.take(1.0, lambda domain: 4.0 if domain == "slow" else 0.0) == 4.0
    order = []
    while isinstance(errand := backlog.take(6.0, free), QueueItem):
        order.append(errand.recipient.number)
        backlog.settle(errand)  # a slowed domain has one letter under way at a time
    assert order == [0, 2, 4]


def test_only_so_many_are_set_aside() -> None:
    drawn: list[int] = []
    backlog = Backlog((drawn.append(1) or one for one in people(*["slow"] * 50)), 900.0, look_ahead=10)
    assert backlog.take(0.0, lambda _: 5.0) == 5.0
    assert len(drawn) == 10


def test_a_domain_that_waits_too_long_is_postponed() -> None:
    backlog = Backlog(iter(people("held", "a")), 900.0)
    first = backlog.take(0.0, lambda domain: 3600.0 if domain == "held" else 0.0)
    assert isinstance(first, QueueItem)
    assert first.postponed == 3600.0


def test_a_limited_domain_has_no_more_letters_drawn_than_turns_come_up() -> None:
    backlog = Backlog(iter(people("slow", "slow", "slow", "a")), 900.0, {"slow": 1.0})
    first, second = backlog.take(0.0, free), backlog.take(0.0, free)
    assert isinstance(first, QueueItem)
    assert isinstance(second, QueueItem)
    assert (first.recipient.number, second.recipient.number) == (0, 3)
    backlog.settle(first)
    third = backlog.take(1.0, free)
    assert isinstance(third, QueueItem)
    assert third.recipient.number == 1


def test_domains_of_a_group_wait_together() -> None:
    groups = {"gmail.com": "google", "googlemail.com": "google"}
    backlog = Backlog(iter(people("gmail.com", "googlemail.com", "a")), 900.0, {"google": 1.0}, groups)
    assert numbers(backlog) == [0, 2]


# -- gate


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def gated(count: int, *limits: Rate, longest: float = 900.0) -> tuple[Admission, RelayAccount, Clock]:
    clock = Clock()
    gate = Admission(Backlog(iter(people(*["a.example"] * count)), longest), clock, longest)
    return gate, RelayAccount(Throttle(limits)), clock


async def test_a_turn_is_spent_when_the_content_leaves_not_when_it_is_drawn() -> None:
    gate, account, clock = gated(5, Rate(10, 1.0))
    first = gate.draw_now(account)
    assert isinstance(first, QueueItem)
    assert gate.draw_now(account) == NAP  # one is drawn for the one turn that comes up
    assert gate.take_turn(first)
    assert isinstance(gate.draw_now(account), float)
    clock.now += 0.1
    assert isinstance(gate.draw_now(account), QueueItem)


async def test_a_relay_far_away_is_drawn_for_sooner() -> None:
    gate, account, clock = gated(5, Rate(10, 1.0))
    first = gate.draw_now(account)
    assert isinstance(first, QueueItem)
    gate.take_turn(first)
    clock.now += 0.01
    assert isinstance(gate.draw_now(account), float)
    account.answered(0.1)
    assert isinstance(gate.draw_now(account), QueueItem)


async def test_a_letter_whose_turn_is_far_away_gives_up_its_connection() -> None:
    gate, account, _ = gated(2, Rate(1, 3600.0), Rate(1, 86400.0))
    first, second = gate.draw_now(account), QueueItem(people("b")[0], "b", "b", account=account)
    assert isinstance(first, QueueItem)
    assert gate.take_turn(first)
    with pytest.raises(TurnTooFar):
        await gate.turn(second)


async def test_a_closed_gate_has_nobody_and_a_paused_one_nobody_yet() -> None:
    gate, account, _ = gated(3)
    gate.paused = True
    assert gate.draw_now(account) == NAP
    gate.paused = False
    waiting = asyncio.ensure_future(gate.draw(account))
    assert isinstance(await waiting, QueueItem)
    gate.close()
    assert await gate.draw(account) is None


async def test_a_used_up_limit_closes_the_gate_and_says_for_how_long() -> None:
    gate, account, _ = gated(3, Rate(1, 86400.0))
    first = gate.draw_now(account)
    assert isinstance(first, QueueItem)
    gate.take_turn(first)
    assert await gate.draw(account) is None
    assert gate.stuck == pytest.approx(86400.0, abs=1)


async def test_who_waits_is_woken_by_what_is_put_back() -> None:
    gate, account, _ = gated(1)
    first = gate.draw_now(account)
    assert isinstance(first, QueueItem)
    gate.backlog.exhausted = False
    gate.backlog.recipients = iter(())
    gate.put_back(first)
    assert await asyncio.wait_for(gate.draw(account), 1) is first
    assert account.drawn == 1
    gate.release(first)
    assert account.drawn == 0


# -- relays


def board(count: int = 2, *, patience: float = 120.0, barren: int = 5) -> tuple[RelaySelector, list[RelayState]]:
    found = RelaySelector([Relay(f"smtp://r{n}:25", f"r{n}", 25, "none") for n in range(count)], patience, barren)
    return found, found.states


def test_the_first_relay_serves_until_it_fails_and_again_after_a_pause() -> None:
    relays, (first, second) = board()
    assert relays.choose(0) is first
    relays.failed(first, "refused", 0)
    assert relays.choose(0) is second
    assert relays.choose(FIRST_PAUSE) is first


def test_pauses_double_up_to_a_minute() -> None:
    relays, (only,) = board(1)
    relays.accepted(only)
    pauses = []
    for _ in range(9):
        relays.failed(only, "refused", 0)
        pauses.append(only.open_until)
    assert pauses[:4] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE, 8 * FIRST_PAUSE]
    assert max(pauses) == LONGEST_PAUSE


def test_a_relay_that_worked_is_waited_for_as_long_as_patience_lasts() -> None:
    relays, (only,) = board(1, patience=120.0)
    relays.accepted(only)
    for now in (0, 10, 50, 119):
        relays.failed(only, "refused", now)
        assert relays.choose(now + LONGEST_PAUSE) is only
    relays.failed(only, "refused", 121)
    with pytest.raises(RelayError, match="refused"):
        relays.choose(1000)


def test_a_relay_that_never_worked_is_given_up_after_three_tries() -> None:
    relays, (only,) = board(1)
    for now in range(3):
        assert not only.out
        relays.failed(only, "no such host", now)
    with pytest.raises(RelayError, match="no such host"):
        relays.choose(1000)


def outage(relays: RelaySelector, state: RelayState) -> list[float]:
    """When an unreachable relay is tried, until it is given up."""
    tries, now = [], 0.0
    while not state.left:
        tries.append(now)
        relays.failed(state, "refused", now, unreachable=True)
        now = state.open_until
    return tries


def test_an_outage_at_the_start_is_waited_for_until_patience_ends_and_ends_the_run_as_unfinished() -> None:
    relays, (only,) = board(1, patience=120.0)
    assert outage(relays, only) == [0, 1, 3, 7, 15, 31, 63, 120]
    with pytest.raises(UnfinishedError, match="cannot be reached now"):
        relays.choose(1000)


def test_without_patience_an_outage_ends_the_run_at_the_first_try() -> None:
    relays, (only,) = board(1, patience=0.0)
    assert outage(relays, only) == [0]


def test_an_outage_beside_a_setting_that_is_wrong_may_still_heal() -> None:
    relays, (first, second) = board()
    relays.failed(first, "certificate has expired", 0, hopeless=True)
    outage(relays, second)
    with pytest.raises(UnfinishedError, match="certificate has expired"):
        relays.choose(1000)


def test_what_is_waited_for_is_told_only_while_no_relay_can_serve() -> None:
    relays, (first, second) = board(patience=120.0)
    relays.failed(first, "refused", 5, unreachable=True)
    assert relays.waited_for() is None
    relays.failed(second, "refused", 7, unreachable=True)
    assert relays.waited_for() == (second, 127)
    relays.accepted(first)
    assert relays.waited_for() is None


def test_a_limit_that_holds_everybody_up_is_told_with_its_end() -> None:
    end = time.strftime("%H:%M:%S", time.localtime(4600.0))
    account = RelayAccount(Throttle([Rate(1, 3600.0)]))
    assert account.limit_wait(0.0, 1000.0) == ""
    account.throttle.take("a.example", 0.0)
    assert account.limit_wait(0.0, 1000.0) == f"waiting for the limit of 1/h until {end}"
    assert account.limit_wait(3597.0, 4597.0) == ""


def test_a_relay_that_breaks_its_connections_after_an_outage_is_no_outage_any_more() -> None:
    relays, (only,) = board(1, barren=2)
    relays.failed(only, "refused", 0, unreachable=True)
    relays.barren(only, "reset", 1, 2)
    with pytest.raises(RelayError, match="reset"):
        relays.choose(1000)


def test_what_is_hopeless_is_not_tried_again() -> None:
    relays, (first, second) = board()
    relays.failed(first, "certificate has expired", 0, hopeless=True)
    assert relays.choose(10**6) is second
    relays.failed(second, "certificate has expired", 0, hopeless=True)
    with pytest.raises(RelayError, match="None of the relays"):
        relays.choose(10**6)


def test_relays_that_all_use_up_their_patience_end_the_run() -> None:
    relays, (first, second) = board()
    for now in range(3):
        relays.failed(first, "refused", now)
    assert relays.choose(10) is second
    relays.accepted(second)
    relays.failed(second, "reset", 100)
    relays.failed(second, "reset", 221)
    with pytest.raises(RelayError, match="None of the relays"):
        relays.choose(222)


def test_a_relay_that_came_back_is_not_given_up_with_the_others() -> None:
    relays, (first, second) = board()
    for now in range(3):
        relays.failed(first, "refused", now)
    relays.accepted(first)
    for now in range(3):
        relays.failed(second, "refused", now)
    assert relays.choose(10) is first
    assert not second.out


def test_connections_that_broke_together_count_once() -> None:
    relays, (only,) = board(1, barren=3)
    relays.accepted(only)
    for _ in range(20):
        relays.barren(only, "reset", opened=0.0, now=1.0)
    assert only.failures == 1
    relays.barren(only, "reset", opened=2.0, now=3.0)
    relays.barren(only, "reset", opened=4.0, now=5.0)
    assert only.out


def test_an_acceptance_forgives_everything() -> None:
    relays, (only,) = board(1)
    relays.failed(only, "reset", 0)
    relays.accepted(only)
    assert (only.failures, only.open_until) == (0, 0.0)


# -- when to stop


def look(stops: StopConditions, stage: Stage, reply: Reply):
    return stops.look(RULES.decide(stage, reply), reply, "relay")


def test_a_refused_login_stops_at_once() -> None:
    error = look(StopConditions(0.1, 200), Stage.AUTH, Reply(535, "5.7.8", "bad credentials"))
    assert isinstance(error, LoginError)


@pytest.mark.parametrize("stage", [Stage.AUTH, Stage.MAIL])
def test_passwords_switched_off_are_a_refused_login_wherever_it_is_said(stage: Stage) -> None:
    error = look(StopConditions(0.1, 200), stage, Reply(550, "5.7.30", "Basic authentication is not supported."))
    assert isinstance(error, LoginError)
    assert "delivery.oauth" in str(error)


def test_a_used_up_quota_is_an_unfinished_run() -> None:
    reply = Reply(454, "", "Throttling failure: Daily message quota exceeded.")
    assert isinstance(look(StopConditions(0.1, 200), Stage.DOT, reply), UnfinishedError)


def test_strikes_must_come_in_a_row() -> None:
    stops, reply = StopConditions(0.1, 200), Reply(550, "5.7.26", "unauthenticated mail")
    needed = RULES.decide(Stage.DOT, reply).strikes
    assert needed > 1
    for _ in range(needed - 1):
        assert look(stops, Stage.DOT, reply) is None
    stops.accepted()
    for _ in range(needed - 1):
        assert look(stops, Stage.DOT, reply) is None
    assert isinstance(look(stops, Stage.DOT, reply), RelayError)


def test_the_share_of_policy_refusals_looks_at_a_full_window() -> None:
    stops, reply = StopConditions(0.1, 50), Reply(550, "5.7.1", "spam")
    for _ in range(44):
        stops.accepted()
    for _ in range(5):
        assert look(stops, Stage.DOT, reply) is None
    assert look(stops, Stage.DOT, reply) is not None


def test_dead_addresses_are_no_policy() -> None:
    stops = StopConditions(0.1, 50)
    assert all(look(stops, Stage.RCPT, Reply(550, "5.1.1", "no such user")) is None for _ in range(500))


# -- what a reply means for the recipient


@pytest.mark.parametrize(
    ("stage", "reply", "verdict", "counted", "suppress"),
    [
        (Stage.DOT, Reply(250, "2.0.0", "ok"), Verdict.ACCEPTED, True, False),
        (Stage.DOT, Reply(251, "", "ok"), Verdict.ACCEPTED, True, False),
        (Stage.DOT, Reply(354, "", "?"), Verdict.IN_DOUBT, True, False),
        (Stage.DOT, Reply(421, "4.3.2", "bye"), Verdict.DEFERRED, False, False),
        (Stage.DOT, Reply(451, "4.3.0", "later"), Verdict.DEFERRED, True, False),
        (Stage.DOT, Reply(550, "5.7.1", "spam"), Verdict.REJECTED, True, False),
        (Stage.RCPT, Reply(550, "5.1.1", "no such user"), Verdict.REJECTED, True, True),
        (Stage.RCPT, Reply(450, "4.2.1", "fast"), Verdict.DEFERRED, True, False),
        (Stage.RCPT, Reply(421, "4.7.0", "bye"), None, False, False),
        (Stage.MAIL, Reply(530, "5.7.0", "Authentication required"), Verdict.DEFERRED, False, False),
    ],
)
def test_a_reply_becomes_an_outcome(
    stage: Stage, reply: Reply, verdict: Verdict | None, counted: bool, suppress: bool
) -> None:
    outcome = outcome_of(7, stage, reply, RULES.decide(stage, reply), "relay")
    if verdict is None:
        assert outcome is None
        return
    assert outcome is not None
    assert (outcome.number, outcome.verdict, outcome.suppress) == (7, verdict, suppress)
    if verdict is not Verdict.IN_DOUBT:
        assert outcome.counted is counted


def test_after_the_dot_every_reply_is_an_outcome() -> None:
    for code in range(200, 600):
        for enhanced in ("", f"{code // 100}.7.1"):
            reply = Reply(code, enhanced, "text")
            assert outcome_of(1, Stage.DOT, reply, RULES.decide(Stage.DOT, reply), "relay") is not None


def test_no_wait_is_endless() -> None:
    account = RelayAccount(Throttle([Rate(50, 1.0), Rate(100_000, 86400.0)]))
    assert account.wait(0.0) < math.inf


def test_a_wait_too_short_for_the_clock_is_none() -> None:
    """A wait that is rounded away when it is added to the time would be looked at for ever."""
    backlog = Backlog(iter(people("slow")), 900.0)
    assert backlog.take(0.0, lambda _: 5.0) == 5.0
    found = backlog.take(1e6, lambda _: 1e-18)
    assert isinstance(found, QueueItem)
