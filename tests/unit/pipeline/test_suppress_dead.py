"""An address that a relay called dead is never lost between the journal and the list that later runs read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from campaign.config import load
from campaign.ledger import run_folder
from campaign.ledger.checkpoint import Checkpoint
from campaign.ledger.feedback import feedback_store, suppressed_csv
from campaign.ledger.feedback.feedback_store import FeedbackStore, read_events
from campaign.ledger.journal.journal_records import Ended, VerdictRecord, encode
from campaign.ledger.recovery import read_history
from campaign.model import FeedbackEvent, FeedbackOutcome, Outcome, Verdict
from campaign.pipeline.command_context import Job, Options, lay_over, prepare
from campaign.pipeline.operate.manage import report
from campaign.pipeline.operate.suppress_dead import DeadAddresses, conclude_suppression, suppress_missing
from campaign.pipeline.start.choose_run import ChosenRun, choose

RELAY = "smtp://127.0.0.1:2525"
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


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "gazette.toml").write_text(FILE, encoding="utf-8")
    (tmp_path / "letter.txt").write_text("Dear {{ name }}\n", encoding="utf-8")
    rows = "".join(f"p{n}@example.com,P{n}\n" for n in range(5))
    (tmp_path / "people.csv").write_text(f"email,name\n{rows}", encoding="utf-8")
    return tmp_path


def job(place: Path, relay: str = RELAY) -> Job:
    return prepare(lay_over(load(place / "gazette.toml", {}), Options(relay=relay)), environment={})


def made(place: Path, relay: str = RELAY, **options: Any) -> ChosenRun:
    this = job(place, relay)
    run_folder.make_folder(this.folder)
    found = choose(this, Options(relay=relay, **options))
    assert isinstance(found, ChosenRun)
    return found


def called_dead(chosen: ChosenRun, *numbers: int, reason: str = "no such user") -> None:
    """The journal has the verdict, and the process ended at that."""
    checkpoint = Checkpoint(chosen.folder)
    for number in numbers:
        checkpoint.verdict(Outcome(number, Verdict.REJECTED, reason, 550, "5.1.1", relay="relay", suppress=True))
    checkpoint.close()


def listed(place: Path) -> list[str]:
    return [line.row.address for line in suppressed_csv.read_list(place / "runs")]


def test_what_a_killed_process_did_not_list_is_listed_when_the_run_is_opened_again(place: Path) -> None:
    called_dead(made(place), 1, 3)
    assert listed(place) == []
    made(place)
    assert listed(place) == ["p1@example.com", "p3@example.com"]


def test_nothing_is_listed_twice(place: Path) -> None:
    called_dead(made(place), 1)
    for _ in range(3):
        made(place)
    called_dead(made(place), 2)
    made(place)
    assert listed(place) == ["p1@example.com", "p2@example.com"]


def test_who_died_in_a_run_left_behind_is_not_planned_anew(place: Path) -> None:
    called_dead(made(place), 1)
    again = made(place, again=True)
    assert again.plan.size == 4
    assert again.plan.books.suppressed == 1


def test_who_died_in_a_killed_run_of_another_edition_is_not_planned_in_this_one(place: Path) -> None:
    settings = (place / "gazette.toml").read_text(encoding="utf-8")
    for edition, size in (("2026-11", 5), ("2026-12", 4)):
        dated = settings.replace('name = "gazette"', f'name = "gazette"\nedition = "{edition}"')
        (place / "gazette.toml").write_text(dated, encoding="utf-8")
        chosen = made(place)
        assert chosen.plan.size == size
        called_dead(chosen, 1)


@pytest.mark.parametrize("damaged", ["plan.jsonl", "checkpoint.journal"])
def test_a_damaged_run_of_another_edition_does_not_hold_up_this_one(place: Path, damaged: str) -> None:
    settings = (place / "gazette.toml").read_text(encoding="utf-8")
    for edition in ("2026-11", "2026-12"):
        dated = settings.replace('name = "gazette"', f'name = "gazette"\nedition = "{edition}"')
        (place / "gazette.toml").write_text(dated, encoding="utf-8")
        chosen = made(place)
        assert chosen.plan.size == 5
        called_dead(chosen, 1)
        lines = (chosen.folder / damaged).read_bytes().splitlines(keepends=True)
        (chosen.folder / damaged).write_bytes(b"".join(b"x" * len(line) for line in lines))


def test_a_report_lists_them_too(place: Path) -> None:
    chosen = made(place)
    called_dead(chosen, 1)
    report(chosen.folder)
    assert listed(place) == ["p1@example.com"]


def test_an_entry_of_the_campaigns_own_lists_does_not_hide_a_dead_address_from_others(place: Path) -> None:
    chosen = made(place)
    called_dead(chosen, 1)
    (place / "gone.csv").write_text("email\np1@example.com\n", encoding="utf-8")
    settings = (place / "gazette.toml").read_text(encoding="utf-8")
    (place / "gazette.toml").write_text(settings.replace("[compose]", 'suppress = ["gone.csv"]\n[compose]'), "utf-8")
    suppress_missing(job(place), chosen.folder, read_history(chosen.folder))
    assert listed(place) == ["p1@example.com"]


@pytest.mark.parametrize("remembered", [True, False])
def test_whom_a_person_released_stays_released_whatever_the_journal_tells_again(place: Path, remembered: bool) -> None:
    chosen = made(place)
    called_dead(chosen, 1)
    checkpoint = Checkpoint(chosen.folder)
    suppress_missing(job(place), chosen.folder, checkpoint.history)
    checkpoint.end(75, remembered=remembered)
    checkpoint.close()
    released = FeedbackEvent("1", "person", FeedbackOutcome.RELEASED, 2e9, 2e9, "p1@example.com", "person")
    with FeedbackStore(place / "runs") as store:
        store.append([released])
    called_dead(chosen, 2)
    made(place)
    assert listed(place) == ["p2@example.com"]
    assert job(place).suppression().covers("p1@example.com") == ""


def test_a_line_taken_out_of_the_list_alone_comes_back(place: Path) -> None:
    chosen = made(place)
    called_dead(chosen, 1)
    made(place)
    (place / "runs" / suppressed_csv.NAME).unlink()
    conclude_suppression(job(place), chosen.folder, read_history(chosen.folder))
    assert listed(place) == ["p1@example.com"]


def test_all_of_them_are_on_disk_before_the_run_says_so(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = made(place)
    called_dead(chosen, 1)
    history = read_history(chosen.folder)
    DeadAddresses(job(place), chosen.plan, history.opened).suppress(history.dead[1])
    synced: list[int] = []
    monkeypatch.setattr(FeedbackStore, "sync", lambda store: synced.append(len(store.path.read_bytes())))
    suppress_missing(job(place), chosen.folder, history)
    assert synced == [(place / "runs" / feedback_store.NAME).stat().st_size]
    assert [event.address for event in read_events(place / "runs")] == ["p1@example.com"]


def test_the_event_says_what_the_relay_said_and_of_which_letter(place: Path) -> None:
    chosen = made(place)
    called_dead(chosen, 1)
    history = read_history(chosen.folder)
    suppress_missing(job(place), chosen.folder, history)
    run = f"gazette/{chosen.folder.name}"
    at = history.dead[1].at
    assert list(read_events(place / "runs")) == [
        FeedbackEvent(
            id=f"smtp:{run}:1",
            source="smtp",
            outcome=FeedbackOutcome.HARD,
            at=at,
            seen=at,
            address="p1@example.com",
            matched_by="reply",
            campaign="gazette",
            run=run,
            number=1,
            reason="no_such_user",
            code=550,
            enhanced="5.1.1",
            diagnostic="no such user",
        )
    ]


def test_who_died_meanwhile_is_covered_with_the_reason_and_the_day(place: Path) -> None:
    called_dead(made(place), 1)
    made(place)
    covered = job(place).suppression().covers("P1@example.com")
    assert covered.startswith("hard bounce on 20")


def test_a_rehearsal_lists_nobody_whatever_its_journal_says(place: Path) -> None:
    called_dead(made(place, "mailbox"), 1)
    made(place, "mailbox")
    made(place)
    assert listed(place) == []


def test_a_release_that_does_not_know_of_this_reads_the_rest() -> None:
    class Before(msgspec.Struct, tag="verdict", tag_field="is"):
        number: int
        verdict: str
        at: float
        code: int = 0

    line = encode(VerdictRecord(1, "rejected", 2.0, code=550, dead=True))
    assert msgspec.json.decode(line[9:], type=Before) == Before(1, "rejected", 2.0, 550)
    assert b"dead" not in encode(VerdictRecord(1, "rejected", 2.0, code=550))
    assert b"remembered" not in encode(Ended(2.0, 0))
