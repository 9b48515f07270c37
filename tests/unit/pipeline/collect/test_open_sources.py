"""Which sources are ours alone, and how their passwords and tokens are had."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from campaign.config.feedback import FeedbackSourceSection
from campaign.delivery.credentials import google, microsoft
from campaign.delivery.credentials.token_refresh import Token
from campaign.errors import ConfigError, UnfinishedError
from campaign.feedback.open_source import SourceSurroundings
from campaign.pipeline.collect import open_sources as module
from campaign.pipeline.collect.open_sources import believed_as, opened_source, tells_of_all_mail
from tests.support.sent import SentCampaign


@pytest.mark.parametrize(
    ("url", "all_mail"),
    [
        ("imaps://a@mail.example.com/INBOX", False),
        ("imap://a@mail.example.com", False),
        ("pop3s://a@mail.example.com", False),
        ("pop3://a@mail.example.com", False),
        ("maildir:bounces", False),
        ("mbox:bounces", False),
        ("-", False),
        ("postfix-log:/var/log/mail.log", True),
        ("sqs://sqs.eu-west-1.amazonaws.com/123456789012/q", True),
        ("events:events.jsonl", True),
        ("sendgrid:", True),
        ("mailgun:eu:example.com", True),
    ],
)
def test_a_mailbox_is_ours_and_a_log_or_queue_tells_of_all_mail(url: str, all_mail: bool) -> None:
    assert tells_of_all_mail(FeedbackSourceSection(url=url)) is all_mail


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("events:events.jsonl", "own-program"),
        ("sendgrid:", "provider-list"),
        ("postmark:broadcast", "provider-list"),
        ("listen:events", "webhook"),
        ("sqs://sqs.eu-west-1.amazonaws.com/123456789012/q", ""),
        ("imaps://a@mail.example.com/INBOX", ""),
        ("-", ""),
    ],
)
def test_an_address_is_believed_where_nobody_else_can_write_one(url: str, name: str) -> None:
    assert believed_as(FeedbackSourceSection(url=url)) == name


@pytest.fixture
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a source would be opened with, for a section."""
    seen: list[SourceSurroundings] = []
    monkeypatch.setattr(module, "open_feedback_source", lambda _, around: seen.append(around))
    settings = SentCampaign(tmp_path).job().settings

    def opened(**keys: Any) -> SourceSurroundings:
        section = FeedbackSourceSection.model_validate({"url": "imaps://ada%40example.com@mail.example.com", **keys})
        opened_source(section, settings, tmp_path / "progress", io.BytesIO())
        return seen[-1]

    return opened


def test_a_password_is_read_when_it_is_needed_and_not_before(surroundings: Any, tmp_path: Path) -> None:
    around = surroundings(password_file="mailbox.password")
    (tmp_path / "mailbox.password").write_text("hunter2\n")
    (tmp_path / "mailbox.password").chmod(0o600)
    assert around.password() == "hunter2"
    assert around.access_token is None
    (tmp_path / "mailbox.password").chmod(0o644)
    with pytest.raises(ConfigError):
        around.password()


def test_a_command_may_print_the_password(surroundings: Any) -> None:
    assert surroundings(password_command="echo hunter2").password() == "hunter2"
    with pytest.raises(ConfigError, match="failed with exit code"):
        surroundings(password_command="false").password()


def test_without_a_password_nothing_is_handed_over(surroundings: Any) -> None:
    around = surroundings()
    assert (around.password, around.access_token) == (None, None)


@pytest.mark.parametrize(("scheme", "scope"), [("imaps", "IMAP.AccessAsUser.All"), ("pop3s", "POP.AccessAsUser.All")])
def test_microsoft_is_asked_for_the_right_to_read_the_mailbox(
    surroundings: Any, scheme: str, scope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    def source(user: str, _settings: object, _file: Path, scope: str) -> Any:
        asked.append((user, scope))
        return lambda: Token("a token", 3600.0)

    monkeypatch.setattr(microsoft, "source", source)
    oauth = {"provider": "microsoft", "file": "m.json", "client_id": "id", "tenant": "example.com"}
    around = surroundings(url=f"{scheme}://ada%40example.com@outlook.office365.com", oauth=oauth)
    assert around.access_token() == "a token"
    assert asked == [("ada@example.com", f"https://outlook.office.com/{scope}")]


def test_a_provider_that_cannot_be_reached_is_asked_again_later(
    surroundings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def source(_user: str, _file: Path) -> Any:
        def fetch() -> Token:
            raise ConnectionError("Google cannot be asked for an access token: no connection")

        return fetch

    monkeypatch.setattr(google, "source", source)
    around = surroundings(oauth={"provider": "google", "file": "g.json"})
    with pytest.raises(UnfinishedError, match="no access token for ada@"):
        around.access_token()
