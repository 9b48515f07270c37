"""A shard's journal is read while it grows, and whole after its sender has ended, whatever state it is in."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.errors import DamageError, StorageError
from campaign.ledger.journal.journal_reader import Reading, read_records
from campaign.ledger.journal.journal_records import (
    Intent,
    Leased,
    Merged,
    Opened,
    ReservedUpTo,
    Synced,
    VerdictRecord,
    encode,
)
from campaign.ledger.shards.shard_reader import (
    ShardReader,
    ShardSpan,
    leftovers,
    read_leftover,
    shard_journals,
    shard_path,
)
from campaign.ledger.state.run_state import RunState

SPAN = ShardSpan(3, 10, 20)
OPENED = Opened("gazette", "", "run", 1, 100, "plan", {}, "shape", 1.0, "trace")
LEASED = Leased(3, 10, 20, 100.0, 100.0, "boot", "process")
INTENT, TAKEN = Intent(10, "aa", 100.0, "relay"), VerdictRecord(10, "accepted", 101.0, 250, relay="relay", took=0.1)
NEXT = Intent(11, "bb", 100.0, "relay")


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = shard_path(tmp_path, SPAN)
    path.parent.mkdir()
    path.write_bytes(encode(LEASED))
    return path


def write(path: Path, *lines: bytes) -> None:
    with path.open("ab") as file:
        file.write(b"".join(lines))


def told(reader: ShardReader) -> list[object]:
    return [line.record for line in reader.new_lines()]


def reading(*lines: bytes, folder: Path) -> Reading:
    path, found = folder / "read.journal", Reading()
    path.write_bytes(encode(OPENED) + b"".join(lines))
    list(read_records(path, found))
    return found


# -- while it grows


def test_only_intents_and_verdicts_are_told_and_each_once(journal: Path) -> None:
    reader = ShardReader(journal)
    assert told(reader) == []
    write(journal, encode(ReservedUpTo(64)), encode(Synced(9)), encode(INTENT), encode(TAKEN))
    assert told(reader) == [INTENT, TAKEN]
    assert told(reader) == []
    write(journal, encode(NEXT))
    assert told(reader) == [NEXT]
    assert reader.merged == 3


def test_a_half_line_at_the_end_is_told_once_it_is_whole(journal: Path) -> None:
    reader, line = ShardReader(journal), encode(INTENT)
    for piece in (line[:1], line[1:-1]):
        write(journal, piece)
        assert told(reader) == []
    write(journal, line[-1:], encode(TAKEN)[:20])
    assert told(reader) == [INTENT]
    assert reader.merged == 1


def test_lines_over_the_edge_of_a_chunk_are_whole(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("campaign.ledger.shards.shard_reader._CHUNK", 300)
    records = [Intent(number, f"{number:064x}", 100.0, "relay") for number in range(10, 20)]
    write(journal, *map(encode, records), b"half")
    reader = ShardReader(journal)
    assert told(reader) == records
    assert reader.merged == len(records)


def test_the_octets_of_a_line_are_those_in_the_file(journal: Path) -> None:
    write(journal, encode(INTENT), encode(TAKEN))
    assert b"".join(line.octets for line in ShardReader(journal).new_lines()) == encode(INTENT) + encode(TAKEN)


def test_a_damaged_line_is_refused_with_the_command_that_saves_the_rest(journal: Path) -> None:
    write(journal, encode(INTENT).replace(b"aa", b"ab"), encode(TAKEN))
    with pytest.raises(DamageError) as refused:
        ShardReader(journal).new_lines()
    assert str(journal) in str(refused.value.evidence)
    assert f"campaign repair {journal.parent.parent} --dry-run" in refused.value.next_step


def test_a_journal_that_vanishes_is_an_error_of_storage_and_not_one_of_ours(journal: Path) -> None:
    reader = ShardReader(journal)
    journal.unlink()
    with pytest.raises(StorageError, match="cannot be read"):
        reader.new_lines()


# -- after its sender has ended


def test_what_is_left_is_what_the_runs_own_journal_lacks(journal: Path) -> None:
    write(journal, encode(ReservedUpTo(18)), encode(INTENT), encode(TAKEN), encode(NEXT))
    for merged, left in ((0, [INTENT, TAKEN, NEXT]), (2, [NEXT]), (3, [])):
        found = read_leftover(SPAN, journal, merged, "boot")
        assert [line.record for line in found.lines] == left
        assert found.frontier == 18
        assert found.leased == LEASED


def test_a_torn_last_line_is_no_damage_and_not_told(journal: Path) -> None:
    write(journal, encode(INTENT), encode(TAKEN)[:-5])
    assert [line.record for line in read_leftover(SPAN, journal, 0, "boot").lines] == [INTENT]


def test_a_last_line_that_lacks_only_its_line_feed_is_merged_with_one(journal: Path) -> None:
    write(journal, encode(INTENT)[:-1])
    assert [line.octets for line in read_leftover(SPAN, journal, 0, "boot").lines] == [encode(INTENT)]


@pytest.mark.parametrize("first", [b"", b"rubbish\n", encode(INTENT), encode(LEASED)[:-9]])
def test_a_first_line_that_is_no_lease_is_damage(journal: Path, first: bytes) -> None:
    journal.write_bytes(first)
    with pytest.raises(DamageError):
        read_leftover(SPAN, journal, 0, "boot")


def test_damage_is_refused_with_its_line_and_the_run_to_repair(journal: Path) -> None:
    write(journal, encode(INTENT), b"rubbish\n", encode(NEXT))
    with pytest.raises(DamageError) as refused:
        read_leftover(SPAN, journal, 0, "boot")
    assert f"{journal}:3:" in str(refused.value.evidence)
    assert f"campaign repair {journal.parent.parent} --dry-run" in refused.value.next_step


@pytest.mark.parametrize(("mark", "refused"), [(0, False), (10_000, True)])
def test_after_a_loss_of_power_damage_past_the_last_sync_is_a_torn_end(journal: Path, mark: int, refused: bool) -> None:
    write(journal, encode(INTENT), b"rubbish\n", encode(Synced(mark)) if mark else b"")
    if refused:
        with pytest.raises(DamageError):
            read_leftover(SPAN, journal, 0, "another boot")
    else:
        assert [line.record for line in read_leftover(SPAN, journal, 0, "another boot").lines] == [INTENT]


@pytest.mark.parametrize(
    ("durability", "boot", "frontier", "taken"),
    [
        ("process", "another", 15, [11, 12, 13, 14]),
        ("process", "another", 64, list(range(11, 20))),
        ("process", "another", 0, []),
        ("process", "boot", 15, []),
        ("power", "another", 15, []),
    ],
    ids=["up to the frontier", "within the shard", "nobody was reserved", "a kill", "synced intents"],
)
def test_who_may_have_been_taken_without_a_record(
    journal: Path, durability: str, boot: str, frontier: int, taken: list[int]
) -> None:
    journal.write_bytes(encode(Leased(3, 10, 20, 100.0, 100.0, "boot", durability)))
    write(journal, encode(ReservedUpTo(frontier)) if frontier else b"", encode(INTENT), encode(TAKEN))
    history, found = RunState(OPENED), read_leftover(SPAN, journal, 0, boot)
    for line in found.lines:
        history.apply(line.record)
    assert found.taken(history, boot) == taken


def test_who_waits_for_a_later_pass_was_not_taken_in_this_one(journal: Path) -> None:
    write(journal, encode(ReservedUpTo(13)))
    history = RunState(OPENED)
    history.apply(VerdictRecord(11, "deferred", 50.0, 451, not_before=500.0))
    assert read_leftover(SPAN, journal, 0, "another").taken(history, "another") == [10, 12]


# -- all of a run


def test_journals_are_listed_by_number_and_other_files_are_not(tmp_path: Path, journal: Path) -> None:
    for name in ("12-30-40.journal", "4-20-30.journal", "4-20-30.journal.tmp", "notes.txt", "x-1-2.journal"):
        (journal.parent / name).write_bytes(b"")
    assert [span for span, _ in shard_journals(tmp_path)] == [SPAN, ShardSpan(4, 20, 30), ShardSpan(12, 30, 40)]
    assert shard_journals(tmp_path / "elsewhere") == []


def test_of_a_shard_that_was_closed_nothing_is_left_even_if_its_file_is_there(tmp_path: Path, journal: Path) -> None:
    write(journal, encode(INTENT), encode(TAKEN))
    merged = [encode(Merged(3, 20, 2)), encode(INTENT), encode(TAKEN)]
    assert [one.lines for one in leftovers(tmp_path, reading(*merged, folder=tmp_path), "boot")] == [[]]
    closed = reading(*merged, encode(Merged(3, 20, 0, closed=True)), folder=tmp_path)
    assert list(leftovers(tmp_path, closed, "boot")) == []


def test_a_closed_shard_is_not_even_read(tmp_path: Path, journal: Path) -> None:
    journal.write_bytes(b"rubbish\n")
    assert list(leftovers(tmp_path, reading(encode(Merged(3, 20, 0, closed=True)), folder=tmp_path), "boot")) == []


def test_a_journal_removed_meanwhile_was_merged_by_a_command_at_work(
    tmp_path: Path, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = shard_journals(tmp_path)
    monkeypatch.setattr("campaign.ledger.shards.shard_reader.shard_journals", lambda _: listed)
    journal.unlink()
    assert list(leftovers(tmp_path, Reading(), "boot")) == []


def test_a_journal_that_is_there_and_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    shard_path(tmp_path, SPAN).mkdir(parents=True)
    with pytest.raises(StorageError, match="cannot be read"):
        list(leftovers(tmp_path, Reading(), "boot"))
