"""The answer of `campaign forget` on the command line: lines or JSON, and its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from campaign.cli.main import cli
from campaign.config import load
from campaign.exit_codes import ExitCode
from campaign.ledger import run_folder
from campaign.pipeline.command_context import Options, lay_over, prepare
from campaign.pipeline.start.choose_run import choose

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


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "gazette.toml").write_text(FILE, encoding="utf-8")
    (tmp_path / "letter.txt").write_text("Hello\n", encoding="utf-8")
    (tmp_path / "people.csv").write_text("email\nada@example.com\nbob@example.com\n", encoding="utf-8")
    job = prepare(lay_over(load(tmp_path / "gazette.toml", {}), Options(relay="smtp://127.0.0.1:2525")), environment={})
    run_folder.make_folder(job.folder)
    choose(job, Options())
    return tmp_path / "gazette.toml"


def forget(file: Path, *words: str) -> tuple[Result, ExitCode]:
    result = CliRunner().invoke(cli, ["forget", str(file), *words], standalone_mode=False)
    return result, result.return_value


def test_what_was_erased_and_what_is_not_ours_is_told_in_lines(file: Path) -> None:
    result, code = forget(file, "Ada@example.com")
    assert code is ExitCode.DONE
    assert result.stdout.splitlines() == [
        "erased:",
        "  1 planned letter",
        "  1 letter that waited, withdrawn",
        "still in your own list, which only you change: people.csv:2",
    ]


def test_a_dry_run_says_would(file: Path) -> None:
    result, code = forget(file, "ada@example.com", "--dry-run")
    assert (code, result.stdout.splitlines()[0]) == (ExitCode.DONE, "would be erased:")
    assert forget(file, "ada@example.com")[0].stdout.startswith("erased:")


def test_json_is_one_object_without_the_address(file: Path) -> None:
    result, _ = forget(file, "ada@example.com", "--json")
    facts = json.loads(result.stdout)
    assert (facts["changed"]["planned_letters"], facts["listed"], facts["left"]) == (1, ["people.csv:2"], {})
    assert "ada@" not in result.stdout


def test_an_address_that_is_nowhere_is_said_to_be_nowhere(file: Path) -> None:
    result, code = forget(file, "nobody@example.com")
    assert code is ExitCode.DONE
    assert result.stdout == "Nothing that this ledger keeps names this address.\n"


def test_what_is_left_ends_with_75(file: Path) -> None:
    (file.parent / "runs" / "notes.txt").write_text("ada@example.com\n", encoding="utf-8")
    result, code = forget(file, "ada@example.com")
    assert code is ExitCode.UNFINISHED
    assert "notes.txt: no file of this program" in " ".join(result.stdout.split())
