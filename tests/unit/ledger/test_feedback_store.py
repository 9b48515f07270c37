"""The store of feedback: nothing twice, nothing lost, damage shown."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
import threading
from binascii import crc32
from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign.errors import DamageError, StorageError
from campaign.ledger.feedback.feedback_store import (
    NAME,
    FeedbackStore,
    read_events,
)
from campaign.ledger.feedback.stored_event import LONGEST_TEXT, LeanEvent, StoredEvent
from campaign.model import FeedbackEvent, FeedbackOutcome


def event(event_id: str, **fields: object) -> FeedbackEvent:
    return FeedbackEvent(event_id, "imap:b@example.com", FeedbackOutcome.HARD, 1.5, 2.5)._replace(**fields)  # type: ignore[arg-type]


def added(folder: Path, *ids: str) -> int:
    with FeedbackStore(folder) as store:
        return store.add([event(one) for one in ids])


def ids(folder: Path) -> list[str]:
    return [one.id for one in read_events(folder)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FeedbackStore]:
    with FeedbackStore(tmp_path) as opened:
        yield opened


def test_an_event_comes_back_as_it_was_added(tmp_path: Path, store: FeedbackStore) -> None:
    full = event("a", address="ü@example.com", number=7, code=550, diagnostic='550 "no"\nsuch user', run="g/1")
    store.add([full, event("b")])
    assert list(read_events(tmp_path)) == [full, event("b")]
    assert all(type(one) is FeedbackEvent for one in read_events(tmp_path))


def test_the_stored_fields_are_those_of_an_event_in_the_same_order() -> None:
    assert StoredEvent.__struct_fields__ == FeedbackEvent._fields


def test_without_evidence_an_event_has_what_rules_look_at(tmp_path: Path, store: FeedbackStore) -> None:
    whole = event("a", **dict.fromkeys(("address", "matched_by", "campaign", "run", "reason"), "x"))
    store.add([whole._replace(diagnostic="no", code=550, number=7, mta="m", enhanced="5.1.1", message_id="i")])
    assert list(read_events(tmp_path, evidence=False)) == [whole._replace(id="", source="")]
    assert all(name in FeedbackEvent._fields for name in LeanEvent.__struct_fields__)
    with (tmp_path / NAME).open("ab") as file:
        file.write(b"{}\n" + (tmp_path / NAME).read_bytes())
    with pytest.raises(DamageError, match=f"{NAME}:2:"):
        list(read_events(tmp_path, evidence=False))


def test_a_line_is_an_object_that_jq_reads_without_defaults_and_with_its_checksum_last(tmp_path: Path) -> None:
    added(tmp_path, "a")
    line = (tmp_path / NAME).read_bytes().removesuffix(b"\n")
    body, _, _ = line.rpartition(b',"crc"')
    assert json.loads(line) == {
        "id": "a",
        "source": "imap:b@example.com",
        "outcome": "hard",
        "at": 1.5,
        "seen": 2.5,
        "crc": f"{crc32(body):08x}",
    }


def test_a_folder_without_a_store_has_no_events(tmp_path: Path) -> None:
    assert ids(tmp_path / "nowhere") == []


def test_an_id_is_added_once_however_often_it_is_read(tmp_path: Path, store: FeedbackStore) -> None:
    assert store.add([event("a"), event("b"), event("a")]) == 2
    assert store.add([event("b"), event("c")]) == 1
    assert added(tmp_path, "a", "c", "d") == 1
    assert ids(tmp_path) == ["a", "b", "c", "d"]


def test_an_id_that_another_process_added_meanwhile_is_not_added(tmp_path: Path, store: FeedbackStore) -> None:
    store.add([event("a")])
    added(tmp_path, "b")
    assert store.add([event("b"), event("c")]) == 1
    assert ids(tmp_path) == ["a", "b", "c"]


def test_what_is_appended_is_not_asked_for_and_is_known_from_then_on(tmp_path: Path, store: FeedbackStore) -> None:
    store.append([event("a")])
    store.append([event("a")])
    assert store.add([event("a"), event("b")]) == 1
    assert ids(tmp_path) == ["a", "a", "b"]


@pytest.mark.parametrize("cut", range(1, 60, 3))
def test_a_torn_end_is_kept_beside_and_cut_off(tmp_path: Path, cut: int) -> None:
    added(tmp_path, "a", "b")
    whole = (tmp_path / NAME).read_bytes()
    first = whole.index(b"\n") + 1
    (tmp_path / NAME).write_bytes(whole[: first + cut])
    assert ids(tmp_path) == ["a"]
    assert added(tmp_path, "b", "c") == 2
    assert ids(tmp_path) == ["a", "b", "c"]
    assert (tmp_path / f"feedback-torn-tail-{first}").read_bytes() == whole[first : first + cut]


def test_a_last_line_that_lacks_its_line_feed_alone_is_whole(tmp_path: Path) -> None:
    added(tmp_path, "a", "b")
    (tmp_path / NAME).write_bytes((tmp_path / NAME).read_bytes()[:-1])
    assert ids(tmp_path) == ["a", "b"]
    assert added(tmp_path, "b", "c") == 1
    assert ids(tmp_path) == ["a", "b", "c"]


@pytest.mark.parametrize("tail", [b"\0" * 300_000, b"x" * 70 + b"\n", b"{}\n" * 50_000, b"\n"])
def test_whatever_follows_the_last_whole_line_is_no_event(tmp_path: Path, tail: bytes) -> None:
    added(tmp_path, "a")
    with (tmp_path / NAME).open("ab") as file:
        file.write(tail)
    assert ids(tmp_path) == ["a"]
    assert added(tmp_path, "b") == 1
    assert ids(tmp_path) == ["a", "b"]


def test_a_first_line_that_was_torn_leaves_an_empty_store(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b'{"id":"a","sour')
    assert ids(tmp_path) == []
    assert added(tmp_path, "a") == 1
    assert ids(tmp_path) == ["a"]


@pytest.mark.parametrize("line", [1, 2, 30_000])
def test_damage_in_the_middle_is_refused_with_its_line(tmp_path: Path, line: int) -> None:
    with FeedbackStore(tmp_path) as store:
        store.append([event(f"{number:06}", address="a@example.com") for number in range(30_001)])
    lines = (tmp_path / NAME).read_bytes().splitlines(keepends=True)
    lines[line - 1] = lines[line - 1].replace(b"hard", b"soft")
    (tmp_path / NAME).write_bytes(b"".join(lines))
    with pytest.raises(DamageError, match=f"{NAME}:{line}:") as refused:
        ids(tmp_path)
    assert f"{line}d {tmp_path / NAME}" in refused.value.next_step
    with pytest.raises(DamageError, match=f"{NAME}:{line}:"):
        added(tmp_path, "x")
    del lines[line - 1]  # as the next step has it
    (tmp_path / NAME).write_bytes(b"".join(lines))
    assert len(ids(tmp_path)) == 30_000


@pytest.mark.parametrize("after", [b"", b"x" * 70 + b"\n"])
def test_an_altered_last_line_is_damage_and_no_torn_end(tmp_path: Path, after: bytes) -> None:
    added(tmp_path, "a", "b", "c")
    altered = b"".join((tmp_path / NAME).read_bytes().rpartition(b"hard")[::2]).replace(b'"c",', b'"d",') + after
    (tmp_path / NAME).write_bytes(altered)
    with pytest.raises(DamageError, match=f"{NAME}:3:"):
        ids(tmp_path)
    with pytest.raises(DamageError, match=f"{NAME}:3:"):
        added(tmp_path, "x")
    assert (tmp_path / NAME).read_bytes() == altered


def test_a_line_with_a_hole_in_it_is_a_torn_end(tmp_path: Path) -> None:
    added(tmp_path, "a", "b")
    (tmp_path / NAME).write_bytes(b"\0\0\0\0".join((tmp_path / NAME).read_bytes().rpartition(b"hard")[::2]))
    assert ids(tmp_path) == ["a"]


def test_damage_found_late_names_the_line_of_the_file(tmp_path: Path, store: FeedbackStore) -> None:
    store.add([event("a"), event("b")])
    with (tmp_path / NAME).open("ab") as file:
        file.write(b"nonsense\n")
    with FeedbackStore(tmp_path) as other, (tmp_path / NAME).open("ab") as file:
        other._open()
        file.write((tmp_path / NAME).read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(DamageError, match=f"{NAME}:3:"):
        store.add([event("c")])


def test_a_line_of_a_later_release_is_damage_although_its_checksum_fits(tmp_path: Path) -> None:
    added(tmp_path, "a")
    body = b'{"id":"b","source":"x","outcome":"enchanted","at":1.0,"seen":1.0'
    with (tmp_path / NAME).open("ab") as file:
        file.write(b'%b,"crc":"%08x"}\n' % (body, crc32(body)))
    with pytest.raises(DamageError, match=f"{NAME}:2:"):
        ids(tmp_path)


def test_a_file_without_any_line_of_ours_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("email\na@example.com\n")
    with pytest.raises(DamageError, match=f"{NAME}:1:"):
        added(tmp_path, "a")
    assert (tmp_path / NAME).read_text() == "email\na@example.com\n"


def test_texts_of_strangers_are_bounded_and_valid(tmp_path: Path, store: FeedbackStore) -> None:
    long = "x" * 5_000
    store.add([event(long, diagnostic=long, mta="\udc80", at=float("nan"), seen=float("inf"))])
    assert store.add([event(long)]) == 0
    assert store.add([event(long + "y")]) == 1
    first = next(read_events(tmp_path))
    assert (len(first.diagnostic), first.mta, first.at, first.seen) == (LONGEST_TEXT, "?", 0.0, 0.0)


def test_a_short_write_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(
        "campaign.ledger.feedback.feedback_store.os.write", lambda descriptor, data: real(descriptor, data[:7])
    )
    added(tmp_path, "a", "b")
    monkeypatch.undo()
    assert ids(tmp_path) == ["a", "b"]


def test_nothing_is_left_behind_of_what_a_full_disk_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    added(tmp_path, "a")
    before, real, calls = (tmp_path / NAME).read_bytes(), os.write, []

    def full(descriptor: int, data: bytes) -> int:
        calls.append(data)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "full")
        return real(descriptor, data[:150])

    with FeedbackStore(tmp_path) as store:
        monkeypatch.setattr("campaign.ledger.feedback.feedback_store.os.write", full)
        with pytest.raises(StorageError, match="ENOSPC"):
            store.add([event("b"), event("c")])
        monkeypatch.undo()
        assert (tmp_path / NAME).read_bytes() == before
        assert store.add([event("b"), event("c")]) == 2


def test_nobody_appends_while_another_process_does_and_reading_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("campaign.ledger.journal.journal_file.LOCK_PAUSE", 0.0)
    added(tmp_path, "a")
    with (tmp_path / NAME).open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(StorageError, match="another process holds it"):
            added(tmp_path, "b")
        assert ids(tmp_path) == ["a"]
    assert added(tmp_path, "b") == 1


def test_a_sync_reaches_file_and_folder_and_is_never_repeated_after_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: FeedbackStore
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    store.add([event("a")])
    assert (tmp_path / NAME).stat().st_ino not in synced
    synced.clear()
    store.sync()
    assert synced == [(tmp_path / NAME).stat().st_ino, tmp_path.stat().st_ino]

    def broken(_descriptor: int) -> None:
        raise OSError(errno.EIO, "disk")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(StorageError, match="EIO"):
        store.sync()
    monkeypatch.undo()
    with pytest.raises(StorageError, match="not trusted again"):
        store.sync()


def test_a_file_moved_away_gets_no_more_events(tmp_path: Path, store: FeedbackStore) -> None:
    store.add([event("a")])
    (tmp_path / NAME).rename(tmp_path / "old.jsonl")
    assert store.add([event("a"), event("b")]) == 2
    assert ids(tmp_path) == ["a", "b"]


def test_threads_that_add_the_same_at_once_leave_each_event_once(tmp_path: Path) -> None:
    def work(first: int) -> None:
        with FeedbackStore(tmp_path) as store:
            for number in range(first, first + 40):
                while True:
                    try:
                        store.add([event(str(number)), event(str(number + 1))])
                        break
                    except StorageError:
                        continue

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 10, 20)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(map(int, ids(tmp_path))) == list(range(61))


def test_a_process_killed_while_it_appends_leaves_whole_events(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from campaign.ledger.feedback.feedback_store import FeedbackStore\n"
        "from campaign.model import FeedbackEvent, FeedbackOutcome\n"
        "with FeedbackStore(Path(sys.argv[1])) as store:\n"
        "    for n in range(10**9):\n"
        "        store.append([FeedbackEvent(f'{n}-{i}', 's', FeedbackOutcome.SOFT, 1.0, 1.0) for i in range(50)])\n"
        "        print(n, flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        said = [process.stdout.readline() for _ in range(20)]
    process.kill()
    process.wait()
    found = ids(tmp_path)
    assert len(found) >= 50 * len(said)
    assert added(tmp_path, "last") == 1
    assert ids(tmp_path)[-1] == "last"
