"""The canary: who goes first, and what releases the rest."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from campaign.config.delivery import DeliverySection
from campaign.delivery.control_file import Control, State, hold_for_canary, write_control
from campaign.ledger.journal.journal_records import Opened, VerdictRecord
from campaign.ledger.state.canary_members import CanaryMembers
from campaign.ledger.state.run_state import RunState
from campaign.model import Verdict
from campaign.pipeline.serve.canary import Canary, Release, stored_canary

CANARY = Canary(4, 100, None, 0.75)


def history(*verdicts: Verdict, others: int = 0) -> RunState:
    made = RunState(Opened("g", "", "r", 1, 100, "p", {}, "shape", 1.0, "t"))
    for number, verdict in zip(CANARY.numbers(), verdicts, strict=False):
        made.apply(VerdictRecord(number, verdict.value, 1.0))
    for number in range(1, 1 + others):
        made.apply(VerdictRecord(number, "accepted", 1.0))
    return made


@pytest.mark.parametrize(("size", "recipients"), [(200, 1000), (7, 931), (3, 10), (4, 5), (1, 2), (200, 1_000_003)])
def test_exactly_so_many_go_first_spread_evenly(size: int, recipients: int) -> None:
    canary = Canary(size, recipients, None, 1.0)
    chosen = [number for number in range(recipients) if canary.includes(number)]
    assert chosen == canary.numbers()
    assert len(chosen) == size
    gaps = {after - before for before, after in itertools.pairwise(chosen)}
    assert max(gaps, default=1) - min(gaps, default=1) <= 1


def test_a_canary_as_large_as_the_plan_is_none() -> None:
    assert Canary.of(DeliverySection(canary=100), 100).step(history(), since=None, released=False) == "go"


A, R, D, W, U = Verdict.ACCEPTED, Verdict.REJECTED, Verdict.DEFERRED, Verdict.WAITING, Verdict.UNRENDERABLE


@pytest.mark.parametrize(
    ("verdicts", "others", "since", "hold", "released", "step"),
    [
        ([], 0, None, None, False, "canary"),
        ([A, A, A], 0, None, None, False, "canary"),
        ([A, A, A, A], 0, None, None, False, "wait"),
        ([A, A, A, R], 0, None, None, False, "wait"),
        ([A, A, R, R], 0, None, None, False, "stop"),
        ([A, A, A, D], 0, None, None, False, "wait"),
        ([A, A, A, U], 0, None, None, False, "wait"),
        ([U, U, U, U], 0, None, None, False, "wait"),
        ([A, A, A, A], 0, 59.0, 60.0, False, "wait"),
        ([A, A, A, A], 0, 60.0, 60.0, False, "go"),
        ([A, A, R, R], 0, 60.0, 60.0, False, "stop"),
        ([A, A, A, A], 0, None, None, True, "go"),
        ([A, A, A, A], 1, None, None, False, "go"),
    ],
)
def test_what_comes_next(
    verdicts: list[Verdict], others: int, since: float | None, hold: float | None, released: bool, step: str
) -> None:
    canary = Canary(4, 100, hold, 0.75)
    assert canary.step(history(*verdicts, others=others), since=since, released=released) == step


async def test_an_operator_releases_the_rest(tmp_path: Path) -> None:
    control, told, looks = Control(tmp_path), [], []

    async def wait(_: float) -> bool:
        looks.append(control.state)
        if len(looks) == 3:
            write_control(tmp_path, state="run")
            control.poll(1e9)
        return True

    release = Release(CANARY, tmp_path, control, told.append, wait)
    assert await release.step(history(A, A, A, A)) == "go"
    assert looks[:3] == ["pause"] * 3
    assert "100.0% of it accepted" in told[0]
    assert told[-1] == "the rest goes out"
    assert await release.step(history(A, A, A, A)) == "go"


async def test_too_few_accepted_holds_the_run(tmp_path: Path) -> None:
    control, told = Control(tmp_path), []

    async def never(_: float) -> bool:
        raise AssertionError

    assert await Release(CANARY, tmp_path, control, told.append, never).step(history(A, A, R, R)) == "stop"
    control.poll(1e9)
    assert control.state == "stop"
    assert "only 50.0%" in told[0]


async def test_a_run_told_to_stop_while_it_waits_is_left(tmp_path: Path) -> None:
    async def stopped(_: float) -> bool:
        return False

    release = Release(CANARY, tmp_path, Control(tmp_path), lambda _: None, stopped)
    assert await release.step(history(A, A, A, A)) == "left"


async def unasked(_: float) -> bool:
    raise AssertionError


async def test_an_operator_releases_a_run_that_held_itself_also_when_its_process_has_left(tmp_path: Path) -> None:
    assert await Release(CANARY, tmp_path, Control(tmp_path), print, unasked).step(history(A, A, R, R)) == "stop"
    write_control(tmp_path, state="run")
    assert await Release(CANARY, tmp_path, Control(tmp_path), print, unasked).step(history(A, A, R, R)) == "go"


async def test_a_run_released_before_its_canary_is_none_that_held_itself(tmp_path: Path) -> None:
    write_control(tmp_path, state="run")
    assert await Release(CANARY, tmp_path, Control(tmp_path), print, unasked).step(history(A, A, R, R)) == "stop"


@pytest.mark.parametrize("told", ["stop", "cancel"])
async def test_what_an_operator_says_meanwhile_is_not_overwritten(tmp_path: Path, told: State) -> None:
    control, looks = Control(tmp_path), []

    async def wait(_: float) -> bool:
        looks.append(control.state)
        write_control(tmp_path, state=told)
        return len(looks) < 3

    release = Release(Canary(4, 100, 0.0, 0.75), tmp_path, control, print, wait)
    assert await release.step(history(A, A, A, A)) == "go"
    assert control.state == told
    fresh = Control(tmp_path)
    fresh.poll(1e9)
    assert fresh.state == told


@pytest.mark.parametrize(("told", "after"), [("", "run"), ("pause", "pause")])
async def test_a_canary_that_was_held_and_is_in_part_to_be_sent_again_goes_out(
    tmp_path: Path, told: State, after: State
) -> None:
    """After a loss of power, or with doubts that are sent again, some of it wait again, and its pause stands."""
    hold_for_canary(tmp_path, "pause")
    if told:
        write_control(tmp_path, state=told)
    control = Control(tmp_path)
    release = Release(Canary(4, 100, 60.0, 0.75), tmp_path, control, print, unasked)
    assert await release.step(history(A, A, A)) == "canary"
    assert control.state == after
    again = Control(tmp_path)
    again.poll(0.0)
    assert (again.state, again.released) == (after, False)


@pytest.mark.parametrize("verdict", [Verdict.CANCELLED, Verdict.EXPIRED, Verdict.WITHDRAWN])
def test_others_that_were_never_tried_do_not_release_the_rest(verdict: Verdict) -> None:
    found = history(A, A)
    for number in range(1, 10):
        found.apply(VerdictRecord(number, verdict.value, 1.0))
    assert CANARY.step(found, since=None, released=False) == "canary"


@pytest.mark.parametrize(("size", "recipients"), [(200, 1000), (7, 931), (3, 10), (1, 2), (0, 10)])
def test_a_part_of_the_plan_has_those_of_the_canary_that_lie_in_it(size: int, recipients: int) -> None:
    members = CanaryMembers(size, recipients)
    for first, beyond in itertools.combinations(range(0, recipients + 1, max(recipients // 13, 1)), 2):
        found = list(members.numbers(first, beyond))
        assert found == [number for number in range(first, beyond) if members.includes(number)]


@pytest.mark.parametrize(
    ("made", "released", "size"),
    [
        (history(), False, 4),
        (history(A, A), False, 4),
        (history(A, A, A, A), False, 4),
        (history(A, A, A, A), True, 0),
        (history(A, A, A, A, others=1), False, 0),
    ],
)
def test_a_run_that_comes_into_a_store_has_its_canary_unless_that_is_over(
    tmp_path: Path, made: RunState, released: bool, size: int
) -> None:
    if released:
        hold_for_canary(tmp_path, "pause")
        write_control(tmp_path, state="run")
    assert stored_canary(DeliverySection(canary=4), tmp_path, made) == size
