"""A file that grows and is rotated gives each complete line once, whatever happens between two readings."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from campaign.errors import InputError, StorageError
from campaign.feedback.event_feeds import followed_file
from campaign.feedback.event_feeds.followed_file import FollowedFile


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "mail.log"


def followed(log: Path, longest: int = 100) -> FollowedFile:
    return FollowedFile(log, log.parent / "progress" / "log.json", what="The log", longest=longest)


def read(log: Path, *, keep: int | None = None, state: object = None) -> list[bytes]:
    """The new lines; the first ``keep`` of them, or all, are marked as done."""
    file = followed(log)
    try:
        file.open()
        found = [(place[0], file.mark(*place)) for place in file.lines()]
        done = found if keep is None else found[:keep]
        if done:
            file.save(done[-1][1], state)
    finally:
        file.close()
    return [line for line, _ in found]


def append(log: Path, *lines: str) -> None:
    with log.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


def age(path: Path, seconds: int) -> None:
    at = path.stat().st_mtime + seconds
    os.utime(path, (at, at))


def test_each_line_is_read_once(log: Path) -> None:
    append(log, "one", "two")
    assert read(log) == [b"one", b"two"]
    assert read(log) == []
    append(log, "three")
    assert read(log) == [b"three"]


def test_what_was_not_marked_as_done_is_read_again(log: Path) -> None:
    append(log, "one", "two", "three")
    assert read(log, keep=1) == [b"one", b"two", b"three"]
    assert read(log) == [b"two", b"three"]


def test_a_last_line_without_its_line_end_is_left_for_next_time(log: Path) -> None:
    log.write_text("one\ntw")
    assert read(log) == [b"one"]
    append(log, "o")
    assert read(log) == [b"two"]


def test_an_empty_file_has_no_lines(log: Path) -> None:
    log.touch()
    assert read(log) == []


def renamed(log: Path) -> Path:
    return log.rename(log.with_name("mail.log.1"))


def dated(log: Path) -> Path:
    return log.rename(log.with_name("mail.log-20261128"))


def copied_and_truncated(log: Path) -> Path:
    copy = Path(shutil.copy2(log, log.with_name("mail.log.1")))
    os.truncate(log, 0)
    return copy


def compressed(suffix: str, pack: Callable[[bytes], bytes]) -> Callable[[Path], Path]:
    def rotate(log: Path) -> Path:
        packed = log.with_name(f"mail.log.1{suffix}")
        packed.write_bytes(pack(log.read_bytes()))
        log.unlink()
        return packed

    return rotate


ROTATIONS = {
    "renamed": renamed,
    "renamed with a date": dated,
    "copied and truncated": copied_and_truncated,
    "gz": compressed(".gz", gzip.compress),
    "bz2": compressed(".bz2", bz2.compress),
    "xz": compressed(".xz", lzma.compress),
}


@pytest.mark.parametrize("rotate", ROTATIONS.values(), ids=ROTATIONS)
def test_nothing_is_lost_or_read_twice_over_a_rotation(log: Path, rotate: Callable[[Path], Path]) -> None:
    append(log, *(f"day 1, line {number}" for number in range(50)))
    read(log)
    append(log, "day 1, after the reading")
    rotate(log)
    append(log, "day 2")
    assert read(log) == [b"day 1, after the reading", b"day 2"]
    assert read(log) == []


def test_the_rest_of_several_rotations_comes_in_order(log: Path) -> None:
    append(log, "day 1, first")
    read(log)
    append(log, "day 1, last")
    age(log.rename(log.with_name("mail.log.2")), -200)
    append(log, "day 2")
    age(log.rename(log.with_name("mail.log.1")), -100)
    append(log, "day 3")
    assert read(log, keep=2) == [b"day 1, last", b"day 2", b"day 3"]
    assert read(log) == [b"day 3"]


def test_a_rotation_before_anything_new_was_written_waits_in_the_old_part(log: Path) -> None:
    append(log, "day 1")
    read(log)
    old = renamed(log)
    log.touch()
    append(old, "written before the logger opened the new file")
    assert read(log) == [b"written before the logger opened the new file"]
    append(old, "and one more")
    append(log, "day 2")
    assert read(log) == [b"and one more", b"day 2"]


def test_the_rotated_part_is_read_while_there_is_no_new_file_yet(log: Path) -> None:
    append(log, "one")
    read(log)
    append(log, "two")
    renamed(log)
    assert read(log) == [b"two"]


def test_a_file_that_was_truncated_and_written_anew_is_read_from_its_beginning(log: Path) -> None:
    append(log, "old one", "old two")
    read(log)
    log.write_text("new one, longer than what stood there before\n")
    assert read(log) == [b"new one, longer than what stood there before"]


def test_where_no_part_fits_those_written_to_since_are_read(log: Path) -> None:
    append(log, "read and thrown away")
    read(log)
    stale, fresh = log.with_name("mail.log.2"), log.with_name("mail.log.1")
    stale.write_text("from before\n")
    age(stale, -1000)
    fresh.write_text("from after\n")
    age(fresh, 1000)
    log.write_text("from now\n")
    assert read(log) == [b"from after", b"from now"]


def test_of_very_many_rotated_parts_the_newest_are_looked_at(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followed_file, "MOST_PARTS", 3)
    append(log, "one")
    read(log)
    for number in range(1, 7):
        log.with_name(f"mail.log.{number}").write_text(f"part {number}\n")
        age(log.with_name(f"mail.log.{number}"), 1000 - number)
    log.write_text("two, in a new file\n")
    assert read(log) == [b"part 3", b"part 2", b"part 1", b"two, in a new file"]


def test_a_copy_put_back_in_place_is_the_same_file(log: Path) -> None:
    append(log, "one", "two")
    read(log)
    shutil.copy(log, log.with_name("kept"))
    log.unlink()
    shutil.move(log.with_name("kept"), log)
    append(log, "three")
    assert read(log) == [b"three"]


def test_files_beside_it_that_are_no_rotation_of_it_are_left_alone(log: Path) -> None:
    append(log, "one")
    read(log)
    for name in ("mail.log.old", "mail.log.1.swp", "mail.logs", "mail.log.1.gz.part", "mail.log."):
        other = log.with_name(name)
        other.write_text("another's\n")
        age(other, 1000)
    os.mkfifo(log.with_name("mail.log.2"))
    log.with_name("mail.log.3").mkdir()
    log.with_name("mail.log.4.gz").write_bytes(b"\x1f\x8b half a head")
    log.write_text("two, in a new file\n")
    assert read(log) == [b"two, in a new file"]


def test_a_rotated_part_is_read_when_it_is_named_itself(log: Path) -> None:
    part = log.with_name("mail.log.3.gz")
    part.write_bytes(gzip.compress(b"one\ntwo\n"))
    assert read(part) == [b"one", b"two"]
    assert read(part) == []


@pytest.mark.parametrize("length", [100, 101, 102, 5000])
def test_a_long_line_is_cut_and_those_around_it_stay_whole(
    log: Path, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followed_file, "BLOCK", 64)
    append(log, "before", "x" * length, "after")
    assert read(log, keep=2) == [b"before", b"x" * min(length, 101), b"after"]
    assert read(log, keep=0) == [b"after"]
    append(log, "later")
    assert read(log) == [b"after", b"later"]


def test_lines_do_not_depend_on_where_blocks_end(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"line {number} ".encode() * (number % 7) for number in range(100)]
    log.write_bytes(b"".join(line + b"\n" for line in lines))
    for size in (1, 2, 3, 17, 1 << 20):
        monkeypatch.setattr(followed_file, "BLOCK", size)
        assert read(log, keep=0) == lines


def test_marking_while_reading_does_not_disturb_the_reading(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followed_file, "BLOCK", 16)
    append(log, *(str(number) for number in range(60)))
    file = followed(log)
    file.open()
    found = []
    for place in file.lines():
        file.save(file.mark(*place))
        found.append(place[0])
    file.close()
    assert found == [b"%d" % number for number in range(60)]


def test_what_is_saved_with_the_position_comes_back(log: Path) -> None:
    append(log, "one")
    read(log, state=[["A", 1, True]])
    file = followed(log)
    assert file.open() == [["A", 1, True]]
    file.close()


@pytest.mark.parametrize(
    "content", [b"", b"not JSON", b"{}", b"[1]", b'[5,1,4,"x",null]', b"[" * 100_000, b'[-5,-1,4,"x",null]', b"\xff"]
)
def test_a_progress_file_that_cannot_be_understood_means_reading_all_again(log: Path, content: bytes) -> None:
    append(log, "one")
    read(log)
    (log.parent / "progress" / "log.json").write_bytes(content)
    assert read(log) == [b"one"]


def test_what_is_appended_while_it_is_read_is_left_for_next_time(log: Path) -> None:
    append(log, "one", "two")
    file = followed(log)
    file.open()
    lines = file.lines()
    append(log, "three")
    assert [line for line, _, _ in lines] == [b"one", b"two"]
    file.close()


def test_a_missing_file_is_refused_with_its_name(log: Path) -> None:
    with pytest.raises(InputError, match=r"(?s)The log .*mail\.log cannot be read\..*No such file"):
        read(log)


def test_a_folder_is_refused(log: Path) -> None:
    log.mkdir()
    with pytest.raises(InputError, match="not a regular file"):
        read(log)


def test_a_pipe_is_refused_and_not_waited_for(log: Path) -> None:
    os.mkfifo(log)
    with pytest.raises(InputError, match="not a regular file"):
        read(log)


def test_the_next_step_for_a_file_without_rights_is_a_command(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(followed_file.os, "open", refuse)
    with pytest.raises(InputError, match=r"(?s)Permission denied.*Next: sudo usermod -aG adm \S+, then log in anew"):
        read(log)


@pytest.mark.parametrize(("seconds", "refused"), [(1000, True), (-1000, False)])
def test_a_rotated_part_that_may_not_be_read_matters_if_it_was_written_to_since(
    log: Path, seconds: int, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(log, "one")
    read(log)
    part = log.rename(log.with_name("mail.log.1"))
    age(part, seconds)
    log.write_text("two, in a new file\n")
    open_part = followed_file._open

    def may_read(path: Path) -> object:
        if path == part:
            raise PermissionError(13, "Permission denied", str(path))
        return open_part(path)

    monkeypatch.setattr(followed_file, "_open", may_read)
    if refused:
        with pytest.raises(InputError, match=r"mail\.log\.1 cannot be read"):
            read(log)
    else:
        assert read(log) == [b"two, in a new file"]


def test_a_damaged_archive_is_refused_without_a_traceback(log: Path) -> None:
    part = log.with_name("mail.log.1.gz")
    part.write_bytes(gzip.compress(b"line\n" * 100_000)[:-20])
    with pytest.raises(InputError, match=r"mail\.log\.1\.gz cannot be read"):
        read(part)


def test_a_full_disk_is_a_sentence_and_the_old_position_stays(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append(log, "one")
    read(log)
    append(log, "two")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(followed_file, "write_atomically", full)
        with pytest.raises(StorageError, match="No space left on device"):
            read(log)
    assert read(log) == [b"two"]


def test_the_line_of_a_place_is_counted_from_one(log: Path) -> None:
    append(log, "one", "two", "three")
    file = followed(log)
    file.open()
    assert [file.where(start) for _, start, _ in [*file.lines()]] == [f"{log}:{number}" for number in (1, 2, 3)]
    file.close()


def test_no_file_stays_open(log: Path) -> None:
    append(log, "one")
    read(log)
    for number in range(1, 5):
        log.with_name(f"mail.log.{number}").write_text("another\n")
    before = len([*Path("/proc/self/fd").iterdir()])
    log.write_text("rotated\n")
    read(log)
    assert len([*Path("/proc/self/fd").iterdir()]) == before
