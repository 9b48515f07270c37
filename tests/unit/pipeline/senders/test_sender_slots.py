"""Senders share the connections that relays accept and an operator allows, and never have more between them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from campaign.delivery.control_file import write_control
from campaign.delivery.relays.relay import Relay
from campaign.pipeline.serve.senders import sender_messages as messages
from campaign.pipeline.serve.senders.sender_process import connection_share
from campaign.pipeline.serve.senders.sender_slots import SenderSlots, connection_cap
from tests.support.played_senders import Played, Stage, settle


def relays(*caps: int, weights: Sequence[float] | None = None) -> list[Relay]:
    return [
        Relay(f"r{n}", "h", 25, "none", connections=cap, weight=weights[n] if weights else None)
        for n, cap in enumerate(caps)
    ]


@pytest.mark.parametrize(
    ("caps", "weights", "wanted", "most"),
    [
        ((0,), None, 20, 20),
        ((5,), None, 20, 5),
        ((5,), None, 3, 3),
        ((0, 5), None, 20, 5),
        ((10, 3), None, 20, 3),
        ((5, 10), (1, 3), 20, 15),
        ((5, 10), (1, 3), 8, 8),
        ((5, 0), (1, 3), 20, 20),
    ],
)
def test_connections_are_bounded_by_the_relay_that_takes_fewest_or_by_the_sum_of_those_with_weights(
    caps: tuple[int, ...], weights: tuple[float, ...] | None, wanted: int, most: int
) -> None:
    assert connection_cap(relays(*caps, weights=weights), wanted) == most


@pytest.mark.parametrize(("total", "senders"), [(20, 3), (2, 4), (7, 7), (1, 1), (0, 2)])
def test_the_parts_of_all_senders_are_the_whole_and_differ_by_one_at_most(total: int, senders: int) -> None:
    parts = [connection_share(total, index, senders) for index in range(senders)]
    assert sum(parts) == total
    assert max(parts) - min(parts) <= 1


def wish(stage: Stage, **wishes: Any) -> None:
    write_control(stage.folder, **wishes)
    stage.control.poll(float(len(stage.played)) + wishes["connections"] * 1000.0)


def open_connections(played: list[Played]) -> list[int]:
    """What each sender that runs may have open, by the last that it heard."""
    found = []
    for one in played:
        told = [message.most for message in one.sent if isinstance(message, messages.Connections)]
        if not one.closed and not one.was_told(messages.Drain):
            found.append(told[-1] if told else one.start.connections)
    return found


async def test_there_are_as_many_senders_as_asked_for_and_no_more_than_connections(tmp_path: Path) -> None:
    for processes, connections, expected in ((3, 20, [7, 7, 6]), (8, 3, [1, 1, 1]), (1, 5, [5])):
        folder = tmp_path / f"{processes}"
        folder.mkdir()
        stage = Stage(folder, processes=processes, connections=connections)
        async with stage.opened():
            await settle()
            assert [one.start.connections for one in stage.played] == expected
            assert [one.start.index for one in stage.played] == list(range(len(expected)))
            assert {one.start.senders for one in stage.played} == {len(expected)}
        stage.checkpoint.close()


async def test_a_preset_bounds_how_many_senders_there_are(tmp_path: Path) -> None:
    stage = Stage(tmp_path, processes=8, relay="office365", connections=20, user="a@example.com")
    (tmp_path / "secret").write_text("word\n")
    (tmp_path / "secret").chmod(0o600)
    stage.pool._run.job.settings.delivery = stage.pool._run.job.settings.delivery.model_copy(
        update={"password_file": "secret"}
    )
    async with stage.opened():
        await settle()
        assert [one.start.connections for one in stage.played] == [1, 1, 1]
    stage.checkpoint.close()


async def test_each_sender_can_have_a_connection_to_each_relay(tmp_path: Path) -> None:
    stage = Stage(tmp_path, connections=20)
    few, unused = relays(2, 10, weights=(1, 3)), stage.notes.append
    slots = SenderSlots(stage.pool._run, 8, few, stage.control, stage._launch, lambda *_: None, unused)
    assert len(slots) == 2
    stage.checkpoint.close()


async def test_an_operator_may_lower_and_raise_the_connections_and_the_sum_is_what_was_asked_for(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path, processes=3, connections=12)
    async with stage.opened():
        stage.begin_pass()
        await settle()
        assert open_connections(stage.played) == [4, 4, 4]
        for wanted in (7, 3, 12, 50):
            wish(stage, connections=wanted)
            await stage.look()
            assert sum(open_connections(stage.played)) == wanted
    stage.checkpoint.close()


async def test_a_sender_without_connections_ends_and_one_begins_in_its_place_when_there_are_some(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path, processes=3, connections=12)
    async with stage.opened():
        stage.begin_pass()
        await settle()
        first, second, third = stage.played
        wish(stage, connections=1)
        await stage.look()
        assert open_connections(stage.played) == [1]
        assert not first.was_told(messages.Drain)
        wish(stage, connections=2)
        await stage.look()
        assert len(stage.played) == 3  # two are ending, and nobody takes their place before they have
        for one in (second, third):
            one.die("exit code 0")
        await stage.look()
        assert len(stage.played) == 4
        assert stage.played[3].start.index == 1
        assert open_connections(stage.played) == [1, 1]
    stage.checkpoint.close()


async def test_a_sender_that_was_told_to_end_gets_no_shard_and_loses_none(tmp_path: Path) -> None:
    stage = Stage(tmp_path, processes=2, connections=2)
    async with stage.opened():
        stage.begin_pass()
        await settle()
        one, other = stage.played
        one.want()
        one.serve(0)
        await stage.look()
        other.want()
        (lease,) = other.leases
        wish(stage, connections=1)
        await stage.look()
        other.want()
        assert len(other.leases) == 1
        other.serve(lease.numbers[0])
        other.leave()
        other.passed()
        other.die("exit code 0")
        for _ in range(8):
            one.want()
        assert sorted(n for held in one.leases for n in held.numbers) == [
            number for number in range(1000) if number != lease.numbers[0]
        ]
    stage.checkpoint.close()
