"""One collect at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.errors import StorageError, UnfinishedError
from campaign.pipeline.collect.collect_lock import collecting


def test_a_second_collect_says_so_and_reads_nothing(tmp_path: Path) -> None:
    with collecting(tmp_path), pytest.raises(UnfinishedError, match="Another process is collecting"):
        collecting(tmp_path).__enter__()
    with collecting(tmp_path) as folder:
        assert folder == tmp_path / "feedback"


def test_one_message_waits_for_the_other_collect_but_not_for_ever(tmp_path: Path) -> None:
    now, slept = [0.0], list[float]()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    with collecting(tmp_path), pytest.raises(UnfinishedError):
        collecting(tmp_path, patience=1.0, clock=lambda: now[0], sleep=sleep).__enter__()
    assert sum(slept) == pytest.approx(1.0, abs=0.1)


def test_it_goes_on_as_soon_as_the_other_one_has_ended(tmp_path: Path) -> None:
    other = collecting(tmp_path)
    other.__enter__()
    with collecting(tmp_path, patience=1.0, clock=lambda: 0.0, sleep=lambda _: other.__exit__(None, None, None)):
        pass


def test_a_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "feedback").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="is a link"):
        collecting(tmp_path / "runs").__enter__()


def test_a_folder_that_cannot_be_made_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "feedback").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be written"):
        collecting(tmp_path).__enter__()
