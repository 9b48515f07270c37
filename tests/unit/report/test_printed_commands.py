"""Commands are printed as they work from the folder where one is."""

from pathlib import Path

import pytest

from campaign.cli.main import COMMANDS
from campaign.errors import install_extra
from campaign.report import printed_commands
from campaign.report.printed_commands import command_text, installed, spelled, typeable

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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("send", "news.toml"), "campaign send news.toml"),
        (("send", "my list.toml", ""), "campaign send 'my list.toml'"),
        (("check", "news.toml", "smtp://[::1]:25"), "campaign check news.toml --relay 'smtp://[::1]:25'"),
        (
            ("check", "news.toml", "ses:eu-west-1", ["--dns"]),
            "campaign check news.toml --relay ses:eu-west-1 --dns",
        ),
    ],
)
def test_a_command_is_printed_with_the_relay_it_was_given(arguments, said):
    assert command_text(*arguments) == said


def test_every_command_is_known_here(monkeypatch):
    monkeypatch.setattr(printed_commands, "program", lambda: "./c")
    assert [name for name in COMMANDS if typeable(f"campaign {name} x") != f"./c {name} x"] == []


def origin(path: Path, **more: object) -> dict[str, object]:
    return {"url": path.as_uri(), **more}


def test_a_missing_library_is_installed_from_where_this_copy_came(tmp_path):
    python, source, wheel = tmp_path / "venv/bin/python", tmp_path / "a b", tmp_path / "campaign-1-py3-none-any.whl"
    source.mkdir()
    wheel.touch()
    elsewhere, pip = Path("/home/ada"), str(python.with_name("pip"))
    editable = origin(source, dir_info={"editable": True})
    assert installed("excel", editable, python, None, source) == f"{python} -m pip install --editable '.[excel]'"
    assert installed("excel", editable, python, pip, elsewhere) == f"pip install --editable '{source}[excel]'"
    assert installed("dns", origin(wheel), python, pip, tmp_path) == f"pip install './{wheel.name}[dns]'"
    assert installed("dns", origin(wheel), python, "/usr/bin/pip", tmp_path).startswith("venv/bin/python -m pip")


@pytest.mark.parametrize("noted", [{}, {"url": "file:///gone/campaign.whl"}, {"url": "https://example.com/campaign"}])
def test_where_the_source_is_not_here_the_dot_stays_and_is_explained(noted):
    said = installed("excel", noted, PYTHON, str(PYTHON.with_name("pip")), HERE)
    assert said == "pip install '.[excel]'  # in the folder that campaign was installed from"


def test_a_message_about_a_missing_library_is_spelled_so(monkeypatch):
    monkeypatch.setattr(printed_commands, "installation", lambda extra: f"<{extra}>")
    assert typeable(f"Next: {install_extra('css-inline')}") == "Next: <css-inline>"
