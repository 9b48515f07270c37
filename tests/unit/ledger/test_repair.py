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
    Opened,
    Pass,
    Record,
    ReservedUpTo,
    Started,
    Synced,
    VerdictRecord,
    encode,
)
from campaign.ledger.recovery import read_history
from campaign.ledger.repair import inspect_journal, repair
from campaign.ledger.run_folder import locked
from campaign.model import Verdict


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
