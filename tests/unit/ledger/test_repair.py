"""Saving what can be saved: sound lines stay, doubt takes the place of what was lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from campaign.errors import DamageError, StorageError, UnfinishedError
from campaign.ledger.journal import journal_reader
from campaign.ledger.journal.journal_file import JournalFile, write_whole
from campaign.ledger.journal.journal_records import (
    Intent,
    Leased,
    Merged,
    Opened,
    Pass,
    Record,
    ReservedUpTo,
    Started,
    Synced,
    VerdictRecord,
    decode,
    encode,
)
from campaign.ledger.recovery import read_history
from campaign.ledger.repair import inspect_journal, repair
from campaign.ledger.run_folder import locked
from campaign.ledger.shards.shard_reader import FOLDER, ShardSpan, shard_journals, shard_path
from campaign.model import Verdict
from campaign.system.boot import boot_identity


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    lines = [
        encode(Opened("g", "", "r", 1, 100_000, "p", {}, "shape", 1.0, "t")),
        encode(Started(2.0, "boot", 7, "process")),
        encode(Pass(1, 100)),
        encode(ReservedUpTo(64)),
        encode(Intent(0, "aa", 100.0)),
        encode(VerdictRecord(0, "accepted", 3.0)),
        encode(Intent(1, "bb", 100.0)),
        b"rubbish where a verdict stood\n",
        encode(Intent(2, "cc", 100.0)),
        encode(VerdictRecord(2, "rejected", 3.0)),
    ]
    path = tmp_path / journal_reader.NAME
    path.write_bytes(b"".join(lines))
    return path


def test_inspecting_changes_nothing(damaged: Path) -> None:
    before = damaged.read_bytes()
    assert inspect_journal(damaged).lost_lines == [8]
    assert damaged.read_bytes() == before


def test_whoever_the_lost_lines_may_have_told_of_is_in_doubt_and_nobody_else(damaged: Path) -> None:
    repair(damaged)
    history = read_history(damaged.parent)
    assert history.verdict(0) is Verdict.ACCEPTED
    assert history.verdict(1) is Verdict.IN_DOUBT
    assert history.verdict(2) is Verdict.REJECTED
    assert history.verdict(63) is Verdict.IN_DOUBT
    assert history.verdict(64) is Verdict.WAITING


def test_a_letter_put_in_doubt_keeps_its_date_so_that_it_can_be_sent_again_with_the_same_bytes(damaged: Path) -> None:
    damaged.write_bytes(damaged.read_bytes() + encode(Pass(2, 200)))
    repair(damaged)
    history = read_history(damaged.parent)
    assert history.dates[1] == 100
    assert history.dates[63] == 200


@pytest.mark.parametrize("rest", [[encode(Synced(500))], [b"more rubbish\n"], []])
def test_where_the_lost_line_may_have_raised_the_frontier_a_block_more_is_in_doubt(
    damaged: Path, rest: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("campaign.ledger.repair.LARGEST_BLOCK", 100)
    lines = damaged.read_bytes().splitlines(keepends=True)[:8]
    damaged.write_bytes(b"".join([*lines, *rest]))
    repair(damaged)
    history = read_history(damaged.parent)
    assert history.verdict(163) is Verdict.IN_DOUBT
    assert history.verdict(164) is Verdict.WAITING


def test_two_lost_lines_side_by_side_may_have_raised_the_frontier(
    damaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("campaign.ledger.repair.LARGEST_BLOCK", 100)
    lines = damaged.read_bytes().splitlines(keepends=True)
    damaged.write_bytes(b"".join([*lines[:8], b"more rubbish\n", *lines[8:]]))
    repair(damaged)
    assert read_history(damaged.parent).verdict(163) is Verdict.IN_DOUBT


@pytest.mark.parametrize("number", [0, 1, 4])
@pytest.mark.parametrize(
    "told",
    [
        lambda number: Intent(number, "dd", 5e9),
        lambda number: VerdictRecord(number, "deferred", 3.0, not_before=5e9),
        lambda number: VerdictRecord(number, "deferred", 3.0, date=-1.0),
        lambda number: VerdictRecord(number, "delivered", 3.0),
    ],
)
def test_who_stands_in_a_line_that_no_run_can_hold_is_in_doubt_unless_known_and_nobody_else_is(
    damaged: Path, number: int, told: Callable[[int], Record]
) -> None:
    lines = [line for line in damaged.read_bytes().splitlines(keepends=True) if not line.startswith(b"rubbish")]
    damaged.write_bytes(b"".join([*lines, encode(told(number)), encode(Pass(2, 5_000_000_000))]))
    with pytest.raises(DamageError, match="contradicts itself"):
        read_history(damaged.parent)
    assert repair(damaged).lost_lines == [10, 11]
    history = read_history(damaged.parent, running=True)
    assert [history.verdict(n).value for n in (0, 1, 2)] == ["accepted", "in_doubt", "rejected"]
    assert list(history.numbers(Verdict.IN_DOUBT)) == sorted({1, number} - {0})


@pytest.mark.parametrize("number", [-1, 100_000])
def test_a_line_about_somebody_who_is_not_in_the_plan_is_left_out(damaged: Path, number: int) -> None:
    lines = [line for line in damaged.read_bytes().splitlines(keepends=True) if not line.startswith(b"rubbish")]
    damaged.write_bytes(
        b"".join([*lines, encode(VerdictRecord(number, "accepted", 3.0)), encode(VerdictRecord(1, "accepted", 4.0))])
    )
    assert repair(damaged).lost_lines == [10]
    history = read_history(damaged.parent, running=True)
    assert list(history.numbers(Verdict.ACCEPTED)) == [0, 1]
    assert not list(history.numbers(Verdict.IN_DOUBT))


def test_a_lost_line_stays_lost_where_its_twin_is_sound(damaged: Path) -> None:
    """Lines are told apart by their place: two may say the same."""
    first = encode(VerdictRecord(3, "deferred", 3.0))
    damaged.write_bytes(
        damaged.read_bytes() + encode(Opened("g", "", "r", 1, 100_000, "p", {}, "shape", 1.0, "t")) + first
    )
    assert inspect_journal(damaged).lost_lines == [8, 11]
    assert len(inspect_journal(damaged).lines) == 10


def test_the_damaged_original_is_kept(damaged: Path) -> None:
    before = damaged.read_bytes()
    repair(damaged)
    assert damaged.with_name("checkpoint.journal.damaged-1").read_bytes() == before


def test_a_sound_journal_is_left_alone(damaged: Path) -> None:
    repair(damaged)
    before = damaged.read_bytes()
    assert repair(damaged).lost_lines == []
    assert damaged.read_bytes() == before


def test_without_a_sound_first_line_nothing_can_be_saved(damaged: Path) -> None:
    damaged.write_bytes(b"x" + damaged.read_bytes())
    with pytest.raises(DamageError, match="Nothing can be saved"):
        repair(damaged)


def test_a_run_that_somebody_works_on_is_not_repaired(damaged: Path) -> None:
    before = damaged.read_bytes()
    with locked(damaged.parent.parent), pytest.raises(UnfinishedError):
        repair(damaged)
    assert damaged.read_bytes() == before


def test_nobody_can_begin_while_it_is_repaired(damaged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []

    def meanwhile(path: Path, data: bytes) -> None:
        with pytest.raises(UnfinishedError), locked(path.parent.parent):
            raise AssertionError
        with pytest.raises(UnfinishedError):
            JournalFile(path.parent / journal_reader.NAME)
        found.append(path.name)
        write_whole(path, data)

    monkeypatch.setattr("campaign.ledger.repair.write_whole", meanwhile)
    repair(damaged)
    assert found == ["checkpoint.journal.damaged-1", journal_reader.NAME]


def test_a_run_without_a_journal_gets_none_by_a_repair(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        repair(tmp_path / journal_reader.NAME)
    assert not (tmp_path / journal_reader.NAME).exists()


# -- shards that killed senders left


def in_shards(run: Path) -> list[bytes]:
    """A run of which two shards are left: 10 to 20, of which 10 is merged, and 20 to 30."""
    begin = [
        Opened("g", "", "r", 1, 100_000, "p", {}, "shape", 1.0, "t"),
        Started(2.0, "boot", 7, "process"),
        Pass(1, 100),
        Merged(1, 20, 2),
        Intent(10, "aa", 100.0),
        VerdictRecord(10, "deferred", 3.0, 451, relay="relay", not_before=900.0),
    ]
    shards = {
        ShardSpan(1, 10, 20): [
            Leased(1, 10, 20, 100.0, 2.0, boot_identity(), "process"),
            ReservedUpTo(15),
            *begin[4:],
            Intent(11, "bb", 100.0),
            VerdictRecord(11, "accepted", 4.0),
            Intent(12, "cc", 100.0),
        ],
        ShardSpan(2, 20, 30): [
            Leased(2, 20, 30, 100.0, 2.0, boot_identity(), "process"),
            ReservedUpTo(84),
            Intent(20, "dd", 100.0),
            VerdictRecord(20, "accepted", 5.0),
        ],
    }
    for span, records in shards.items():
        path = shard_path(run, span)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"".join(map(encode, records)))
    (run / journal_reader.NAME).write_bytes(b"".join(map(encode, begin)))
    return [encode(record) for record in begin]


def damage(path: Path, line: int, by: bytes = b"rubbish\n") -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[: line - 1], by, *lines[line:]]))


def test_a_run_with_sound_shards_is_left_alone(tmp_path: Path) -> None:
    lines = in_shards(tmp_path)
    assert repair(tmp_path / journal_reader.NAME).lost == []
    assert (tmp_path / journal_reader.NAME).read_bytes() == b"".join(lines)
    assert len(shard_journals(tmp_path)) == 2


def test_a_damaged_line_of_a_shard_is_told_by_its_file(tmp_path: Path) -> None:
    in_shards(tmp_path)
    damage(shard_path(tmp_path, ShardSpan(1, 10, 20)), 6)
    with pytest.raises(DamageError):
        read_history(tmp_path)
    assert inspect_journal(tmp_path / journal_reader.NAME).lost == ["shards/1-10-20.journal:6"]


def test_whoever_a_lost_line_of_a_shard_may_have_told_of_is_in_doubt_and_nobody_of_another_shard(
    tmp_path: Path,
) -> None:
    in_shards(tmp_path)
    damage(shard_path(tmp_path, ShardSpan(1, 10, 20)), 6)  # that 11 was accepted
    repair(tmp_path / journal_reader.NAME)
    history = read_history(tmp_path, running=True)
    accepted, doubts = list(history.numbers(Verdict.ACCEPTED)), set(history.numbers(Verdict.IN_DOUBT))
    assert accepted == [20]
    assert doubts >= set(range(10, 20))
    assert doubts <= set(range(10, 30))
    assert history.digests[12] == "cc"


def test_of_a_sound_shard_whoever_was_reserved_is_in_doubt_where_another_is_damaged(tmp_path: Path) -> None:
    """A line that was lost with the run's own journal may have told that they were served."""
    in_shards(tmp_path)
    damage(shard_path(tmp_path, ShardSpan(2, 20, 30)), 4)
    repair(tmp_path / journal_reader.NAME)
    history = read_history(tmp_path, running=True)
    assert list(history.numbers(Verdict.IN_DOUBT)) == [10, 12, 13, 14, *range(20, 30)]
    assert history.verdict(15) is Verdict.WAITING


def test_what_shards_tell_is_in_the_repaired_journal_once(tmp_path: Path) -> None:
    in_shards(tmp_path)
    damage(tmp_path / journal_reader.NAME, 3)
    repair(tmp_path / journal_reader.NAME)
    told = [
        (type(one).__name__, one.number)
        for one in journal_reader.read_records(tmp_path / journal_reader.NAME, journal_reader.Reading())
        if isinstance(one, Intent) or (isinstance(one, VerdictRecord) and one.verdict != "in_doubt")
    ]
    assert told == [
        ("Intent", 10), ("VerdictRecord", 10), ("Intent", 11), ("VerdictRecord", 11), ("Intent", 12),
        ("Intent", 20), ("VerdictRecord", 20),
    ]  # fmt: skip
    assert read_history(tmp_path).attempts[10] == 1


def test_the_shards_are_kept_beside_the_repaired_journal_and_are_none_any_more(tmp_path: Path) -> None:
    in_shards(tmp_path)
    path = shard_path(tmp_path, ShardSpan(2, 20, 30))
    damage(path, 3)
    before = path.read_bytes()
    repair(tmp_path / journal_reader.NAME)
    assert shard_journals(tmp_path) == []
    assert (tmp_path / f"{FOLDER}.damaged-1" / path.name).read_bytes() == before
    assert repair(tmp_path / journal_reader.NAME).lost == []


@pytest.mark.parametrize("left", [b"", b"rubbish\n"])
def test_of_a_shard_that_tells_nothing_all_are_in_doubt(tmp_path: Path, left: bytes) -> None:
    in_shards(tmp_path)
    path = shard_path(tmp_path, ShardSpan(2, 20, 30))
    path.write_bytes(left)
    damage(shard_path(tmp_path, ShardSpan(1, 10, 20)), 6)
    repair(tmp_path / journal_reader.NAME)
    doubts = set(read_history(tmp_path, running=True).numbers(Verdict.IN_DOUBT))
    assert doubts == set(range(10, 30))


def test_a_line_about_somebody_of_another_shard_is_lost(tmp_path: Path) -> None:
    in_shards(tmp_path)
    damage(shard_path(tmp_path, ShardSpan(1, 10, 20)), 6, encode(VerdictRecord(200_000, "accepted", 4.0)))
    assert inspect_journal(tmp_path / journal_reader.NAME).lost == ["shards/1-10-20.journal:6"]


def test_a_torn_end_of_a_shard_is_no_damage(tmp_path: Path) -> None:
    in_shards(tmp_path)
    path = shard_path(tmp_path, ShardSpan(2, 20, 30))
    path.write_bytes(path.read_bytes()[:-4])
    assert inspect_journal(tmp_path / journal_reader.NAME).lost == []


def test_a_letter_tried_again_in_a_shard_of_few_is_in_doubt_though_its_first_intent_says_the_same(
    tmp_path: Path,
) -> None:
    """A shard of few reserves nobody, so its intents alone tell who was taken."""
    lines = in_shards(tmp_path)
    (tmp_path / journal_reader.NAME).write_bytes(b"".join([*lines, encode(Pass(2, 950.0))]))
    for _, path in shard_journals(tmp_path):
        path.unlink()
    first = [encode(Leased(shard, shard * 10, shard * 10 + 5, 950.0, 951.0, "boot", "process")) for shard in (1, 2)]
    shard_path(tmp_path, ShardSpan(1, 10, 15)).write_bytes(first[0] + lines[4])
    shard_path(tmp_path, ShardSpan(2, 20, 25)).write_bytes(first[1] + b"rubbish\n")
    repair(tmp_path / journal_reader.NAME)
    history = read_history(tmp_path, running=True)
    assert list(history.numbers(Verdict.IN_DOUBT)) == [10, *range(20, 25)]


def test_what_was_merged_in_another_spelling_of_a_number_is_told_once(tmp_path: Path) -> None:
    """The process merges a shard's octets as they stand, and the next command the records in them."""
    in_shards(tmp_path)
    path = shard_path(tmp_path, ShardSpan(1, 10, 20))
    path.write_bytes(b"".join(encode(one) for one in _integers(path)))
    damage(tmp_path / journal_reader.NAME, 2)
    repair(tmp_path / journal_reader.NAME)
    assert read_history(tmp_path).attempts[10] == 1


def _integers(path: Path) -> list[Record]:
    """The records of a journal, with whole numbers in place of such dates."""
    found = []
    for line in path.read_bytes().splitlines():
        record = decode(line)
        assert record is not None
        if isinstance(record, Intent):
            record = Intent(record.number, record.sha256, int(record.date), record.relay)
        if isinstance(record, VerdictRecord):
            record = VerdictRecord(
                record.number, record.verdict, int(record.at), record.code, relay=record.relay,
                not_before=int(record.not_before),
            )  # fmt: skip
        found.append(record)
    return found


def test_the_shards_are_locked_while_they_are_repaired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("campaign.ledger.journal.journal_file.time.sleep", lambda _: None)
    in_shards(tmp_path)
    damage(tmp_path / journal_reader.NAME, 2)
    working = JournalFile(shard_path(tmp_path, ShardSpan(2, 20, 30)))
    before = (tmp_path / journal_reader.NAME).read_bytes()
    with pytest.raises(UnfinishedError):
        repair(tmp_path / journal_reader.NAME)
    working.close()
    assert (tmp_path / journal_reader.NAME).read_bytes() == before
