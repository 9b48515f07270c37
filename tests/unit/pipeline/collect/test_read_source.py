"""A source is read in batches: kept, synced, and only then acknowledged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from campaign.errors import CampaignError, InputError, StorageError, UnfinishedError
from campaign.feedback.feedback_source import Handled, Received
from campaign.model import FeedbackEvent, FeedbackOutcome
from campaign.pipeline.collect.collect_tally import CollectTally
from campaign.pipeline.collect.judge_notice import Judged
from campaign.pipeline.collect.read_source import SourceReader

GONE = UnfinishedError("It broke off.")


class Told:
    """A source, a store and a record of what they were told, in order."""

    name = "fake"

    def __init__(self, count: int, *, breaks_after: int | None = None, deaf: bool = False, full: str = "") -> None:
        self.count, self.breaks_after, self.deaf, self.full = count, breaks_after, deaf, full
        self.told: list[str] = []
        self.ids: set[str] = set()

    def size(self) -> int | None:
        return self.count

    def receive(self) -> Iterator[Received]:
        for number in range(self.count):
            if number == self.breaks_after:
                raise GONE
            yield Received(str(number), (), number)

    def acknowledge(self, handled: Sequence[Handled]) -> None:
        if self.deaf:
            raise GONE
        self.told.append("acknowledged " + " ".join(str(one.receipt) for one in handled))

    def close(self) -> None:
        pass

    def add(self, events: list[FeedbackEvent]) -> int:
        if self.full == "add":
            raise StorageError("It is full.")
        self.told.append("kept " + " ".join(one.id for one in events))
        new = {one.id for one in events} - self.ids
        self.ids |= new
        return len(new)

    def sync(self) -> None:
        if self.full == "sync":
            raise StorageError("It is full.")
        self.told.append("synced")


def judged(received: Received) -> Judged:
    event = FeedbackEvent(received.id, "fake", FeedbackOutcome.HARD, 1.0, 1.0, "ada@example.com")
    return Judged((event,), recognised=True)


def nobodys(_: Received) -> Judged:
    return Judged((), recognised=False)


def read(told: Told, judge=judged, batch: int = 2) -> CollectTally:
    tally = CollectTally()
    SourceReader(told, judge, tally, batch=batch).read(told)
    return tally


def test_each_batch_is_kept_and_synced_before_it_is_acknowledged() -> None:
    told = Told(3)
    tally = read(told)
    assert told.told == ["kept 0 1", "synced", "acknowledged 0 1", "kept 2", "synced", "acknowledged 2"]
    assert (tally.received, tally.new, tally.failures) == (3, 3, [])


def test_what_came_before_a_break_is_kept_and_the_break_is_told_once() -> None:
    told = Told(9, breaks_after=3)
    assert read(told).failures == [GONE]
    assert told.told[-3:] == ["kept 2", "synced", "acknowledged 2"]
    told = Told(9, breaks_after=3, deaf=True)
    assert read(told).failures == [GONE]


def test_a_source_that_cannot_be_told_is_read_no_further() -> None:
    told = Told(9, deaf=True)
    assert read(told).failures == [GONE]
    assert told.told == ["kept 0 1", "synced"]


@pytest.mark.parametrize("full", ["add", "sync"])
def test_nothing_is_acknowledged_that_could_not_be_kept(full: str) -> None:
    told = Told(5, full=full)
    with pytest.raises(StorageError):
        read(told)
    assert not [one for one in told.told if one.startswith("acknowledged")]


def test_what_is_read_again_is_acknowledged_again_and_kept_once() -> None:
    told = Told(2)
    read(told)
    tally = read(told)
    assert (tally.events, tally.new) == (2, 0)
    assert told.told[-1] == "acknowledged 0 1"


def test_things_about_nobody_are_acknowledged_in_larger_batches_and_nothing_is_synced_for_them() -> None:
    told = Told(25)
    read(told, nobodys)
    assert [one.count(" ") for one in told.told] == [20, 5]


def test_progress_is_told_each_time() -> None:
    seen: list[int] = []
    SourceReader(Told(3), judged, CollectTally(), seen.append).read(Told(3))
    assert seen == [1, 2, 3]


def test_the_tally_is_a_table_for_people_and_an_object_for_programs() -> None:
    tally = CollectTally(sources=1)
    tally.add(judged(Received("1", ())))
    tally.add(nobodys(Received("2", ())))
    tally.new, tally.settled, tally.left_out = 1, 2, 3
    tally.failures.append(InputError("One source is gone.", next_step="see to it"))
    assert tally.text(1.5).split("\n") == [
        "collected 2 messages from 1 source in 1.5s, 1 new event",
        "  hard                                      1",
        "2 letters in doubt settled as accepted",
        "3 addresses left out of what is sent from now on",
    ]
    expected = {
        "sources": 1,
        "received": 2,
        "events": 1,
        "new": 1,
        "not_recognised": 0,
        "outcomes": [{"outcome": "hard", "class": None, "events": 1}],
        "settled": 2,
        "left_out": 3,
        "reports": 0,
        "failures": ["One source is gone."],
    }
    assert {name: value for name, value in tally.facts().items() if name in expected} == expected


def test_failures_are_errors_of_ours() -> None:
    class Broken(Told):
        def receive(self) -> Iterator[Received]:
            raise CampaignError("no")

    assert [str(one) for one in read(Broken(1)).failures] == ["no"]
