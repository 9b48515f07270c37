"""A Maildir: every message once, moved and never lost, and no link followed."""

from __future__ import annotations

import errno
import os
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from campaign.config.feedback import FeedbackSourceSection
from campaign.errors import ConfigError, InputError, StorageError
from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.feedback_source import Handled, Received
from campaign.feedback.mailboxes.files.maildir_mailbox import MaildirMailbox, sub_folder
from campaign.feedback.mailboxes.incoming_message import LARGEST
from campaign.model import FeedbackOutcome


def read(raw: bytes) -> tuple[FeedbackNotice, ...]:
    return (FeedbackNotice(FeedbackOutcome.UNKNOWN, mta=raw[:20].decode(), at=len(raw)),)


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    path = tmp_path / "Maildir"
    for place in ("new", "cur", "tmp"):
        (path / place).mkdir(parents=True)
    return path


def mailbox(path: Path, **keys: object) -> MaildirMailbox:
    return MaildirMailbox(path, FeedbackSourceSection(url=f"maildir:{path}", **keys), read)  # type: ignore[arg-type]


def deliver(path: Path, *names: str) -> None:
    for name in names:
        (path / name).write_bytes(f"message {Path(name).name.partition(':')[0]}".encode())


def texts(taken: list[Received]) -> list[str]:
    return sorted(one.notices[0].mta for one in taken)


def collect(one: MaildirMailbox, recognised: Callable[[Received], bool] = lambda _: True) -> list[Received]:
    taken = []
    with closing(one):
        for received in one.receive():
            taken.append(received)
            one.acknowledge([Handled(received.receipt, recognised(received))])
    return taken


def files(path: Path) -> set[str]:
    return {str(one.relative_to(path)) for one in path.rglob("*") if not one.is_dir()}


def test_read_and_unread_messages_are_moved_into_sub_folders_with_their_flags(maildir: Path) -> None:
    deliver(maildir, "new/1", "new/2", "cur/3:2,S", "cur/4:2,FS", "tmp/5", "new/.6")
    with closing(mailbox(maildir)) as one:
        assert one.size() == 4
    taken = collect(mailbox(maildir), lambda one: one.notices[0].mta in ("message 1", "message 3"))
    assert texts(taken) == ["message 1", "message 2", "message 3", "message 4"]
    marks = {".collected/maildirfolder", ".not-recognised/maildirfolder"}
    moved = {".collected/new/1", ".collected/cur/3:2,S", ".not-recognised/new/2", ".not-recognised/cur/4:2,FS"}
    assert files(maildir) == {"tmp/5", "new/.6"} | marks | moved
    assert (maildir / ".collected" / "tmp").is_dir()
    assert collect(mailbox(maildir)) == []


def test_what_is_ours_is_deleted_only_when_told_to(maildir: Path) -> None:
    deliver(maildir, "new/1", "new/2")
    collect(mailbox(maildir, delete=True), lambda one: one.notices[0].mta == "message 1")
    assert files(maildir) == {".not-recognised/new/2", ".not-recognised/maildirfolder"}


def test_sub_folders_have_the_rights_of_the_maildir(maildir: Path) -> None:
    maildir.chmod(0o750)
    deliver(maildir, "new/1")
    collect(mailbox(maildir))
    made = [maildir / ".collected" / name for name in ("", "new", "cur", "tmp")]
    assert [path.stat().st_mode & 0o777 for path in made] == [0o750] * 4
    assert (maildir / ".collected" / "maildirfolder").stat().st_mode & 0o777 == 0o640


def test_links_and_pipes_are_not_read_and_stay(maildir: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"secret")
    (maildir / "new" / "link").symlink_to(tmp_path / "outside")
    os.mkfifo(maildir / "new" / "pipe")
    (maildir / "new" / "folder").mkdir()
    deliver(maildir, "new/1")
    assert texts(collect(mailbox(maildir))) == ["message 1"]
    assert {path.name for path in (maildir / "new").iterdir()} == {"link", "pipe", "folder"}


def test_a_file_swapped_for_a_link_or_a_pipe_while_we_read_is_passed_over(maildir: Path, tmp_path: Path) -> None:
    deliver(maildir, "new/1", "new/2", "new/3")
    (tmp_path / "outside").write_bytes(b"secret")
    one = mailbox(maildir)
    with closing(one):
        swapped = iter(("link", "pipe"))
        taken = []
        for received in one.receive():
            taken.append(received)
            for path in [path for path in (maildir / "new").iterdir() if path.name != received.receipt[1]]:
                path.unlink()
                path.symlink_to(tmp_path / "outside") if next(swapped) == "link" else os.mkfifo(path)
    assert len(taken) == 1
    assert taken[0].notices[0].mta != "secret"


def test_a_sub_folder_that_is_a_link_leads_nowhere(maildir: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "new").mkdir(parents=True)
    (maildir / ".collected").symlink_to(tmp_path / "elsewhere")
    deliver(maildir, "new/1")
    with pytest.raises(StorageError, match="cannot be put away"):
        collect(mailbox(maildir))
    assert files(tmp_path / "elsewhere") == set()
    assert "new/1" in files(maildir)


def test_messages_that_vanish_meanwhile_are_passed_over(maildir: Path) -> None:
    deliver(maildir, "new/1", "new/2", "new/3")
    one = mailbox(maildir)
    with closing(one):
        reading = one.receive()
        first = next(reading)
        for path in (maildir / "new").iterdir():
            path.unlink()
        one.acknowledge([Handled(first.receipt, recognised=True)])
        assert list(reading) == []
    assert files(maildir) == {".collected/maildirfolder"}


def test_a_name_that_the_sub_folder_has_already_replaces_nothing(maildir: Path) -> None:
    deliver(maildir, "cur/1:2,S")
    collect(mailbox(maildir))
    (maildir / "cur" / "1:2,S").write_bytes(b"another")
    collect(mailbox(maildir))
    kept = {path.name: path.read_bytes() for path in (maildir / ".collected" / "cur").iterdir()}
    assert kept == {"1:2,S": b"message 1", "1-1:2,S": b"another"}


def test_a_sub_folder_left_half_made_is_completed(maildir: Path) -> None:
    (maildir / ".collected").mkdir()
    deliver(maildir, "cur/1:2,S")
    assert len(collect(mailbox(maildir))) == 1
    assert files(maildir) == {".collected/cur/1:2,S", ".collected/maildirfolder"}


def test_a_full_disk_or_missing_rights_are_said_and_nothing_is_lost(
    maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    deliver(maildir, "new/1")
    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(StorageError, match="cannot be put away") as caught:
        collect(mailbox(maildir))
    assert "No space left" in str(caught.value)
    assert "new/1" in files(maildir)


def test_of_a_huge_message_the_beginning_is_read(maildir: Path) -> None:
    with (maildir / "new" / "1").open("wb") as file:
        file.write(b"message 1")
        file.truncate(50 << 20)
    (received,) = collect(mailbox(maildir))
    assert received.notices[0].at == LARGEST


def test_many_messages_take_no_more_memory_than_few(maildir: Path) -> None:
    deliver(maildir, *(f"new/{number}" for number in range(5_000)))
    tracemalloc.start()
    with closing(mailbox(maildir)) as one:
        for received in one.receive():
            one.acknowledge([Handled(received.receipt, recognised=True)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(files(maildir)) == 5_001
    assert peak < 1 << 18  # 52 octets a message, which the names alone would take


@pytest.mark.parametrize("missing", ["", "new", "cur"])
def test_what_is_no_maildir_is_told(maildir: Path, missing: str) -> None:
    (maildir / missing).rename(maildir.parent / "gone")
    with closing(mailbox(maildir)) as one, pytest.raises(InputError, match="no Maildir that can be read"):
        one.size()


@pytest.mark.parametrize(
    ("name", "folder"),
    [("collected", ".collected"), ("a/b", ".a.b"), ("a.b", ".a.b"), ("Rückläufer", ".R&APw-ckl&AOQ-ufer")],
)
def test_folders_are_named_as_other_programs_do(name: str, folder: str) -> None:
    assert sub_folder(name) == folder


@pytest.mark.parametrize("name", ["", "/a", "a/", "..", "../..", "a//b", ".a", "a\nb", "a\0b"])
def test_a_name_that_leads_out_of_the_maildir_is_refused(name: str, maildir: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be a folder"):
        mailbox(maildir, done=name)
