"""A pass is cut into shards, what senders write is merged, and whoever a sender leaves is in a later shard."""

from __future__ import annotations

import errno
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign.errors import StorageError, UnfinishedError
from campaign.ledger.checkpoint import ENDED, Checkpoint, create
from campaign.ledger.journal import journal_reader
from campaign.ledger.journal.journal_file import JournalFile
from campaign.ledger.journal.journal_records import (
    Intent,
    Leased,
    Merged,
    Opened,
    Record,
    ReservedUpTo,
    VerdictRecord,
    decode,
    encode,
)
from campaign.ledger.recovery import read_history, read_run
from campaign.ledger.shards.lease import Lease
from campaign.ledger.shards.shard_reader import FOLDER, shard_journals, shard_path
from campaign.ledger.shards.shard_store import LARGEST, SMALLEST, ShardStore
from campaign.model import Verdict
from tests.support.kills import WHENS, Killed, When, kill

NOW, PEOPLE = 1000.0, 100_000


class Desk:
    """The run's process: its checkpoint and its store; `write` is a sender."""

    def __init__(self, run: Path, senders: int = 2, durability: str = "process") -> None:
        self.run, self.durability = run, durability
        create(run, Opened("gazette", "", "run", 1, PEOPLE, "plan", {}, "shape", 1.0, "trace"))
        self.checkpoint = Checkpoint(run, boot="boot", durability=durability, clock=lambda: NOW)
        self.checkpoint.begin_pass()
        self.store = ShardStore(self.checkpoint, durability, senders, lambda: NOW)

    @property
    def history(self):  # type: ignore[no-untyped-def]
        return self.checkpoint.history

    def begin(self, count: int = PEOPLE, *, few: bool = False) -> None:
        self.store.begin(range(count), count, few=few)

    def lease(self, most: int = LARGEST) -> Lease:
        lease = self.store.lease(most)
        assert lease is not None
        return lease

    def write(self, lease: Lease, *records: Record) -> None:
        with shard_path(self.run, lease.span).open("ab") as file:
            file.write(b"".join(map(encode, records)))


def intent(number: int) -> Intent:
    return Intent(number, f"{number:064x}", NOW, "relay")


def accepted(number: int) -> VerdictRecord:
    return VerdictRecord(number, "accepted", NOW + 1, 250, relay="relay", took=0.1)


def served(*numbers: int) -> list[Record]:
    return [record for number in numbers for record in (intent(number), accepted(number))]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.checkpoint.close()


# -- cutting


def test_a_pass_is_on_disk_before_anybody_is_taken_in_it(desk: Desk) -> None:
    """Its date is that of letters whose intent a loss of power took, and they are sent again with the same bytes."""
    size = (desk.run / journal_reader.NAME).stat().st_size
    assert desk.history.synced < size
    desk.begin()
    assert desk.history.synced == size


def test_shards_begin_large_and_end_small_and_hold_everybody_once(desk: Desk) -> None:
    desk.begin()
    sizes, numbers = [], []
    while (lease := desk.store.lease(LARGEST)) is not None:
        sizes.append(len(lease.numbers))
        numbers += lease.numbers
    assert numbers == list(range(PEOPLE))
    assert sizes[0] == LARGEST
    assert sizes == sorted(sizes, reverse=True)
    assert SMALLEST in sizes
    assert min(sizes[:-1]) == SMALLEST


@pytest.mark.parametrize(
    ("senders", "people", "size"),
    [(2, 100_000, LARGEST), (2, 16_000, 2_000), (4, 16_000, 1_000), (4, 1_000, SMALLEST), (4, 30, 30)],
)
def test_the_first_shard_is_a_quarter_of_each_senders_part_within_bounds(
    tmp_path: Path, senders: int, people: int, size: int
) -> None:
    desk = Desk(tmp_path, senders)
    desk.begin(people)
    assert len(desk.lease().numbers) == size
    desk.checkpoint.close()


def test_no_shard_holds_more_than_may_be_sent(desk: Desk) -> None:
    desk.begin()
    assert list(desk.lease(3).numbers) == [0, 1, 2]
    assert desk.lease(1).numbers[0] == 3


def test_a_shard_has_a_durable_journal_before_anybody_hears_of_it(desk: Desk) -> None:
    desk.begin()
    lease = desk.lease(10)
    (line,) = shard_path(desk.run, lease.span).read_bytes().splitlines()
    assert decode(line) == Leased(1, 0, 10, NOW, NOW, "boot", "process")


def test_a_pass_without_anybody_has_no_shard(desk: Desk) -> None:
    desk.begin(0)
    assert desk.store.lease(LARGEST) is None
    assert shard_journals(desk.run) == []


def test_a_new_pass_forgets_who_came_back_in_the_last_one(desk: Desk) -> None:
    desk.begin(10)
    desk.lease()
    desk.store.take_back(1)
    desk.store.begin(iter([3]), 1, few=False)
    assert list(desk.lease().numbers) == [3]
    assert desk.store.lease(LARGEST) is None


# -- merging


def test_what_a_sender_wrote_is_in_the_runs_journal_at_the_next_look_and_only_once(desk: Desk) -> None:
    desk.begin()
    one, two = desk.lease(10), desk.lease(10)
    desk.write(one, *served(0), intent(1))
    desk.write(two, *served(10))
    assert [line.record for line in desk.store.follow()] == [*served(0), intent(1), *served(10)]
    assert desk.store.follow() == []
    told = [record for record in read_run(desk.run) if isinstance(record, Intent | VerdictRecord | Merged)]
    assert told == [Merged(1, 10, 3), *served(0), intent(1), Merged(2, 20, 2), *served(10)]
    assert (desk.history.verdict(0), desk.history.verdict(1)) == (Verdict.ACCEPTED, Verdict.WAITING)
    assert list(desk.history.pending) == [1]


def test_a_shard_that_was_left_is_merged_synced_and_removed(desk: Desk) -> None:
    desk.begin(2)
    desk.write(desk.lease(), *served(0, 1))
    synced = desk.history.synced
    desk.store.finish(1)
    assert shard_journals(desk.run) == []
    assert desk.history.synced > synced
    assert desk.history.tally()["accepted"] == 2
    assert desk.store.lease(LARGEST) is None


def test_who_has_no_verdict_in_a_shard_that_was_left_is_in_the_next(desk: Desk) -> None:
    desk.begin(6)
    desk.write(desk.lease(4), *served(0, 2))
    desk.store.finish(1)
    assert list(desk.lease().numbers) == [1, 3]
    assert list(desk.lease().numbers) == [4, 5]


def test_a_shard_taken_back_gives_its_doubts_and_whoever_is_due_is_in_a_later_one(desk: Desk) -> None:
    desk.begin(8)
    lease = desk.lease(5)
    put_off = VerdictRecord(3, "deferred", NOW + 1, 451, relay="relay", not_before=NOW + 300)
    desk.write(lease, *served(0), intent(1))
    desk.store.follow()
    desk.write(lease, intent(3), put_off, intent(4))
    closed = desk.store.take_back(1)
    assert ([line.record for line in closed.lines], closed.returned) == ([intent(3), put_off, intent(4)], 1)
    assert list(desk.history.numbers(Verdict.IN_DOUBT)) == [1, 4]
    assert {desk.history.digests[number] for number in (1, 4)} == {intent(1).sha256, intent(4).sha256}
    assert not desk.history.pending
    assert list(desk.lease().numbers) == [2]
    assert list(desk.lease().numbers) == [5, 6, 7]
    told = [one for one in read_run(desk.run) if isinstance(one, VerdictRecord) and one.verdict == "in_doubt"]
    assert [(one.number, one.reason, one.counted) for one in told] == [(1, ENDED, False), (4, ENDED, False)]


def test_of_a_shard_taken_back_nobody_else_is_in_doubt_by_a_later_loss_of_power(desk: Desk) -> None:
    desk.begin(5)
    lease = desk.lease()
    desk.write(lease, ReservedUpTo(64), intent(0))
    path = shard_path(desk.run, lease.span)
    kept = path.read_bytes()
    desk.store.take_back(1)
    path.write_bytes(kept)  # the loss of power came before it was removed
    desk.checkpoint.close()
    desk.checkpoint = Checkpoint(desk.run, boot="another", clock=lambda: NOW)
    assert list(desk.history.numbers(Verdict.IN_DOUBT)) == [0]


def test_whoever_came_back_is_cut_again_where_fewer_may_be_sent(desk: Desk) -> None:
    desk.begin(6)
    desk.lease(5)
    desk.store.take_back(1)
    assert list(desk.lease(2).numbers) == [0, 1]
    assert list(desk.lease(2).numbers) == [2, 3]
    assert list(desk.lease().numbers) == [4]
    assert list(desk.lease().numbers) == [5]


@pytest.mark.parametrize("step", ["finish", "take_back"])
def test_nobody_is_tried_again_in_the_same_pass_though_the_clock_was_set_back_meanwhile(desk: Desk, step: str) -> None:
    desk.begin(6)
    lease = desk.lease(3)
    put_off = [VerdictRecord(n, "deferred", NOW - 500, 451, relay="relay", not_before=NOW - 200) for n in (0, 1)]
    desk.write(lease, intent(0), put_off[0])
    desk.store.follow()
    desk.write(lease, intent(1), put_off[1])
    assert getattr(desk.store, step)(1).returned == 1
    assert list(desk.lease().numbers) == [2]


def test_a_torn_last_line_of_a_dead_sender_is_nothing_that_happened(desk: Desk) -> None:
    desk.begin(2)
    lease = desk.lease()
    desk.write(lease, intent(0))
    with shard_path(desk.run, lease.span).open("ab") as file:
        file.write(encode(intent(1))[:-3])
    desk.store.take_back(1)
    assert list(desk.history.numbers(Verdict.IN_DOUBT)) == [0]
    assert list(desk.lease().numbers) == [1]


def test_a_sender_that_still_writes_is_not_taken_for_dead(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("campaign.ledger.journal.journal_file.time.sleep", lambda _: None)
    desk.begin(2)
    alive = JournalFile(shard_path(desk.run, desk.lease().span))
    with pytest.raises(UnfinishedError):
        desk.store.take_back(1)
    alive.close()


def test_the_ranges_of_shards_never_overlap_however_often_they_come_back(desk: Desk) -> None:
    desk.begin(400)
    held: dict[int, Lease] = {}
    for turn in itertools.count():
        if (lease := desk.store.lease(60)) is not None:
            for other in held.values():
                assert lease.span.beyond <= other.span.first or other.span.beyond <= lease.span.first
            held[lease.span.shard] = lease
            desk.write(lease, *served(*lease.numbers[turn % 3 :: 3]))
        elif not held:
            break
        if len(held) == 3 or lease is None:
            shard = min(held)
            [desk.store.finish, desk.store.take_back][turn % 2](shard)
            del held[shard]
    assert desk.history.tally()["accepted"] == 400
    assert turn > 12


# -- failures


def test_after_a_merge_that_failed_nothing_is_merged_or_removed_and_the_next_command_merges_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.begin(40)
    one, two = desk.lease(10), desk.lease(10)
    desk.write(one, *served(0), intent(1))
    desk.write(two, *served(10, 11))

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("campaign.ledger.journal.journal_file.os.write", full)
    with pytest.raises(StorageError, match="cannot be written"):
        desk.store.follow()
    monkeypatch.undo()
    before = (desk.run / journal_reader.NAME).read_bytes()
    desk.write(two, intent(12))
    for again in (desk.store.follow, lambda: desk.store.finish(2), lambda: desk.store.take_back(1)):
        with pytest.raises(StorageError, match="cannot be written"):
            again()
    assert (desk.run / journal_reader.NAME).read_bytes() == before
    assert len(shard_journals(desk.run)) == 2
    desk.checkpoint.close()
    reopened = Checkpoint(desk.run, boot="boot", clock=lambda: NOW)
    assert list(reopened.history.numbers(Verdict.ACCEPTED)) == [0, 10, 11]
    assert list(reopened.history.numbers(Verdict.IN_DOUBT)) == [1, 12]
    desk.checkpoint = reopened


@pytest.mark.parametrize("step", ["finish", "take_back"])
@pytest.mark.parametrize("when", WHENS)
def test_a_kill_while_a_shard_is_closed_loses_nothing_and_tells_nothing_twice(
    tmp_path: Path, step: str, when: When
) -> None:
    records = [*served(0), VerdictRecord(1, "deferred", NOW + 1, 451, relay="relay", not_before=NOW + 9), intent(2)]
    at, killed = 0, True
    while killed:
        folder = tmp_path / str(at)
        folder.mkdir()
        desk = Desk(folder)
        desk.begin(10)
        lease = desk.lease()
        desk.write(lease, *records[:2])
        desk.store.follow()
        desk.write(lease, *records[2:])
        with kill(at, when):
            try:
                getattr(desk.store, step)(1)
            except Killed:
                at += 1
            else:
                killed = False
        desk.checkpoint._file.close()
        Checkpoint(folder, boot="boot", clock=lambda: NOW, history=read_history(folder)).close()
        history = read_history(folder)
        assert [history.verdict(number).value for number in range(4)] == ["accepted", "deferred", "in_doubt", "waiting"]
        assert (history.attempts[0], history.attempts[1]) == (1, 1)
        assert sum(isinstance(record, Intent) for record in read_run(folder)) == 2
        assert not (folder / FOLDER).exists()
    assert at > 3


def test_a_journal_that_cannot_be_removed_is_an_error(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.begin(2)
    desk.write(desk.lease(), *served(0, 1))

    def refuse(self: Path, *, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, "read-only")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(StorageError, match="cannot be written"):
        desk.store.finish(1)


def test_the_folder_goes_with_its_last_shard_and_not_before(desk: Desk) -> None:
    desk.begin(2)
    desk.lease()
    desk.store.close()
    assert (desk.run / FOLDER).is_dir()
    desk.store.take_back(1)
    desk.store.close()
    assert not (desk.run / FOLDER).exists()
    desk.store.close()


def test_a_file_where_the_folder_belongs_is_an_error(desk: Desk) -> None:
    shutil.rmtree(desk.run / FOLDER)
    (desk.run / FOLDER).write_bytes(b"in the way")
    desk.begin(2)
    with pytest.raises(StorageError, match="cannot be written"):
        desk.store.lease(LARGEST)
