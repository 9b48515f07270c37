"""A list as people have it: names with blanks, a title above, a column without a name, addresses under another one."""

from __future__ import annotations

import json
from pathlib import Path

import openpyxl
import pytest

from campaign.audience.columns.address_column import means_address
from campaign.audience.columns.template_names import column_of, template_name
from campaign.audience.plan.plan_reader import Plan, freeze
from campaign.audience.screening.screen_rows import Suppression
from campaign.audience.sources.source_factory import open_source, template_columns
from campaign.config.audience import AudienceSection
from campaign.errors import ConfigError, InputError
from campaign.model import Value


def frozen(folder: Path, text: str, **settings: object) -> Plan:
    (folder / "list.csv").write_text(text, encoding="utf-8")
    audience = AudienceSection(source="list.csv", **settings)  # type: ignore[arg-type]
    return freeze(audience, folder, folder, suppression=Suppression())


def rows(plan: Plan) -> list[dict[str, Value]]:
    return [dict(recipient.row) for recipient in plan.recipients()]


# -- names that a template can write


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("email", "email"),
        ("_x_", "_x_"),
        ("Größe", "Größe"),
        ("名前", "名前"),
        ("First Name", "First_Name"),
        ("Kunde seit", "Kunde_seit"),
        ("E-Mail", "E_Mail"),
        ("Name (optional)", "Name_optional"),
        ("  % Rabatt %", "Rabatt"),
        ("a.b/c", "a_b_c"),
        ("2024", "_2024"),
        ("1. Name", "_1_Name"),
        ("№", "column_7"),
        ("'; drop table", "drop_table"),
    ],
)
def test_a_header_becomes_a_name_that_a_template_can_write(header: str, name: str) -> None:
    assert template_name(header, 7) == name
    assert name.isidentifier()
    assert template_name(name) == name


def test_the_plan_holds_names_that_a_template_can_write_and_the_headers_beside_them(tmp_path: Path) -> None:
    plan = frozen(tmp_path, "email,First Name,Kunde seit\na@example.com,Ann,2020\n")
    assert rows(plan) == [{"email": "a@example.com", "First_Name": "Ann", "Kunde_seit": "2020"}]
    assert plan.columns == plan.input_columns == ("email", "First_Name", "Kunde_seit")
    assert plan.headers == ("email", "First Name", "Kunde seit")
    assert plan.input_rows(plan.recipient(0)) == [["a@example.com", "Ann", "2020"]]
    assert template_columns(AudienceSection(source="list.csv"), tmp_path) == plan.columns


def test_a_plan_of_an_earlier_version_has_its_columns_for_headers(tmp_path: Path) -> None:
    plan = frozen(tmp_path, "email,First Name\na@example.com,Ann\n")
    header, *lines = plan.path.read_text().splitlines()
    old = {name: value for name, value in json.loads(header).items() if name not in ("headers", "remarks")}
    plan.path.write_text("\n".join([json.dumps(old), *lines]) + "\n")
    assert Plan.open(plan.path).headers == plan.columns
    assert Plan.open(plan.path).remarks == ()


@pytest.mark.parametrize("key", ["Kunden Nr.", "Kunden_Nr"])
@pytest.mark.parametrize("typed", ["Kunden Nr.", "Kunden_Nr"])
@pytest.mark.parametrize("where", ["", "`Kunden Nr.` > 5", "`Kunden_Nr` > 5", "Kunden_Nr > 5"])
@pytest.mark.parametrize("others", [("E-Mail", "First Name"), ("E_Mail", "First_Name")])
def test_the_settings_name_a_column_as_the_header_or_as_a_template_does(
    tmp_path: Path, key: str, typed: str, where: str, others: tuple[str, str]
) -> None:
    names = {"address": others[0], "display_name": others[1], "key": key, "columns": {typed: "integer"}}
    plan = frozen(tmp_path, "E-Mail,First Name,Kunden Nr.\na@example.com,Ann,7\n", where=where, **names)
    recipient = plan.recipient(0)
    assert (recipient.address, recipient.key, recipient.name) == ("a@example.com", "7", "Ann")
    assert recipient.row["Kunden_Nr"] == 7


def test_gathered_columns_have_such_names_too(tmp_path: Path) -> None:
    text = "email,Invoice No,Unit Price\na@example.com,1,5\na@example.com,1,6\n"
    plan = frozen(tmp_path, text, key="Invoice No", items=["Unit Price"])
    assert rows(plan) == [
        {"email": "a@example.com", "Invoice_No": "1", "items": [{"Unit_Price": "5"}, {"Unit_Price": "6"}]}
    ]


def test_two_headers_of_one_name_are_an_error_that_names_both(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="same name in a template") as caught:
        frozen(tmp_path, "email,First Name,First-Name\na@example.com,Ann,Ann\n")
    assert caught.value.evidence == ("'First Name' and 'First-Name': First_Name",)


def test_names_given_by_header_are_made_fit_as_well(tmp_path: Path) -> None:
    plan = frozen(tmp_path, "a@example.com,Ann\n", header=["email", "First Name"])
    assert rows(plan) == [{"email": "a@example.com", "First_Name": "Ann"}]


def test_a_column_is_found_by_either_name_in_plans_old_and_new() -> None:
    assert column_of("Invoice No", ("email", "Invoice_No")) == "Invoice_No"
    assert column_of("Invoice_No", ("email", "Invoice No")) == "Invoice No"
    assert column_of("Invoice", ("email", "Invoice No")) is None


# -- columns without a name


def test_a_column_without_a_name_and_without_values_is_left_out_and_that_is_said(tmp_path: Path) -> None:
    plan = frozen(tmp_path, "email,,name,\na@example.com,,Ann, \nb@example.com,,Bob,\n")
    assert rows(plan)[0] == {"email": "a@example.com", "name": "Ann"}
    assert plan.remarks == (
        "column 2 has no name: it is left out, and must be empty",
        "column 4 has no name: it is left out, and must be empty",
    )


def test_a_column_without_a_name_that_holds_something_names_its_first_row(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Column 2 of list\.csv has no name, and is not empty") as caught:
        frozen(tmp_path, "email,,name\na@example.com,,Ann\nb@example.com,x,Bob\nc@example.com,y,Cy\n")
    assert caught.value.evidence == ("list.csv:3: 'x'",)
    assert not (tmp_path / "plan.jsonl").exists()


def test_a_column_without_a_name_within_a_sheet_is_left_out(tmp_path: Path) -> None:
    sheet(tmp_path, ["email", None, "name"], ["a@example.com", None, "Ann"])
    assert open_source(AudienceSection(source="list.xlsx"), tmp_path).columns == ("email", "name")


# -- lines above the header

TITLED = "Kundenliste 2026\n\nStand: 1. 11.\nemail;First Name\na@example.com;Ann\n"


def test_the_row_that_names_the_columns_can_be_set(tmp_path: Path) -> None:
    plan = frozen(tmp_path, TITLED, header_row=4)
    assert rows(plan) == [{"email": "a@example.com", "First_Name": "Ann"}]
    assert plan.recipient(0).line == 5
    assert plan.books.read == 1


@pytest.mark.parametrize("text", [TITLED, TITLED.replace("2026", "2026;"), TITLED.replace("email", "E-Mail")])
def test_a_title_above_the_header_is_told_with_what_to_set(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="has no column 'email'") as caught:
        frozen(tmp_path, text)
    assert caught.value.next_step == "row 4 seems to name the columns: set header_row = 4 under [audience]"
    assert rows(frozen(tmp_path, text, header_row=4))[0]["First_Name"] == "Ann"


def test_a_row_beyond_the_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"header_row is 40, but list\.csv has 5 lines"):
        frozen(tmp_path, TITLED, header_row=40)


def test_names_and_a_row_of_names_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="exclude each other"):
        frozen(tmp_path, TITLED, header_row=4, header=["email", "name"])


def test_the_same_holds_for_sheets(tmp_path: Path) -> None:
    sheet(tmp_path, ["Kundenliste"], [None], ["email", "First Name"], ["a@example.com", "Ann"])
    with pytest.raises(ConfigError) as caught:
        open_source(AudienceSection(source="list.xlsx"), tmp_path)
    assert "header_row = 3" in caught.value.next_step
    source = open_source(AudienceSection(source="list.xlsx", header_row=3), tmp_path)
    (chunk,) = source.chunks()
    assert (source.columns, chunk.rows, chunk.lines) == (("email", "First_Name"), [["a@example.com", "Ann"]], [4])
    with pytest.raises(InputError, match="is empty from row 9 on"):
        open_source(AudienceSection(source="list.xlsx", header_row=9), tmp_path)


def test_a_suppression_list_has_its_own_header(tmp_path: Path) -> None:
    sheet(tmp_path, ["email"], ["a@example.com"])
    (tmp_path / "list.csv").write_text(TITLED)
    settings = AudienceSection(source="list.csv", header_row=4, suppress=["list.xlsx"])
    plan = freeze(settings, tmp_path, tmp_path, suppression=Suppression.load(settings, tmp_path))
    assert plan.books.suppressed == 1


# -- addresses under another name


@pytest.mark.parametrize(
    "header", ["Email", "EMAIL", "E-Mail", "E-mail address", "Mail", "email_address", "E-Mail-Adresse", "Courriel"]
)
def test_the_only_column_that_is_called_so_in_other_words_is_taken_and_that_is_said(
    tmp_path: Path, header: str
) -> None:
    plan = frozen(tmp_path, f"name,{header}\nAnn,a@example.com\n")
    assert plan.recipient(0).address == "a@example.com"
    assert plan.remarks == (f"the addresses are those of the column {header!r}; audience.address is not set",)


@pytest.mark.parametrize(
    ("header", "settings"),
    [
        ("E-Mail,Mail", {}),
        ("Mailing,name", {}),
        ("E-Mail,name", {"address": "email"}),
        ("E-Mail,name", {"address": "to"}),
    ],
)
def test_a_column_is_not_taken_where_there_are_two_or_another_was_asked_for(
    tmp_path: Path, header: str, settings: dict[str, str]
) -> None:
    with pytest.raises(ConfigError, match="has no column"):
        frozen(tmp_path, f"{header}\na@example.com,b@example.com\n", **settings)


def test_what_is_no_name_of_addresses_is_not_taken_for_one() -> None:
    assert not any(map(means_address, ["name", "mailing", "e", "", "email2", "address"]))


def sheet(folder: Path, *lines: list[str | None]) -> None:
    book = openpyxl.Workbook()
    for line in lines:
        book.active.append(line)
    book.save(folder / "list.xlsx")
