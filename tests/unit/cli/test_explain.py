"""`campaign explain` prints what a name means within the width of the terminal, or says what is close to it."""

from __future__ import annotations

import json

import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner, Result

from campaign.cli.main import cli
from campaign.exit_codes import ExitCode
from campaign.explain.explanation import explanations


@pytest.fixture(autouse=True)
def by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a shell found the program by its name."""
    monkeypatch.setattr("campaign.report.printed_commands.program", lambda: "campaign")


def run(*words: str, width: int = 80) -> Result:
    return CliRunner().invoke(cli, ["explain", *words], env={"COLUMNS": str(width)})


def test_a_finding_is_explained_with_its_severity_and_what_to_do() -> None:
    result = run("spf-missing")
    assert result.exit_code == ExitCode.DONE
    assert result.stdout == (
        "spf-missing\n"
        "  is        a finding of `campaign check`: warning\n"
        "  means     the domain of the return path has no SPF record\n"
        "  do        publish one\n"
        "  more      docs/check.md, DNS (--dns)\n"
    )


def test_a_message_needs_no_quotes() -> None:
    assert run("The", "journal", "is", "damaged").stdout == run("The journal is damaged").stdout
    assert "\n  exit      74\n" in run("The journal is damaged").stdout


def test_an_exit_code_names_its_messages_or_how_many_there_are() -> None:
    of_69 = [one.name for one in explanations() if 69 in one.exit_codes]
    assert len(of_69) > 1
    assert "\n  messages  " + "\n            ".join(of_69) + "\n" in run("69").stdout
    of_78 = sum(78 in one.exit_codes for one in explanations())
    assert f"\n  messages  {of_78} end so; docs/troubleshooting.md has them\n" in run("78").stdout


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("name", ["delivery", "delivery.relay", "client-support", "75", "The journal of a shard"])
def test_no_line_is_longer_than_the_terminal(name: str, width: int) -> None:
    lines = run(name, width=width).stdout.split("\n")
    assert len(lines) > 4
    assert max(map(len, lines)) <= width


def test_json_has_every_explanation_of_the_name() -> None:
    told = json.loads(run("in_doubt", "--json").stdout)["explanations"]
    assert [(one["kind"], one["name"]) for one in told] == [("verdict", "in_doubt"), ("key", "ledger.in_doubt")]
    assert told[1]["default"] == '"hold"'


@pytest.mark.parametrize("json_too", [[], ["--json"]])
def test_an_unknown_name_ends_with_2_and_one_sentence_that_names_the_closest(json_too: list[str]) -> None:
    result = run("spf-mising", *json_too)
    assert result.exit_code == ExitCode.USAGE
    assert result.stdout == ""
    assert result.stderr.splitlines()[-1] == (
        "Error: Nothing is called 'spf-mising'; the closest: 'spf-missing', 'ptr-missing', 'mx-missing'."
    )
    assert run("xyzzy").stderr.splitlines()[-1] == "Error: Nothing is called 'xyzzy'."


def test_names_are_completed() -> None:
    completion = BashComplete(cli, {}, "campaign", "_CAMPAIGN_COMPLETE")
    assert [one.value for one in completion.get_completions(["explain"], "dmarc-m")] == ["dmarc-missing"]
    assert "delivery.rate" in [one.value for one in completion.get_completions(["explain"], "delivery.r")]
