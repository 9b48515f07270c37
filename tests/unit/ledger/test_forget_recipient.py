"""Plan and journal change together; checksums, lengths and sync marks stay true."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import BinaryIO

import pytest

from campaign.errors import StorageError, UnfinishedError
from campaign.ledger.checkpoint import Checkpoint, create
from campaign.ledger.forget_recipient import (
    finish_replacing,
    mask_journal,
    mask_lines,
    replace_plan,
    replacing_was_interrupted,
)
from campaign.ledger.journal.journal_file import JournalFile
from campaign.ledger.journal.journal_reader import Reading, read_records
from campaign.ledger.journal.journal_records import Opened, decode
from campaign.ledger.recovery import read_history
from campaign.model import Outcome, Verdict

ADA = b"ada@example.com"


def masked(data: bytes) -> bytes:
    return data.replace(ADA, b"*" * len(ADA))


def masked_reply(text: str) -> str:
    return masked(text.encode()).decode().replace("ada", "***")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "plan.jsonl").write_bytes(b"the old plan\n")
    made = Opened(
        "gazette",
        "",
        "run",
        1,
        3,
        sha256(tmp_path / "plan.jsonl"),
        {"campaign.from": "ada@example.com"},
        "shape",
        1.0,
        "t",
    )
    create(tmp_path, made)
    checkpoint = Checkpoint(tmp_path)
    checkpoint.begin_pass()
    for number, reply in enumerate(["ada@example.com is ada", "ada@example.com \u201cis\u201d ada", "ada is not here"]):
        checkpoint.verdict(Outcome(number, Verdict.REJECTED, reply, 550, relay="ada.example"))
    checkpoint.end(3, notes=["ada@example.com was told"])
    checkpoint.close()
    return tmp_path


def write(target: BinaryIO) -> None:
    target.write(b"the new plan\n")


def plan_fits(run: Path) -> bool:
    return read_history(run).opened.plan == sha256(run / "plan.jsonl")


def test_the_plan_and_its_hash_in_the_journal_change_together(run: Path) -> None:
    size = (run / "checkpoint.journal").stat().st_size
    replace_plan(run, write)
    assert (run / "plan.jsonl").read_bytes() == b"the new plan\n"
    assert plan_fits(run)
    assert (run / "checkpoint.journal").stat().st_size == size
    assert sorted(path.name for path in run.iterdir()) == ["checkpoint.journal", "plan.jsonl"]
    assert (run / "plan.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_plan_without_a_journal_is_replaced_too(tmp_path: Path) -> None:
    (tmp_path / "plan.jsonl").write_bytes(b"the old plan\n")
    replace_plan(tmp_path, write)
    assert [path.name for path in tmp_path.iterdir()] == ["plan.jsonl"]


def test_a_hash_that_did_not_fit_before_does_not_fit_after(run: Path) -> None:
    (run / "plan.jsonl").write_bytes(b"a forged plan\n")
    before = read_history(run).opened.plan
    replace_plan(run, write)
    assert read_history(run).opened.plan == before


def test_what_was_interrupted_between_the_two_is_completed(run: Path) -> None:
    before = sha256(run / "plan.jsonl")
    (run / "plan.jsonl").write_bytes(b"the new plan\n")
    note = {"before": before, "after": sha256(run / "plan.jsonl")}
    (run / "forgetting.json").write_text(json.dumps(note), encoding="utf-8")
    assert replacing_was_interrupted(run)
    assert not plan_fits(run)
    finish_replacing(run)
    assert plan_fits(run)
    assert not replacing_was_interrupted(run)


@pytest.mark.parametrize("note", ["", "[]", '{"after": "x"}', '{"before": "x", "after": "y"}', "\x00"])
def test_a_note_that_says_nothing_is_removed(run: Path, note: str) -> None:
    (run / "forgetting.json").write_text(note, encoding="utf-8")
    finish_replacing(run)
    assert plan_fits(run)
    assert not replacing_was_interrupted(run)


def test_a_writer_that_fails_leaves_everything_as_it_was(run: Path) -> None:
    def fail(_: BinaryIO) -> None:
        raise OSError(28, "No space left on device")

    before = {path.name: path.read_bytes() for path in run.iterdir()}
    with pytest.raises(StorageError):
        replace_plan(run, fail)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_replies_are_masked_in_their_length_and_the_local_part_in_ones_own(run: Path) -> None:
    path = run / "checkpoint.journal"
    size = path.stat().st_size
    assert mask_journal(run, masked, masked_reply, [1]) == 3
    reading = Reading()
    records = list(read_records(path, reading))
    assert reading.whole
    assert [getattr(one, "reason", "") for one in records if hasattr(one, "reason")] == [
        f"{'*' * 15} is ada",
        f"{'*' * 15} \u201cis\u201d ***",
        "ada is not here",
    ]
    assert path.stat().st_size == size
    assert path.read_bytes().count(ADA) == 1  # a setting of the campaign
    assert read_history(run).tally()["rejected"] == 3


def test_a_dry_run_counts_the_same_and_changes_nothing(run: Path) -> None:
    before = (run / "checkpoint.journal").read_bytes()
    assert mask_journal(run, masked, masked_reply, [1], dry_run=True) == 3
    assert (run / "checkpoint.journal").read_bytes() == before


def test_a_journal_that_names_nobody_is_not_written(run: Path) -> None:
    before = (run / "checkpoint.journal").stat()
    assert mask_journal(run, lambda data: data, lambda text: text) == 0
    assert (run / "checkpoint.journal").stat().st_ino == before.st_ino


def test_a_journal_that_is_being_served_is_refused(run: Path) -> None:
    with contextlib.closing(JournalFile(run / "checkpoint.journal")), pytest.raises(UnfinishedError):
        mask_journal(run, masked, masked_reply)


def test_copies_keep_the_checksums_that_fitted_and_no_others(run: Path) -> None:
    lines = (run / "checkpoint.journal").read_bytes().splitlines(keepends=True)
    named = next(line for line in lines if ADA in line and b"verdict" in line)
    copy = run / "checkpoint.journal.damaged-1"
    copy.write_bytes(named + b"0badc0de " + named[9:] + named[: named.index(ADA) + len(ADA)])
    assert mask_lines(copy, masked) == 3
    whole, damaged, torn = copy.read_bytes().split(b"\n")
    assert decode(whole) is not None
    assert damaged == b"0badc0de " + whole[9:]
    assert torn.endswith(b"*" * 15)
