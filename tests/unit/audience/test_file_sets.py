"""A folder or a pattern is one list in several files: in sorted order, of the same columns, each row with its file."""

from __future__ import annotations

import csv
import gzip
import json
import pickle
from pathlib import Path

import pandas as pd
import pytest

from campaign.audience.plan.plan_codec import SCREENED
from campaign.audience.plan.plan_reader import Plan, freeze
from campaign.audience.screening.invalid_row_limit import invalid_rows
from campaign.audience.screening.screen_rows import Suppression
from campaign.audience.sources import file_set
from campaign.audience.sources.file_set import matching_files, names_files
from campaign.audience.sources.row_chunks import RowPlace
from campaign.audience.sources.source_factory import open_rows, open_source
from campaign.check.findings import Findings
from campaign.cli.options import Row
from campaign.config.audience import AudienceSection
from campaign.errors import CampaignError, ConfigError, InputError
from campaign.pipeline.preview_rows.pick_rows import asked_for


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    folder = tmp_path / "lists"
    folder.mkdir()
    (folder / "b.csv").write_text("email,name\nb@example.com,B\na@example.com,again\nbad,C\n")
    (folder / "a.csv").write_text("email,name\na@example.com,A\n")
    (folder / "README.md").write_text("Not a list.\n")
    (folder / ".hidden.csv").write_text("x\n")
    return tmp_path


def frozen(base: Path, source: str, **given: object) -> Plan:
    settings = AudienceSection(source=source, **given)
    return freeze(settings, base, base, suppression=Suppression.load(settings, base))


def screened(base: Path) -> list[tuple[str, str, str]]:
    with (base / SCREENED).open(newline="") as file:
        return [(row["source"], row["line"], row["detail"]) for row in csv.DictReader(file)]


@pytest.mark.parametrize("source", ["lists", "lists/", "lists/*.csv", "lists/[ab].csv", "**/?.csv"])
def test_a_folder_and_a_pattern_are_read_in_sorted_order(lists: Path, source: str) -> None:
    plan = frozen(lists, source)
    assert [one.address for one in plan.recipients()] == ["a@example.com", "b@example.com"]
    assert [str(one.line) for one in plan.recipients()] == ["lists/a.csv:2", "lists/b.csv:2"]
    assert plan.source == source
    absolute = frozen(lists, str(lists / "lists/*.csv"))
    assert absolute.size == 2


def test_rows_that_are_left_out_are_told_by_file_and_line(lists: Path) -> None:
    plan = frozen(lists, "lists")
    assert [one[:2] for one in screened(lists)] == [("lists/b.csv", "3"), ("lists/b.csv", "4")]
    assert screened(lists)[0][2] == "same address as lists/a.csv:2"
    assert [str(line) for line in invalid_rows(plan).lines] == ["lists/b.csv:4"]


def test_lines_that_are_merged_name_the_file_of_the_first(lists: Path) -> None:
    plan = frozen(lists, "lists", items=["name"])
    assert plan.size == 2
    merged = [one for one in screened(lists) if one[2].startswith("joins")]
    assert merged == [("lists/b.csv", "3", "joins lists/a.csv:2")]


def test_a_finding_names_file_and_line_and_json_keeps_the_number(lists: Path) -> None:
    first, second = frozen(lists, "lists").recipients()
    findings = Findings()
    for one in (first, second):
        findings.add("warning", "code", "a message", row=one.line)
    assert "rows lists/a.csv:2, lists/b.csv:2" in findings.render_text()
    assert json.loads(json.dumps(findings.render_json()))["findings"][0]["rows"] == [2, int(second.line)]


def test_parquet_files_keep_their_values(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    for name, at in (("a.parquet", 1), ("b.parquet", 2)):
        pd.DataFrame({"email": [f"{name[0]}@example.com"] * at, "n": range(at)}).to_parquet(tmp_path / name)
    source = open_rows(AudienceSection(source="*.parquet"), tmp_path)
    rows = [(number, row) for chunk in source.chunks() for number, row in zip(chunk.lines, chunk.rows, strict=True)]
    assert rows == [(1, ["a@example.com", 0]), (2, ["b@example.com", 0]), (3, ["b@example.com", 1])]
    assert source.value_type == "any"


def test_packed_files_are_one_list_too(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.csv.gz").write_bytes(gzip.compress(f"email\n{name}@example.com\n".encode()))
    assert frozen(tmp_path, "*.csv.gz", compression="gzip").size == 2


def test_a_list_in_several_files_has_one_identity_that_each_of_them_changes(lists: Path) -> None:
    def identity() -> object:
        return open_rows(AudienceSection(source="lists"), lists).identity()

    before = identity()
    assert before == identity()
    (lists / "lists" / "a.csv").write_text("email,name\na@example.com,Z\n")
    assert identity() != before


@pytest.mark.parametrize(
    ("made", "source", "kind", "what", "evidence"),
    [
        ({"lists/c.csv": "email\nc@example.com\n"}, "lists", InputError, "lists/c.csv has other columns", "'name'"),
        ({"lists/c.csv": "name,email\nC,c@example.com\n"}, "lists", InputError, "other columns", "in another order"),
        ({"lists/c.csv": "email,name,age\n"}, "lists", InputError, "other columns", "'age' besides"),
        ({"lists/c.xlsx": "x"}, "lists", ConfigError, "of several kinds", "1 .xlsx"),
        ({"lists/c.parquet": "x"}, "lists", ConfigError, "of several kinds", "1 .parquet"),
        ({}, "lists/*.md", ConfigError, "of several kinds", "1 .md"),
        ({}, "lists/*.tsv", InputError, "no file is there", ""),
        ({"empty/x.md": "x"}, "empty", InputError, "no file is there", ".parquet"),
        ({"lists/c.csv": ""}, "lists", InputError, "is empty", ""),
    ],
)
def test_each_mistake_ends_in_a_sentence_that_names_the_file(
    lists: Path, made: dict[str, str], source: str, kind: type[CampaignError], what: str, evidence: str
) -> None:
    for name, text in made.items():
        (lists / name).parent.mkdir(exist_ok=True)
        (lists / name).write_text(text)
    with pytest.raises(kind, match=what) as caught:
        open_source(AudienceSection(source=source), lists)
    assert evidence in " ".join(caught.value.evidence)
    assert caught.value.next_step


def test_more_files_than_a_list_has_are_refused(lists: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_set, "MOST_FILES", 1)
    with pytest.raises(InputError, match="more than 1 files"):
        open_source(AudienceSection(source="lists"), lists)


def test_a_file_that_grows_while_the_list_is_read_is_refused(lists: Path) -> None:
    source = open_rows(AudienceSection(source="lists"), lists)
    assert source.files  # type: ignore[attr-defined]  # counted now
    with (lists / "lists" / "a.csv").open("a") as file:
        file.write("x@example.com,X\n" * 10)
    with pytest.raises(InputError, match="changed while it was read"):
        list(source.chunks())


def test_a_file_with_brackets_in_its_name_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "list[1].csv").write_text("email\na@example.com\n")
    assert not names_files("list[1].csv", tmp_path)
    assert frozen(tmp_path, "list[1].csv").size == 1
    assert not names_files("https://example.com/*.csv", tmp_path)


def test_no_letter_may_contain_a_file_that_the_pattern_matches(lists: Path) -> None:
    assert {path.name for path in matching_files("lists/*", lists)} == {"a.csv", "b.csv", "README.md"}
    assert matching_files("lists", lists) == [], "a folder is private as a whole"


def test_a_row_is_chosen_by_its_file_and_line_or_by_its_number(lists: Path) -> None:
    plan = frozen(lists, "lists")
    second = plan.recipient(1)
    for row in ("lists/b.csv:2", int(second.line)):
        assert [one.recipient.address for one in asked_for(plan, [row], "")] == ["b@example.com"]
    with pytest.raises(ConfigError, match=r"Row lists/b\.csv:9 gets no letter"):
        asked_for(plan, ["lists/b.csv:9"], "")
    assert Row().convert("lists/b.csv:2", None, None) == "lists/b.csv:2"
    assert Row().convert("7", None, None) == 7


def test_a_place_is_a_number_that_reads_as_file_and_line() -> None:
    files = (("a.csv", 0), ("b.csv", 10))
    assert [str(RowPlace.of(row, files)) for row in (1, 10, 11, 12)] == ["a.csv:1", "a.csv:10", "b.csv:1", "b.csv:2"]
    place = RowPlace.of(12, files)
    assert place == 12
    assert f"{place} {place:,}" == "b.csv:2 b.csv:2"
    assert str(pickle.loads(pickle.dumps(place))) == "b.csv:2"
