"""What the command line adds to a campaign file stays with the job, and with the commands that are printed for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.config import load
from campaign.pipeline.command_context import Job, Options, lay_over, prepare, private_files
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


def test_no_letter_may_hold_how_to_log_in_to_a_mailbox_or_what_came_back(tmp_path: Path) -> None:
    sources = """subject = "Hello"
[[feedback.source]]
url = "imaps://bounces@imap.example.com"
password_file = "mailbox.password"
[[feedback.source]]
url = "imaps://me@imap.example.com"
oauth = { provider = "google", file = "mailbox.json" }
[[feedback.source]]
url = "maildir:bounces"
[[feedback.source]]
url = "postfix-log:/var/log/mail.log"
[[feedback.source]]
url = "sqs://sqs.eu-west-1.amazonaws.com/1/queue"
[[feedback.source]]
url = "-"
"""
    (tmp_path / "news.toml").write_text(f"{FILE}{sources}", encoding="utf-8")
    plain, found = job(tmp_path, ""), prepare(load(tmp_path / "news.toml", {}), environment={})
    added = set(private_files(found.settings)) - set(private_files(plain.settings)) - {found.settings.file}
    names = ("mailbox.password", "mailbox.json", "bounces", "/var/log/mail.log")
    assert added == {tmp_path / name for name in names}
