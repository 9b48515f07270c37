"""What a check says of the files that feedback is read from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from campaign.check.findings import Finding, Findings
from campaign.check.source_checks import MAILDIR_FOLDERS, check_sources
from campaign.cli.main import cli
from campaign.config import load
from campaign.pipeline.command_context import prepare
from tests.support.sent import SentCampaign


def found(place: Path, *sources: str) -> list[Finding]:
    gazette, findings = SentCampaign(place), Findings()
    gazette.job(more="".join(f"[[feedback.source]]\n{source}\n" for source in sources))
    check_sources(prepare(load(gazette.file, {}), environment={}), findings)
    return list(findings)


@pytest.mark.parametrize("url", ["maildir:bounces", "mbox:bounces", "postfix-log:bounces", "events:bounces"])
def test_a_source_that_is_not_there_is_a_warning_until_it_is_made(tmp_path: Path, url: str) -> None:
    [finding] = found(tmp_path, f'url = "{url}"')
    assert (finding.severity, finding.code, finding.where) == ("warning", "feedback-source", "feedback.source")
    assert f"{url} cannot be read" in finding.message
    assert str(tmp_path / "bounces") in finding.message
    if url.startswith("maildir"):
        for folder in MAILDIR_FOLDERS:
            (tmp_path / "bounces" / folder).mkdir(parents=True)
    else:
        (tmp_path / "bounces").touch()
    assert found(tmp_path, f'url = "{url}"') == []


def test_a_maildir_without_one_of_its_folders_is_named_with_it(tmp_path: Path) -> None:
    (tmp_path / "bounces" / "new").mkdir(parents=True)
    [finding] = found(tmp_path, 'url = "maildir:bounces"')
    assert f"there is no folder {tmp_path / 'bounces' / 'cur'}" in finding.message


def test_a_missing_password_of_a_mailbox_is_named(tmp_path: Path) -> None:
    mailbox = 'url = "imaps://b@mail.example.com/INBOX"\npassword_file = "mailbox.password"'
    [finding] = found(tmp_path, mailbox)
    assert f"there is no file {tmp_path / 'mailbox.password'}" in finding.message
    (tmp_path / "mailbox.password").touch()
    assert found(tmp_path, mailbox) == []


def test_a_file_that_this_user_may_not_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mail.log").touch()
    monkeypatch.setattr(os, "access", lambda *_: False)
    [finding] = found(tmp_path, 'url = "postfix-log:mail.log"')
    assert f"no right to use {tmp_path / 'mail.log'}" in finding.message


@pytest.mark.parametrize("url", ["-", "sqs://sqs.example.com/1/events", "imaps://b@mail.example.com/INBOX"])
def test_a_source_that_is_no_file_is_left_to_the_collect(tmp_path: Path, url: str) -> None:
    assert found(tmp_path, f'url = "{url}"') == []


def test_the_command_tells_it_and_the_campaign_is_sound_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("email\nada@example.com\n", encoding="utf-8")
    gazette = SentCampaign(tmp_path)
    gazette.job(relay="mailbox", more='[[feedback.source]]\nurl = "mbox:bounces"\n')
    result = CliRunner().invoke(cli, ["check", str(gazette.file)])
    assert result.exception is None
    assert "feedback-source" in result.output
