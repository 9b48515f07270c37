"""What the shell offers after Tab, asked for as bash asks."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.shell_completion import BashComplete

from campaign.cli.completion import campaign_files, run_folders
from campaign.cli.main import COMMANDS, cli
from campaign.cli.options import lesson
from campaign.exit_codes import ExitCode

ROOT = Path(__file__).parents[3]
NO_FILE = {"init", "schema", "explain", "listen"}  #: commands that concern no campaign


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a campaign, another TOML file, and two runs of which one holds a mailbox."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gazette.toml").write_text('# the news\n[campaign]\nname = "gazette"\n')
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "gazette"\n')
    (tmp_path / "people.csv").write_text("email\n")
    for stamp in ("20261124T080000Z", "20261125T080000Z"):
        run = tmp_path / "runs" / "gazette" / stamp
        (run / "mailbox" / "new").mkdir(parents=True)
        (run / "checkpoint.journal").write_text("")
    return tmp_path


def offered(*words: str, typed: str = "") -> list[tuple[str, str]]:
    """Kind and value of each completion of ``typed`` after ``campaign`` and these words."""
    completion = BashComplete(cli, {}, "campaign", "_CAMPAIGN_COMPLETE")
    return [(one.type, one.value) for one in completion.get_completions(list(words), typed)]


@pytest.mark.parametrize("command", ["check", "preview", "test", "send", "retry", "unsubscribe-token"])
def test_where_a_file_is_asked_for_campaign_files_are_offered_and_no_other_toml(command: str) -> None:
    assert offered(command) == [("plain", "gazette.toml")]


@pytest.mark.parametrize(
    "command", ["status", "set", "pause", "resume", "stop", "cancel", "resolve", "repair", "report"]
)
def test_where_a_run_is_asked_for_runs_are_offered_newest_first_and_campaign_files(command: str) -> None:
    assert [value for _, value in offered(command)] == [
        "runs/gazette/20261125T080000Z",
        "runs/gazette/20261124T080000Z",
        "gazette.toml",
    ]


def test_what_is_typed_narrows_the_offer() -> None:
    assert offered("status", typed="runs/gazette/20261124") == [("plain", "runs/gazette/20261124T080000Z")]
    assert offered("send", typed="gaz") == [("plain", "gazette.toml")]


def test_campaign_files_of_another_folder_are_offered_as_typed(here: Path) -> None:
    (here / "news").mkdir()
    (here / "gazette.toml").rename(here / "news" / "gazette.toml")
    assert campaign_files("news/") == ["news/gazette.toml"]
    assert campaign_files("./news/ga") == ["./news/gazette.toml"]


def test_where_nothing_fits_the_shell_goes_on_with_its_own_files() -> None:
    assert offered("send", typed="peo") == [("file", "peo")]
    assert offered("status", typed="nowhere/") == [("file", "nowhere/")]
    assert offered("resolve", "gazette.toml", "--accepted", typed="ma") == [("file", "ma")]
    assert offered("preview", "gazette.toml", "--output", typed="") == [("dir", "")]


def test_a_run_ends_the_search_so_mailboxes_are_never_walked(here: Path) -> None:
    inner = here / "runs" / "gazette" / "20261124T080000Z" / "mailbox" / "new"
    (inner / "checkpoint.journal").write_text("")
    assert all("mailbox" not in run for run in run_folders(""))


def test_commands_and_choices_are_offered() -> None:
    assert [value for _, value in offered(typed="st")] == ["status", "stop", "stats"]
    assert [value for _, value in offered("send", "gazette.toml", "--in-doubt")] == ["hold", "resend", "skip"]


# -- what each help teaches


def command(name: str) -> click.Command:
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_an_example_exit_codes_and_a_page_to_read_on(name: str) -> None:
    shown = command(name).get_help(click.Context(command(name), info_name=f"campaign {name}", terminal_width=200))
    file = "" if name in NO_FILE else " newsletter.toml"
    assert f"\n    campaign {name}{file}" in shown
    codes = {
        int(part.split()[0])
        for part in shown.partition("Exit codes: ")[2].split("; all")[0].split(", ")
        if part[0].isdigit()
    }
    assert codes <= {int(code) for code in ExitCode}
    assert codes or name == "retry"
    pages = [word.strip(",;.") for word in shown.partition("More: ")[2].split() if word.startswith("docs/")]
    assert pages
    assert all((ROOT / page).exists() for page in pages)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_argument_and_option_of_a_help_is_explained(name: str) -> None:
    shown = command(name).get_help(click.Context(command(name)))
    for parameter in command(name).params:
        if isinstance(parameter, click.Option):
            assert parameter.help
        elif parameter.name != "changes":  # its metavar is an example
            assert (parameter.name or "").upper() in (command(name).help or "")
    assert "INTEGER RANGE" not in shown


def test_a_lesson_keeps_its_lines() -> None:
    taught = lesson("campaign send a.toml", "campaign send b.toml", codes="0 good", more="docs/delivery.md")
    assert taught.startswith("\b\nExamples:\n  campaign send a.toml\n  campaign send b.toml\n\n")
