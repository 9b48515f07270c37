"""Several senders make one pass: who gets a shard and when, and what becomes of the run when one of them ends."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign.errors import DamageError, InternalError, LoginError
from campaign.exit_codes import ExitCode, of_error
from campaign.ledger.shards.shard_reader import FOLDER, shard_path
from campaign.model import Verdict
from campaign.pipeline.serve.pass_order import PassOrder
from campaign.pipeline.serve.senders import sender_messages as messages
from campaign.pipeline.serve.senders import sender_pool, sender_slots
from tests.support.played_senders import Stage, intent, settle, verdict


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.checkpoint.close()


# -- who gets a shard


async def test_the_first_sender_goes_alone_until_somebody_has_a_verdict(stage: Stage) -> None:
    async with stage.opened():
        under_way = stage.begin_pass()
        await settle()
        for one in reversed(stage.played):
            one.want()
        last = stage.played[-1]
        assert [len(one.leases) for one in stage.played] == [0, 0, 1]
        last.write(intent(0))
        await stage.look()
        assert [len(one.leases) for one in stage.played] == [0, 0, 1]
        last.write(verdict(0, "rejected", code=550))
        await stage.look()
        assert [len(one.leases) for one in stage.played] == [1, 1, 1]
        assert not under_way.done()


async def test_if_it_ends_without_a_verdict_another_goes_alone(stage: Stage) -> None:
    async with stage.opened():
        stage.begin_pass()
        await settle()
        first, second, third = stage.played
        for one in stage.played:
            one.want()
        first.die()
        assert [len(one.leases) for one in (second, third)] == [1, 0]


async def test_a_sender_of_the_pass_is_answered_at_once(stage: Stage) -> None:
    async with stage.opened():
        stage.begin_pass()
        await settle()
        one = stage.played[0]
        one.want()
        while not one.was_told(messages.NoMore):
            before = len(one.sent)
            one.want()
            assert len(one.sent) == before + 1
        assert sum(len(lease.numbers) for lease in one.leases) == 1000
        one.want()
        assert isinstance(one.sent[-1], messages.NoMore)


async def test_who_asks_between_two_passes_is_answered_in_the_next(stage: Stage) -> None:
    put_off = {"is_": "deferred", "code": 451, "not_before": 1.0}
    async with stage.opened():
        under_way = stage.begin_pass(PassOrder(lambda number: number < 2, few=True))
        await settle()
        one = stage.played[0]
        one.want()
        one.write(verdict(0), verdict(1, **put_off))
        one.leave()
        one.want()
        one.passed()
        one.want()
        assert await under_way == 2
        assert isinstance(one.sent[-1], messages.NoMore)
        stage.begin_pass()
        await settle()
        assert isinstance(one.sent[-1], messages.Grant)
        assert one.leases[0].few
        assert not one.leases[1].few
        assert one.leases[1].numbers[0] == 1


async def test_a_pass_ends_when_all_are_served_and_says_how_many_have_a_verdict(stage: Stage) -> None:
    async with stage.opened():
        under_way = stage.begin_pass(PassOrder(lambda number: number < 500, few=False))
        await settle()
        for one in stage.played:
            one.want()
        while not under_way.done():
            for one in stage.played:
                if one.leases and not one.was_told(messages.NoMore):
                    one.serve()
                    one.leave()
                    one.want()
            await settle()
            if all(one.was_told(messages.NoMore) for one in stage.played if one.leases):
                assert not under_way.done()
                for one in stage.played:
                    one.passed()
                await settle()
        assert await under_way == 500
        assert all(one.leases for one in stage.played)
    assert stage.counts.accepted == stage.history.tally()["accepted"] == 500
    assert stage.history.tally()["waiting"] == 500


# -- how many letters


async def test_a_limit_is_kept_exactly_by_all_senders_together(tmp_path: Path) -> None:
    stage = Stage(tmp_path, limit=5)
    async with stage.opened():
        under_way = stage.begin_pass()
        await settle()
        for one in stage.played:
            one.want()
        (lease,) = stage.played[0].leases
        assert list(lease.numbers) == [0, 1, 2, 3, 4]
        stage.played[0].done()
        assert await under_way == 5
        assert [len(one.leases) for one in stage.played] == [1, 0, 0]
    assert stage.history.tally()["accepted"] == 5
    assert stage.allowance.left == 0
    stage.checkpoint.close()


async def test_who_has_unsubscribed_does_not_count_against_the_limit(tmp_path: Path) -> None:
    stage = Stage(tmp_path, limit=4)
    async with stage.opened():
        under_way = stage.begin_pass()
        await settle()
        one = stage.played[0]
        one.want()
        one.serve(0, 1)
        one.write(verdict(2, "withdrawn"), verdict(3, "withdrawn"))
        one.leave()
        one.want()
        assert list(one.leases[1].numbers) == [4, 5]
        one.done()
        await under_way
    assert stage.history.tally()["accepted"] == 4
    stage.checkpoint.close()


@pytest.mark.parametrize("end", ["dies", "leaves"])
async def test_who_had_no_turn_does_not_count_against_the_limit_and_has_one(tmp_path: Path, end: str) -> None:
    stage = Stage(tmp_path, limit=4)
    async with stage.opened():
        under_way = stage.begin_pass()
        await settle()
        one, other, _ = stage.played
        for each in (one, other):
            each.want()
        one.serve(0)
        one.write(intent(1))
        if end == "leaves":
            one.write(verdict(1))
            one.leave()
        one.die()
        assert list(other.leases[0].numbers) == [2, 3]
        other.done()
        await under_way
    assert stage.allowance.left == 0
    stage.checkpoint.close()


# -- ends of senders


async def test_a_sender_that_dies_is_replaced_and_its_rest_goes_to_others(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage.opened():
        stage.begin_pass()
        await settle()
        one = stage.played[0]
        one.want()
        one.begin()
        one.serve(0)
        await stage.look()
        one.write(intent(1))
        one.die()
        assert list(stage.history.numbers(Verdict.IN_DOUBT)) == [1]
        assert "a sending process ended (signal 9), 1 letter in doubt; another takes over" in caplog.text
        successor = stage.played[-1]
        assert len(stage.alive) == 3
        assert successor.start.index == one.start.index
        assert successor.start.connections == one.start.connections
        successor.want()
        assert list(successor.leases[0].numbers) == list(range(2, 200))
        assert not shard_path(stage.folder, one.leases[0].span).exists()


async def test_all_shards_of_a_dead_sender_are_taken_back_also_one_it_had_not_begun(stage: Stage) -> None:
    async with stage.opened():
        stage.begin_pass()
        await settle()
        one = stage.played[0]
        one.want()
        one.want()
        one.serve(200)
        one.die()
        heir = stage.played[-1]
        for _ in range(3):
            heir.want()
        firsts = sorted(lease.numbers[0] for lease in heir.leases)
        assert firsts[:2] == [0, 201]


async def test_the_rest_of_the_last_shard_is_served_in_the_same_pass(stage: Stage) -> None:
    async with stage.opened():
        under_way = stage.begin_pass(PassOrder(lambda number: number < 3, few=False))
        await settle()
        one, other, _ = stage.played
        for each in (one, one, other):
            each.want()
        assert one.was_told(messages.NoMore)
        one.serve(0)
        one.die()
        assert list(other.leases[0].numbers) == [1, 2]
        other.want()
        other.done()
        assert await under_way == 3


async def test_a_sender_that_ends_by_itself_is_replaced_too(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    async with stage.opened():
        stage.begin_pass()
        await settle()
        stage.played[1].die("exit code 1")
        assert len(stage.alive) == 3
        assert "(exit code 1), 0 letters in doubt" in caplog.text


async def test_four_deaths_in_a_row_end_the_run(stage: Stage) -> None:
    async def four_die() -> None:
        for _ in range(sender_pool.MOST_DEATHS):
            assert len(stage.alive) == 3
            stage.played[-1].die()
            await settle()
        stage.let_end()

    with pytest.raises(InternalError, match="in a row") as ended:
        await stage.make_pass(four_die)
    assert of_error(ended.value) == ExitCode.INTERNAL
    assert "signal 9" in str(ended.value.evidence)
    assert "delivery.processes = 1" in ended.value.next_step
    assert len(stage.played) == 3 + sender_pool.MOST_DEATHS - 1


async def test_a_verdict_between_two_deaths_begins_the_count_anew(stage: Stage) -> None:
    async with stage.opened():
        under_way = stage.begin_pass()
        await settle()
        stage.played[0].want()
        for _ in range(3 * sender_pool.MOST_DEATHS):
            number = stage.played[0].leases[-1].numbers[len(stage.played) % 100 + 1]
            stage.played[0].serve(number)
            await stage.look()
            stage.played[-1].die()
        await settle()
        assert not under_way.done()
        assert len(stage.alive) == 3


@pytest.mark.parametrize("told", ["in the pass", "at its start"])
async def test_an_error_of_a_sender_ends_the_run_with_its_exit_code(stage: Stage, told: str) -> None:
    refused = LoginError("The relay refused the password.", next_step="correct it")

    async def one_is_refused() -> None:
        one, *others = stage.played
        if told == "in the pass":
            for each in stage.played:
                each.want()
        one.passed(refused)
        assert all(other.was_told(messages.Drain) for other in others)
        assert [len(other.leases) for other in others] == [0, 0]
        stage.let_end()

    with pytest.raises(LoginError) as ended:
        await stage.make_pass(one_is_refused)
    assert of_error(ended.value) == ExitCode.LOGIN_REFUSED
    assert len(stage.played) == 3


async def test_an_error_outside_a_pass_is_told_when_the_senders_have_ended(stage: Stage) -> None:
    with pytest.raises(LoginError):
        async with stage.opened():
            stage.played[0].passed(LoginError("The relay refused the password.", next_step="correct it"))


async def test_a_journal_that_is_damaged_meanwhile_ends_the_run(stage: Stage) -> None:
    async def damage() -> None:
        one = stage.played[0]
        one.want()
        with shard_path(stage.folder, one.leases[0].span).open("ab") as file:
            file.write(b"rubbish\n")
        await stage.look()
        assert all(each.was_told(messages.Drain) for each in stage.played)
        for each in stage.played[1:]:
            each.die("exit code 0")
        one.passed()

    with pytest.raises(DamageError):
        await stage.make_pass(damage)


async def test_what_is_unforeseen_ends_the_run_and_does_not_leave_it_waiting(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def break_down() -> None:
        monkeypatch.setattr(stage.checkpoint, "merge", lambda *_, **__: 1 / 0)
        stage.played[0].want()
        stage.played[0].serve(0)
        await stage.look()
        stage.played[0].passed()

    with pytest.raises(InternalError, match="ZeroDivisionError"):
        await stage.make_pass(break_down)


# -- stopping


async def test_a_run_that_is_drained_grants_nothing_more_and_waits_for_what_is_in_flight(stage: Stage) -> None:
    async with stage.opened():
        under_way = stage.begin_pass()
        await settle()
        one = stage.played[0]
        one.want()
        one.want()
        stage.pool.drain()
        one.want()
        assert all(each.was_told(messages.Drain) for each in stage.played)
        assert len(one.leases) == 2
        await settle()
        assert not under_way.done()
        one.serve(200, 201)
        one.leave()
        one.say(messages.Left(one.leases[0].span.shard))
        one.passed()
        assert await under_way == 2
        one.die("exit code 0")
    assert len(stage.played) == 3
    assert stage.history.tally()["in_doubt"] == 0
    assert not (stage.folder / FOLDER).exists()


async def test_a_sender_killed_while_it_drains_is_not_replaced(stage: Stage) -> None:
    async with stage.opened():
        under_way = stage.begin_pass()
        await settle()
        stage.played[0].want()
        stage.played[0].write(intent(0))
        stage.pool.drain()
        stage.played[0].die()
        await under_way
        assert len(stage.played) == 3
        assert list(stage.history.numbers(Verdict.IN_DOUBT)) == [0]


async def test_who_does_not_heed_an_abort_is_killed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender_slots, "END_SECONDS", 0.0)
    async with stage.opened():
        under_way = stage.begin_pass()
        await settle()
        stage.played[0].want()
        stage.pool.abort()
        stage.played[1].die("exit code 0")
        assert all(one.was_told(messages.Abort) for one in stage.played)
        await under_way
        assert [one.killed for one in stage.played] == [True, False, True]


async def test_senders_that_do_not_end_with_the_run_are_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender_pool, "END_SECONDS", 0.0)
    stage = Stage(tmp_path, drain=0.0)
    async with stage.pool.opened(stage.control, stage.notes.append):
        await settle()
        assert not any(one.sent for one in stage.played)
    assert all(one.was_told(messages.Drain) for one in stage.played)
    assert [one.killed for one in stage.played] == [True] * 3
    stage.checkpoint.close()


async def test_a_run_stopped_before_it_begins_starts_no_sender(stage: Stage) -> None:
    stage.pool.drain()
    async with stage.opened():
        stage.checkpoint.begin_pass()
    assert stage.played == []


# -- what is told


async def test_what_holds_up_all_letters_is_told_only_if_it_holds_up_every_sender(stage: Stage) -> None:
    async with stage.opened():
        stage.begin_pass()
        await settle()
        one, other, _ = stage.played
        one.want()
        one.serve(0)
        await stage.look()
        other.want()
        one.say(messages.Waiting("the relay is out of reach"))
        assert stage.pool.waiting == ""
        other.say(messages.Waiting("a limit is used up"))
        assert stage.pool.waiting == "the relay is out of reach"
        one.say(messages.Waiting(""))
        assert stage.pool.waiting == ""


async def test_a_senders_log_is_the_runs_log(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    async with stage.opened():
        stage.played[0].say(messages.Told(logging.WARNING, "campaign.delivery", "the rate is cut, from 100% of it"))
    (record,) = [one for one in caplog.records if one.name == "campaign.delivery"]
    assert (record.levelno, record.getMessage()) == (logging.WARNING, "the rate is cut, from 100% of it")


async def test_when_relays_were_paused_is_told_of_all_senders(stage: Stage) -> None:
    async with stage.opened():
        stage.played[0].passed(rests=("one",))
        stage.played[1].passed(rests=("two", "three"))
        assert list(stage.pool.rests) == ["one", "two", "three"]
