"""The frozen plan: complete or not there, read in slices, the same bytes for the same input."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import random
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaign.audience.plan import plan_writer
from campaign.audience.plan.plan_reader import Plan, freeze
from campaign.audience.screening.screen_rows import KeySet, Suppression, digest
from campaign.audience.sources import csv_source
from campaign.audience.sources.source_factory import template_columns
from campaign.config.audience import AudienceSection
from campaign.errors import ConfigError, InputError, StorageError
from campaign.model import Books


def frozen(folder: Path, text: str, **given_: object) -> Plan:
    (folder / "list.csv").write_text(text, encoding="utf-8", newline="")
    slice_ = AudienceSection(source="list.csv", **given_)  # type: ignore[arg-type]
    return freeze(slice_, folder, folder, suppression=Suppression.load(slice_, folder))


def screened(folder: Path) -> list[list[str]]:
    with (folder / "screened.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def people(count: int) -> str:
    return "email,name\n" + "".join(f"p{n}@example.com,Person {n}\n" for n in range(count))


def test_a_plan_is_numbered_readable_and_closed_by_its_books(tmp_path: Path) -> None:
    plan = frozen(tmp_path, "email,name\nada@example.com,Zoë\nno,x\n", display_name="name")
    lines = [json.loads(line) for line in plan.path.read_text().splitlines()]
    assert lines[0]["columns"] == {"email": "text", "name": "text"}
    assert lines[0]["source"] == "list.csv"
    assert lines[1] == [0, "ada@example.com", "ada@example.com", "Zoë", 2, ["ada@example.com", "Zoë"]]
    assert lines[2]["books"]["planned"] == 1
    assert plan.books == Books(read=2, invalid=1, planned=1)
    assert (plan.size, plan.columns) == (1, ("email", "name"))


def test_values_arrive_as_they_stand_in_the_file(tmp_path: Path) -> None:
    cells = ["NA", "null", "None", "nan", "007", "1e5", " x ", "", "TRUE", "=1+1", "a\u2028b", '"', "1,5", "\t"]
    text = "email,value\n" + "".join(
        f'v{at}@example.com,"{cell.replace(chr(34), chr(34) * 2)}"\n' for at, cell in enumerate(cells)
    )
    plan = frozen(tmp_path, text, delimiter=",")
    assert [one.row["value"] for one in plan.recipients()] == cells


def test_any_slice_is_read_without_the_rest(tmp_path: Path) -> None:
    plan = frozen(tmp_path, people(300))
    assert [one.number for one in plan.recipients(start=120, stop=124)] == [120, 121, 122, 123]
    assert [one.number for one in plan.recipients(lambda number: number % 100 == 7)] == [7, 107, 207]
    assert [one.number for one in plan.recipients(lambda number: number > 298, start=290, stop=999)] == [299]
    assert list(plan.recipients(start=300)) == []
    assert list(plan.recipients(start=5, stop=5)) == []


def test_every_recipient_is_found_by_its_number(tmp_path: Path) -> None:
    for count in (1, 2, 3, 11, 257):
        plan = frozen(tmp_path, people(count))
        assert [plan.recipient(number).key for number in range(count)] == [f"p{n}@example.com" for n in range(count)]
        for beyond in (-1, count):
            with pytest.raises(IndexError):
                plan.recipient(beyond)


@pytest.mark.parametrize("lengths", ["short then long", "long then short", "one long line", "any"])
def test_recipients_are_found_however_unlike_their_lines_are(tmp_path: Path, lengths: str) -> None:
    count, chance = 400, random.Random(4)
    size = {
        "short then long": lambda n: 1 if n < 200 else 2000,
        "long then short": lambda n: 2000 if n < 200 else 1,
        "one long line": lambda n: 60_000 if n == 123 else 1,
        "any": lambda _: chance.choice((1, 1, 5000)),
    }[lengths]
    rows = "".join(f"p{n}@example.com,{'x' * size(n)}\n" for n in range(count))
    plan = frozen(tmp_path, f"email,note\n{rows}")
    assert [plan.recipient(number).key for number in range(count)] == [f"p{n}@example.com" for n in range(count)]


def test_lines_that_are_not_wanted_are_not_even_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = frozen(tmp_path, people(50))
    parsed: list[bytes] = []
    decode = msgspec.json.decode
    monkeypatch.setattr("campaign.audience.plan.plan_reader._DECODE", lambda line: parsed.append(line) or decode(line))
    assert len(list(plan.recipients(lambda number: number in {3, 40}))) == 2
    assert len(parsed) == 2


def test_the_same_input_freezes_to_the_same_bytes(tmp_path: Path) -> None:
    one = frozen(tmp_path, people(100)).sha256()
    assert frozen(tmp_path, people(100)).sha256() == one
    assert frozen(tmp_path, people(101)).sha256() != one


def test_plan_and_list_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    plan = frozen(tmp_path, people(1))
    assert plan.path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "screened.csv").stat().st_mode & 0o777 == 0o600


def test_screened_rows_are_listed_with_line_and_reason_safe_to_open(tmp_path: Path) -> None:
    plan = frozen(tmp_path, 'email,n\n=cmd()@x,1\n"@SUM(1)\nx",2\nada@example.com,1,2\n')
    rows = screened(tmp_path)
    assert rows[0] == ["source", "line", "address", "reason", "detail"]
    assert [row[1] for row in rows[1:]] == ["2", "3", "5"]
    assert [row[3] for row in rows[1:]] == ["invalid"] * 3
    assert all(not cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows[1:] for cell in row)
    assert plan.books == Books(read=3, invalid=3)


def test_already_served_keys_and_progress(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(people(25_000))
    served, told = KeySet(), []
    served.add([digest("p3@example.com")])
    plan = freeze(
        AudienceSection(source="list.csv"),
        tmp_path,
        tmp_path,
        suppression=Suppression(),
        already=served,
        progress=told.append,
    )
    assert plan.books == Books(read=25_000, already=1, planned=24_999)
    assert told == sorted(told)
    assert told[-1] == 25_000
    assert len(told) >= 3


def test_lines_that_share_a_key_become_one_recipient_with_items(tmp_path: Path) -> None:
    text = (
        "email,order,product,price\n"
        "a@example.com,1,Pen,1.50\nb@example.com,2,Ink,3\na@example.com,1,Cap,2\nz@example.com,1,Nib,9\n"
    )
    options: dict[str, object] = {"key": "order", "items": ["product", "price"], "columns": {"price": "number"}}
    plan = frozen(tmp_path, text, **options)
    first, second = plan.recipients()
    assert plan.columns == ("email", "order", "items")
    assert template_columns(AudienceSection(source="list.csv", **options), tmp_path) == plan.columns  # type: ignore[arg-type]
    assert first.row["items"] == [
        {"product": "Pen", "price": 1.5},
        {"product": "Cap", "price": 2.0},
        {"product": "Nib", "price": 9.0},
    ]
    assert second.row == {"email": "b@example.com", "order": "2", "items": [{"product": "Ink", "price": 3.0}]}
    assert plan.books == Books(read=4, merged=2, planned=2)
    assert "its letter goes to a@example.com" in (tmp_path / "screened.csv").read_text()
    assert plan.input_columns == ("email", "order", "product", "price")
    assert plan.input_rows(first)[1] == ["a@example.com", "1", "Cap", 2.0]


def test_a_letter_is_not_gathered_when_one_of_its_lines_is_invalid(tmp_path: Path) -> None:
    text = "email,order,price\na@example.com,1,5\nb@example.com,2,6\na@example.com,1,much\n"
    plan = frozen(tmp_path, text, key="order", items=["price"], columns={"price": "number"})
    assert [one.key for one in plan.recipients()] == ["2"]
    assert plan.books == Books(read=3, invalid=2, planned=1)


def test_items_without_a_key_are_gathered_by_address(tmp_path: Path) -> None:
    plan = frozen(tmp_path, "email,x\na@example.com,1\nA@example.com,2\n", items=["x"])
    assert [one.row["items"] for one in plan.recipients()] == [[{"x": "1"}, {"x": "2"}]]


@pytest.mark.parametrize(
    ("header", "items", "told"),
    [("email,order,items", ["order"], "column 'items'"), ("email,order", ["email"], "needed once")],
)
def test_items_that_make_no_sense_are_refused(tmp_path: Path, header: str, items: list[str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        frozen(tmp_path, f"{header}\na@example.com,1,2\n", items=items)
    assert not (tmp_path / "plan.jsonl").exists()


def test_dates_and_documents_come_back_as_they_were(tmp_path: Path) -> None:
    text = 'email,since,data\na@example.com,2026-01-02,"[{""$date"": ""2026-01-01""}]"\n'
    plan = frozen(tmp_path, text, columns={"since": "date", "data": "json"})
    assert next(plan.recipients()).row["since"] == date(2026, 1, 2)
    assert next(plan.recipients()).row["data"] == [{"$date": "2026-01-01"}]


def test_a_failed_list_feeds_back_in_unchanged(tmp_path: Path) -> None:
    text = "email,note,verdict,code,enhanced_code,reason\n"
    text += (
        "a@example.com,'=1+1,rejected,550,5.1.1,no\n" + "b@example.com,''+x,rejected,550,,'-\nc@example.com,'s,x,,,\n"
    )
    plan = frozen(tmp_path, text)
    assert [one.row["note"] for one in plan.recipients()] == ["=1+1", "'+x", "'s"]
    assert [one.row["note"] for one in frozen(tmp_path, "email,note\na@example.com,'=1+1\n").recipients()] == ["'=1+1"]


@pytest.mark.parametrize(
    ("text", "told"),
    [("", "is empty"), ("\n\n", "is empty"), ("email,name\n", "has no rows"), ("email,email\nx,y\n", "one name each")],
)
def test_a_source_with_nothing_in_it_leaves_nothing_behind(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        frozen(tmp_path, text)
    assert [path.name for path in tmp_path.iterdir()] == ["list.csv"]


def test_a_source_that_fails_half_way_leaves_the_earlier_plan_untouched(tmp_path: Path) -> None:
    before = frozen(tmp_path, people(10)).sha256()
    (tmp_path / "list.csv").write_bytes(people(30_000).encode() + b"x@example.com,\xff\n")
    with pytest.raises(InputError, match="UTF-8"):
        freeze(AudienceSection(source="list.csv"), tmp_path, tmp_path, suppression=Suppression())
    assert Plan.open(tmp_path / "plan.jsonl").sha256() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["list.csv", "plan.jsonl", "screened.csv"]


def test_a_source_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reading = csv_source.DelimitedFile._chunks

    def growing(self: csv_source.DelimitedFile) -> Iterator[object]:
        for chunk in reading(self):
            with self.path.open("a") as file:
                file.write("late@example.com,x\n")
            yield chunk

    monkeypatch.setattr(csv_source.DelimitedFile, "_chunks", growing)
    with pytest.raises(InputError, match="changed while it was read"):
        frozen(tmp_path, people(10))
    assert not (tmp_path / "plan.jsonl").exists()


FAULTS = [("fsync", 28), ("fsync", 5), ("replace", 30), ("open", 13), ("open", 122)]


@pytest.mark.parametrize(("call", "number"), FAULTS)
@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_folder_that_cannot_be_written_leaves_no_plan_or_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, which: int
) -> None:
    (tmp_path / "list.csv").write_text(people(10))
    calls = 0
    owner, name = (Path, call) if call == "replace" else (os, call)
    real = getattr(owner, name)

    def failing(*args: object, **kwargs: object) -> object:
        nonlocal calls
        calls += 1
        if calls == which + 1:
            raise OSError(number, os.strerror(number))
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, failing)
    with contextlib.suppress(StorageError):  # or it succeeds: not every call is made three times
        freeze(AudienceSection(source="list.csv"), tmp_path, tmp_path, suppression=Suppression())
    monkeypatch.undo()
    if (tmp_path / "plan.jsonl").exists():
        assert Plan.open(tmp_path / "plan.jsonl").size == 10
    assert not list(tmp_path.glob(".*"))


def test_a_plan_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    plan = frozen(tmp_path, people(3))
    whole = plan.path.read_bytes()
    for length in range(len(whole)):
        plan.path.write_bytes(whole[:length])
        with pytest.raises(StorageError, match="no complete plan"):
            Plan.open(plan.path)
    plan.path.unlink()
    with pytest.raises(StorageError, match="cannot be read"):
        Plan.open(plan.path)


@pytest.mark.parametrize(("old", "new"), [(b"[1,", b"[7,"), (b"Person 1", b'Person"1'), (b',"Person 1"', b"")])
def test_a_damaged_line_is_named_and_never_guessed_at(tmp_path: Path, old: bytes, new: bytes) -> None:
    plan = frozen(tmp_path, people(3))
    plan.path.write_bytes(plan.path.read_bytes().replace(old, new))
    with pytest.raises(StorageError, match="damaged") as caught:
        list(plan.recipients())
    assert "recipient 1" in caught.value.evidence[0]


def test_a_plan_of_a_later_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_writer, "FORMAT", 2)
    with pytest.raises(StorageError, match="this version"):
        frozen(tmp_path, people(3))


LINES = st.lists(
    st.sampled_from(
        [
            "a@example.com,1",
            "A@example.com,2",
            "b@example.com,3",
            "nobody,4",
            "c@example.com",
            'd@example.com,"5',
            "",
            "e@example.com,x\0",
            'f@example.com,"6\n6"',
            ",,",
        ]
    ),
    min_size=1,
)


@given(LINES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_the_books_balance_whatever_the_file(tmp_path: Path, lines: list[str]) -> None:
    lines = [*lines, "last@example.com,7"]  # a file of blank lines only is no source
    plan = frozen(tmp_path, "email,n\n" + "\n".join(lines) + "\n", delimiter=",")
    books = plan.books
    assert books.read == books.invalid + books.duplicate + books.planned
    assert len(list(plan.recipients())) == books.planned
    assert len(screened(tmp_path)) == 1 + books.read - books.planned
