"""How many workers a pool wants, and what a rate set by an operator means to a process that begins."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from campaign.config.delivery import DeliverySection
from campaign.config.units import Rate
from campaign.delivery.control_file import Control, write_control
from campaign.delivery.pacing.throttle import Throttle
from campaign.delivery.queue.admission import Admission
from campaign.delivery.queue.backlog import Backlog
from campaign.delivery.relays.relay import Relay
from campaign.delivery.replies.classify import Rules
from campaign.delivery.send.connection_pool import ConnectionPool
from campaign.delivery.send.dispatcher import Dispatcher
from campaign.delivery.send.worker import Worker
from campaign.errors import StorageError
from campaign.model import Recipient

RELAYS = [Relay(f"smtp://{host}:25", host, 25, "none") for host in ("a", "b")]
WEIGHTED = [Relay(f"smtp://{host}:25", host, 25, "none", weight=1.0) for host in ("a", "b")]


def nothing(*_: Any, **__: Any) -> None:
    return None


async def test_no_worker_is_wanted_that_could_not_dial() -> None:
    """It would end at once and be wanted again, as fast as the processor can, until the dial before it is over."""
    pool = ConnectionPool(
        DeliverySection(), RELAYS, Any, clock=lambda: 0.0, rules=Rules.load(), throttles=lambda _: Throttle(()),
        fail=nothing, grow=nothing, resent=lambda _: False,
    )  # fmt: skip
    recipients = iter([Recipient(0, "u@b.example", "u", "", 1, {})])
    pool.begin(Admission(Backlog(recipients, 900.0), lambda: 0.0, 900.0), nothing)
    first, second = pool.selector.states
    pool.selector.accepted(first)
    assert pool.wants_worker(1, 1)
    pool.selector.failed(first, "it is down", 1e9)
    assert pool.wants_worker(1, 0)
    assert pool.may_dial(second)
    assert not pool.wants_worker(1, 1)


async def test_a_rate_that_was_set_before_the_process_began_is_in_force(tmp_path: Path) -> None:
    write_control(tmp_path, rate="1/s")
    control, throttle = Control(tmp_path), Throttle(())
    control.poll(0.0)
    dispatcher = Dispatcher(DeliverySection(), RELAYS, Any, control=control, throttles=lambda _: throttle)
    await dispatcher.serve_pass(iter(()), nothing)
    assert throttle.limits == (Rate(1, 1.0),)


async def test_an_account_that_cannot_be_opened_during_a_pass_ends_the_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is opened once the first relay fails and a worker has ended, where nobody would see an exception."""

    class FirstRelayFails(Worker):
        async def run(self) -> None:
            self._pool.selector.failed(self._pool.selector.states[0], "it is down", 1e9)

    def throttle(relay: Relay) -> Throttle:
        if relay.name != WEIGHTED[0].name:
            raise StorageError("The pacing state cannot be kept.")
        return Throttle(())

    monkeypatch.setattr("campaign.delivery.send.dispatcher.Worker", FirstRelayFails)
    dispatcher = Dispatcher(DeliverySection(), WEIGHTED, Any, throttles=throttle)
    recipients = iter([Recipient(0, "u@b.example", "u", "", 1, {})])
    with pytest.raises(StorageError):
        await asyncio.wait_for(dispatcher.serve_pass(recipients, nothing), 2)


async def test_a_pass_over_weighted_relays_begins_with_a_worker_though_the_limit_is_used_up() -> None:
    """Without one the pass would be over at once, as if it had nobody."""
    full = Throttle([Rate(1, 60.0)])
    full.spend("a.example", 0.0)
    pool = ConnectionPool(
        DeliverySection(), WEIGHTED, Any, clock=lambda: 0.0, rules=Rules.load(), throttles=lambda _: full,
        fail=nothing, grow=nothing, resent=lambda _: False,
    )  # fmt: skip
    recipients = iter([Recipient(0, "u@b.example", "u", "", 1, {})])
    pool.begin(Admission(Backlog(recipients, 900.0), lambda: 0.0, 900.0), nothing)
    assert pool.wants_worker(0, 0)
    assert not pool.wants_worker(1, 0)
