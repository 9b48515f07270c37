"""Commands are printed as they work from the folder where one is."""

from pathlib import Path

import pytest

from campaign.cli.main import COMMANDS
from campaign.report import printed_commands
from campaign.report.printed_commands import spelled, typeable

HERE = Path("/home/ada/news")
PYTHON = HERE / ".venv/bin/python"


@pytest.mark.parametrize(
    ("script", "found", "said"),
    [
        ("/home/ada/news/.venv/bin/campaign", None, ".venv/bin/campaign"),
        (".venv/bin/campaign", None, ".venv/bin/campaign"),
        (".venv/bin/campaign", "/usr/bin/campaign", ".venv/bin/campaign"),
        ("/usr/bin/campaign", "/usr/bin/campaign", "campaign"),
        ("campaign", "/usr/bin/campaign", "campaign"),
        ("/opt/a b/campaign", None, "'/opt/a b/campaign'"),
        ("/x/site-packages/campaign/__main__.py", None, ".venv/bin/python -m campaign"),
        ("/x/bin/pytest", None, "campaign"),
    ],
)
def test_the_program_is_called_as_it_was_called(script, found, said):
    assert spelled(Path(script), PYTHON, found, HERE) == said


def test_each_command_in_a_message_is_spelled_so_and_nothing_else(monkeypatch):
    monkeypatch.setattr(printed_commands, "program", lambda: ".venv/bin/campaign")
    assert typeable("Next: `campaign check a.toml`, then campaign send a.toml") == (
        "Next: `.venv/bin/campaign check a.toml`, then .venv/bin/campaign send a.toml"
    )
    for other in ("the campaign file", "campaign.secret", "runs/campaign check", "campaign checks"):
        assert typeable(other) == other


def test_every_command_is_known_here(monkeypatch):
    monkeypatch.setattr(printed_commands, "program", lambda: "./c")
    assert [name for name in COMMANDS if typeable(f"campaign {name} x") != f"./c {name} x"] == []
