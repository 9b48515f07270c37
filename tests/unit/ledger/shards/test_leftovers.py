"""What killed senders left is merged when the run is opened again, once, however often that is cut short."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from campaign.errors import DamageError, UnfinishedError
from campaign.ledger import recovery
from campaign.ledger.checkpoint import ENDED, Checkpoint, create
from campaign.ledger.journal.journal_file import JournalFile
from campaign.ledger.journal.journal_reader import NAME
from campaign.ledger.journal.journal_records import (
    Intent,
    Leased,
    Merged,
    Opened,
    ReservedUpTo,
    VerdictRecord,
    encode,
)
from campaign.ledger.recovery import read_history, read_run
from campaign.ledger.shards import held_leftovers
from campaign.ledger.shards.shard_reader import FOLDER, ShardSpan, shard_journals, shard_path
from campaign.model import Verdict
from tests.support.kills import WHENS, Killed, When, kill

NOW, PASS = 1000.0, 1000.0
INTENTS = [Intent(number, f"{number:064x}", PASS, "relay") for number in range(40)]


def accepted(number: int) -> VerdictRecord:
    return VerdictRecord(number, "accepted", NOW + 1, 250, relay="relay", took=0.1)


def put_off(number: int) -> VerdictRecord:
    return VerdictRecord(number, "deferred", NOW + 1, 451, relay="relay", not_before=NOW + 300)


#: One shard of which two lines are merged, and one of which none is.
FIRST = [INTENTS[0], put_off(0), INTENTS[1], accepted(1), INTENTS[2]]
SECOND = [INTENTS[12], accepted(12), INTENTS[11], put_off(11), INTENTS[13]]


def checkpoint(run: Path, boot: str = "before", durability: str = "process", **more: Any) -> Checkpoint:
    return Checkpoint(run, boot=boot, durability=durability, clock=lambda: NOW, **more)


def leave(run: Path, shard: int, first: int, records: list[Any], durability: str = "process", upto: int = 0) -> Path:
    path = shard_path(run, ShardSpan(shard, first, first + 10))
    path.parent.mkdir(exist_ok=True)
    lines = [Leased(shard, first, first + 10, PASS, NOW, "before", durability)]
    path.write_bytes(b"".join(map(encode, [*lines, *[ReservedUpTo(upto)] * bool(upto), *records])))
    return path


def begun(run: Path, durability: str = "process") -> None:
    """A run whose process was killed within its first pass."""
    create(run, Opened("gazette", "", "run", 1, 40, "plan", {}, "shape", 1.0, "trace"))
    opened = checkpoint(run, durability=durability)
    opened.begin_pass()
    opened.close()


def append(run: Path, *records: Any) -> None:
    with (run / NAME).open("ab") as file:
        file.write(b"".join(map(encode, records)))


@pytest.fixture(autouse=True)
def _boot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "boot_identity", lambda: "before")


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "run"
    folder.mkdir()
    begun(folder)
    return folder


@pytest.fixture
def left(run: Path) -> Path:
    leave(run, 1, 0, FIRST)
    leave(run, 2, 10, SECOND)
    append(run, Merged(1, 10, 2), *FIRST[:2])
    return run


def standing(run: Path) -> tuple[object, ...]:
    """Where everybody stands, and how often each has been intended and answered."""
    history = read_history(run, running=True)
    records = Counter((type(one).__name__, one.number) for one in read_run(run) if hasattr(one, "number"))
    del records["Pass", 1]
    per = (bytes(history.state), bytes(history.attempts), list(history.dates), list(history.not_before))
    return (*per, dict(history.digests), sorted(records.items()), shard_journals(run), (run / FOLDER).exists())


def opened_again(run: Path, boot: str = "before") -> Checkpoint:
    """As a command does it: read, choose, then open for writing."""
    return checkpoint(run, boot, history=read_history(run))


def open_again(run: Path, boot: str = "before") -> None:
    opened_again(run, boot).close()


def test_they_are_merged_in_order_and_removed_and_who_had_no_reply_is_in_doubt(left: Path) -> None:
    opened = checkpoint(left)
    history = opened.history
    opened.close()
    assert [history.verdict(number).value for number in (0, 1, 2)] == ["deferred", "accepted", "in_doubt"]
    assert [history.verdict(number).value for number in (11, 12, 13)] == ["deferred", "accepted", "in_doubt"]
    assert history.tally()["waiting"] == 34
    assert (history.attempts[0], history.digests[2]) == (1, INTENTS[2].sha256)
    assert not (left / FOLDER).exists()
    told = [one for one in read_run(left) if isinstance(one, Intent | VerdictRecord) and one.number < 10]
    assert told[:5] == FIRST
    assert [(one.number, one.reason) for one in told[5:] if isinstance(one, VerdictRecord)] == [(2, ENDED)]


def test_the_next_shard_has_a_number_of_its_own(left: Path) -> None:
    open_again(left)
    assert read_history(left).shards == 2


def test_reading_says_the_same_before_they_are_merged(left: Path) -> None:
    before = read_history(left)
    assert list(read_history(left, running=True).numbers(Verdict.IN_DOUBT)) == []
    open_again(left)
    after = read_history(left)
    assert bytes(before.state) == bytes(after.state)
    assert bytes(before.attempts) == bytes(after.attempts)
    assert before.digests == after.digests


def test_all_records_of_a_run_are_those_of_its_journal_and_then_what_is_left(left: Path) -> None:
    told = [one for one in read_run(left) if isinstance(one, Intent | VerdictRecord)]
    assert told == [*FIRST[:2], *FIRST[2:], *SECOND]


@pytest.mark.parametrize("read_before", [True, False])
def test_a_shard_that_was_closed_and_not_removed_is_only_removed(run: Path, read_before: bool) -> None:
    leave(run, 1, 0, FIRST[:4])
    append(run, Merged(1, 10, 4, closed=True), *FIRST[:4])
    checkpoint(run, history=read_history(run) if read_before else None).close()
    history = read_history(run)
    assert history.attempts[0] == 1
    assert sum(isinstance(one, VerdictRecord) for one in read_run(run)) == 2
    assert not (run / FOLDER).exists()


@pytest.mark.parametrize(
    ("durability", "boot", "doubts"),
    [
        ("process", "after", [2, 3, 4, 5, 13]),
        ("power", "after", [2, 13]),
        ("process", "before", [2, 13]),
    ],
    ids=["process, power lost", "power, power lost", "process, killed"],
)
def test_a_loss_of_power_puts_in_doubt_whoever_may_have_been_taken(
    run: Path, durability: str, boot: str, doubts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(run, 1, 0, FIRST, durability, upto=6)
    leave(run, 2, 10, SECOND, durability)
    monkeypatch.setattr(recovery, "boot_identity", lambda: boot)
    assert list(read_history(run).numbers(Verdict.IN_DOUBT)) == doubts
    open_again(run, boot)
    assert list(read_history(run).numbers(Verdict.IN_DOUBT)) == doubts


def test_who_was_certainly_not_taken_by_a_sender_that_was_killed_is_not_in_doubt_by_a_later_loss_of_power(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shard's journal is whole after a kill, and says who was taken; it may outlive the command that merged it."""
    path = leave(run, 1, 0, FIRST, upto=6)
    kept = path.read_bytes()
    open_again(run)
    path.parent.mkdir()
    path.write_bytes(kept)
    monkeypatch.setattr(recovery, "boot_identity", lambda: "after")
    open_again(run, "after")
    assert list(read_history(run).numbers(Verdict.IN_DOUBT)) == [2]


@pytest.mark.parametrize("boot", ["before", "after"])
@pytest.mark.parametrize("when", WHENS)
def test_opening_may_be_killed_at_any_step_and_the_next_one_gives_the_same(
    left: Path, boot: str, when: When, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "boot_identity", lambda: boot)
    leave(left, 3, 20, [INTENTS[20], accepted(20)], upto=25)
    whole = tmp_path / "whole"
    shutil.copytree(left, whole)
    open_again(whole, boot)
    expected, step, killed = standing(whole), 0, True
    assert not expected[-1]
    while killed:
        copy = tmp_path / f"{when}-{step}"
        shutil.copytree(left, copy)
        with kill(step, when):
            try:
                opened = opened_again(copy, boot)
            except Killed:
                step += 1
            else:
                killed = False
        if killed:
            open_again(copy, boot)
        else:
            opened.close()
        assert standing(copy) == expected, f"killed {when} step {step}"
    assert step > 10


def test_a_sender_still_at_work_is_waited_for_and_then_refused(left: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_leftovers, "ORPHAN_TRIES", 3)
    naps: list[float] = []
    monkeypatch.setattr("campaign.ledger.journal.journal_file.time.sleep", naps.append)
    path = shard_path(left, ShardSpan(2, 10, 20))
    working = JournalFile(path)
    before = path.read_bytes()
    with pytest.raises(UnfinishedError) as refused:
        checkpoint(left)
    working.close()
    assert str(path) in str(refused.value.evidence)
    assert len(naps) == 3
    assert path.read_bytes() == before
    checkpoint(left).close()


def test_a_damaged_one_is_refused_before_anything_is_merged_or_removed(left: Path) -> None:
    path = shard_path(left, ShardSpan(2, 10, 20))
    path.write_bytes(path.read_bytes().replace(b"accepted", b"rejected"))
    before = (left / NAME).read_bytes()
    for command in (lambda: checkpoint(left), lambda: read_history(left)):
        with pytest.raises(DamageError, match="damaged"):
            command()
    assert (left / NAME).read_bytes() == before
    assert len(shard_journals(left)) == 2


def test_a_run_without_shards_makes_no_folder_for_them(run: Path) -> None:
    open_again(run)
    assert not (run / FOLDER).exists()


def test_a_folder_of_shards_that_is_empty_is_removed(run: Path) -> None:
    (run / FOLDER).mkdir()
    open_again(run)
    assert not (run / FOLDER).exists()


@pytest.mark.parametrize("name", [".2-5-9.journal.86fde17654ec4c3a.new", "a note of somebody"])
def test_what_else_lies_among_shards_stops_no_run_and_a_journal_half_made_is_removed(run: Path, name: str) -> None:
    (run / FOLDER).mkdir()
    (run / FOLDER / name).write_bytes(b"")
    Checkpoint(run).close()
    assert (run / FOLDER / name).exists() == (not name.endswith(".new"))
