"""Cells with several addresses: one recipient of each where `split_addresses` says so, and the books still balance."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.audience.plan.plan_reader import Plan, freeze
from campaign.audience.screening.invalid_row_limit import refuse_useless, too_many
from campaign.audience.screening.screen_rows import Suppression
from campaign.audience.screening.split_addresses import LONGEST, split_cell
from campaign.audience.sources.source_factory import open_source, template_columns
from campaign.config.audience import AudienceSection
from campaign.errors import ConfigError, InputError
from campaign.model import Books


def frozen(folder: Path, text: str, **settings: object) -> Plan:
    (folder / "list.csv").write_text(text, encoding="utf-8")
    audience = AudienceSection(source="list.csv", split_addresses=True, **settings)  # type: ignore[arg-type]
    return freeze(audience, folder, folder, suppression=Suppression())


def screened(folder: Path) -> list[tuple[str, str, str, str]]:
    with (folder / "screened.csv").open(encoding="utf-8", newline="") as file:
        return [(row["line"], row["address"], row["reason"], row["detail"]) for row in csv.DictReader(file)]


@pytest.mark.parametrize(
    ("cell", "entries"),
    [
        ("a@example.com", [("a@example.com", "")]),
        ("", [("", "")]),
        (" ; ", [(";", "")]),
        ("a@example.com;b@example.com", [("a@example.com", ""), ("b@example.com", "")]),
        ("a@example.com, b@example.com,", [("a@example.com", ""), ("b@example.com", "")]),
        ("a@example.com\r\nb@example.com", [("a@example.com", ""), ("b@example.com", "")]),
        ("a@example.com|b@example.com", [("a@example.com", ""), ("b@example.com", "")]),
        ("a@example.com b@example.com", [("a@example.com", ""), ("b@example.com", "")]),
        ("a@example.com / b@example.com", [("a@example.com", ""), ("b@example.com", "")]),
        ("a@example.com/b@example.com", [("a@example.com", ""), ("b@example.com", "")]),
        ("a/b@example.com", [("a/b@example.com", "")]),
        ("a@example.com und b@example.com", [("a@example.com", ""), ("b@example.com", "")]),
        ("Anna <a@example.com>", [("a@example.com", "Anna")]),
        ("<a@example.com>", [("a@example.com", "")]),
        ('"Doe, Anna" <a@example.com>', [("a@example.com", "Doe, Anna")]),
        ("'Anna' <a@example.com>", [("a@example.com", "Anna")]),
        ("Doe, Anna <a@example.com>", [("a@example.com", "Doe, Anna")]),
        (r'"Anna \"A\" Doe" <a@example.com>', [("a@example.com", 'Anna "A" Doe')]),
        ("O'Brien <a@example.com>; b@example.com", [("a@example.com", "O'Brien"), ("b@example.com", "")]),
        ("Doe, A <a@example.com>, Roe, B <b@example.com>", [("a@example.com", "Doe, A"), ("b@example.com", "Roe, B")]),
        ("a@example.com, Roe, B <b@example.com>", [("a@example.com", ""), ("b@example.com", "Roe, B")]),
        ("Anna <a@example.com> Bob <b@example.com>", [("a@example.com", "Anna"), ("b@example.com", "Bob")]),
        ("Anna <a@example.com> b@example.com", [("a@example.com", "Anna"), ("b@example.com", "")]),
        ("mailto:a@example.com", [("a@example.com", "")]),
        ("Anna <MAILTO:a@example.com?subject=Hello>", [("a@example.com", "Anna")]),
        ("a@example.com; n/a", [("a@example.com", ""), ("n/a", "")]),
        ("a @example.com", [("a @example.com", "")]),
        ("Anna a@example.com", [("Anna a@example.com", "")]),
        ('"Anna <a@example.com>', [('"Anna <a@example.com>', "")]),
    ],
)
def test_a_cell_is_cut_between_its_addresses(cell: str, entries: list[tuple[str, str]]) -> None:
    assert split_cell(cell) == entries


@given(st.text(alphabet=' a@.,;"<>\\/|\n', max_size=60))
def test_any_text_has_at_least_one_entry_and_nothing_with_an_at_sign_is_lost(text: str) -> None:
    entries = split_cell(text)
    assert entries
    assert sum(f"{entry.address}{entry.name}".count("@") for entry in entries) == text.count("@")


@pytest.mark.parametrize("text", ['"\\' * 5_000, "<" * LONGEST, "a," * 5_000, "@" * LONGEST, "a@example.com;" * 9_999])
def test_a_hostile_cell_takes_no_time(text: str) -> None:
    began = time.perf_counter()
    split_cell(text)
    assert time.perf_counter() - began < 2


def test_each_address_is_a_recipient_with_the_other_columns_and_its_own_address_and_name(tmp_path: Path) -> None:
    plan = frozen(tmp_path, 'email,city\n"Anna <a@example.com>; b@example.com",Rome\nc@example.com,Oslo\n')
    assert [(one.line, one.address, dict(one.row)) for one in plan.recipients()] == [
        (2, "a@example.com", {"email": "a@example.com", "city": "Rome", "email_name": "Anna"}),
        (2, "b@example.com", {"email": "b@example.com", "city": "Rome", "email_name": ""}),
        (3, "c@example.com", {"email": "c@example.com", "city": "Oslo", "email_name": ""}),
    ]
    assert plan.books == Books(read=2, further=1, planned=3)


def test_a_bad_address_among_good_ones_is_a_screened_row_of_its_own(tmp_path: Path) -> None:
    plan = frozen(tmp_path, "email\na@example.com; nobody; b@example.com\n")
    assert [one.address for one in plan.recipients()] == ["a@example.com", "b@example.com"]
    assert screened(tmp_path) == [("2", "nobody", "invalid", "an address must have an @")]
    assert plan.books == Books(read=1, further=2, planned=2, invalid=1)


def test_an_address_twice_in_one_cell_is_one_recipient(tmp_path: Path) -> None:
    plan = frozen(tmp_path, "email\na@example.com; A@Example.com\n")
    assert [one.address for one in plan.recipients()] == ["a@example.com"]
    assert screened(tmp_path) == [("2", "A@example.com", "duplicate", "same address as line 2")]
    assert plan.books == Books(read=1, further=1, planned=1, duplicate=1)


def test_with_a_key_the_key_and_the_address_together_are_one_letter(tmp_path: Path) -> None:
    text = "email,invoice\na@example.com; b@example.com,7\nA@example.com,7\na@example.com,8\nc@example.com,\n"
    plan = frozen(tmp_path, text, key="invoice")
    assert [(one.address, one.key) for one in plan.recipients()] == [
        ("a@example.com", "7 a@example.com"),
        ("b@example.com", "7 b@example.com"),
        ("a@example.com", "8 a@example.com"),
    ]
    assert screened(tmp_path) == [
        ("3", "A@example.com", "duplicate", "same invoice and address as line 2"),
        ("5", "c@example.com", "invalid", "the key column 'invoice' is empty"),
    ]


def test_the_name_beside_the_address_may_stand_in_to(tmp_path: Path) -> None:
    plan = frozen(tmp_path, "E-Mail\nAnna <a@example.com>\n", display_name="E_Mail_name")
    assert plan.recipient(0).name == "Anna"


def test_a_list_that_has_a_column_of_that_name_keeps_its_own(tmp_path: Path) -> None:
    plan = frozen(tmp_path, "email,email_name\nAnna <a@example.com>,Annie\n")
    assert dict(plan.recipient(0).row) == {"email": "a@example.com", "email_name": "Annie"}


def test_without_the_setting_nothing_is_split_and_no_column_comes(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("email\na@example.com; b@example.com\nc@example.com\n", encoding="utf-8")
    audience = AudienceSection(source="list.csv")
    plan = freeze(audience, tmp_path, tmp_path, suppression=Suppression())
    assert (plan.columns, plan.books) == (("email",), Books(read=2, planned=1, invalid=1))
    (chunk,) = open_source(audience, tmp_path).chunks()
    assert chunk.further == 0


def test_templates_and_where_see_the_columns_of_a_split_list(tmp_path: Path) -> None:
    plan = frozen(tmp_path, "email\nAnna <a@example.com>; b@example.com\n", where="email_name == ''")
    assert [one.address for one in plan.recipients()] == ["b@example.com"]
    assert plan.books == Books(read=1, further=1, planned=1, filtered=1)
    audience = AudienceSection(source="list.csv", split_addresses=True)
    assert template_columns(audience, tmp_path) == ("email", "email_name")


def test_a_further_address_counts_as_a_row_where_the_share_of_invalid_ones_is_judged(tmp_path: Path) -> None:
    settings = AudienceSection(source="list.csv", max_invalid=0.5)
    assert not too_many(Books(read=1, further=3, invalid=2, planned=2), settings)
    with pytest.raises(InputError, match="Not one"):
        refuse_useless(frozen(tmp_path, "email\nnobody; nowhere\n"))


def test_a_plan_says_how_many_further_addresses_there_were_and_an_older_one_had_none(tmp_path: Path) -> None:
    plan = frozen(tmp_path, "email\na@example.com b@example.com\n")
    *lines, footer = plan.path.read_text(encoding="utf-8").splitlines()
    books = json.loads(footer)
    assert books["books"].pop("further") == 1
    plan.path.write_text("\n".join([*lines, json.dumps(books), ""]), encoding="utf-8")
    assert Plan.open(plan.path).books.further == 0


def test_lines_gathered_by_key_are_not_split(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="exclude each other"):
        frozen(tmp_path, "email,key,item\na@example.com,1,x\n", key="key", items=["item"])


def test_a_missing_column_of_a_split_list_does_not_blame_its_header(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no column 'name'") as caught:
        frozen(tmp_path, "email,city\na@example.com,Rome\n", display_name="name")
    assert "header_row" not in caught.value.next_step
