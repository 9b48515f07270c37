"""Who may own a file that holds a secret, and who else may read it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from campaign.errors import ConfigError
from campaign.system import private_file
from campaign.system.private_file import private_octets, read_private
from campaign.system.user_name import user_name

STRANGER, OURS, ROOT = 54_321, 10_001, 0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(b"geheim\n")
    path.chmod(0o600)
    return path


def judged(monkeypatch: pytest.MonkeyPatch, file: Path, owner: int, mode: int) -> bytes:
    """What is read by user `OURS` of a file with this owner and mode."""
    file.chmod(mode)
    plain = os.fstat

    def owned(descriptor: int) -> os.stat_result:
        facts = list(plain(descriptor))
        facts[4] = owner
        return os.stat_result(facts)

    with monkeypatch.context() as changed:
        changed.setattr(private_file.os, "fstat", owned)
        changed.setattr(private_file.os, "geteuid", lambda: OURS)
        return private_octets(file)


@pytest.mark.parametrize(("owner", "mode"), [(OURS, 0o600), (OURS, 0o400), (ROOT, 0o600), (ROOT, 0o440), (ROOT, 0o640)])
def test_a_file_of_ours_is_read_and_one_that_root_gave_our_group(
    monkeypatch: pytest.MonkeyPatch, file: Path, owner: int, mode: int
) -> None:
    assert judged(monkeypatch, file, owner, mode) == b"geheim\n"


@pytest.mark.parametrize(
    ("owner", "mode", "next_step"),
    [
        (OURS, 0o640, "chmod 600"),
        (OURS, 0o604, "chmod 600"),
        (OURS, 0o620, "chmod 600"),
        (ROOT, 0o444, "sudo chmod 640"),
        (ROOT, 0o660, "sudo chmod 640"),
    ],
)
def test_a_file_that_others_can_read_or_write_is_refused(
    monkeypatch: pytest.MonkeyPatch, file: Path, owner: int, mode: int, next_step: str
) -> None:
    with pytest.raises(ConfigError, match="can be read by others") as caught:
        judged(monkeypatch, file, owner, mode)
    assert caught.value.next_step.startswith(next_step)
    assert f"{mode:04o}" in caught.value.evidence[0]


@pytest.mark.parametrize("mode", [0o600, 0o444])
def test_a_file_of_another_user_is_refused_whatever_its_mode(
    monkeypatch: pytest.MonkeyPatch, file: Path, mode: int
) -> None:
    with pytest.raises(ConfigError, match="belongs to another user") as caught:
        judged(monkeypatch, file, STRANGER, mode)
    assert str(STRANGER) in caught.value.evidence[0]
    assert "geheim" not in str(caught.value)


def test_a_link_is_followed_to_the_file_that_is_judged(file: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(file)
    assert read_private(tmp_path / "link") == "geheim\n"
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="can be read by others"):
        read_private(tmp_path / "link")


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(ConfigError, match=r"(?s)cannot be read.*not a regular file"):
        read_private(tmp_path / "pipe")


def test_a_user_without_a_name_is_called_by_number() -> None:
    assert [user_name(ROOT), user_name(STRANGER)] == ["root", str(STRANGER)]
