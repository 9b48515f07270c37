"""What we write: through no link, and only where we or root own it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from campaign.errors import StorageError
from campaign.ledger import run_folder
from campaign.ledger.feedback import suppressed_csv
from campaign.ledger.feedback.feedback_store import FeedbackStore
from campaign.ledger.journal.journal_file import JournalFile
from campaign.pipeline.operate.manage import steer
from campaign.system.own_files import open_own, refuse_foreign

STRANGER = 54_321


def give_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``path`` belongs to somebody else: by root's right, or because we are somebody else from now on."""
    if os.geteuid() == 0:
        os.chown(path, STRANGER, -1, follow_symlinks=False)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: STRANGER)


def test_a_file_of_ours_is_opened_and_one_that_is_not_there_is_made_for_us_alone(tmp_path: Path) -> None:
    path = tmp_path / "new"
    os.close(open_own(path, os.O_WRONLY | os.O_CREAT))
    assert path.stat().st_mode & 0o777 == 0o600
    os.close(open_own(path, os.O_WRONLY))


def test_a_link_is_not_followed_though_it_leads_to_a_file_of_ours(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("ours")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(StorageError, match="is a link") as caught:
        open_own(tmp_path / "link", os.O_WRONLY | os.O_TRUNC)
    assert str(tmp_path / "real") in str(caught.value.evidence)
    assert (tmp_path / "real").read_text() == "ours"


def test_a_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs").touch()
    give_away(tmp_path / "theirs", monkeypatch)
    with pytest.raises(StorageError, match="belongs to another user"):
        open_own(tmp_path / "theirs", os.O_WRONLY)


def test_folders_below_the_directory_are_ours_and_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, folder = tmp_path / "runs", tmp_path / "runs" / "news" / "e1"
    refuse_foreign(directory, folder)  # nothing is there yet
    folder.mkdir(parents=True)
    refuse_foreign(directory, folder)
    give_away(folder.parent, monkeypatch)
    with pytest.raises(StorageError, match="news belongs to another user"):
        refuse_foreign(directory, folder)


def test_what_cannot_be_looked_at_is_left_to_the_write_that_follows(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where a folder belongs")
    refuse_foreign(tmp_path / "runs", tmp_path / "runs" / "news")


def test_the_directory_itself_may_be_a_link_and_nothing_below_it(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "runs").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "news").mkdir()
    refuse_foreign(tmp_path / "runs", tmp_path / "runs" / "news")
    (tmp_path / "disk" / "other").symlink_to(tmp_path / "disk" / "news")
    with pytest.raises(StorageError, match="other is a link"):
        refuse_foreign(tmp_path / "runs", tmp_path / "runs" / "other" / "e1")


def test_a_run_of_another_user_is_not_steered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    run.mkdir()
    give_away(run, monkeypatch)
    with pytest.raises(StorageError, match="belongs to another user"):
        steer(run, state="pause")
    assert list(run.iterdir()) == []


@pytest.mark.parametrize("name", ["checkpoint.journal", "ballast", ".lock", "feedback.jsonl", "suppressed.csv"])
def test_no_file_of_a_run_is_written_through_a_link(tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere").write_text("kept")
    (tmp_path / "checkpoint.journal").touch()
    (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="is a link"):
        write(tmp_path, name)
    assert (tmp_path / "elsewhere").read_text() == "kept"


def write(folder: Path, name: str) -> None:
    if name == ".lock":
        with run_folder.locked(folder):
            pass
    elif name == "suppressed.csv":
        suppressed_csv.rewrite_list(folder, [], [], suppressed_csv.signature(folder))
    elif name == "feedback.jsonl":
        with FeedbackStore(folder) as store:
            store.add([])
    else:
        JournalFile(folder / "checkpoint.journal").load_ballast()
