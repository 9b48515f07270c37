"""An mbox: read once however it grows, rotates or is rewritten, and never changed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.errors import InputError, StorageError
from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.feedback_source import Handled, Received
from campaign.feedback.mailboxes.files.mbox_format import split_mbox, without_marks
from campaign.feedback.mailboxes.files.mbox_mailbox import SETTLED, MboxMailbox, is_whole
from campaign.feedback.mailboxes.incoming_message import LARGEST
from campaign.model import FeedbackOutcome


def message(number: int, body: str = "no such user") -> bytes:
    return f"From MAILER-DAEMON Mon Nov  2 10:00:00 2026\nSubject: {number}\n\n{body}\n\n".encode()


def read(raw: bytes) -> tuple[FeedbackNotice, ...]:
    return (FeedbackNotice(FeedbackOutcome.UNKNOWN, mta=raw.decode("latin-1")),)


@pytest.fixture
def mbox(tmp_path: Path) -> Path:
    path = tmp_path / "mbox"
    path.write_bytes(b"")
    return path


def mailbox(path: Path, *, later: float = 0.0) -> MboxMailbox:
    """Opened ``later`` seconds after the file was written last."""
    progress_file = path.with_name("progress") / "mbox.json"
    changed = path.stat().st_mtime if path.exists() else 0.0
    return MboxMailbox(path, progress_file=progress_file, read=read, now=lambda: changed + later)


def append(path: Path, *messages: bytes) -> None:
    with path.open("ab") as file:
        file.write(b"".join(messages))


def numbers(taken: list[Received]) -> list[int]:
    return [int(one.notices[0].mta.partition("Subject: ")[2].partition("\n")[0]) for one in taken]


def collect(one: MboxMailbox) -> list[Received]:
    with closing(one):
        taken = list(one.receive())
        one.acknowledge([Handled(received.receipt, recognised=True) for received in taken])
    return taken


def test_each_message_is_read_once_as_the_file_grows(mbox: Path) -> None:
    assert collect(mailbox(mbox)) == []
    append(mbox, message(1), message(2))
    assert numbers(collect(mailbox(mbox))) == [1, 2]
    assert collect(mailbox(mbox)) == []
    append(mbox, message(3))
    content = mbox.read_bytes()
    assert numbers(collect(mailbox(mbox))) == [3]
    assert mbox.read_bytes() == content


def test_what_was_not_acknowledged_is_read_again(mbox: Path) -> None:
    append(mbox, *map(message, range(1, 6)))
    one = mailbox(mbox)
    with closing(one):
        taken = list(one.receive())
        one.acknowledge([Handled(taken[index].receipt, recognised=True) for index in (1, 0, 3)])
    assert numbers(collect(mailbox(mbox))) == [3, 4, 5]


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(message(3)),
        lambda path: path.write_bytes(message(3) + message(4) * 50),
        lambda path: path.write_bytes(path.read_bytes().replace(message(1), b"") + message(3)),
        lambda path: path.write_bytes(path.read_bytes().replace(b"Subject: 2", b"Subject: 3")),
    ],
    ids=["smaller", "larger", "one deleted", "rewritten"],
)
def test_a_file_that_was_rotated_or_rewritten_is_read_from_its_beginning(mbox: Path, change) -> None:
    append(mbox, message(1), message(2))
    collect(mailbox(mbox))
    change(mbox)
    assert 3 in numbers(collect(mailbox(mbox)))


def test_marks_of_a_mail_reader_do_not_make_another_message_of_it(mbox: Path) -> None:
    append(mbox, message(1))
    (before,) = collect(mailbox(mbox))
    marked = b"Subject: 1\nStatus: RO\nX-Status: A\nX-UID: 12\nContent-Length: 13\n"
    mbox.write_bytes(message(1).replace(b"Subject: 1\n", marked))
    (after,) = collect(mailbox(mbox))
    assert before.id == after.id
    assert without_marks(b"Subject: status\n\nStatus: RO\n") == b"Subject: status\n\nStatus: RO\n"


@pytest.mark.parametrize("mark", ["Lines: 2", "X-Label: seen", "X-Mozilla-Status: 0001", "X-Mozilla-Keys: a"])
def test_no_reader_of_mail_that_saves_the_file_makes_a_message_count_again(mbox: Path, mark: str) -> None:
    append(mbox, message(1))
    (before,) = collect(mailbox(mbox))
    mbox.write_bytes(message(1).replace(b"Subject: 1\n", f"Subject: 1\n{mark}\n".encode()))
    (after,) = collect(mailbox(mbox))
    assert before.id == after.id


def test_a_message_longer_than_what_is_read_of_it_stays_the_same_when_a_mail_reader_marks_it(mbox: Path) -> None:
    large = message(1, "a line of a returned letter\n" * (LARGEST // 28 + 1_000))
    append(mbox, large)
    (before,) = collect(mailbox(mbox))
    mbox.write_bytes(large.replace(b"Subject: 1\n", b"Subject: 1\nStatus: RO\nX-Keywords:     \n"))
    (after,) = collect(mailbox(mbox))
    assert before.id == after.id
    assert len(after.notices[0].mta) == LARGEST


def test_a_last_message_that_is_still_being_written_is_left_until_it_is_whole(mbox: Path) -> None:
    begun = message(2, "the first line\n\nthe second")
    append(mbox, message(1), begun[:-5])
    assert numbers(collect(mailbox(mbox))) == [1]
    append(mbox, begun[-5:])
    (second,) = collect(mailbox(mbox))
    assert second.notices[0].mta.endswith("the second\n")


def test_a_last_message_without_an_empty_line_is_taken_after_a_while(mbox: Path) -> None:
    append(mbox, message(1).rstrip(b"\n"))
    assert collect(mailbox(mbox, later=SETTLED - 1)) == []
    assert numbers(collect(mailbox(mbox, later=SETTLED + 1))) == [1]
    append(mbox, b"\n\nthe rest of it\n\n", message(2))
    assert numbers(collect(mailbox(mbox))) == [2]
    assert collect(mailbox(mbox)) == []


@pytest.fixture
def locked(mbox: Path) -> Iterator[Path]:
    """The file while another process holds its lock, as a mail server does that appends."""
    script = "import fcntl, sys; f = open(sys.argv[1], 'ab'); fcntl.lockf(f, fcntl.LOCK_EX); print(); sys.stdin.read()"
    command = [sys.executable, "-c", script, str(mbox)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield mbox
        process.kill()


def test_while_a_mail_server_holds_the_lock_the_last_message_is_left(locked: Path) -> None:
    append(locked, message(1), message(2, "part of it\n"))
    assert numbers(collect(mailbox(locked))) == [1]


def test_no_lock_is_held_while_messages_are_read(mbox: Path) -> None:
    append(mbox, message(1))
    with closing(mailbox(mbox)) as one:
        assert next(one.receive())
        script = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'ab'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
        assert subprocess.run([sys.executable, "-c", script, str(mbox)], check=False).returncode == 0


@pytest.mark.parametrize(
    ("closed", "locked", "settled", "whole"),
    [
        (True, True, False, True),
        (True, False, False, False),
        (False, True, False, False),
        (False, False, False, False),
        (False, False, True, True),
        (True, False, True, True),
    ],
)
def test_when_a_last_message_is_whole(closed: bool, locked: bool, settled: bool, whole: bool) -> None:
    assert is_whole(closed=closed, locked=locked, settled=settled) is whole


def test_a_line_that_begins_with_from_parts_messages_only_after_an_empty_one(mbox: Path) -> None:
    append(mbox, message(1, "\n>From the beginning\n>>From\nx\nFrom here on"), message(2))
    first, second = collect(mailbox(mbox))
    assert first.notices[0].mta.endswith("\n\nFrom the beginning\n>>From\nx\nFrom here on\n")
    assert numbers([second]) == [2]


def test_line_ends_of_other_systems_are_understood(mbox: Path) -> None:
    append(mbox, (message(1) + message(2)).replace(b"\n", b"\r\n"))
    first, second = collect(mailbox(mbox))
    assert first.notices[0].mta.endswith("no such user\r\n")
    assert second.notices[0].mta.startswith("Subject: 2\r\n")


def test_a_huge_message_and_a_huge_line_take_no_room(mbox: Path) -> None:
    append(mbox, message(1, "x" * (3 * LARGEST)), message(2, ("y" * 70 + "\n") * 50_000), message(3))
    first, second, third = collect(mailbox(mbox))
    assert [len(one.notices[0].mta) for one in (first, second)] == [LARGEST, LARGEST]
    assert numbers([third]) == [3]


@pytest.mark.parametrize(
    ("content", "words"), [(b"Subject: x\n\nno mbox\n", "no mbox"), (None, "touch"), ("folder", "no file")]
)
def test_what_is_no_mbox_is_told(mbox: Path, content: bytes | str | None, words: str) -> None:
    mbox.unlink()
    if content == "folder":
        mbox.mkdir()
    elif isinstance(content, bytes):
        mbox.write_bytes(content)
    with closing(mailbox(mbox)) as one, pytest.raises(InputError) as caught:
        list(one.receive())
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "noted", [b"", b"[" * 100_000, b'{"offset": -1}', b'{"offset": "x"}', b'{"offset": 5}', b"[1]"]
)
def test_a_note_that_cannot_be_understood_means_reading_from_the_beginning(mbox: Path, noted: bytes) -> None:
    append(mbox, message(1))
    (mbox.parent / "progress").mkdir()
    (mbox.parent / "progress" / "mbox.json").write_bytes(noted)
    assert numbers(collect(mailbox(mbox))) == [1]


def test_a_note_that_cannot_be_written_is_told(mbox: Path) -> None:
    append(mbox, message(1))
    (mbox.parent / "progress").write_bytes(b"a file where the folder should be")
    with pytest.raises(StorageError, match="how far a source of feedback was read"):
        collect(mailbox(mbox))


@given(st.lists(st.binary(max_size=60).filter(lambda one: b"From " not in one), max_size=5), st.binary(max_size=80))
def test_every_octet_between_two_separators_belongs_to_one_message(bodies: list[bytes], junk: bytes) -> None:
    whole = b"".join(b"From x\nSubject: y\n\n" + body + b"\n\n" for body in bodies)
    found = list(split_mbox(BytesIO(whole), 0, len(whole)))
    assert len(found) == len(bodies)
    assert [one.start for one in found[1:]] == [one.end for one in found[:-1]]
    assert not found or (found[0].start == 0 and found[-1].end == len(whole))
    list(split_mbox(BytesIO(junk), 0, len(junk)))
