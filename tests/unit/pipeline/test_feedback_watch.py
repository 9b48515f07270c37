"""What comes back while a worker sends, from any machine, is heeded before the lists are read again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from campaign.audience.screening.suppression_list import Suppression
from campaign.errors import DamageError, StorageError
from campaign.ledger.feedback.feedback_store import NAME, FeedbackStore
from campaign.model import FeedbackEvent, FeedbackOutcome
from campaign.pipeline.serve.fresh_suppression import FreshSuppression
from campaign.pipeline.workers.feedback import feedback_watch
from campaign.pipeline.workers.feedback.feedback_watch import FeedbackWatch
from tests.support.sent import SentCampaign


def event(
    name: str, outcome: FeedbackOutcome = FeedbackOutcome.HARD, at: float = 1.0, by: str = "token"
) -> FeedbackEvent:
    return FeedbackEvent(f"{name} {outcome} {at}", "test", outcome, at, at, f"{name}@example.com", by)


class Machine:
    """A machine whose watch exchanges with whatever ``others`` adds at each exchange."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.job = SentCampaign(folder).job()
        self.folder, self.closed = self.job.directory, 0
        self.others: list[Callable[[], None]] = []
        monkeypatch.setattr(feedback_watch, "exchange_of", lambda _: self)
        monkeypatch.setattr(feedback_watch, "EXCHANGE_SECONDS", 0.0)

    def exchange(self) -> None:
        if self.others:
            self.others.pop(0)()

    def close(self) -> None:
        self.closed += 1

    def add(self, *events: FeedbackEvent) -> None:
        with FeedbackStore(self.folder) as store:
            store.add(events)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def heeded(machine: Machine) -> tuple[FeedbackWatch, FreshSuppression]:
    """A watch that has worked until the others had nothing more to add."""

    async def work() -> tuple[FeedbackWatch, FreshSuppression]:
        watch, fresh = FeedbackWatch(machine.job), FreshSuppression(Suppression)
        async with watch.working(fresh):
            while machine.others and not watch.failure:  # noqa: ASYNC110 - a thread takes them
                await asyncio.sleep(0)
        return watch, fresh

    return asyncio.run(work())


def test_who_bounced_elsewhere_is_left_out_without_another_reading_of_the_lists(machine: Machine) -> None:
    machine.add(event("before"))
    machine.others = [lambda: machine.add(event("ada")), lambda: machine.add(event("bob")), lambda: None]
    _, fresh = heeded(machine)
    assert [bool(fresh.covers(f"{name}@example.com")) for name in ("ada", "bob", "eve")] == [True, True, False]
    assert fresh.covers("ada@example.com").startswith("hard bounce on")
    assert not fresh.covers("before@example.com")  # that is for the lists, which are read later than the watch begins


def test_who_is_released_in_the_meantime_gets_the_letter(machine: Machine) -> None:
    released = event("ada", FeedbackOutcome.RELEASED, 2.0, "person")
    machine.others = [lambda: machine.add(event("ada")), lambda: machine.add(released), lambda: None]
    _, fresh = heeded(machine)
    assert not fresh.covers("ada@example.com")


def test_a_bounce_that_anybody_could_have_written_leaves_nobody_out(machine: Machine) -> None:
    machine.others = [lambda: machine.add(event("ada", by="address")), lambda: None]
    _, fresh = heeded(machine)
    assert not fresh.covers("ada@example.com")


def test_a_store_that_is_away_is_asked_again(machine: Machine) -> None:
    def away() -> None:
        raise StorageError("The store is away.")

    machine.others = [away, lambda: machine.add(event("ada")), lambda: None]
    watch, fresh = heeded(machine)
    assert watch.failure is None
    assert fresh.covers("ada@example.com")
    assert machine.closed == 2  # once for a new connection, once at the end


def test_damage_is_kept_for_the_run_to_end_with(machine: Machine) -> None:
    def damage() -> None:
        machine.add(event("ada"), event("bob"))
        path = machine.folder / NAME
        path.write_bytes(path.read_bytes().replace(b"ada@", b"eve@"))

    machine.others = [damage, lambda: None]
    watch, _ = heeded(machine)
    assert isinstance(watch.failure, DamageError)
