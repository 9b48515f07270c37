"""What `campaign resolve` takes for accepted."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.errors import InputError
from campaign.pipeline.operate.accepted_list import accepted_message_ids, refuse_run_files


def put(folder: Path, **letters: str) -> None:
    for name, message_id in letters.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"Received: by mx\nMessage-ID: <{message_id}@example.com>\n\nHello\n", encoding="utf-8")


def found(source: Path) -> set[str]:
    return {one[1:].partition("@")[0] for one in accepted_message_ids(source)}


def maildir(folder: Path) -> None:
    for name in ("tmp", "new", "cur"):
        (folder / name).mkdir(parents=True, exist_ok=True)


def test_a_letter_in_tmp_was_cut_off_and_is_not_accepted(tmp_path: Path) -> None:
    maildir(tmp_path)
    put(tmp_path, new__1="fresh", cur__2="seen", tmp__3="cut-off")
    (tmp_path / "dovecot-uidlist").write_text("3 V1 <list@example.com>\n", encoding="utf-8")
    assert found(tmp_path) == {"fresh", "seen"}


def test_the_subfolders_of_a_maildir_count_likewise(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / ".Bulk.Old", tmp_path / "Archive"):
        maildir(folder)
        put(folder, cur__1=f"cur-{folder.name.strip('.')}", tmp__2="cut-off")
    put(tmp_path / ".Bulk.Old", new__3="new-old")
    put(tmp_path, indexes__dovecot="index")
    assert found(tmp_path) == {f"cur-{tmp_path.name}", "cur-Bulk.Old", "new-old", "cur-Archive"}


def test_maildirs_in_a_folder_are_read_as_such_and_other_files_whole(tmp_path: Path) -> None:
    maildir(tmp_path / "users" / "ada")
    put(tmp_path / "users" / "ada", new__1="fresh", tmp__2="cut-off")
    put(tmp_path, logs__mail="logged", tmp__mail="also-logged")
    assert found(tmp_path) == {"fresh", "logged", "also-logged"}


def test_a_list_or_a_log_is_read_line_by_line(tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    log.write_text("postfix/cleanup[1]: 4F2: message-id=<a@example.com>\nb@example.com\nnothing\n", encoding="utf-8")
    assert found(log) == {"a", "b"}


def test_what_cannot_be_read_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mail\.log cannot be read"):
        list(accepted_message_ids(tmp_path / "mail.log"))


@pytest.mark.parametrize("name", ["mailbox/new/1", "mailbox", "in-doubt.csv", ""])
def test_files_of_a_run_are_no_relays_word(tmp_path: Path, name: str) -> None:
    run = tmp_path / "runs" / "gazette" / "20261124T080000Z"
    maildir(run / "mailbox")
    (run / "checkpoint.journal").touch()
    with pytest.raises(InputError, match="does not say what a relay took"):
        refuse_run_files(run / name)
    refuse_run_files(tmp_path / "mail.log")
