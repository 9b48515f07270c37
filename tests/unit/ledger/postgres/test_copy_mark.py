"""Runs on files and copies of a store's runs are never mixed, and nothing changes a copy alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.errors import ConfigError, StorageError
from campaign.ledger import checkpoint
from campaign.ledger.journal.journal_records import Opened
from campaign.ledger.postgres.runs.copy_mark import (
    MARK,
    campaign_file,
    is_copy,
    mark_edition,
    refuse_copies,
    refuse_in_copies,
    refuse_other_ledgers,
    refuse_other_stores,
)
from campaign.ledger.postgres.runs.run_copies import mark_copies

MOVE = "campaign move gazette.toml"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    run = tmp_path / "runs" / "gazette" / "20261124T080000Z"
    run.mkdir(parents=True)
    checkpoint.create(run, Opened("gazette", "", run.name, 1, 3, "plan", {}, "shape", 1.0, "trace"))
    return run


def test_a_copy_is_not_changed_by_what_changes_files_alone(run: Path, tmp_path: Path) -> None:
    mark_edition(run.parent, "postgresql://db/x", tmp_path / "gazette.toml")
    assert is_copy(run)
    assert campaign_file(run) == tmp_path / "gazette.toml"
    with pytest.raises(ConfigError, match="copies of what a store keeps"):
        refuse_in_copies(tmp_path / "runs")
    refuse_other_stores(tmp_path / "runs", "postgresql://db/x")
    with pytest.raises(ConfigError, match="another store's runs"):
        refuse_other_stores(tmp_path / "runs", "postgresql://db/y")
    with pytest.raises(ConfigError, match="kept in a store"):
        refuse_copies(run.parent)


def test_a_mark_that_cannot_be_read_is_told_with_its_file(run: Path) -> None:
    (run.parent / MARK).write_text("{}", encoding="utf-8")
    for look in (campaign_file, lambda run: refuse_other_stores(run.parent, "postgresql://db/x")):
        with pytest.raises(StorageError, match=r"\.store cannot be read"):
            look(run)


def test_a_run_that_was_only_made_may_give_way_and_one_that_was_served_never(run: Path, tmp_path: Path) -> None:
    mark_edition(run.parent, "postgresql://db/x", tmp_path / "gazette.toml")
    refuse_other_ledgers(run.parent, MOVE)
    served = checkpoint.Checkpoint(run)
    served.close()
    with pytest.raises(ConfigError, match="served twice"):
        mark_copies(run.parent, "postgresql://db/x", tmp_path / "gazette.toml", MOVE)
    assert run.is_dir()


def test_a_run_on_files_is_no_copy_and_is_not_continued_in_a_store(run: Path, tmp_path: Path) -> None:
    beside = tmp_path / "runs" / "another"
    beside.mkdir()
    mark_edition(beside, "postgresql://db/x", tmp_path / "another.toml")
    refuse_copies(run.parent)
    assert campaign_file(run) is None
    checkpoint.Checkpoint(run).close()
    with pytest.raises(ConfigError, match="served twice") as refused:
        refuse_other_ledgers(run.parent, MOVE)
    assert refused.value.next_step == f"bring them into the store: {MOVE} --dry-run"
