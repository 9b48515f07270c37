"""Steering a run from outside: the writer and the reader of control.json."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from campaign.config.units import Rate
from campaign.delivery.control_file import EVERY, NAME, Control, hold_for_canary, write_control
from campaign.errors import ConfigError, StorageError


def test_nothing_written_means_run_as_the_campaign_file_says(tmp_path: Path) -> None:
    control = Control(tmp_path)
    assert control.poll(0.0) is False
    assert (control.state, control.rate, control.connections, control.warning) == ("run", None, None, "")


def test_what_is_written_arrives(tmp_path: Path) -> None:
    control = Control(tmp_path)
    write_control(tmp_path, state="pause", rate=["20/s", "1000/h"], connections=5)
    assert control.poll(0.0) is True
    assert (control.state, control.connections) == ("pause", 5)
    assert control.rate == (Rate(20.0, 1.0), Rate(1000.0, 3600.0))
    assert control.poll(1.0) is False


def test_a_command_changes_what_it_names_and_leaves_the_rest(tmp_path: Path) -> None:
    write_control(tmp_path, rate="20/s", connections=5)
    write_control(tmp_path, state="stop")
    write_control(tmp_path, connections=7)
    control = Control(tmp_path)
    control.poll(0.0)
    assert (control.state, control.rate, control.connections) == ("stop", (Rate(20.0, 1.0),), 7)


def test_a_stop_holds_over_restarts_until_it_is_taken_back(tmp_path: Path) -> None:
    write_control(tmp_path, state="stop")
    again = Control(tmp_path)
    assert again.poll(0.0)
    assert again.state == "stop"
    write_control(tmp_path, state="run")
    assert again.poll(1.0)
    assert again.state == "run"


def test_the_file_is_looked_at_four_times_a_second_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    real = Path.lstat
    monkeypatch.setattr(Path, "lstat", lambda self: looks.append(self) or real(self))
    control = Control(tmp_path)
    for tick in range(1001):
        control.poll(tick / 1000)
    assert len(looks) == 5
    assert EVERY == 0.25


def test_a_change_is_seen_within_a_second(tmp_path: Path) -> None:
    control = Control(tmp_path)
    control.poll(10.0)
    write_control(tmp_path, state="pause")
    assert control.poll(10.1) is False
    assert control.poll(10.25) is True


def test_two_changes_in_the_same_instant_are_both_seen(tmp_path: Path) -> None:
    control = Control(tmp_path)
    for number in range(1, 20):
        write_control(tmp_path, connections=number)
        control.poll(float(number))
        assert control.connections == number


def test_the_file_is_private_and_written_whole(tmp_path: Path) -> None:
    write_control(tmp_path, state="run")
    write_control(tmp_path, state="cancel")
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    assert json.loads((tmp_path / NAME).read_text()) == {"state": "cancel", "asked": "cancel"}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"7", b'{"state": "sleep"}', b'{"state": ["run"]}', b'{"rate": "fast"}', b'{"connections": 0}',
     b'{"connections": true}', b'{"connections": "5"}', b'{"connections": 100000}', b"\xff\xfe", b"[" * 30_000],
)  # fmt: skip
def test_a_reader_keeps_the_last_good_wishes_and_warns(tmp_path: Path, content: bytes) -> None:
    control = Control(tmp_path)
    write_control(tmp_path, state="pause", connections=3)
    control.poll(0.0)
    (tmp_path / NAME).write_bytes(content)
    assert control.poll(1.0) is False
    assert (control.state, control.connections) == ("pause", 3)
    assert control.warning
    write_control_after_removal(tmp_path)
    assert control.poll(2.0) is True
    assert control.warning == ""


def write_control_after_removal(folder: Path) -> None:
    (folder / NAME).unlink()
    write_control(folder, state="run")


def test_a_writer_says_what_is_wrong_with_the_file_that_is_there(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("{")
    with pytest.raises(StorageError, match="not what `campaign set` writes") as refused:
        write_control(tmp_path, state="pause")
    assert "remove" in refused.value.next_step


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_not_obeyed(tmp_path: Path, mode: int) -> None:
    write_control(tmp_path, state="stop")
    (tmp_path / NAME).chmod(mode)
    control = Control(tmp_path)
    assert control.poll(0.0) is False
    assert control.state == "run"
    assert "can be written by others" in control.warning
    with pytest.raises(StorageError, match="can be written by others"):
        write_control(tmp_path, state="pause")


def test_a_file_of_somebody_else_is_not_obeyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_control(tmp_path, state="stop")
    real = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: real + 1)
    control = Control(tmp_path)
    control.poll(0.0)
    assert control.state == "run"
    assert f"belongs to user {real}" in control.warning


def test_a_link_a_folder_or_a_pipe_is_not_obeyed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text('{"state": "stop"}')
    for number, put in enumerate((lambda at: at.symlink_to(elsewhere), lambda at: at.mkdir(), os.mkfifo)):
        folder = tmp_path / str(number)
        folder.mkdir()
        put(folder / NAME)
        control = Control(folder)
        assert control.poll(0.0) is False
        assert control.warning
        with pytest.raises(StorageError):
            write_control(folder, state="pause")


@pytest.mark.parametrize(
    "wish", [{"state": "sleep"}, {"rate": "fast"}, {"rate": ["1/s", "x"]}, {"connections": 0}, {"connections": 1001}]
)
def test_a_senseless_wish_is_refused_and_nothing_changes(tmp_path: Path, wish: dict[str, object]) -> None:
    write_control(tmp_path, connections=4)
    before = (tmp_path / NAME).read_bytes()
    with pytest.raises(ConfigError):
        write_control(tmp_path, **wish)  # type: ignore[arg-type]  # that is the point
    assert (tmp_path / NAME).read_bytes() == before


def test_there_has_to_be_a_run(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="There is no run in"):
        write_control(tmp_path / "none", state="pause")


def test_a_disk_without_room_is_said_and_leaves_the_old_wishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_control(tmp_path, connections=4)

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        write_control(tmp_path, connections=5)
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    control = Control(tmp_path)
    control.poll(0.0)
    assert control.connections == 4


@pytest.mark.parametrize(("asked", "after"), [(["pause"], "pause"), (["pause", "run"], "run"), ([], "run")])
def test_the_canary_releases_itself_but_nobody_who_was_told_to_pause(
    tmp_path: Path, asked: list[str], after: str
) -> None:
    hold_for_canary(tmp_path, "pause")
    for state in asked:
        write_control(tmp_path, state=state)  # type: ignore[arg-type]
    assert hold_for_canary(tmp_path, "run") == after
    control = Control(tmp_path)
    control.poll(0.0)
    assert control.state == after
