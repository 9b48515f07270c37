"""Stored requests: durable before they count, one file for each writer, read once, removed when collected."""

from __future__ import annotations

import errno
import itertools
import os
from pathlib import Path

import pytest

from campaign.errors import InputError
from campaign.feedback.feedback_source import Handled, Received
from campaign.feedback.listened.listened_files import OLDEST_FILE, ListenedFolder, ListenedWriter
from campaign.feedback.listened.listened_record import RecordError, clicked, hooked, parse_record
from campaign.feedback.listened.listened_source import ListenedSource
from campaign.feedback.listened.listened_store import StoredFile
from campaign.model import FeedbackOutcome

TOKEN = "T" * 60
POSTMARK = (
    b'{"RecordType":"SpamComplaint","ID":42,"Type":"SpamComplaint","Email":"a@example.com",'
    b'"BouncedAt":"2026-11-05T16:33:54Z","MessageID":"m-1"}'
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "events"


def source(folder: Path) -> ListenedSource:
    return ListenedSource(ListenedFolder(folder), folder.parent / "progress.json")


def taken(one: ListenedSource) -> list[Received]:
    found = list(one.receive())
    one.acknowledge([Handled(item.receipt, recognised=True) for item in found])
    return found


def tokens(found: list[Received]) -> list[str]:
    return [notice.unsubscribe_tokens[0] for item in found for notice in item.notices]


def test_a_record_is_read_as_it_was_stored() -> None:
    for record in (clicked(TOKEN, 12.5), hooked("postmark", b"\xff\n{}", 12.5)):
        line = record.line()
        assert line.startswith(b'{"v":1,"id":"')
        assert line.count(b"\n") == 1
        assert parse_record(line[:-1]) == record


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"no JSON",
        b"[]",
        b'{"v":2,"id":"1","at":1,"kind":"one-click","token":"' + TOKEN.encode() + b'"}',
        b'{"v":1,"id":"1","at":1,"kind":"other"}',
        b'{"v":1,"id":"1","at":1,"kind":"one-click","token":"short"}',
        b'{"v":1,"id":"1","at":1,"kind":"webhook","more":1}',
        b"[" * 100_000,
    ],
)
def test_a_line_that_is_no_record_is_an_error(line: bytes) -> None:
    with pytest.raises(RecordError):
        parse_record(line)


def test_each_click_is_read_once_and_its_file_is_removed_when_it_is_closed(folder: Path) -> None:
    writer = ListenedWriter(folder)
    writer.append([clicked(TOKEN, 1.0).line(), clicked("U" * 60, 2.0).line()])
    assert tokens(taken(source(folder))) == [TOKEN, "U" * 60]
    assert len(list(folder.iterdir())) == 1  # it may still grow
    assert taken(source(folder)) == []
    writer.append([clicked("V" * 60, 3.0).line()])
    assert tokens(taken(source(folder))) == ["V" * 60]
    writer.close()
    assert taken(source(folder)) == []
    assert not list(folder.iterdir())


def test_what_was_read_but_not_acknowledged_is_read_again_with_the_same_ids(folder: Path) -> None:
    ListenedWriter(folder).append([clicked(TOKEN, 1.0).line()])
    first, second = list(source(folder).receive()), list(source(folder).receive())
    assert [one.id for one in first] == [one.id for one in second]
    assert len(first) == 1
    assert first[0].notices[0].outcome is FeedbackOutcome.UNSUBSCRIBE


def test_two_writers_have_files_of_their_own(folder: Path) -> None:
    one, two = ListenedWriter(folder), ListenedWriter(folder)
    one.append([clicked(TOKEN, 1.0).line()])
    two.append([clicked("U" * 60, 1.0).line()])
    assert sorted(tokens(taken(source(folder)))) == [TOKEN, "U" * 60]
    assert [file.closed for file in ListenedFolder(folder).files()] == [False, False]


def test_a_torn_end_is_passed_over_and_its_file_removed(folder: Path) -> None:
    writer = ListenedWriter(folder)
    writer.append([clicked(TOKEN, 1.0).line()])
    (file,) = folder.iterdir()
    writer.close()
    with file.open("ab") as torn:
        torn.write(b'{"v":1,"id":"')
    assert tokens(taken(source(folder))) == [TOKEN]
    assert not list(folder.iterdir())


def test_a_full_disk_takes_nothing_and_the_next_record_begins_a_new_file(folder: Path) -> None:
    full = False

    def write(file: int, data: bytes) -> int:
        if not full:
            return os.write(file, data)
        os.write(file, data[:5])
        raise OSError(errno.ENOSPC, "No space left on device")

    seconds = itertools.count(1000.0)  # files of one moment have no order
    writer = ListenedWriter(folder, write=write, clock=lambda: next(seconds))
    writer.append([clicked(TOKEN, 1.0).line()])
    full = True
    with pytest.raises(OSError, match="No space"):
        writer.append([clicked("U" * 60, 1.0).line()])
    full = False
    writer.append([clicked("V" * 60, 1.0).line()])
    assert [file.read_bytes().count(b"\n") for file in folder.iterdir()] == [1, 1]
    assert all(file.read_bytes().endswith(b"\n") for file in folder.iterdir())
    assert tokens(taken(source(folder))) == [TOKEN, "V" * 60]


def test_an_old_file_is_closed_and_another_begun(folder: Path) -> None:
    now = 1000.0
    writer = ListenedWriter(folder, clock=lambda: now)
    writer.append([clicked(TOKEN, now).line()])
    now += OLDEST_FILE
    writer.append([clicked("U" * 60, now).line()])
    assert [file.closed for file in ListenedFolder(folder).files()] == [True, False]


def test_a_file_that_a_process_writes_is_not_removed(folder: Path) -> None:
    ListenedFolder(folder.parent).remove([StoredFile("0000000000000-0000000000000000.jsonl", 0, closed=True)])
    writer = ListenedWriter(folder)
    writer.append([clicked(TOKEN, 1.0).line()])
    (file,) = ListenedFolder(folder).files()
    ListenedFolder(folder).remove([file])
    assert (folder / file.name).exists()
    writer.close()
    ListenedFolder(folder).remove([file._replace(size=file.size - 1)])  # more was appended than was read
    assert (folder / file.name).exists()
    ListenedFolder(folder).remove([file])
    assert not (folder / file.name).exists()


def test_a_webhook_gives_the_events_in_its_body(folder: Path) -> None:
    writer = ListenedWriter(folder)
    writer.append([hooked("postmark", POSTMARK, 1.0).line(), clicked(TOKEN, 1.0).line()])
    complaint, click = taken(source(folder))
    assert complaint.notices[0].outcome is FeedbackOutcome.COMPLAINT
    assert click.notices[0].unsubscribe_tokens == (TOKEN,)


def test_a_webhook_that_is_no_event_is_told_once_and_kept_and_nothing_waits_for_it(folder: Path) -> None:
    writer = ListenedWriter(folder)
    lines = [
        hooked("postmark", b"no JSON", 1.0).line(),
        hooked("nobody", b"{}", 1.0).line(),
        clicked(TOKEN, 1.0).line(),
    ]
    writer.append(lines)
    writer.close()
    one = source(folder)
    reading, items = one.receive(), []
    items.append(next(reading))
    with pytest.raises(InputError, match="2 requests that are no events"):
        next(reading)
    one.acknowledge([Handled(item.receipt, recognised=True) for item in items])
    assert tokens(items) == [TOKEN]
    assert taken(source(folder)) == []
    assert len(list(folder.iterdir())) == 1


def test_records_without_events_are_passed_over(folder: Path) -> None:
    opened = POSTMARK.replace(b"SpamComplaint", b"Open")
    writer = ListenedWriter(folder)
    writer.append([hooked("postmark", opened, 1.0).line()])
    writer.close()
    assert taken(source(folder)) == []
    assert not list(folder.iterdir())


def test_a_damaged_file_is_an_error_that_names_it(folder: Path) -> None:
    folder.mkdir()
    (folder / "0000000000001-0000000000000000.jsonl").write_bytes(b"garbage\n")
    with pytest.raises(InputError, match="damaged") as told:
        list(source(folder).receive())
    assert "0000000000001-0000000000000000.jsonl, octet 0" in str(told.value)


def test_a_folder_that_is_not_there_is_an_error(folder: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        list(source(folder).receive())


def test_other_files_in_the_folder_are_left_alone(folder: Path) -> None:
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    assert taken(source(folder)) == []
    assert (folder / "notes.txt").exists()
