"""Saving what can be saved: sound lines stay, doubt takes the place of what was lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.errors import DamageError, StorageError, UnfinishedError
from campaign.ledger import journal
from campaign.ledger.checkpoint import read_history
from campaign.ledger.folders import locked
from campaign.ledger.records import Frontier, Intent, Opened, Pass, Settled, Started, Synced, encode
from campaign.ledger.repair import inspect, repair
from campaign.ledger.storage import AppendOnly, write_whole
from campaign.model import Verdict


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    lines = [
        encode(Opened("g", "", "r", 1, 100_000, "p", {}, "shape", 1.0, "t")),
        encode(Started(2.0, "boot", 7, "process")),
        encode(Pass(1, 100)),
        encode(Frontier(64)),
        encode(Intent(0, "aa", 100.0)),
        encode(Settled(0, "accepted", 3.0)),
        encode(Intent(1, "bb", 100.0)),
        b"rubbish where a verdict stood\n",
        encode(Intent(2, "cc", 100.0)),
        encode(Settled(2, "rejected", 3.0)),
    ]
    path = tmp_path / journal.NAME
    path.write_bytes(b"".join(lines))
    return path


def test_inspecting_changes_nothing(damaged: Path) -> None:
    before = damaged.read_bytes()
    assert inspect(damaged).lost_lines == [8]
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
            AppendOnly(path.parent / journal.NAME)
        found.append(path.name)
        write_whole(path, data)

    monkeypatch.setattr("campaign.ledger.repair.write_whole", meanwhile)
    repair(damaged)
    assert found == ["checkpoint.journal.damaged-1", journal.NAME]


def test_a_run_without_a_journal_gets_none_by_a_repair(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        repair(tmp_path / journal.NAME)
    assert not (tmp_path / journal.NAME).exists()
