"""The list drawn from the store, what people write into it, and what they ask of it."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from campaign.audience.screening.suppression_list import address_hash
from campaign.cli.main import cli
from campaign.config import load
from campaign.errors import DamageError, InputError, UnfinishedError
from campaign.ledger.feedback import suppressed_csv
from campaign.ledger.feedback.feedback_store import FeedbackStore, read_events
from campaign.ledger.journal.journal_records import IN_MAILBOX, REHEARSAL, Opened, encode
from campaign.model import FeedbackEvent, FeedbackOutcome
from campaign.pipeline.command_context import Job, prepare
from campaign.pipeline.operate.suppressed_export import export_suppressed
from campaign.pipeline.operate.suppression_answers import (
    explain_suppression,
    release_address,
    suppression_overview,
    suppression_table,
)
from campaign.pipeline.operate.suppression_view import derive_suppression, runs_in
from campaign.pipeline.operate.suppression_words import answer_lines, release_lines

DAY = 86_400.0
NOW = 20_000 * DAY
FILE = """
[campaign]
name = "gazette"
from = "news@example.com"
[audience]
source = "people.csv"
[compose]
subject = "News"
text = "letter.txt"
"""
HEADING = "address,reason,code,since,campaign\n"


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "gazette.toml").write_text(FILE, encoding="utf-8")
    (tmp_path / "runs").mkdir()
    return prepare(load(tmp_path / "gazette.toml", {}), environment={})


def event(address: str, outcome: str = "hard", day: float = 19_000, **fields: Any) -> FeedbackEvent:
    at = day * DAY
    base = FeedbackEvent(f"{address}{outcome}{day}", "s", FeedbackOutcome(outcome), at, at, address, "message-id")
    return base._replace(**{"campaign": "gazette", **fields})


def store(job: Job, *events: FeedbackEvent) -> None:
    with FeedbackStore(job.directory) as opened:
        opened.add(events)


def write(job: Job, text: str) -> None:
    (job.directory / suppressed_csv.NAME).write_text(text, encoding="utf-8")


def text(job: Job) -> str:
    return (job.directory / suppressed_csv.NAME).read_text(encoding="utf-8")


def listed(job: Job) -> list[str]:
    return [line.row.address for line in suppressed_csv.read_list(job.directory)]


def export(job: Job, now: float = NOW) -> list[str]:
    export_suppressed(job.directory, job.settings, now)
    return listed(job)


def count(job: Job) -> int:
    return sum(1 for _ in read_events(job.directory))


def test_where_nothing_ever_came_back_nothing_is_written(job: Job) -> None:
    export_suppressed(job.directory, job.settings, NOW)
    assert list(job.directory.iterdir()) == []


def test_the_list_of_an_earlier_release_is_taken_in_once_and_stays_as_it_was(job: Job) -> None:
    before = HEADING + "a@example.com,no such user,5.1.1,2020-01-01T10:00:00Z,gazette\nb@example.com,gone,550,"
    before += "2020-01-02T10:00:00Z,other\n"
    write(job, before)
    assert job.suppression().covers("A@example.com") == "listed in suppressed.csv"
    for _ in range(3):
        export(job)
    assert text(job) == before
    assert count(job) == 2
    assert job.suppression().covers("A@example.com") == "hard bounce on 2020-01-01"


@pytest.mark.parametrize("line", ["New@example.com", "New@example.com,,,,", "New@example.com,gone,550,2019-01-01,x"])
def test_a_line_added_by_hand_counts_at_once_and_is_never_lost(job: Job, line: str) -> None:
    store(job, event("old@example.com"))
    export(job)
    write(job, text(job) + line + "\n")
    assert job.suppression().covers("new@example.com") == "listed in suppressed.csv"
    assert export(job) == ["old@example.com", "New@example.com"]
    assert export(job) == ["old@example.com", "New@example.com"]
    assert count(job) == 2
    assert job.suppression().covers("new@example.com") != ""


def test_domains_hashes_and_comments_stay_and_count(job: Job) -> None:
    write(job, f"# mine\n@example.org\n{'0' * 64}\nnonsense\n")
    assert job.suppression().covers("x@example.org") == "listed in suppressed.csv"
    assert export(job) == ["@example.org", "0" * 64, "", "nonsense"]
    assert export(job) == ["@example.org", "0" * 64, "", "nonsense"]
    assert count(job) == 2
    assert job.suppression().covers("x@example.org").startswith("listed by hand on ")


def test_a_line_that_no_longer_holds_leaves_the_list_and_is_not_taken_in_again(job: Job) -> None:
    runs = (19_980, 19_990, 19_999)
    store(job, *(event("a@example.com", "soft", day, campaign="", run=f"g/{day}") for day in runs))
    assert export(job) == ["a@example.com"]
    assert export(job, NOW + 90 * DAY) == []
    assert count(job) == 3
    assert job.suppression().covers("a@example.com") == ""


def test_a_released_line_is_not_taken_in_again_whenever_the_release_was_interrupted(job: Job) -> None:
    write(job, "a@example.com\n")
    export(job)
    drawn_up = text(job)
    release_address(job, "a@example.com", NOW + 1)
    write(job, drawn_up)  # killed between the release and the list
    assert export(job, NOW + 2) == []
    write(job, "a@example.com\n")  # and a person lists it once more
    assert export(job, NOW + 3) == ["a@example.com"]


def test_a_list_that_is_saved_while_it_is_drawn_up_is_read_again(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    store(job, event("a@example.com"))
    write(job, "b@example.com\n")
    real, calls = suppressed_csv.rewrite_list, list[Any]()

    def save_first(*args: Any) -> bool:
        if not calls:
            write(job, "b@example.com\nc@example.com\n")
        calls.append(args)
        return real(*args)

    monkeypatch.setattr(suppressed_csv, "rewrite_list", save_first)
    assert set(export(job)) == {"a@example.com", "b@example.com", "c@example.com"}


def test_a_list_that_is_saved_all_the_time_is_left_alone(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    write(job, "b@example.com\n")
    monkeypatch.setattr(suppressed_csv, "rewrite_list", lambda *_: False)
    with pytest.raises(UnfinishedError, match="written by somebody else"):
        export(job)


def test_the_list_says_what_the_server_said_and_no_formula(job: Job) -> None:
    store(
        job,
        event("a@example.com", diagnostic="=1+1\nno", enhanced="5.1.1", code=550),
        event("b@example.com", "complaint", diagnostic="x"),
        event("c\n@example.com", "hard"),
    )
    export(job)
    with (job.directory / suppressed_csv.NAME).open(newline="", encoding="utf-8") as file:
        rows = [list(row.values()) for row in csv.DictReader(file)]
    assert rows == [
        ["a@example.com", "'=1+1 no", "5.1.1", "2022-01-08T00:00:00Z", "gazette"],
        ["b@example.com", "complaint", "", "2022-01-08T00:00:00Z", "gazette"],
    ]


def test_provider_rules_hold_for_feedback_too(job: Job) -> None:
    store(job, event("ada.love+news@gmail.com"))
    path = job.settings.file
    path.write_text(FILE.replace("[compose]", "provider_rules = true\n[compose]"))
    assert prepare(load(path, {}), environment={}).suppression().covers("adalove@gmail.com") != ""
    assert job.suppression().covers("adalove@gmail.com") == ""


def made(job: Job, run: str, day: float, *, rehearsal: bool = False, damaged: bool = False) -> None:
    folder = job.directory / run
    folder.mkdir(parents=True)
    prints = {REHEARSAL: IN_MAILBOX} if rehearsal else {}
    line = encode(Opened("gazette", "", folder.name, 1, 3, "plan", prints, "shape", day * DAY, "trace"))
    (folder / "checkpoint.journal").write_bytes(line if not damaged else b"x" * len(line))


def test_the_runs_of_a_campaign_are_those_through_relays_of_all_editions(job: Job) -> None:
    made(job, "gazette/one", 3)
    made(job, "gazette/2026-12/two", 2)
    made(job, "gazette/2026-12/rehearsed", 4, rehearsal=True)
    made(job, "gazette/2027-01/three", 4, damaged=True)
    made(job, "other/one", 1)
    runs_of = runs_in(job.directory)
    assert list(runs_of("gazette")) == [("gazette/one", 3 * DAY), ("gazette/2026-12/two", 2 * DAY)]
    assert [list(runs_of(name)) for name in ("nothing", "", "..", "gazette/2026-12")] == [[], [], [], []]


def test_a_run_from_which_nothing_came_back_breaks_a_row_and_a_rehearsal_does_not(job: Job) -> None:
    for name, day in (("a", 19_900), ("b", 19_910), ("c", 19_920)):
        made(job, f"gazette/{name}", day)
        store(job, event("a@example.com", "soft", day + 1, run=f"gazette/{name}"))
    made(job, "gazette/rehearsed", 19_915, rehearsal=True)
    assert derive_suppression(job.directory, job.settings, 19_925 * DAY).entries
    made(job, "gazette/between", 19_916)
    assert not derive_suppression(job.directory, job.settings, 19_925 * DAY).entries


def test_the_overview_counts_by_reason_and_names_the_newest_first(job: Job) -> None:
    store(job, *(event(f"p{day}@example.com", day=day) for day in range(20)), event("c@example.com", "complaint", 30))
    found = suppression_overview(job, NOW, 3)
    assert found.counts == {"hard": 20, "complaint": 1}
    assert [entry.address for entry in found.newest] == ["c@example.com", "p19@example.com", "p18@example.com"]
    assert len(listed(job)) == 21


def test_why_tells_all_that_came_back_and_how_each_counts(job: Job) -> None:
    store(job, event("a@example.com", "delivered"), event("A@example.com", diagnostic="gone"), event("b@example.com"))
    found = explain_suppression(job, "a@EXAMPLE.com", NOW)
    assert found.entry is not None
    assert [(one.outcome, how.partition(" ")[0]) for one, how in found.events] == [("delivered", "a"), ("hard", "it")]


def test_why_names_a_list_that_has_the_address(job: Job, tmp_path: Path) -> None:
    write(job, "a@example.com\n")
    assert explain_suppression(job, "a@example.com", NOW).listed == "listed in suppressed.csv"
    (tmp_path / "gone.csv").write_text("b@example.com\n")
    job.settings.file.write_text(FILE.replace("[compose]", 'suppress = ["gone.csv"]\n[compose]'))
    own = prepare(load(job.settings.file, {}), environment={})
    assert explain_suppression(own, "b@example.com", NOW).listed == "listed in gone.csv"
    with pytest.raises(InputError, match=r"listed in gone\.csv"):
        release_address(own, "b@example.com", NOW)


@pytest.mark.parametrize("outcome", ["hard", "complaint", "unsubscribe"])
def test_a_release_undoes_what_came_before_and_is_kept(job: Job, outcome: str) -> None:
    store(job, event("A@example.com", outcome))
    assert release_address(job, "a@example.com", NOW).reason == outcome
    assert (listed(job), job.suppression().covers("a@example.com")) == ([], "")
    assert [one.outcome for one in read_events(job.directory)] == [outcome, "released"]
    store(job, event("a@example.com", day=20_001))
    assert export(job, NOW + 2 * DAY) == ["a@example.com"]


def test_a_forgotten_address_is_called_by_the_name_that_was_typed_and_its_hash_is_explained(job: Job) -> None:
    store(job, event(address_hash("a@example.com"), "complaint"))
    why = answer_lines(job, explain_suppression(job, "a@example.com", NOW))
    assert why[0].startswith("a@example.com is left out: complaint")
    assert "it was forgotten" in why[1]
    released, forgotten, then, warning = release_lines("a@example.com", release_address(job, "a@example.com", NOW))
    assert released.startswith("a@example.com is released; that undid: complaint")
    assert "it was forgotten" in forgotten
    assert "its next row in a list gets a letter" in then
    assert "asked for no more letters" in warning
    assert "a@example.com" not in (job.directory / "feedback.jsonl").read_text()


def test_what_nothing_leaves_out_is_not_released(job: Job) -> None:
    for wrong in ("b@example.com", "b@", ""):
        with pytest.raises(InputError):
            release_address(job, wrong, NOW)
    assert count(job) == 0


def test_the_table_has_an_end_for_what_ends(job: Job) -> None:
    store(job, *(event("a@example.com", "soft", day, campaign="", run=f"g/{day}") for day in (19_980, 19_990, 19_999)))
    write(job, "b@example.com\n")
    rows = list(csv.DictReader(suppression_table(job, NOW)))
    assert [(row["address"], row["why"], row["until"]) for row in rows] == [
        ("a@example.com", "soft", "2025-01-01T00:00:00Z"),
        ("b@example.com", "hard", ""),
    ]


def test_damage_of_the_store_is_no_empty_list(job: Job) -> None:
    store(job, event("a@example.com"), event("b@example.com"))
    path = job.directory / "feedback.jsonl"
    path.write_bytes(path.read_bytes().replace(b"a@ex", b"x@ex"))
    with pytest.raises(DamageError, match=r"feedback\.jsonl:1:"):
        job.suppression()
    with pytest.raises(DamageError):
        export(job)


@pytest.fixture
def typed(job: Job) -> Callable[..., Result]:
    store(job, event("a@example.com", code=550, enhanced="5.1.1", diagnostic="no\x1b[31m such user"))
    return lambda *options: CliRunner().invoke(cli, ["suppression", str(job.settings.file), *options])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), ["1 address left out", "hard bounce", "a@example.com"]),
        (
            ("--why", "A@example.com"),
            ["is left out: hard bounce on 2022-01-08, permanently", "550 5.1.1 no\\x1b[31m such"],
        ),
        (("--why", "b@example.com"), ["is not left out", "nothing has come back"]),
        (("--release", "a@example.com"), ["a@example.com is released; that undid: hard bounce on 2022-01-08"]),
        (("--export", "-"), ["address,why,since", "a@example.com,hard,2022-01-08T00:00:00Z"]),
    ],
)
def test_the_command_says_it_in_plain_lines(
    typed: Callable[..., Result], options: tuple[str, ...], told: list[str]
) -> None:
    result = typed(*options)
    assert result.exception is None or result.exit_code == 0
    assert all(words in result.output for words in told)
    assert "\x1b" not in result.output or options[:1] == ("--export",)


@pytest.mark.parametrize(
    ("options", "path", "value"),
    [
        ((), ("reasons", "hard"), 1),
        (("--why", "a@example.com"), ("left_out", "reason"), "hard"),
        (("--why", "a@example.com"), ("events", 0, "counts"), "it leaves the address out permanently"),
        (("--release", "a@example.com"), ("undone", "until"), None),
    ],
)
def test_the_command_answers_in_json(
    typed: Callable[..., Result], options: tuple[str, ...], path: tuple[Any, ...], value: object
) -> None:
    found = json.loads(typed(*options, "--json").output)
    for step in path:
        found = found[step]
    assert found == value


def test_the_command_writes_the_table_to_a_file(typed: Callable[..., Result], tmp_path: Path) -> None:
    typed("--export", str(tmp_path / "out.csv"))
    assert (tmp_path / "out.csv").read_text().splitlines()[1].startswith("a@example.com,hard,")


def test_two_questions_at_once_are_a_wrong_command_line(typed: Callable[..., Result]) -> None:
    assert typed("--why", "a@example.com", "--export", "-").exit_code == 2


def test_a_hundred_thousand_events_are_judged_in_seconds(job: Job) -> None:
    store(job, *(event(f"p{number}@example.com", "delivered") for number in range(100_000)))
    began = time.perf_counter()
    assert len(job.suppression()) == 0
    assert time.perf_counter() - began < 10


@pytest.mark.parametrize(
    ("diagnostic", "shown"),
    [
        ("550 5.1.1 no such user", "550 5.1.1 no such user"),
        ("host mx said: 550-5.1.1 no such user", "host mx said: 550-5.1.1 no such user"),
        ("550 no such user", "5.1.1 550 no such user"),
        ("no such user", "550 5.1.1 no such user"),
        ("", "550 5.1.1"),
    ],
)
def test_a_code_that_the_words_of_a_server_hold_is_not_shown_twice(job: Job, diagnostic: str, shown: str) -> None:
    store(job, event("a@example.com", code=550, enhanced="5.1.1", diagnostic=diagnostic))
    assert f"    {shown}" in answer_lines(job, explain_suppression(job, "a@example.com", NOW))
