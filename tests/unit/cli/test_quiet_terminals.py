"""Terminals that are narrow, without colour, without controls, read aloud, or a log of CI get plain lines that fit."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from campaign.check.findings import Findings
from campaign.cli.main import COMMANDS, cli
from campaign.model import Verdict
from campaign.report.live.console import Console, can_repaint
from campaign.report.live.progress import Counts, Progress
from campaign.report.live.step_progress import StepProgress
from campaign.report.live.terminal_width import fitted, width_of
from tests.support.sent import SentCampaign

NARROW = 60
Run = Callable[..., Result]
#: Box drawing, blocks, geometric shapes and Braille patterns: what bars, frames and spinners are made of.
DRAWN = re.compile("[\u2500-\u25ff\u2800-\u28ff]")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def shell(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CI", "COLUMNS", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command on a campaign that was sent."""
    monkeypatch.chdir(tmp_path)
    campaign = SentCampaign(tmp_path)
    left = {"eve@example.com": Verdict.DEFERRED, "bob@example.com": Verdict.REJECTED}
    campaign.send("ada@example.com", "bob@example.com", "eve@example.com", verdicts=left)
    return lambda *words, **options: CliRunner().invoke(cli, list(words), **options)


def too_wide(text: str) -> list[str]:
    """Lines wider than the terminal, but for commands to type, and for paths, which nobody can break."""
    return [
        line
        for line in text.splitlines()
        if len(line) > NARROW
        and not re.match(r"\s*(?:\S*campaign|.*-m campaign) [a-z-]+ ", line)
        and len(max(line.split(), key=len)) < NARROW - 15
    ]


@pytest.mark.parametrize(
    "words",
    [
        ["check", "gazette.toml", "--no-relay"],
        ["status", "gazette.toml"],
        ["report", "gazette.toml"],
        ["stats", "gazette.toml"],
        ["suppression", "gazette.toml"],
        ["suppression", "gazette.toml", "--why", "bob@example.com"],
        ["explain", "spf-missing"],
        ["forget", "gazette.toml", "ada@example.com", "--dry-run"],
        ["--help"],
        *([name, "--help"] for name in COMMANDS),
    ],
    ids=" ".join,
)
def test_nothing_is_wider_than_a_terminal_of_60_columns(
    words: list[str], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(NARROW))
    found = run(*words, terminal_width=NARROW - 2)  # as click counts, whose tests do not heed COLUMNS
    assert found.exit_code == 0, found.output
    assert found.stdout
    assert not too_wide(found.stdout)


def test_the_tally_of_a_run_fits_the_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(NARROW))
    found = run("send", "gazette.toml", "--relay", "mailbox")
    assert found.exit_code == 0, found.output
    tally = found.stderr.partition("ended gazette")[2].partition("\n")[2]
    assert "Letters " in tally
    assert not too_wide(tally)


def test_without_a_terminal_a_line_stays_a_line(run: Run) -> None:
    assert any(len(line) > NARROW for line in run("report", "gazette.toml").stdout.splitlines())


def test_a_table_that_is_too_wide_is_one_figure_a_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "begun (UTC)  recipients" in run("stats", "gazette.toml").stdout
    monkeypatch.setenv("COLUMNS", str(NARROW))
    assert re.search(r"^recipients +3$", run("stats", "gazette.toml").stdout, re.MULTILINE)


def test_text_is_wrapped_under_itself_and_a_command_stays_whole() -> None:
    words = "word " * 12
    assert fitted(f"note     {words}".rstrip(), 40).splitlines()[1].startswith("         word")
    assert fitted(f"  {words}".rstrip(), 40).splitlines()[1].startswith("    word")
    command = "campaign send newsletter.toml --relay smtps://user@smtp.example.com --limit 100"
    assert fitted(f"    {command}", 40) == f"    {command}"
    assert fitted(words, None) == words


def test_a_stream_that_is_no_terminal_has_no_width(monkeypatch: pytest.MonkeyPatch) -> None:
    assert width_of(io.StringIO()) is None
    assert width_of(Terminal()) is not None
    monkeypatch.setenv("COLUMNS", "60")
    assert width_of(io.StringIO()) == NARROW
    monkeypatch.setenv("COLUMNS", "3")
    assert width_of(io.StringIO()) == 40


def test_findings_are_as_wide_as_the_terminal_and_no_wider_than_100() -> None:
    findings = Findings()
    findings.add("warning", "code", "word " * 40)
    for width, widest in ((NARROW, NARROW), (200, 100)):
        assert NARROW - 15 < max(map(len, findings.render_text(0, width).splitlines())) <= widest


@pytest.mark.parametrize(
    ("environment", "repaints"),
    [
        ({"TERM": "xterm"}, True),
        ({}, True),
        ({"TERM": "dumb"}, False),
        ({"TERM": "xterm", "CI": "true"}, False),
        ({"TERM": "xterm", "CI": "1"}, False),
        ({"TERM": "xterm", "CI": "false"}, True),
        ({"TERM": "xterm", "CI": ""}, True),
    ],
)
def test_lines_are_painted_over_only_on_a_terminal_that_can_and_not_in_ci(
    environment: dict[str, str], repaints: bool
) -> None:
    assert can_repaint(environment) is repaints


@pytest.mark.parametrize(("name", "value"), [("CI", "true"), ("TERM", "dumb")])
def test_a_screen_reader_and_ci_get_lines_in_place_of_a_bar(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    console = Console(Terminal())
    assert not console.is_terminal
    seconds = iter(range(0, 1000, 20))
    progress = Progress(
        Counts(total=5), stream=console.stream, is_terminal=console.is_terminal, clock=lambda: next(seconds)
    )
    progress.start()
    progress.tick()
    progress.finish()
    with StepProgress(console, 10, clock=lambda: next(seconds)) as steps:
        steps.at(3)
    text = console.stream.getvalue()  # type: ignore[attr-defined]
    assert "done 0 of 5" in text
    assert "checked 3 of 10 letters" in text
    assert not set(text) & {"\r", "\x1b", "\b"}
    assert not DRAWN.search(text)


def test_a_bar_and_a_step_fit_a_terminal_of_60_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(NARROW))
    monkeypatch.setenv("LINES", "20")
    console = Console(Terminal())
    seconds = iter(range(1000))
    counts = Counts(total=10_000_000, accepted=123_456, waiting="waiting for smtp://relay.example.com until 08:02")
    progress = Progress(counts, stream=console.stream, is_terminal=True, clock=lambda: next(seconds))
    progress.start()
    progress.tick()
    with StepProgress(console, 10_000_000, noun="very long name of a letter", clock=lambda: next(seconds)) as steps:
        steps.at(1_234_567)
    painted = re.split(r"[\r\n]|\x1b\[K", console.stream.getvalue())  # type: ignore[attr-defined]
    assert max(map(len, painted)) <= NARROW
    assert any(len(one) > NARROW - 5 for one in painted)


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_no_colour_is_printed_where_none_is_wanted(
    name: str, value: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("explain", "spf-missing")
    assert "\x1b[1m" in run(*words, color=True).stdout
    monkeypatch.setenv(name, value)
    assert "\x1b" not in run(*words, color=True).stdout


def test_off_a_terminal_nothing_is_drawn(run: Run) -> None:
    for words in (["check", "gazette.toml", "--no-relay"], ["status", "gazette.toml"], ["report", "gazette.toml"]):
        text = run(*words).output
        assert text
        assert not DRAWN.search(text)
