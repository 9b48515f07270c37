"""Run folders: names, order, locks."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from campaign.errors import ConfigError, DamageError, UnfinishedError
from campaign.ledger import run_folder
from campaign.ledger.checkpoint import create
from campaign.ledger.journal import journal_reader
from campaign.ledger.journal.journal_records import Opened


def run(folder: Path, name: str, at: float) -> Path:
    (folder / name).mkdir()
    create(folder / name, Opened("g", "", name, 1, 1, "p", {}, "shape", at, "t"))
    return folder / name


def test_an_edition_is_a_folder_of_its_own_and_no_edition_no_such_level(tmp_path: Path) -> None:
    assert run_folder.edition_folder(tmp_path, "gazette", "2026-11") == tmp_path / "gazette/2026-11"
    assert run_folder.edition_folder(tmp_path, "gazette", "") == tmp_path / "gazette"


@pytest.mark.parametrize("edition", ["..", "a/b", ".hidden", "x" * 65, "a b"])
def test_an_edition_that_cannot_name_a_folder_is_refused(tmp_path: Path, edition: str) -> None:
    with pytest.raises(ConfigError):
        run_folder.edition_folder(tmp_path, "gazette", edition)


def test_runs_are_ordered_by_when_they_were_opened_not_by_name(tmp_path: Path) -> None:
    late, early = run(tmp_path, "a", 20.0), run(tmp_path, "b", 10.0)
    (tmp_path / "preview").mkdir()
    assert run_folder.runs(tmp_path) == [early, late]


def test_a_damaged_first_line_is_refused_when_runs_are_listed(tmp_path: Path) -> None:
    broken = run(tmp_path, "a", 20.0)
    (broken / journal_reader.NAME).write_bytes(b"garbage\n")
    with pytest.raises(DamageError):
        run_folder.runs(tmp_path)


def test_two_cannot_hold_an_edition_at_once(tmp_path: Path) -> None:
    with run_folder.locked(tmp_path), pytest.raises(UnfinishedError), run_folder.locked(tmp_path):
        pass


def test_stamps_are_utc_and_never_taken_twice(tmp_path: Path) -> None:
    now = datetime(2026, 11, 24, 8, tzinfo=UTC)
    first = run_folder.new_stamp(tmp_path, now)
    assert first.name == "20261124T080000Z"
    first.mkdir()
    assert run_folder.new_stamp(tmp_path, now).name == "20261124T080000Z-2"


@pytest.mark.parametrize("name", ["../elsewhere", "/etc/x", "..", ".hidden", "a/b"])
def test_a_named_run_lies_directly_in_its_edition(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError):
        run_folder.named_run(tmp_path, name)
    assert run_folder.named_run(tmp_path, "trial") == tmp_path / "trial"
    assert run_folder.named_run(tmp_path, str(tmp_path / "trial")) == tmp_path / "trial"


def test_a_journal_that_vanished_from_a_used_run_is_damage(tmp_path: Path) -> None:
    (tmp_path / "plan.jsonl").write_text("{}")
    run_folder.refuse_lost_journal(tmp_path)
    (tmp_path / "log.jsonl").write_text("{}")
    with pytest.raises(DamageError, match="is gone"):
        run_folder.refuse_lost_journal(tmp_path)


def test_folders_are_for_their_owner_only(tmp_path: Path) -> None:
    run_folder.make_folder(tmp_path / "runs/gazette/x")
    assert (tmp_path / "runs/gazette").stat().st_mode & 0o777 == 0o700
