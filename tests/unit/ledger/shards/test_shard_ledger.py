"""A sender writes each recipient's records into the journal of the shard that holds them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign.errors import InternalError, UnfinishedError
from campaign.ledger.journal.journal_file import JournalFile
from campaign.ledger.journal.journal_records import (
    Intent,
    Leased,
    Opened,
    Pass,
    Record,
    ReservedUpTo,
    VerdictRecord,
    decode,
    encode,
)
from campaign.ledger.shards.lease import Lease
from campaign.ledger.shards.shard_ledger import FileShard, ShardLedger
from campaign.ledger.shards.shard_reader import shard_path
from campaign.ledger.state.run_state import RunState
from campaign.model import Letter, Outcome, Verdict

OPENED = Opened("gazette", "", "run", 1, 100, "plan", {}, "shape", 1.0, "trace")


def letter(number: int) -> Letter:
    return Letter(number, f"<{number}@x>", "a@example.com", f"{number}@example.org", b"x\r\n", bytes([number]) * 32)


class Desk:
    """A sender's ledger, and what it said to its parent."""

    def __init__(self, run: Path, durability: str = "process") -> None:
        self.run, self.parent, self.finished = run, RunState(OPENED), list[int]()
        self.parent.apply(Pass(1, 100.0))
        history = RunState(OPENED)
        history.state[:] = b"\x01" * 100
        self.ledger = ShardLedger(
            history,
            lambda lease: FileShard(run, lease, history, power=durability == "power", clock=lambda: 200.0),
            lambda shard: self.finished.append(shard.span.shard),
        )

    def lease(self, shard: int, *numbers: int, few: bool = False) -> Path:
        lease = Lease.of(self.parent, shard, numbers, few=few)
        path = shard_path(self.run, lease.span)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encode(Leased(*lease.span, 100.0, 100.0, "boot", "process")))
        self.ledger.take(lease)
        return path


def records(path: Path) -> list[Record | None]:
    return [decode(line) for line in path.read_bytes().splitlines()][1:]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.ledger.leave()


def test_each_recipient_is_recorded_in_the_shard_that_holds_it(desk: Desk) -> None:
    one, two = desk.lease(1, 0, 1, 2), desk.lease(2, 10, 12)
    for number in (12, 1):
        desk.ledger.intent(letter(number), "relay")
    desk.ledger.verdict(Outcome(12, Verdict.ACCEPTED, code=250, relay="relay"))
    desk.ledger.settle(0, Verdict.WITHDRAWN, "unsubscribed")
    assert [(type(record), record.number) for record in records(one)] == [(Intent, 1), (VerdictRecord, 0)]
    assert [(type(record), record.number) for record in records(two)] == [(Intent, 12), (VerdictRecord, 12)]


def test_who_is_taken_is_reserved_in_its_own_shard(desk: Desk) -> None:
    one, two = desk.lease(1, 0, 1), desk.lease(2, 10, 12)
    desk.ledger.reserve(10)
    assert records(one) == []
    assert any(isinstance(record, ReservedUpTo) and record.until > 12 for record in records(two))


async def test_a_shard_of_few_reserves_nobody_and_syncs_its_intents(desk: Desk) -> None:
    path = desk.lease(1, 0, 50, few=True)
    desk.ledger.reserve(0)
    assert records(path) == []
    durable = desk.ledger.intent(letter(0), "relay")
    assert durable is not None
    await durable


async def test_under_power_intents_are_synced_in_each_shard(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "power")
    desk.lease(1, 0)
    desk.lease(2, 10)
    waits = [desk.ledger.intent(letter(number), "relay") for number in (0, 10)]
    assert None not in waits
    await asyncio.gather(*[wait for wait in waits if wait is not None])
    desk.ledger.leave()


def test_a_shard_is_finished_with_the_last_verdict_and_its_journal_is_free(desk: Desk) -> None:
    path = desk.lease(1, 0, 1)
    desk.lease(2, 10)
    desk.ledger.verdict(Outcome(0, Verdict.DEFERRED, code=451, relay="relay"), not_before=900.0)
    assert desk.finished == []
    with pytest.raises(UnfinishedError):
        JournalFile(path, tries=1)
    desk.ledger.settle(1, Verdict.UNRENDERABLE, "no name")
    assert desk.finished == [1]
    JournalFile(path, tries=1).close()
    desk.ledger.settle(10, Verdict.WITHDRAWN, "unsubscribed")
    assert desk.finished == [1, 2]


def test_a_verdict_that_comes_again_finishes_nothing_by_itself(desk: Desk) -> None:
    desk.lease(1, 0, 1)
    for _ in range(2):
        desk.ledger.settle(0, Verdict.WITHDRAWN, "unsubscribed")
    assert desk.finished == []


def test_who_leaves_closes_all_shards_whoever_is_left_in_them(desk: Desk) -> None:
    paths = [desk.lease(1, 0, 1), desk.lease(2, 10)]
    desk.ledger.leave()
    assert desk.finished == [1, 2]
    for path in paths:
        JournalFile(path, tries=1).close()
    desk.ledger.leave()
    assert desk.finished == [1, 2]


def test_a_shard_that_another_process_holds_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("campaign.ledger.journal.journal_file.time.sleep", lambda _: None)
    path = desk.lease(1, 0, 1)
    desk.ledger.leave()
    other = JournalFile(path)
    with pytest.raises(UnfinishedError):
        desk.ledger.take(Lease.of(desk.parent, 1, [0, 1], few=False))
    other.close()


def test_who_is_in_no_shard_held_here_is_a_fault_of_the_program(desk: Desk) -> None:
    desk.lease(1, 0, 1)
    with pytest.raises(InternalError, match="Recipient 2 "):
        desk.ledger.reserve(2)


def test_the_date_is_that_of_the_first_try_or_of_the_pass(desk: Desk) -> None:
    desk.parent.apply(VerdictRecord(3, "deferred", 60.0, 451, date=50.0, not_before=70.0))
    desk.lease(1, 3, 4)
    assert (desk.ledger.date_of(3), desk.ledger.date_of(4)) == (50, 100)


def test_the_ballast_is_the_one_of_the_run(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender whose disk is full gives up the room that its parent reserved, to write down a last verdict."""
    import errno
    import os

    path = desk.lease(1, 0, 1)
    desk.ledger.intent(letter(0), "relay")
    (desk.run / "ballast").write_bytes(b"room")
    real = os.write

    def full_until_the_ballast_is_dropped(descriptor: int, data: bytes) -> int:
        if (desk.run / "ballast").exists():
            raise OSError(errno.ENOSPC, "full")
        return real(descriptor, data)

    monkeypatch.setattr("campaign.ledger.journal.journal_file.os.write", full_until_the_ballast_is_dropped)
    desk.ledger.verdict(Outcome(0, Verdict.ACCEPTED, code=250, relay="relay"))
    assert isinstance(records(path)[-1], VerdictRecord)


def test_a_recipient_put_off_before_its_portion_is_rendered_still_has_a_date(desk: Desk) -> None:
    desk.lease(1, 4)
    desk.ledger.verdict(Outcome(4, Verdict.DEFERRED, "its domain has to wait"), 900.0)
    assert desk.finished == [1]
    assert desk.ledger.date_of(4) == 100
