"""A durable write: whole after any end of the process, synced file and folder, nobody else's file touched."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

import pytest

from campaign.config.campaign_secret import load_secret
from campaign.delivery.pacing.pacing_file import Machine, PacingFile
from campaign.delivery.pacing.sliding_window import CELLS
from campaign.system import atomic_file as atomic_file_module
from campaign.system.atomic_file import atomic_file, make_folders, write_atomically


class Recorded:
    """What is synced and renamed, in order, as ``fsync NAME`` and so on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        fsync, replace, link = os.fsync, os.replace, os.link

        def note_fsync(descriptor: int) -> None:
            kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
            self.calls.append(f"fsync {kind}")
            fsync(descriptor)

        def note_replace(source: Path, target: Path, **_: object) -> None:
            self.calls.append(f"rename to {Path(target).name}")
            replace(source, target)

        def note_link(source: Path, target: Path, **_: object) -> None:
            self.calls.append(f"link to {Path(target).name}")
            link(source, target)

        monkeypatch.setattr(os, "fsync", note_fsync)
        monkeypatch.setattr(os, "replace", note_replace)
        monkeypatch.setattr(os, "link", note_link)


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    return Recorded(monkeypatch)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_file_is_synced_before_it_gets_its_name_and_the_folder_after(tmp_path: Path, recorded: Recorded) -> None:
    write_atomically(tmp_path / "a", b"text")
    assert recorded.calls == ["fsync file", "rename to a", "fsync folder"]
    assert (tmp_path / "a").read_bytes() == b"text"


def test_the_secret_is_synced_with_its_folder(tmp_path: Path, recorded: Recorded) -> None:
    load_secret(tmp_path / "campaign.secret", must_exist=False, environment={})
    assert recorded.calls == ["fsync file", "link to campaign.secret", "fsync folder"]


def test_the_first_pacing_file_is_synced_with_its_folder(tmp_path: Path, recorded: Recorded) -> None:
    PacingFile(tmp_path / "lane", Machine(clock=lambda: 5.0, wall=lambda: 1000.0, boot="this")).close()
    assert recorded.calls == ["fsync file", "rename to lane", "fsync folder"]
    assert len((tmp_path / "lane").read_bytes()) == 4096 + CELLS * 8


def test_each_new_folder_is_synced_in_the_one_above_it(tmp_path: Path, recorded: Recorded) -> None:
    make_folders(tmp_path / "a" / "b")
    assert recorded.calls == ["fsync folder"] * 3  # of which the first is for the folder that was there
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


def test_a_folder_that_a_killed_process_made_is_synced_before_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tmp_path / "runs" / "e1"
    made.mkdir(parents=True)
    synced: list[Path] = []
    monkeypatch.setattr(atomic_file_module, "sync_folder", synced.append)
    make_folders(made)
    assert synced == [tmp_path / "runs"]
    make_folders(made / "first")
    assert synced == [tmp_path / "runs", tmp_path / "runs", made]


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", b"old")

    def broken() -> None:
        with atomic_file(tmp_path / "a") as file:
            file.write(b"new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_the_mode_holds_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_atomically(tmp_path / "a", b"", mode=0o644)
        write_atomically(tmp_path / "b", b"")
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "ab"] == [0o644, 0o600]


def test_with_keep_first_the_first_file_holds_and_the_second_writer_is_told(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", b"first", keep_first=True)
    with pytest.raises(FileExistsError):
        write_atomically(tmp_path / "a", b"second", keep_first=True)
    assert (tmp_path / "a").read_bytes() == b"first"
    assert names(tmp_path) == ["a"]


def test_a_link_at_the_target_is_replaced_and_never_written_through(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_bytes(b"theirs")
    (tmp_path / "a").symlink_to("theirs")
    write_atomically(tmp_path / "a", b"ours")
    assert (tmp_path / "theirs").read_bytes() == b"theirs"
    assert not (tmp_path / "a").is_symlink()


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    left, written = tmp_path / ".a.0011223344556677.new", tmp_path / ".a.8899aabbccddeeff.new"
    left.touch()
    with written.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        write_atomically(tmp_path / "a", b"")
    assert names(tmp_path) == [written.name, "a"]


def test_two_writers_at_once_each_write_a_file_of_their_own(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "a") as one, atomic_file(tmp_path / "a") as other:
        one.write(b"one")
        other.write(b"other")
    assert (tmp_path / "a").read_bytes() == b"one"  # the last to end


def test_a_file_taken_for_a_leftover_before_it_was_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock, passes = fcntl.flock, []

    def meanwhile(descriptor: int, how: int) -> None:
        if not passes:
            next(tmp_path.glob(".a.*.new")).unlink()
        passes.append(how)
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", meanwhile)
    write_atomically(tmp_path / "a", b"text")
    assert (tmp_path / "a").read_bytes() == b"text"
    assert len(passes) == 2
