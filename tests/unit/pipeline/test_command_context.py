"""What the command line adds to a campaign file stays with the job, and with the commands that are printed for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.config import load
from campaign.pipeline.command_context import Job, Options, lay_over, prepare
from campaign.pipeline.finish.close_run import settings_in_words

FILE = """
[campaign]
name = "hello"
from = "news@example.com"
[audience]
source = "list.csv"
[compose]
text = "b.txt"
"""


def job(folder: Path, relay: str) -> Job:
    (folder / "my news.toml").write_text(f'{FILE}subject = "Hello"\n', encoding="utf-8")
    return prepare(lay_over(load(folder / "my news.toml", {}), Options(relay=relay)), environment={})


@pytest.mark.parametrize(
    ("relay", "said"),
    [
        ("", "campaign retry 'my news.toml'"),
        ("smtp://127.0.0.1:25", "campaign retry 'my news.toml' --relay smtp://127.0.0.1:25"),
    ],
)
def test_a_printed_command_goes_through_the_relay_that_was_given(
    relay: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert job(tmp_path, relay).command("retry") == said


def test_a_run_remembers_that_it_was_given_another_relay(tmp_path: Path) -> None:
    assert settings_in_words(job(tmp_path, "smtp://127.0.0.1:25"))["--relay"] == "smtp://127.0.0.1:25"
    assert "--relay" not in settings_in_words(job(tmp_path, ""))
