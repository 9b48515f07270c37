"""What `campaign init` writes passes `check` and can be looked at, for lists as they come; nothing is overwritten."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from click.testing import CliRunner

from campaign.cli.main import cli
from campaign.compose.mime.read_back import read_letter
from campaign.config import load
from campaign.config.audience import AudienceSection
from campaign.errors import ConfigError, InputError
from campaign.pipeline.begin.campaign_file_text import NewCampaign, campaign_file_text
from campaign.pipeline.begin.found_list import FoundList, look_at_list

Begin = Callable[..., Any]
FROM = ("--from", "Ada's Gazette <news@example.com>")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(*words: str) -> Any:
    """``campaign init`` without a terminal; raises its error."""
    found = CliRunner().invoke(cli, ["init", *words], catch_exceptions=False, standalone_mode=False)
    assert found.return_value == 0
    return found


def checked(file: str) -> dict[str, Any]:
    """The findings of ``campaign check`` by name, but for what nobody verified; none may be an error."""
    found = CliRunner().invoke(cli, ["check", file, "--json", "--no-relay"], standalone_mode=False)
    assert found.exception is None, found.exception
    findings = [one for one in json.loads(found.stdout)["findings"] if one["severity"] != "unverified"]
    assert found.return_value == 0, findings
    return {one["code"]: one for one in findings}


def letter(name: str) -> Any:
    """The first letter of the preview, read as a receiver would."""
    found = CliRunner().invoke(cli, ["preview", f"{name}.toml"], standalone_mode=False)
    assert found.exception is None, found.exception
    return read_letter(min(Path(f"runs/{name}/preview").glob("*.eml")).read_bytes())


def section(file: str, name: str) -> dict[str, Any]:
    return dict(tomllib.loads(Path(file).read_text(encoding="utf-8"))[name])


def excel(name: str, *rows: list[object]) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(row)
    book.save(name)


# -- every letter to begin with

LIST = "email,First Name,City,Invoice No.\nada@example.com,Ada,London,0815\nzoe@example.org,Zoë,Zürich,0816\n"


@pytest.mark.parametrize("form", ["html", "markdown", "mjml"])
@pytest.mark.parametrize("starter", ["newsletter", "notice", "invoice"])
def test_each_letter_to_begin_with_passes_check_without_a_finding_and_greets_by_name(starter: str, form: str) -> None:
    Path("people.csv").write_text(LIST, encoding="utf-8")
    init("--list", "people.csv", *FROM, "--template", starter, "--format", form)
    assert checked(f"{starter}.toml") == {}
    seen = letter(starter)
    assert "Hello Ada," in seen.text
    assert "Ada's Gazette" in seen.text
    assert "ada@example.com" in seen.text
    assert ("London" in seen.text) == (starter != "newsletter")
    assert "@@" not in seen.html


def test_a_hundred_readers_may_unsubscribe_by_mail_until_there_is_a_page_for_it() -> None:
    Path("people.csv").write_text("email\n" + "".join(f"p{at}@example.com\n" for at in range(120)))
    init("--list", "people.csv", *FROM)
    assert list(checked("newsletter.toml")) == ["no-unsubscribe"]
    seen = letter("newsletter")
    assert seen.header("List-Unsubscribe") == "<mailto:news@example.com?subject=unsubscribe>"
    assert 'href="mailto:news@example.com?subject=unsubscribe"' in seen.html
    text = Path("newsletter.toml").read_text().replace("# unsubscribe =", "unsubscribe =")
    Path("newsletter.toml").write_text(text)
    assert checked("newsletter.toml") == {}
    assert "https://example.com/u/" in letter("newsletter").html


# -- lists as they come


@pytest.mark.parametrize(
    ("encoding", "name", "written"),
    [
        ("latin-1", "Zoë Müller", "cp1252"),
        ("gbk", "王小明", "gb18030"),
        ("utf-8-sig", "Zoë", None),
        ("utf-16", "Zoë", None),
    ],
)
def test_a_list_in_another_encoding_reads_right(encoding: str, name: str, written: str | None) -> None:
    rows = f"E-Mail;Name\r\nzoe@example.org;{name}\r\nbob@example.org;{name}\r\n"
    Path("leute.csv").write_bytes(rows.encode(encoding))
    init("--list", "leute.csv", "--yes")
    assert section("newsletter.toml", "audience").get("encoding") == written
    assert checked("newsletter.toml") == {}
    assert f"Hello {name}," in letter("newsletter").text


def test_an_encoding_is_not_guessed_where_nobody_said_yes() -> None:
    Path("leute.csv").write_bytes("email,name\nzoe@example.org,Zoë\n".encode("latin-1"))
    with pytest.raises(InputError) as caught:
        init("--list", "leute.csv", *FROM)
    assert "as cp1252: zoe@example.org,Zoë" in str(caught.value)
    assert "--encoding cp1252" in str(caught.value)
    init("--list", "leute.csv", *FROM, "--encoding", "cp1252")
    assert "Hello Zoë," in letter("newsletter").text


def test_a_workbook_with_a_title_umlauts_and_blanks_in_its_headers() -> None:
    excel(
        "mitglieder.xlsx",
        ["Mitglieder im November"],
        [],
        ["Größe (cm)", "Voller Name", "Adresse e-mail", "Straße & Nr.", "Beitrag"],
        [171, "Zoë Müller", "zoe@example.org", None, 12.5],
        [None, None, "bob@example.org", "Am Ring 1", 0],
    )
    init("--list", "mitglieder.xlsx", *FROM, "--template", "notice")
    audience = section("notice.toml", "audience")
    assert audience["header_row"] == 3
    assert audience["address"] == "Adresse e-mail"
    assert audience["display_name"] == "Voller Name"
    assert checked("notice.toml") == {}
    seen = letter("notice")
    assert "Hello Zoë Müller," in seen.text
    assert "Größe (cm)" in seen.text
    assert "Straße & Nr." in seen.text
    assert "None" not in seen.text


def test_a_database_with_its_select_statement() -> None:
    with sqlite3.connect("shop.sqlite") as shop:
        shop.execute("create table customer (email text, name text, points integer)")
        shop.execute("insert into customer values ('ada@example.com', null, 7)")
    shop.close()
    init("--list", "sqlite:///shop.sqlite", "--query", "select * from customer", *FROM, "--template", "invoice")
    assert checked("invoice.toml") == {}
    assert "Hello there," in letter("invoice").text


def test_a_header_below_a_title_is_found_by_the_addresses_below_it() -> None:
    excel("gäste.xlsx", ["Gäste"], [], ["Kontakt", "Name", "Tisch"], ["ada@example.com", "Ada", 1])
    Path("gäste.csv").write_text("Gäste;;\n\nKontakt;Name;Tisch\nada@example.com;Ada;1\n", encoding="utf-8")
    for name, file in (("one", "gäste.xlsx"), ("two", "gäste.csv")):
        init("--list", file, *FROM, "--name", name)
        audience = section(f"{name}.toml", "audience")
        assert (audience["header_row"], audience["address"], audience["display_name"]) == (3, "Kontakt", "Name")
        assert checked(f"{name}.toml") == {}


def test_a_row_without_an_address_is_not_taken_for_the_header() -> None:
    Path("people.csv").write_text("Kontakt,Name\nunbekannt,Bob\nada@example.com,Ada\nzoe@example.com,Zoe\n")
    init("--list", "people.csv", *FROM)
    assert "header_row" not in section("newsletter.toml", "audience")


def test_a_list_in_json_shows_no_column_of_lists_or_objects() -> None:
    Path("people.jsonl").write_text(
        '{"email": "ada@example.com", "name": "Ada", "tags": ["a"], "home": {"city": "London"}, "points": 7}\n'
        '{"email": "bob@example.com", "name": null, "tags": [], "points": null}\n'
    )
    found = init(*FROM, "--yes", "--template", "invoice")
    assert "the letter shows these columns: points;" in found.stderr
    assert checked("invoice.toml") == {}
    assert "Hello Ada," in letter("invoice").text


def test_a_database_that_asks_for_a_password_has_a_line_for_it() -> None:
    new = NewCampaign(
        "shop", "invoice", "html", "a@example.com", "mailbox", "postgresql://reader@db/shop", found_list()
    )
    assert '\n# password_file = "database.password"  ' in campaign_file_text(new, "shop.html.j2")


def found_list() -> FoundList:
    Path("people.csv").write_text(LIST, encoding="utf-8")
    return look_at_list(AudienceSection(source="people.csv"), Path())


def test_a_database_without_a_statement_is_asked_for_one() -> None:
    with pytest.raises(Exception, match="--query"):
        init("--list", "sqlite:///shop.sqlite", *FROM)


@pytest.mark.parametrize(
    ("rows", "greeting"),
    [
        ("mail\nada@example.com\n", "Hello,"),
        ("email;name\nada@example.com;  \n", "Hello there,"),
        ("Kontakt;Ort\nada@example.com;London\nbob@example.com;Rome\n", "Hello,"),
        ("ada@example.com,Ada\nbob@example.com,Bob\n", "Hello,"),
        ("email,not,self,campaign,2024\nada@example.com,a,b,c,d\n", "Hello,"),
        ("email,range,_,items,loop\nada@example.com,a,b,c,d\n", "Hello,"),
        ('email,"{{ 7*7 }}","%} <b>|*_x`","#}"\nada@example.com,a,b,c\n', "Hello,"),
        ("Courriel\tPrénom\nada@example.com\tAda\n", "Hello Ada,"),
        ('email,name\n"ada@example.com, bob@example.com",Ada\n', "Hello Ada,"),
        ("email,in,name\nada@example.com,x,Ada\nnobody,x,Bob\n", "Hello Ada,"),
    ],
)
@pytest.mark.parametrize("form", ["html", "markdown", "mjml"])
def test_a_list_without_a_usual_column_or_with_an_unusual_one(rows: str, greeting: str, form: str) -> None:
    Path("people.csv").write_text(rows, encoding="utf-8")
    init("--list", "people.csv", *FROM, "--template", "invoice", "--format", form)
    assert set(checked("invoice.toml")) <= {"invalid-rows"}
    assert greeting in letter("invoice").text


def test_a_list_with_a_header_and_no_row_is_taken_and_told() -> None:
    Path("people.csv").write_text("email,name\n")
    found = init("--list", "people.csv", *FROM)
    assert "people.csv has nobody to write to yet" in found.stderr
    Path("people.csv").write_text("email,name\nada@example.com,Ada\n")
    assert checked("newsletter.toml") == {}


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"name,city\nAda,London\n", "people.csv has no column of addresses."),
        (b"", "people.csv is empty."),
        (b"email,email\nada@example.com,bob@example.com\n", "The columns of people.csv need one name each."),
        (b"PK\x03\x04\x14rest", "people.csv is no text file"),
        (b"\x81\x8d\xff\xfe\x00\x80,\xc3\n" * 2, "people.csv"),
    ],
)
def test_a_list_that_cannot_be_read_is_told_and_nothing_is_written(data: bytes, sentence: str, here: Path) -> None:
    Path("people.csv").write_bytes(data)
    with pytest.raises(InputError) as caught:
        init("new", "--list", "people.csv", *FROM)
    assert sentence in str(caught.value)
    assert [path.name for path in here.iterdir()] == ["people.csv"]


def test_a_list_that_is_not_there_leads_to_one_that_is() -> None:
    Path("people.csv").write_text("email\n")
    with pytest.raises(InputError) as caught:
        init("--list", "peple.csv", *FROM)
    assert caught.value.what == "There is no list peple.csv."
    assert caught.value.evidence == ("there is: people.csv",)


def test_a_list_on_standard_input_cannot_be_looked_at() -> None:
    with pytest.raises(InputError, match="cannot look at a list on standard input"):
        init("--list", "-", *FROM)


def test_the_column_of_addresses_may_be_named() -> None:
    Path("people.csv").write_text("private,work\nada@example.com,ada@example.org\n")
    init("--list", "people.csv", *FROM, "--address", "work")
    assert section("newsletter.toml", "audience")["address"] == "work"
    with pytest.raises(InputError, match=r"people\.csv has no column 'home' for the addresses\."):
        init("--list", "people.csv", *FROM, "--address", "home", "--name", "other")


# -- where the files go


def test_a_campaign_in_another_folder_names_its_list_from_there() -> None:
    Path("people.csv").write_text(LIST, encoding="utf-8")
    found = init("news/gazette", "--list", "people.csv", *FROM, "--name", "gazette")
    assert section("news/gazette/gazette.toml", "audience")["source"] == "../../people.csv"
    assert checked("news/gazette/gazette.toml") == {}
    assert "campaign check news/gazette/gazette.toml " in found.stdout


def test_a_file_that_is_there_is_named_and_nothing_is_written(here: Path) -> None:
    Path("people.csv").write_text(LIST, encoding="utf-8")
    Path("newsletter.html.j2").write_text("mine")
    with pytest.raises(ConfigError) as caught:
        init("--list", "people.csv", *FROM)
    assert caught.value.what == "newsletter.html.j2 is already there, and nothing is overwritten."
    assert sorted(path.name for path in here.iterdir()) == ["newsletter.html.j2", "people.csv"]


def test_a_second_campaign_keeps_what_the_folder_has() -> None:
    Path("people.csv").write_text(LIST, encoding="utf-8")
    Path(".gitignore").write_text("/runs\n")
    found = init("--list", "people.csv", *FROM)
    assert "kept .gitignore as it is; add to it: campaign.secret" in found.stderr
    found = init("--list", "people.csv", *FROM, "--template", "notice")
    assert "kept campaign.schema.json as it is" in found.stderr
    assert Path(".gitignore").read_text() == "/runs\n"


def test_a_disk_that_says_no_leaves_nothing_behind(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from campaign.errors import StorageError
    from campaign.pipeline.begin import begin_campaign

    Path("people.csv").write_text(LIST, encoding="utf-8")
    write = begin_campaign.write_atomically

    def full(path: Path, data: bytes, **options: Any) -> None:
        if path.name == ".gitignore":
            raise OSError(28, "No space left on device")
        write(path, data, **options)

    monkeypatch.setattr(begin_campaign, "write_atomically", full)
    with pytest.raises(StorageError, match=r"\.gitignore cannot be written"):
        init("--list", "people.csv", *FROM)
    assert [path.name for path in here.iterdir()] == ["people.csv"]


def test_the_campaign_file_is_a_rehearsal_until_a_relay_is_named() -> None:
    Path("people.csv").write_text(LIST, encoding="utf-8")
    found = init("--list", "people.csv", *FROM)
    assert load(Path("newsletter.toml"), {}).delivery.relay == ("mailbox",)
    assert "campaign send newsletter.toml " in found.stdout
    found = init("--list", "people.csv", *FROM, "--template", "notice", "--relay", "smtps://ada@smtp.example.com")
    assert load(Path("notice.toml"), {}).delivery.relay == ("smtps://ada@smtp.example.com",)
    assert "campaign send notice.toml --relay mailbox " in found.stdout


def test_the_file_begins_with_the_line_by_which_an_editor_finds_the_schema() -> None:
    Path("people.csv").write_text(LIST, encoding="utf-8")
    init("--list", "people.csv", *FROM)
    first = Path("newsletter.toml").read_text().splitlines()[0]
    assert json.loads(Path(first.removeprefix("#:schema ")).read_text(encoding="utf-8"))["properties"]["campaign"]


def test_a_pipe_in_place_of_a_list_is_not_waited_for() -> None:
    os.mkfifo("people.csv")
    with pytest.raises(InputError, match="not a regular file"):
        init("--list", "people.csv", *FROM)


@pytest.mark.parametrize(("form", "library"), [("markdown", "markdown_it"), ("mjml", "mjml")])
def test_a_missing_library_is_told_before_anything_is_written(
    form: str, library: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "people.csv").write_text("email\nada@example.com\n", encoding="utf-8")
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigError, match=rf"pip install '\.\[{form}\]'"):
        init("--yes", "--format", form)
    assert [path.name for path in here.iterdir()] == ["people.csv"]
