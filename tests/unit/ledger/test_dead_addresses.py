"""An address that a relay called dead is never lost between the journal and the list that later runs read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from campaign.config import load
from campaign.ledger import dead_addresses, run_folder
from campaign.ledger.checkpoint import Checkpoint
from campaign.ledger.journal.journal_records import Ended, VerdictRecord, encode
from campaign.ledger.recovery import read_history
from campaign.model import Outcome, Verdict
from campaign.pipeline.command_context import Job, Options, lay_over, prepare
from campaign.pipeline.operate.manage import report
from campaign.pipeline.start.choose_run import ChosenRun, choose
from campaign.pipeline.suppress_dead import suppress, suppress_missing

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
    file = place / "runs" / dead_addresses.NAME
    return (
        [line.partition(",")[0] for line in file.read_text(encoding="utf-8").splitlines()[1:]] if file.exists() else []
    )


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


def test_once_remembered_a_line_that_the_operator_took_out_stays_out(place: Path) -> None:
    chosen = made(place)
    called_dead(chosen, 1)
    checkpoint = Checkpoint(chosen.folder)
    suppress_missing(job(place), chosen.folder, checkpoint.history)
    checkpoint.end(75, remembered=True)
    checkpoint.close()
    (place / "runs" / dead_addresses.NAME).write_text(dead_addresses.HEADER.decode(), encoding="utf-8")
    called_dead(chosen, 2)
    made(place)
    assert listed(place) == ["p2@example.com"]


def test_all_of_the_list_is_on_disk_before_the_run_says_so(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = made(place)
    called_dead(chosen, 1)
    history = read_history(chosen.folder)
    suppress(job(place), chosen.plan, history.dead.values())
    asked: list[bool] = []
    monkeypatch.setattr(dead_addresses, "add", lambda *_, sync=False: asked.append(sync))
    suppress_missing(job(place), chosen.folder, history)
    assert asked == [True]


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
