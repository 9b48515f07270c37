"""Feedback, leftovers, copies and files of others: what becomes of each when a person is forgotten."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from campaign.audience.plan.plan_reader import Plan
from campaign.compose.mime.header_values import message_id
from campaign.delivery.replies.bounce_meaning import bounce_meaning
from campaign.delivery.replies.classify import Rules
from campaign.errors import DamageError, InputError, UnfinishedError
from campaign.exit_codes import ExitCode
from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.feedback_source import Received
from campaign.ledger.checkpoint import Checkpoint
from campaign.ledger.feedback.feedback_store import FeedbackStore, read_events
from campaign.ledger.journal.journal_file import JournalFile
from campaign.ledger.recovery import read_history
from campaign.ledger.repair import repair
from campaign.ledger.shards.shard_ledger import FileShard
from campaign.ledger.shards.shard_store import ShardStore
from campaign.model import FeedbackEvent, FeedbackOutcome, Outcome, Reply, Verdict
from campaign.pipeline.collect.collect_lock import collecting
from campaign.pipeline.collect.find_recipient import RecipientFinder
from campaign.pipeline.collect.judge_notice import Judge
from campaign.pipeline.collect.sent_runs import sent_runs
from campaign.pipeline.collect.settle_doubts import settle_doubts, taken_letters
from campaign.pipeline.operate import manage
from campaign.pipeline.operate.run_standing import run_standing
from campaign.pipeline.operate.suppression_answers import explain_suppression, release_address
from campaign.pipeline.preview import preview
from campaign.report.live.console import Console
from tests.support.forget_place import ADA, Place, in_doubt, named_in, relay, verdicts

HASH = hashlib.sha256(ADA.encode()).hexdigest()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with relay(tmp_path / "relay") as url:
        yield Place(tmp_path, url)


def told(place: Place, outcome: FeedbackOutcome, address: str = "Ada@example.com", **fields: str) -> None:
    with FeedbackStore(place.runs) as store:
        event = FeedbackEvent(f"{outcome}:{address}", "imap:b", outcome, 1.7e9, 1.7e9, address, "return-path")
        store.add([event._replace(**fields)])  # type: ignore[arg-type]
        store.sync()


# -- feedback


@pytest.mark.parametrize("outcome", [FeedbackOutcome.HARD, FeedbackOutcome.COMPLAINT, FeedbackOutcome.UNSUBSCRIBE])
def test_who_was_suppressed_stays_so_by_a_hash(place: Place, outcome: FeedbackOutcome) -> None:
    told(place, outcome, diagnostic="5.1.1 <ada@example.com> is ada's no more")
    result = place.forget()
    assert (result.suppressed, result.counts["events"], result.left) == (True, 1, {})
    assert named_in(place.runs) == []
    [event] = read_events(place.runs)
    assert (event.address, "ada" in event.diagnostic) == (HASH, False)
    assert HASH in (place.runs / "suppressed.csv").read_text(encoding="utf-8")
    assert place.send() is ExitCode.DONE
    assert ADA not in place.mailed()
    assert len(place.mailed()) == 5


def test_why_a_forgotten_person_is_left_out_can_be_asked_and_undone(place: Place) -> None:
    told(place, FeedbackOutcome.COMPLAINT)
    place.forget()
    answer = explain_suppression(place.job, "ADA@example.com", 1.8e9)
    assert answer.entry
    assert answer.entry.address == HASH
    release_address(place.job, ADA, 1.8e9)
    assert explain_suppression(place.job, ADA, 1.8e9).entry is None
    place.send()
    assert ADA in place.mailed()


@pytest.mark.parametrize("outcome", [FeedbackOutcome.SOFT, FeedbackOutcome.DELIVERED, FeedbackOutcome.RELEASED])
def test_of_anybody_else_not_even_a_hash_is_kept(place: Place, outcome: FeedbackOutcome) -> None:
    told(place, outcome)
    result = place.forget()
    assert (result.suppressed, result.counts["events"]) == (False, 1)
    assert [event.address for event in read_events(place.runs)] == [""]
    assert place.send() is ExitCode.DONE
    assert ADA in place.mailed()


def test_events_of_others_stay_as_they_are_but_for_the_address(place: Place) -> None:
    told(place, FeedbackOutcome.HARD, "p3@example.com", diagnostic="forwarded to ada@example.com, who is gone")
    told(place, FeedbackOutcome.HARD, "nada@example.com", diagnostic="nada@example.com is gone")
    place.forget()
    assert [(event.address, event.diagnostic) for event in read_events(place.runs)] == [
        ("p3@example.com", "forwarded to ***************, who is gone"),
        ("nada@example.com", "nada@example.com is gone"),
    ]


def test_a_line_that_somebody_wrote_goes_on_suppressing(place: Place) -> None:
    place.runs.mkdir()
    lines = "# ada@example.com asked us by telephone\nemail\nADA@example.com\np3@example.com\n"
    (place.runs / "suppressed.csv").write_text(lines, encoding="utf-8")
    result = place.forget()
    assert (result.suppressed, result.left) == (True, {})
    place.send()
    assert place.mailed() == [f"p{n}@example.com" for n in (0, 1, 4, 5)]


def test_a_dead_address_is_not_remembered_by_its_name_again(place: Place) -> None:
    chosen = place.made()
    checkpoint = Checkpoint(chosen.folder)
    checkpoint.begin_pass()
    checkpoint.verdict(Outcome(2, Verdict.REJECTED, "no such user", 550, "5.1.1", relay="relay", suppress=True))
    checkpoint.end(75)
    checkpoint.close()
    manage.report(chosen.folder)
    assert place.forget().suppressed
    manage.report(chosen.folder)
    assert named_in(place.runs) == []
    assert place.send() is ExitCode.SOME_FAILED
    assert place.mailed() == [f"p{n}@example.com" for n in (0, 1, 3, 4, 5)]


# -- files


def test_copies_and_leftovers_of_ours_are_treated_too(place: Place) -> None:
    place.send()
    journal = place.run / "checkpoint.journal"
    journal.write_bytes(journal.read_bytes().replace(b'"accepted"', b'"akzepted"', 1) + b"\n")
    repair(journal)
    (place.run / "torn-tail-77").write_bytes(b'0badc0de {"reason":"<ada@example.com> and <ada@exam')
    (place.run / "log.jsonl").write_text('{"event":"550 <Ada%40example.com>"}\n', encoding="utf-8")
    (place.run / f".plan.jsonl.{'ab' * 8}.new").write_text('[2,"ada@example.com"]', encoding="utf-8")
    (place.runs / "feedback-torn-tail-0").write_text('{"address":"ada@example.com"', encoding="utf-8")
    result = place.forget()
    assert result.left == {}
    assert named_in(place.runs) == []
    assert (place.run / "torn-tail-77").read_bytes().endswith(b"and <" + b"*" * 8)
    assert list(place.run.glob(".*.new")) == []
    assert list(place.run.glob("*.damaged-1"))
    assert place.send() is ExitCode.DONE


def test_what_a_killed_load_left_behind_is_deleted(place: Place) -> None:
    folder = place.runs / "gazette" / "20261128T080000Z"
    folder.mkdir(parents=True)
    (folder / ".gathering.part").write_bytes(b"\x00ada@example.com\x00")
    assert place.forget().counts == {"leftovers": 1}
    assert named_in(place.runs) == []


def test_a_plan_that_was_never_opened_is_erased_too(place: Place) -> None:
    run = place.made().folder
    (run / "checkpoint.journal").unlink()
    assert place.forget().counts == {"planned letters": 1}
    assert named_in(place.runs) == []
    assert place.send() is ExitCode.DONE
    assert len(place.mailed()) == 6  # nobody was served by it, and the list is the operator's


def test_an_address_in_a_files_name_is_told(place: Place) -> None:
    place.send()
    (place.run / "ada@example.com.pdf").write_bytes(b"%PDF")
    assert list(place.forget().left) == [str(place.run / "ada@example.com.pdf")]


def test_a_folder_that_is_a_link_is_told_and_not_followed(place: Place, tmp_path: Path) -> None:
    place.send()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "list.csv").write_text("ada@example.com\n", encoding="utf-8")
    (place.runs / "archive").symlink_to(tmp_path / "elsewhere")
    result = place.forget()
    assert result.left == {}
    assert result.notes == [f"{place.runs / 'archive'} is a link, so it was not followed"]


def test_a_late_bounce_of_a_forgotten_letter_brings_nothing_back(place: Place) -> None:
    run = in_doubt(place, 2)
    [(number, key)] = [(one.number, one.key) for one in Plan.open(run / "plan.jsonl").recipients() if one.number == 2]
    name = message_id(place.job.identity(1), "example.com", key)
    place.forget()
    finder = RecipientFinder(sent_runs(place.runs, place.job.secret), place.job.secret, "gazette")
    judge = Judge(
        "imap:b",
        partial(bounce_meaning, Rules.load()),
        partial(finder.find, relays_own=False),
        lambda: 1.8e9,
        ours=True,
    )
    reply = Reply(550, "5.1.1", "<ada@example.com>: no such user")
    notice = FeedbackNotice(None, reply=reply, permanent=True, message_ids=(name,), addresses=(ADA,))
    [event] = judge.judged(Received("1", (notice,))).events
    assert (event.number, event.address, event.diagnostic, event.message_id) == (number, "", "", name)
    with FeedbackStore(place.runs) as store:
        store.add([event])
    assert settle_doubts(place.runs, taken_letters(read_events(place.runs)))[0] == 1
    assert verdicts(run) == {"accepted": 6}
    assert named_in(place.runs) == []


def test_what_a_kill_tore_is_masked_up_to_its_end(place: Place) -> None:
    told(place, FeedbackOutcome.DELIVERED, "p3@example.com")
    place.send(limit=1)
    with (place.run / "checkpoint.journal").open("ab") as journal:
        journal.write(b'0badc0de {"is":"verdict","number":1,"reason":"<ada@example.com> <ada@exa')
    with (place.runs / "feedback.jsonl").open("ab") as store:
        store.write(b'{"id":"2","address":"ada@example.com"')
    assert place.forget().left == {}
    assert named_in(place.runs) == []
    assert b"ada@exa" not in (place.run / "checkpoint.journal").read_bytes()
    assert place.send() is ExitCode.DONE
    assert place.mailed() == [f"p{n}@example.com" for n in (0, 1, 3, 4, 5)]


@pytest.mark.parametrize("change", ['source = "gone.csv"', 'source = "people.csv"\naddress = "mail"'])
def test_a_list_that_cannot_be_read_keeps_nobody_from_being_forgotten(place: Place, change: str) -> None:
    place.send()
    text = place.file.read_text(encoding="utf-8")
    place.file.write_text(text.replace('source = "people.csv"', change), encoding="utf-8")
    result = place.forget()
    assert (result.left, result.counts["planned letters"], result.listed) == ({}, 1, [])
    assert "the campaign's own list could not be searched" in result.notes[0]


def test_a_run_that_an_operator_stopped_stays_stopped(place: Place) -> None:
    place.send(limit=1)
    manage.steer(place.run, state="stop")
    assert place.send() is ExitCode.HELD
    place.forget()
    assert run_standing(place.run).state == "stopped"
    assert place.send() is ExitCode.HELD


def test_a_preview_that_shows_the_person_is_deleted(place: Place) -> None:
    preview(place.job, Console(), rows=[], to="Ada@example.com", output=None)
    assert named_in(place.runs)
    assert place.forget().counts["letters"] >= 2
    assert named_in(place.runs) == []


def test_a_file_that_is_not_ours_is_named_and_not_changed(place: Place) -> None:
    place.send()
    notes = place.runs / "notes.txt"
    notes.write_text("ask ada@example.com\n", encoding="utf-8")
    result = place.forget()
    assert list(result.left) == [str(notes)]
    assert result.code is ExitCode.UNFINISHED
    assert notes.read_text(encoding="utf-8") == "ask ada@example.com\n"


def test_a_row_of_somebody_else_that_names_the_address_is_masked_once_it_was_sent(place: Place) -> None:
    rows = ["email,name", "p0@example.com,ada@example.com", "p1@example.com,P", "ada@example.com,Ada"]
    (place.folder / "people.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    place.made()
    first = place.forget()
    assert list(first.left) == [str(place.run / "plan.jsonl")]
    assert first.code is ExitCode.UNFINISHED
    assert place.send() is ExitCode.DONE
    second = place.forget()
    assert (second.left, second.counts["values of others"]) == ({}, 1)
    assert place.mailed() == ["p0@example.com", "p1@example.com"]
    assert place.send() is ExitCode.DONE
    assert len(place.mailed()) == 2


# -- refusals


def test_what_is_no_address_is_refused(place: Place) -> None:
    with pytest.raises(InputError, match="no e-mail address"):
        place.forget("ada")


def test_nothing_is_erased_while_a_run_is_served(place: Place) -> None:
    place.send(limit=1)
    journal = JournalFile(place.run / "checkpoint.journal")
    with pytest.raises(UnfinishedError) as refused:
        place.forget()
    journal.close()
    assert "campaign stop" in refused.value.next_step
    assert verdicts(place.run)["waiting"] == 5


def test_nothing_is_erased_while_an_edition_is_planned(place: Place) -> None:
    place.send()
    descriptor = os.open(place.run.parent / ".lock", os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(UnfinishedError):
        place.forget()
    os.close(descriptor)
    assert place.forget().counts["planned letters"] == 1


def test_nothing_is_erased_while_feedback_is_collected(place: Place) -> None:
    place.send()
    with collecting(place.runs), pytest.raises(UnfinishedError):
        place.forget()


def test_a_damaged_journal_is_refused_before_anything_changes(place: Place) -> None:
    place.send()
    journal = place.run / "checkpoint.journal"
    journal.write_bytes(journal.read_bytes().replace(b'"accepted"', b'"akzepted"', 1))
    before = {path: path.read_bytes() for path in place.run.rglob("*") if path.is_file()}
    with pytest.raises(DamageError) as refused:
        place.forget()
    assert "campaign repair" in refused.value.next_step
    assert {path: path.read_bytes() for path in before} == before


def test_a_shard_that_a_killed_sender_left_is_merged_and_names_nobody_afterwards(place: Place) -> None:
    place.send(limit=1)
    history = read_history(place.run)
    checkpoint = Checkpoint(place.run)
    checkpoint.begin_pass()
    store = ShardStore(checkpoint, "process", 1, lambda: 1.7e9)
    store.begin(range(1, 6), 5, few=False)
    lease = store.lease(5)
    assert lease is not None
    lease.lay_into(history)
    shard = FileShard(place.run, lease, history, power=False)
    reply = f"no mailbox of {ADA} here"
    shard.verdict(Outcome(2, Verdict.REJECTED, reply, 550, "5.1.1", place.url))
    for journal in (shard, checkpoint):
        journal.close()  # as a kill does
    assert ADA in next((place.run / "shards").iterdir()).read_text()
    place.forget()
    assert not (place.run / "shards").exists()
    assert named_in(place.runs) == []
    assert verdicts(place.run) == {"accepted": 1, "rejected": 1, "waiting": 4}
