"""How far a shard is merged is read from the run's own journal, also where a kill cut a merge short."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.ledger.journal.journal_reader import NAME, Reading, read_records
from campaign.ledger.journal.journal_records import (
    Intent,
    Leased,
    Merged,
    Opened,
    Record,
    Started,
    Synced,
    VerdictRecord,
    decode,
    encode,
)

OPENED = Opened("gazette", "", "run", 1, 100, "plan", {}, "shape", 1.0, "trace")
LINES: list[Record] = [Intent(1, "aa", 100.0), VerdictRecord(1, "accepted", 2.0), Intent(2, "bb", 100.0)]


def read(folder: Path, octets: bytes) -> Reading:
    path, reading = folder / NAME, Reading()
    path.write_bytes(encode(OPENED) + octets)
    list(read_records(path, reading))
    return reading


def octets(*records: Record) -> bytes:
    return b"".join(map(encode, records))


@pytest.mark.parametrize(
    ("record", "body"),
    [
        (Merged(7, 500, 3), b'{"is":"merged","shard":7,"beyond":500,"lines":3}'),
        (Merged(7, 500, 0, closed=True), b'{"is":"merged","shard":7,"beyond":500,"lines":0,"closed":true}'),
        (
            Leased(7, 100, 500, 99.0, 100.5, "b", "power"),
            b'{"is":"leased","shard":7,"first":100,"beyond":500,"pass_at":99.0,"at":100.5,"boot":"b","durability":"power"}',
        ),
    ],
)
def test_the_lines_of_shards_are_as_later_releases_will_read_them(record: Record, body: bytes) -> None:
    assert encode(record)[9:-1] == body
    assert decode(encode(record)[:-1]) == record


def test_whole_merges_add_up(tmp_path: Path) -> None:
    found = read(tmp_path, octets(Merged(7, 50, 3), *LINES, Merged(8, 90, 1), LINES[0], Merged(7, 50, 1), LINES[1]))
    assert found.merged == {7: 4, 8: 1}
    assert found.closed == set()


def test_a_closing_merge_closes_its_shard_once_all_its_lines_are_there(tmp_path: Path) -> None:
    assert read(tmp_path, octets(Merged(7, 50, 3, closed=True), *LINES)).closed == {7}
    assert read(tmp_path, octets(Merged(7, 50, 0, closed=True))).closed == {7}
    assert read(tmp_path, octets(Merged(7, 50, 0, closed=True), Synced(9))).closed == {7}


@pytest.mark.parametrize("closed", [False, True])
def test_a_merge_torn_at_any_octet_counts_its_whole_lines_and_closes_nothing(tmp_path: Path, closed: bool) -> None:
    whole = octets(Merged(7, 50, 3, closed=closed), *LINES)
    ends = [len(octets(Merged(7, 50, 3, closed=closed), *LINES[:lines])) for lines in range(4)]
    for cut in range(len(whole) - 1):
        found = read(tmp_path, whole[:cut])
        # A line that lacks only its line feed is whole.
        assert found.merged.get(7, 0) == sum(cut >= end - 1 for end in ends[1:])
        assert not found.closed


def test_after_a_torn_merge_was_cut_off_what_follows_is_not_of_the_shard(tmp_path: Path) -> None:
    torn = octets(Merged(7, 50, 3, closed=True), LINES[0])
    later = octets(Merged(7, 50, 2), *LINES[1:], Started(9.0, "boot", 1, "process"))
    assert read(tmp_path, torn + later).merged == {7: 3}
    assert not read(tmp_path, torn + later).closed
