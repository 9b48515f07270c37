"""`campaign init` asks on a terminal, takes options instead, and names what is missing where nobody can be asked."""

from __future__ import annotations

import sqlite3
import sys
import tomllib
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from campaign.cli import init
from campaign.cli.main import cli
from campaign.errors import ConfigError
from campaign.pipeline.begin.answers import lists_in

FROM = ("--from", "news@example.com")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one list."""
    monkeypatch.chdir(tmp_path)
    Path("people.csv").write_text("email,name\nada@example.com,Ada\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(init, "has_terminal", lambda: True)


def typed(*words: str, answers: str = "") -> Result:
    return CliRunner().invoke(cli, ["init", *words], input=answers)


def written(file: str = "newsletter.toml") -> dict[str, Any]:
    return tomllib.loads(Path(file).read_text(encoding="utf-8"))


def test_with_the_return_key_alone_every_question_has_an_answer(terminal: None) -> None:
    found = typed(answers="\n" * 6)
    assert found.exit_code == 0, found.output
    assert "people.csv: 1 recipient; addresses from the column 'email', names from 'name'" in found.stderr
    assert written()["audience"]["source"] == "people.csv"
    assert written()["delivery"]["relay"] == "mailbox"
    assert [line.partition("  # ")[2] for line in found.stdout.splitlines()] == [
        "everything short of sending",
        "look at the letters in a browser",
        "a rehearsal: nobody gets a letter",
    ]


def test_what_is_typed_is_taken(terminal: None) -> None:
    answers = ["peple.csv", "people.csv", "2", "3", "members", "Ada <ada@example.com>", "gmail"]
    found = typed(answers="\n".join(answers) + "\n")
    assert found.exit_code == 0, found.output
    assert "There is no list peple.csv; there is: people.csv" in found.stderr
    assert written("members.toml")["campaign"] == {"name": "members", "from": "Ada <ada@example.com>"}
    assert written("members.toml")["compose"]["mjml"] == "members.mjml.j2"
    assert written("members.toml")["delivery"] == {"relay": "gmail"}


def test_what_an_option_says_is_not_asked(terminal: None) -> None:
    given = [
        "--list",
        "people.csv",
        "--template",
        "invoice",
        "--format",
        "markdown",
        "--name",
        "a",
        "--relay",
        "mailbox",
    ]
    found = typed(*given, *FROM)
    assert found.exit_code == 0, found.output
    assert written("a.toml")["compose"]["markdown"] == "a.md.j2"


def test_an_answer_that_cannot_be_is_asked_again(terminal: None) -> None:
    Path("newsletter.toml").write_text("mine")
    answers = ["", "", "", "", "my news", "news", "nobody", "", "smtp.example.com", ""]
    found = typed(answers="\n".join(answers) + "\n")
    assert found.exit_code == 0, found.output
    assert "newsletter.toml is already there; choose another name" in found.stderr
    assert "'my news' is no name of a campaign" in found.stderr
    assert "'nobody' is not a mailbox; write one such as" in found.stderr
    assert "There is no relay preset 'smtp.example.com'; known presets: " in found.stderr
    assert Path("newsletter.toml").read_text() == "mine"


def test_whoever_sees_how_a_list_reads_chooses_its_encoding(terminal: None) -> None:
    Path("people.csv").write_bytes("email,name\nzoe@example.org,Zoë\n".encode("latin-1"))
    found = typed(*FROM, answers="\n2\n\n\n\n\n")
    assert found.exit_code == 0, found.output
    assert "Which of these lines reads right?" in found.stderr
    assert "  1  cp1252  zoe@example.org,Zoë\n  2  cp1257  zoe@example.org,Zoė\n" in found.stderr
    assert written()["audience"]["encoding"] == "cp1257"


def test_a_database_is_asked_for_its_statement(terminal: None) -> None:
    found = typed(*FROM, "--list", "sqlite:///gone.sqlite", answers="select 1\n")
    assert "Its select statement" in found.stderr
    assert "gone.sqlite, which is no file" in str(found.exception)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "Give --list and --from, or --yes for the defaults: there is no terminal to ask on."),
        (["--list", "people.csv"], "Give --from, or --yes for the defaults: there"),
        ([*FROM], "Give --list, or --yes for the defaults: there"),
        (["--list", "sqlite:///a.sqlite", *FROM], "Give --query: there is no terminal"),
        (["--list", "sqlite:///a.sqlite", "--yes"], "Give --query: "),
        (["empty", "--yes"], "Give --list: empty has 0 lists."),
        (["--yes", "--from", "nobody"], "'nobody' is not a mailbox"),
        (["--yes", "--relay", "https://example.com"], "begins with neither"),
        (["--yes", "--name", "my news"], "letters, digits, dot, dash and underscore"),
        (["--yes", "--template", "poem"], "'poem' is not one of"),
        (["people.csv", "--yes"], "people.csv"),
    ],
)
def test_where_nobody_can_be_asked_what_is_missing_or_wrong_is_named(
    words: list[str], sentence: str, here: Path
) -> None:
    found = typed(*words)
    assert found.exit_code == 2
    assert sentence in found.output
    assert [path.name for path in here.iterdir()] == ["people.csv"]


def test_two_lists_are_not_chosen_from_by_chance(here: Path) -> None:
    Path("others.xlsx").write_bytes(b"")
    found = typed("--yes")
    assert found.exit_code == 2
    assert "Give --list: this folder has 2 lists: others.xlsx, people.csv." in found.output


def test_the_only_list_of_a_folder_is_taken_with_yes() -> None:
    Path("news").mkdir()
    Path("people.csv").rename("news/people.csv")
    assert typed("news", "--yes").exit_code == 0
    assert written("news/newsletter.toml")["audience"]["source"] == "people.csv"


def test_a_format_whose_library_is_missing_is_told_before_anything_is_written(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "mjml", None)
    found = typed("--yes", "--format", "mjml")
    assert isinstance(found.exception, ConfigError)
    assert "compose.mjml needs a library" in found.exception.what
    assert [path.name for path in here.iterdir()] == ["people.csv"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.sqlite", "a.db3", "a.duckdb", "a.ods", "a.csv.gz"])
def test_lists_of_every_kind_are_offered(name: str) -> None:
    Path("campaign.schema.json").write_text("{}")
    Path(name).write_bytes(b"")
    assert lists_in(Path()) == [Path(name), Path("people.csv")]


@pytest.mark.parametrize("name", ["people.sqlite", "people.duckdb"])
def test_a_file_of_a_database_is_read_by_a_statement(name: str) -> None:
    module = pytest.importorskip("duckdb") if name.endswith("duckdb") else sqlite3
    with closing(module.connect(name)) as file:
        file.execute("CREATE TABLE people (email TEXT, name TEXT)")
        file.execute("INSERT INTO people VALUES ('ada@example.com', 'Ada')")
        file.execute('CREATE VIEW "old ones" AS SELECT * FROM people')
        file.commit()
    without = typed("--list", name, "--yes", *FROM)
    Path("people.csv").unlink()
    for found in (without, typed("--yes", *FROM)):
        assert found.exit_code == 2
        assert f"Give --query: {name} has the tables old ones, people." in found.stderr
    found = typed("--list", name, "--query", "SELECT * FROM people", "--yes", *FROM)
    assert found.exit_code == 0, found.output
    assert written()["audience"]["query"] == "SELECT * FROM people"
    assert written()["audience"]["source"] == name
    assert "1 recipient" in found.stderr


def test_only_forms_that_are_installed_are_offered(terminal: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "markdown_it", None)
    found = typed(answers="\n\n2\n" + "\n" * 3)
    assert found.exit_code == 0, found.output
    assert "mjml" in written()["compose"]
    assert "for a letter in markdown, first: " in found.stderr
    assert "[markdown]'" in found.stderr
    assert "2  mjml" in found.stderr


def test_html_alone_needs_no_question(terminal: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("markdown_it", "mjml"):
        monkeypatch.setitem(sys.modules, library, None)
    found = typed(answers="\n" * 5)
    assert found.exit_code == 0, found.output
    assert "Written in" not in found.stderr
    assert "html" in written()["compose"]


def test_rows_that_are_left_out_are_counted_by_the_reason() -> None:
    Path("people.csv").write_text('email\nada@example.com\nADA@example.com\nbob\n""\n', encoding="utf-8")
    found = typed("--yes")
    assert "people.csv: 1 recipient, 3 left out (1 duplicate, 2 invalid)" in found.stderr


def test_a_mistyped_relay_is_one_readable_line(terminal: None) -> None:
    found = typed("--yes", "--relay", "gmial")
    assert "'gmial'; did you mean 'gmail'? or write a URL such as" in found.output


def test_only_the_first_lists_of_a_full_folder_are_named() -> None:
    for number in range(9):
        Path(f"list{number}.csv").write_text("email\n", encoding="utf-8")
    assert "has 10 lists: list0.csv, list1.csv, list2.csv, list3.csv, list4.csv, …" in typed("--yes").output


@pytest.mark.parametrize("name", ["people.sqlite", "people.duckdb"])
@pytest.mark.parametrize(("table", "statement"), [("people", "people"), ('"our ""dear"" ones"', '"our ""dear"" ones"')])
def test_the_only_table_of_a_file_is_read_whole(name: str, table: str, statement: str, terminal: None) -> None:
    module = pytest.importorskip("duckdb") if name.endswith("duckdb") else sqlite3
    with closing(module.connect(name)) as file:
        file.execute(f"CREATE TABLE {table} AS SELECT 'ada@example.com' AS email")
        file.commit()
    found = typed("--list", name, answers="\n" * 6)
    assert found.exit_code == 0, found.output
    assert f"Its select statement [SELECT * FROM {statement}]" in found.stderr
    assert written()["audience"]["query"] == f"SELECT * FROM {statement}"
    assert typed("--list", name, "--yes", "--name", "second", *FROM).exit_code == 0


def test_several_tables_of_a_file_are_named_before_the_question(terminal: None) -> None:
    with closing(sqlite3.connect("shop.sqlite")) as file:
        file.execute("CREATE TABLE people (email TEXT)")
        file.execute("CREATE TABLE orders (email TEXT)")
    found = typed("--list", "shop.sqlite", answers="SELECT * FROM people\n" + "\n" * 6)
    assert "its tables: orders, people" in found.stderr
    assert "Its select statement: " in found.stderr


def test_one_table_alone_needs_only_yes() -> None:
    with closing(sqlite3.connect("shop.sqlite")) as file:
        file.execute("CREATE TABLE people (email TEXT)")
    found = typed("--list", "shop.sqlite", *FROM)
    assert "Give --query, or --yes for the defaults: there is no terminal" in found.output
