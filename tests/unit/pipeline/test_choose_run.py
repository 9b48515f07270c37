"""Which run a command serves, and whom a new one leaves out, told from journals alone: nothing is sent here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from campaign.audience.plan.plan_reader import Plan
from campaign.compose.composer import WAY_OF_RENDERING
from campaign.config import load
from campaign.errors import CampaignError, ConfigError, DamageError, InputError, StorageError, UnfinishedError
from campaign.ledger import run_folder
from campaign.ledger.checkpoint import Checkpoint
from campaign.ledger.recovery import read_history
from campaign.ledger.state.run_state import RunState
from campaign.model import Books, Verdict
from campaign.pipeline.command_context import Job, Options, lay_over, prepare
from campaign.pipeline.start.already_served import CLOSED, FAILED
from campaign.pipeline.start.choose_run import (
    ChosenRun,
    choose,
    continues,
    next_generation,
    refuse_changes,
    sample,
)
from campaign.pipeline.start.nothing_to_retry import nothing_to_retry
from campaign.pipeline.start.past_runs import fingerprints, newest, refuse_changed_plan

V = Verdict
AGAIN = "campaign send gazette.toml"
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
Pick = Callable[..., ChosenRun | Books]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "gazette.toml").write_text(FILE, encoding="utf-8")
    (tmp_path / "letter.txt").write_text("Dear {{ name }}\n", encoding="utf-8")
    people(tmp_path, 9)
    return tmp_path


def people(place: Path, count: int) -> None:
    rows = "".join(f"p{n}@example.com,P{n}\n" for n in range(count))
    (place / "people.csv").write_text(f"email,name\n{rows}", encoding="utf-8")


def job(place: Path, **options: Any) -> Job:
    return prepare(lay_over(load(place / "gazette.toml", {}), Options(**options)), environment={})


@pytest.fixture
def pick(place: Path) -> Pick:
    def chosen(**options: Any) -> ChosenRun | Books:
        this = job(place, **options)
        run_folder.make_folder(this.folder)
        return choose(this, Options(**options))

    return chosen


def new(found: ChosenRun | Books, count: int) -> ChosenRun:
    assert isinstance(found, ChosenRun)
    assert not found.continued
    assert found.plan.size == count
    return found


def leave(chosen: ChosenRun, *verdicts: Verdict, rest: Verdict = V.ACCEPTED, end: bool = True) -> None:
    """What a process would have written: these verdicts in the order of the plan, ``rest`` for all others."""
    checkpoint = Checkpoint(chosen.folder)
    for number in range(chosen.plan.size):
        verdict = verdicts[number] if number < len(verdicts) else rest
        if verdict is not V.WAITING:
            checkpoint.settle(number, verdict, "as the test wants it")
    if end:
        checkpoint.end(0)
    checkpoint.close()


def planned(chosen: ChosenRun | Books) -> set[str]:
    return {one.name or str(one.row["name"]) for one in chosen.plan.recipients()} if chosen else set()


# -- pure decisions


@pytest.mark.parametrize(
    ("by", "options", "expected"),
    [
        ("", {}, True),
        ("fresh", {}, True),
        ("again", {}, True),
        ("retry", {}, True),
        ("", {"fresh": True}, False),
        ("fresh", {"fresh": True}, True),
        ("again", {"fresh": True}, False),
        ("", {"again": True}, False),
        ("again", {"again": True}, True),
        ("", {"retry": True}, False),
        ("retry", {"retry": True}, True),
    ],
)
def test_an_unfinished_run_is_continued_by_plain_send_and_by_what_made_it(
    by: str, options: dict[str, bool], expected: bool
) -> None:
    unfinished = SimpleNamespace(finished=False, ended=None, opened=SimpleNamespace(by=by))
    assert continues(Options(**options), cast("RunState", unfinished)) is expected


@pytest.mark.parametrize("options", [{}, {"fresh": True}, {"again": True}, {"in_doubt": "resend"}])
def test_a_finished_run_is_not_continued(options: dict[str, Any]) -> None:
    finished = SimpleNamespace(finished=True, ended=object(), opened=SimpleNamespace(by="again"))
    assert not continues(Options(**options), cast("RunState", finished))


def test_a_run_that_was_killed_before_its_report_is_continued_to_be_closed() -> None:
    cut = SimpleNamespace(finished=True, ended=None, opened=SimpleNamespace(by=""))
    assert continues(Options(), cast("RunState", cut))


@pytest.mark.parametrize(
    ("current", "again", "expected"), [(0, False, 1), (0, True, 1), (1, False, 1), (1, True, 2), (4, True, 5)]
)
def test_each_again_is_the_next_generation(current: int, again: bool, expected: int) -> None:
    assert next_generation(Options(again=again), current) == expected


@pytest.mark.parametrize(("size", "least"), [(1, 1), (20, 20), (21, 21), (1000, 45)])
def test_the_sample_holds_the_first_and_some_of_all_others(pick: Pick, place: Path, size: int, least: int) -> None:
    people(place, size)
    numbers = [one.number for one in sample(new(pick(), size).plan)]
    assert numbers[: min(size, 20)] == list(range(min(size, 20)))
    assert least <= len(numbers) <= 60
    assert max(numbers) >= size * 0.9 - 1


# -- whom a new run serves


@pytest.mark.parametrize("verdict", [verdict for verdict in Verdict if verdict not in {V.WAITING, V.DEFERRED}])
def test_whoever_has_a_verdict_or_is_in_doubt_is_left_out_of_the_next_run(pick: Pick, verdict: Verdict) -> None:
    leave(new(pick(), 9), verdict)
    assert isinstance(pick(), Books)
    assert verdict in CLOSED


def test_the_next_run_serves_newcomers_alone(pick: Pick, place: Path) -> None:
    leave(new(pick(), 9))
    people(place, 11)
    found = new(pick(), 2)
    assert planned(found) == {"P9", "P10"}
    assert found.plan.books.already == 9


def test_a_retry_for_nobody_says_whether_anybody_failed_and_what_serves_the_others(place: Path, pick: Pick) -> None:
    assert "this edition has no run yet" in nothing_to_retry(job(place), "rows")
    leave(new(pick(), 9))
    assert isinstance(pick(retry=True), Books)
    assert "nobody failed in this edition" in nothing_to_retry(job(place), "rows")
    assert "Next: campaign send" in nothing_to_retry(job(place), "rows")
    people(place, 10)
    leave(new(pick(), 1), V.REJECTED)
    people(place, 9)
    assert isinstance(pick(retry=True), Books)
    assert "whoever failed in this edition was served later, or is left out now" in nothing_to_retry(job(place), "rows")


def test_nobody_left_leaves_no_folder(pick: Pick, place: Path) -> None:
    leave(new(pick(), 9))
    assert pick() == Books(read=9, already=9)
    assert len(run_folder.runs(place / "runs" / "gazette")) == 1


def test_again_serves_everybody_and_what_follows_it_nobody(pick: Pick) -> None:
    leave(new(pick(), 9))
    again = new(pick(again=True), 9)
    assert again.generation == 2
    leave(again)
    assert isinstance(pick(), Books)
    assert new(pick(again=True), 9).generation == 3


def test_fresh_plans_anew_those_who_waited_and_leaves_the_run_behind(pick: Pick) -> None:
    first = new(pick(), 9)
    leave(first, V.ACCEPTED, V.DEFERRED, V.IN_DOUBT, V.REJECTED, rest=V.WAITING)
    fresh = new(pick(fresh=True), 6)
    assert planned(fresh) == {"P1", "P4", "P5", "P6", "P7", "P8"}
    assert read_history(first.folder).abandoned
    leave(fresh)
    assert isinstance(pick(), Books)
    assert isinstance(pick(in_doubt="resend"), Books)


@pytest.mark.parametrize("verdict", FAILED)
def test_retry_serves_those_who_failed(pick: Pick, place: Path, verdict: Verdict) -> None:
    leave(new(pick(), 9), verdict, V.ACCEPTED, V.WITHDRAWN, V.IN_DOUBT)
    people(place, 12)
    again = new(pick(retry=True), 1)
    assert planned(again) == {"P0"}
    leave(again)
    assert isinstance(pick(retry=True), Books)
    assert planned(pick()) == {"P9", "P10", "P11"}


def test_retry_refuses_while_a_run_is_unfinished(pick: Pick) -> None:
    leave(new(pick(), 9), V.REJECTED, rest=V.WAITING)
    for options in ({}, {"in_doubt": "resend"}):
        with pytest.raises(UnfinishedError):
            pick(retry=True, **options)


def test_retry_continues_a_retry(pick: Pick) -> None:
    leave(new(pick(), 9), V.REJECTED, V.REJECTED)
    first = new(pick(retry=True), 2)
    leave(first, rest=V.DEFERRED)
    found = pick(retry=True)
    assert isinstance(found, ChosenRun)
    assert found.continued
    assert found.folder == first.folder


# -- doubts


def test_resend_takes_up_the_newest_finished_run_that_has_doubts(pick: Pick, place: Path) -> None:
    first = new(pick(), 9)
    leave(first, V.IN_DOUBT)
    people(place, 10)
    leave(new(pick(), 1))
    assert isinstance(pick(), Books)
    found = pick(in_doubt="resend")
    assert isinstance(found, ChosenRun)
    assert found.continued
    assert found.folder == first.folder


def test_resend_leaves_the_doubts_of_another_generation(pick: Pick) -> None:
    leave(new(pick(), 9), V.IN_DOUBT)
    leave(new(pick(again=True), 9))
    assert isinstance(pick(in_doubt="resend"), Books)


def test_retry_without_its_flag_leaves_doubts_whatever_the_file_says(pick: Pick, place: Path) -> None:
    (place / "gazette.toml").write_text(FILE + '[ledger]\nin_doubt = "resend"\n', encoding="utf-8")
    leave(new(pick(), 9), V.IN_DOUBT)
    assert isinstance(pick(retry=True), Books)
    assert isinstance(pick(), ChosenRun)


# -- continuing


def test_an_unfinished_run_is_continued_whatever_the_list_says_now(pick: Pick, place: Path) -> None:
    first = new(pick(), 9)
    leave(first, rest=V.DEFERRED)
    (place / "people.csv").unlink()
    found = pick()
    assert isinstance(found, ChosenRun)
    assert found.continued
    assert found.folder == first.folder
    assert found.plan.sha256() == first.plan.sha256()


def test_a_plan_whose_journal_was_never_opened_is_cleared_away(pick: Pick, place: Path) -> None:
    leave(new(pick(), 9))
    half = place / "runs" / "gazette" / "half"
    half.mkdir()
    (half / "plan.jsonl").write_text("", encoding="utf-8")
    assert isinstance(pick(), Books)
    assert not half.exists()


@pytest.mark.parametrize("trace", ["log.jsonl", "summary.json", "ballast"])
def test_a_run_that_was_served_and_lost_its_journal_is_never_started_over(pick: Pick, trace: str) -> None:
    first = new(pick(), 9)
    (first.folder / trace).write_text("", encoding="utf-8")
    (first.folder / "checkpoint.journal").unlink()
    for options in ({}, {"fresh": True}, {"again": True}):
        with pytest.raises(DamageError, match="gone"):
            pick(**options)
    assert (first.folder / "plan.jsonl").exists()


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("people.csv", "", InputError),
        ("letter.txt", "{{ nmae }}", ConfigError),
        ("letter.txt", "{% if %}", ConfigError),
    ],
)
def test_what_cannot_be_begun_leaves_no_folder(
    pick: Pick, place: Path, name: str, content: str, error: type[CampaignError]
) -> None:
    (place / name).write_text(content, encoding="utf-8")
    with pytest.raises(error):
        pick()
    assert not run_folder.runs(place / "runs" / "gazette")


def test_a_named_run_is_made_and_continued_by_its_name(pick: Pick, place: Path) -> None:
    first = new(pick(run="trial"), 9)
    assert first.folder == place / "runs" / "gazette" / "trial"
    leave(first, rest=V.WAITING)
    for name in ("trial", str(first.folder)):
        found = pick(run=name)
        assert isinstance(found, ChosenRun)
        assert found.continued
    leave(first)
    people(place, 10)
    leave(new(pick(), 1))
    with pytest.raises(ConfigError, match="not the newest"):
        pick(run="trial")


@pytest.mark.parametrize("name", ["../trial", "a/b", "/tmp/trial", ".lock", ".."])
def test_a_run_is_named_inside_its_edition_alone(pick: Pick, name: str) -> None:
    with pytest.raises(ConfigError):
        pick(run=name)


def test_a_run_named_by_a_link_is_refused_before_anything_is_written_through_it(pick: Pick, place: Path) -> None:
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    (place / "runs" / "gazette").mkdir(parents=True, exist_ok=True)
    (place / "runs" / "gazette" / "trial").symlink_to(elsewhere)
    with pytest.raises(StorageError, match="is a link"):
        pick(run="trial")
    assert list(elsewhere.iterdir()) == []


# -- what changed since the run began


@pytest.mark.parametrize(
    ("current", "told"),
    [
        ({"a": "2", "b": "1"}, ["a changed"]),
        ({"a": "1"}, ["b is gone"]),
        ({"a": "1", "b": "1", "c": "1"}, ["c is new"]),
        ({"a": "2", "c": "1"}, ["a changed", "b is gone", "c is new"]),
    ],
)
def test_every_change_is_named(pick: Pick, current: dict[str, str], told: list[str]) -> None:
    chosen = new(pick(), 9)
    history = read_history(chosen.folder)
    history.fingerprints = {"a": "1", "b": "1"}
    with pytest.raises(ConfigError) as caught:
        refuse_changes(history, current, AGAIN, chosen.folder)
    assert list(caught.value.evidence) == told
    assert "--accept-changes" in caught.value.next_step


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        (None, "2", "rendering number 1 when it began, 2 now"),  # release 0.1.0 wrote none
        ("2", "3", "rendering number 2 when it began, 3 now"),
        ("3", "2", "rendering number 3 when it began, 2 now"),  # an older version in place of a newer one
    ],
)
def test_another_way_of_rendering_is_refused(pick: Pick, before: str | None, now: str, told: str) -> None:
    chosen = new(pick(), 9)
    history = read_history(chosen.folder)
    history.fingerprints = {"a": "1"} | ({WAY_OF_RENDERING: before} if before else {})
    with pytest.raises(ConfigError, match="another way") as caught:
        refuse_changes(history, {"a": "2", WAY_OF_RENDERING: now}, AGAIN, chosen.folder)
    assert list(caught.value.evidence) == [told, "a changed"]
    assert caught.value.next_step.endswith("campaign send gazette.toml --accept-changes")


def test_a_run_without_a_way_of_rendering_was_rendered_in_the_first(pick: Pick) -> None:
    chosen = new(pick(), 9)
    history = read_history(chosen.folder)
    history.fingerprints = {"a": "1"}
    refuse_changes(history, {"a": "1", WAY_OF_RENDERING: "1"}, AGAIN, chosen.folder)


@pytest.mark.parametrize(
    ("rest", "step"), [(V.WAITING, "campaign send gazette.toml --accept-changes"), (V.ACCEPTED, "--accepted LIST")]
)
def test_a_refusal_of_another_way_tells_of_the_doubts(pick: Pick, rest: Verdict, step: str) -> None:
    chosen = new(pick(), 9)
    leave(chosen, V.IN_DOUBT, V.IN_DOUBT, rest=rest)
    history = read_history(chosen.folder)
    with pytest.raises(ConfigError) as caught:
        refuse_changes(history, {**history.fingerprints, WAY_OF_RENDERING: "9"}, AGAIN, chosen.folder)
    assert "2 letters in doubt: sent again only if this version makes the same bytes" in caught.value.evidence
    assert step in caught.value.next_step


def test_a_run_begun_by_this_version_is_refused_by_one_that_renders_in_another_way(
    pick: Pick, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = new(pick(), 9)
    history = read_history(chosen.folder)
    monkeypatch.setattr("campaign.compose.composer.RENDERING", 99)
    with pytest.raises(ConfigError, match="another way"):
        refuse_changes(history, chosen.composer.fingerprints(), AGAIN, chosen.folder)


def test_what_did_not_change_is_not_refused(pick: Pick, place: Path) -> None:
    chosen = new(pick(), 9)
    history = read_history(chosen.folder)
    refuse_changes(history, fingerprints(job(place), chosen.composer), AGAIN, chosen.folder)
    refuse_changed_plan(chosen.folder, history, chosen.plan)


def test_a_changed_plan_is_refused(pick: Pick) -> None:
    chosen = new(pick(), 9)
    path = chosen.folder / "plan.jsonl"
    path.write_bytes(path.read_bytes().replace(b"p3@example.com", b"q3@example.com"))
    with pytest.raises(ConfigError, match="plan"):
        refuse_changed_plan(chosen.folder, read_history(chosen.folder), Plan.open(path))


def test_a_run_made_after_the_clock_went_back_is_the_newest_all_the_same(
    pick: Pick, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = new(pick(), 9)
    leave(first, rest=V.ACCEPTED)
    monkeypatch.setattr("campaign.pipeline.start.choose_run.time.time", lambda: 1_000_000_000.0)
    second = new(pick(again=True), 9)
    assert newest(job(place))[0] == second.folder
    continued = pick(again=True)
    assert continued is not None
    assert continued.folder == second.folder
