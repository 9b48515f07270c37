"""A rehearsal in the embedded mailbox and a run through a relay never count for each other: told from journals."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from campaign.check.run_checks import CheckOptions, check
from campaign.config import load
from campaign.config.delivery import DeliverySection
from campaign.errors import ConfigError
from campaign.ledger import run_folder
from campaign.ledger.checkpoint import Checkpoint, create
from campaign.ledger.feedback.feedback_store import read_events
from campaign.ledger.journal.journal_records import IN_MAILBOX, REHEARSAL, Opened
from campaign.ledger.recovery import read_history
from campaign.model import Books, Outcome, Verdict
from campaign.pipeline.command_context import Job, Options, lay_over, prepare
from campaign.pipeline.serve.outcome_recorder import LedgerRecorder
from campaign.pipeline.start.choose_run import ChosenRun, choose, refuse_changes
from campaign.pipeline.start.past_runs import fingerprints, kind_in_words
from campaign.pipeline.start.unfinished_editions import newest_elsewhere
from campaign.report.live.console import Console
from campaign.report.live.progress import Counts

FILE = """
[campaign]
name = "gazette"
from = "news@example.com"
[audience]
source = "people.csv"
[compose]
subject = "News for {{ name }}"
text = "letter.txt"
"""
MAILBOX, RELAY = "mailbox", "smtp://127.0.0.1:2525"
OTHER = {MAILBOX: RELAY, RELAY: MAILBOX}
V = Verdict


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "gazette.toml").write_text(FILE, encoding="utf-8")
    (tmp_path / "letter.txt").write_text("Dear {{ name }}\n", encoding="utf-8")
    people(tmp_path, 9)
    return tmp_path


def people(place: Path, count: int) -> None:
    rows = "".join(f"p{n}@example.com,P{n}\n" for n in range(count))
    (place / "people.csv").write_text(f"email,name\n{rows}", encoding="utf-8")


def job(place: Path, relay: str) -> Job:
    return prepare(lay_over(load(place / "gazette.toml", {}), Options(relay=relay)), environment={})


def pick(place: Path, relay: str, **options: Any) -> ChosenRun | Books:
    this = job(place, relay)
    run_folder.make_folder(this.folder)
    return choose(this, Options(relay=relay, **options))


def made(place: Path, relay: str, count: int = 9, **options: Any) -> ChosenRun:
    found = pick(place, relay, **options)
    assert isinstance(found, ChosenRun)
    assert not found.continued
    assert found.plan.size == count
    return found


def leave(chosen: ChosenRun, accepted: int, rest: Verdict = V.WAITING) -> None:
    checkpoint = Checkpoint(chosen.folder)
    for number in range(chosen.plan.size):
        verdict = V.ACCEPTED if number < accepted else rest
        if verdict is not V.WAITING:
            checkpoint.settle(number, verdict, "as the test wants it")
    checkpoint.end(0)
    checkpoint.close()


def test_whoever_got_a_rehearsal_gets_the_letter_through_a_relay(place: Path) -> None:
    leave(made(place, MAILBOX), 9)
    assert made(place, RELAY).plan.books.already == 0


def test_whoever_was_served_through_a_relay_is_not_rehearsed_again(place: Path) -> None:
    leave(made(place, RELAY), 9)
    people(place, 11)
    assert made(place, MAILBOX, 2).plan.books.already == 9


def test_whoever_was_rehearsed_is_left_out_of_the_next_rehearsal(place: Path) -> None:
    leave(made(place, MAILBOX), 9)
    people(place, 11)
    made(place, MAILBOX, 2)


@pytest.mark.parametrize("relay", [MAILBOX, RELAY])
def test_half_a_run_is_not_continued_by_one_of_the_other_kind_and_is_by_its_own(place: Path, relay: str) -> None:
    first = made(place, relay)
    leave(first, 4)
    other = made(place, OTHER[relay], 9 if relay is MAILBOX else 5)
    assert other.folder != first.folder
    assert not read_history(first.folder).abandoned
    found = pick(place, relay)
    assert isinstance(found, ChosenRun)
    assert found.continued
    assert found.folder == first.folder


@pytest.mark.parametrize("relay", [MAILBOX, RELAY])
def test_a_run_named_by_hand_is_not_continued_by_the_other_kind(place: Path, relay: str) -> None:
    leave(made(place, relay, run="trial"), 4)
    for flag in (False, True):
        with pytest.raises(ConfigError, match="does not continue it"):
            pick(place, OTHER[relay], run="trial", accept_changes=flag)


def test_fresh_leaves_no_run_of_the_other_kind_behind(place: Path) -> None:
    first = made(place, RELAY)
    leave(first, 4)
    made(place, MAILBOX, 5, fresh=True)
    assert not read_history(first.folder).abandoned


def test_doubts_of_a_rehearsal_are_not_sent_again_through_a_relay(place: Path) -> None:
    leave(made(place, MAILBOX), 8, V.IN_DOUBT)
    leave(made(place, RELAY), 9)
    assert isinstance(pick(place, RELAY, in_doubt="resend"), Books)


def test_retry_through_a_relay_takes_up_nobody_who_failed_in_a_rehearsal(place: Path) -> None:
    leave(made(place, MAILBOX), 8, V.REJECTED)
    assert isinstance(pick(place, RELAY, retry=True), Books)


def test_rehearsals_of_later_generations_leave_the_generation_of_a_relay_alone(place: Path) -> None:
    leave(made(place, RELAY), 9)
    leave(made(place, MAILBOX, again=True), 9)
    assert made(place, MAILBOX, again=True).generation == 3
    assert isinstance(pick(place, RELAY), Books)
    assert made(place, RELAY, again=True).generation == 2


def test_the_journal_says_that_a_run_is_a_rehearsal_and_an_address_does_not(place: Path) -> None:
    assert read_history(made(place, MAILBOX).folder).fingerprints[REHEARSAL] == IN_MAILBOX
    assert REHEARSAL not in read_history(made(place, RELAY).folder).fingerprints


def test_a_release_that_knows_no_rehearsals_refuses_to_continue_one(place: Path) -> None:
    chosen = made(place, MAILBOX)
    older = chosen.composer.fingerprints()
    with pytest.raises(ConfigError) as refused:
        refuse_changes(read_history(chosen.folder), older, "campaign send gazette.toml", chosen.folder)
    assert refused.value.evidence == ("rehearsal is gone",)
    refuse_changes(
        read_history(chosen.folder),
        fingerprints(job(place, MAILBOX), chosen.composer),
        "campaign send gazette.toml",
        chosen.folder,
    )


def test_a_rehearsal_that_such_a_release_continued_all_the_same_counts_as_served(place: Path) -> None:
    chosen = made(place, MAILBOX)
    checkpoint = Checkpoint(chosen.folder)
    checkpoint.accept_changes(chosen.composer.fingerprints())
    checkpoint.close()
    leave(chosen, 9)
    assert not read_history(chosen.folder).rehearsal
    assert isinstance(pick(place, RELAY), Books)


@pytest.mark.parametrize(
    ("relay", "addresses"), [(MAILBOX, []), (RELAY, ["p1@example.com"])], ids=["in a rehearsal", "through a relay"]
)
def test_an_address_is_remembered_as_dead_through_a_relay_alone(
    tmp_path: Path, relay: str, addresses: list[str]
) -> None:
    create(tmp_path, Opened("gazette", "", "run", 1, 3, "plan", {}, "shape", 1.0, "trace"))
    checkpoint = Checkpoint(tmp_path)
    settings = SimpleNamespace(delivery=DeliverySection(relay=(relay,)), campaign=SimpleNamespace(name="gazette"))
    this: Any = Job(cast("Any", settings), "", tmp_path, tmp_path, b"")
    plan = SimpleNamespace(recipient=lambda number: SimpleNamespace(address=f"p{number}@example.com"))
    recorder = LedgerRecorder(this, plan, checkpoint, Counts())
    recorder.verdict(Outcome(1, V.REJECTED, "no such user", 550, "5.1.1", relay=relay, suppress=True))
    checkpoint.close()
    assert [event.address for event in read_events(tmp_path)] == addresses


def test_what_is_said_of_the_other_kind(place: Path) -> None:
    assert "nobody gets one" in kind_in_words(job(place, MAILBOX), new=True)
    assert kind_in_words(job(place, RELAY), new=True) == ""
    rehearsal = made(place, MAILBOX)
    assert str(rehearsal.folder) in kind_in_words(job(place, RELAY), new=True)
    assert kind_in_words(job(place, RELAY), new=False) == ""
    real = made(place, RELAY)
    assert f"{real.folder} is unfinished and is left to a relay" in kind_in_words(job(place, MAILBOX), new=True)
    leave(real, 9)
    assert "unfinished" not in kind_in_words(job(place, MAILBOX), new=True)


def test_a_rehearsal_is_mentioned_by_the_first_run_after_it_alone(place: Path) -> None:
    leave(made(place, MAILBOX), 9)
    leave(made(place, RELAY), 9)
    assert "was a rehearsal" in kind_in_words(job(place, RELAY), new=True)
    people(place, 11)
    leave(made(place, RELAY, 2), 2)
    assert kind_in_words(job(place, RELAY), new=True) == ""


def test_a_run_that_serves_everybody_again_mentions_no_rehearsal(place: Path) -> None:
    leave(made(place, RELAY), 9)
    people(place, 11)
    leave(made(place, MAILBOX, 2), 2)
    made(place, RELAY, 11, again=True)
    assert kind_in_words(job(place, RELAY), new=True) == ""


def test_an_unfinished_rehearsal_of_another_edition_is_no_unfinished_edition(place: Path) -> None:
    made(place, MAILBOX)
    edition = place / "runs" / "gazette"
    edition.rename(place / "runs" / "first")
    (place / "runs" / "gazette").mkdir()
    (place / "runs" / "first").rename(edition / "first")
    assert newest_elsewhere(edition / "second") is None
    assert newest_elsewhere(edition / "second", rehearsal=True) is not None


@pytest.mark.parametrize(
    "relay", ['["mailbox", "smtp://127.0.0.1"]', '[{url="mailbox", weight=1}, {url="smtp://127.0.0.1", weight=1}]']
)
def test_the_mailbox_stands_alone(place: Path, relay: str) -> None:
    file = place / "gazette.toml"
    file.write_text(f"{FILE}[delivery]\nrelay = {relay}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="1 mistake") as refused:
        load(file, {})
    assert "'mailbox' stands alone" in str(refused.value)


# -- what a check says of them


def checked(place: Path, relay: str) -> tuple[Books, tuple[str, ...], int]:
    _, digest = check(job(place, relay), Console(stream=StringIO()), CheckOptions(relay=False))
    return digest.books, digest.remarks, digest.rendered


def test_a_check_leaves_out_whom_earlier_runs_have_served(place: Path) -> None:
    leave(made(place, RELAY), 9)
    people(place, 11)
    assert checked(place, RELAY) == (Books(read=11, already=9, planned=2), (), 2)


def test_a_check_for_a_relay_counts_no_rehearsal(place: Path) -> None:
    leave(made(place, MAILBOX), 9)
    assert checked(place, RELAY)[0] == Books(read=9, planned=9)


def test_a_check_where_everybody_has_been_served_says_so_and_looks_at_the_letters(place: Path) -> None:
    leave(made(place, RELAY), 9)
    books, remarks, rendered = checked(place, RELAY)
    assert books == Books(read=9, already=9)
    assert rendered == 9
    assert "send has nobody to write to" in remarks[0]


def test_a_check_names_the_run_that_send_continues(place: Path) -> None:
    first = made(place, RELAY)
    leave(first, 4)
    people(place, 10)
    books, remarks, _ = checked(place, RELAY)
    assert (books.already, books.planned) == (4, 6)
    assert f"send continues {first.folder}, with 5 recipients to go" in remarks[0]
