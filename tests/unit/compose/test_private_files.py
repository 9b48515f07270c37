"""What lies under the root and belongs in no letter stays out of it, whichever way a row or a template names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from campaign.compose.composer import Brief, Composer
from campaign.compose.files.read_under_root import kept_back
from campaign.config import load
from campaign.config.compose import ComposeSection
from campaign.errors import ConfigError
from campaign.model import Identity, Letter, Mailbox, Recipient, Unrenderable
from campaign.pipeline.command_context import prepare
from tests.support.rendering import rendered_html

PRIVATE = ("recipients.csv", "campaign.toml", "runs")
KEPT_BACK = [
    "recipients.csv",
    "campaign.toml",
    "runs/x/plan.jsonl",
    ".env",
    "campaign.secret",
    "relay.password",
    "link",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "runs" / "x").mkdir(parents=True)
    for name in KEPT_BACK[:-1]:
        (tmp_path / name).write_text("p { color: red } /* SECRET */")
    (tmp_path / "link").symlink_to(tmp_path / "recipients.csv")
    return tmp_path


def composer(folder: Path, body: str = "<p>{{ name }}</p>", **more: Any) -> Composer:
    (folder / "body.html").write_text(body)
    settings = ComposeSection(**{"subject": "s", "html": "body.html", **more})
    identity = Identity("gazette", "", 1, b"0123456789abcdef")
    sender = Mailbox("", "news@example.com")
    private = tuple(folder / name for name in PRIVATE)
    return Composer(Brief(identity, sender, None, None, settings, folder, ("name",), private=private))


def made(composer: Composer, name: str) -> Letter | Unrenderable:
    return composer.compose(Recipient(0, "a@example.com", "a", "", 2, {"name": name}), 1.0e9)


@pytest.mark.parametrize("name", KEPT_BACK)
def test_a_row_cannot_have_them_attached(folder, name):
    letter = made(composer(folder, attachments=["{{ name }}"]), name)
    assert isinstance(letter, Unrenderable)
    assert "is not for letters" in letter.reason


@pytest.mark.parametrize("name", KEPT_BACK)
@pytest.mark.parametrize(
    "body", ["<img src='{{ name }}'>", "<p style='background: url({{ name }})'>x</p>", "<td background='{{ name }}'>"]
)
def test_a_row_cannot_have_them_as_a_picture(folder, name, body):
    assert isinstance(made(composer(folder, body), name), Unrenderable)


@pytest.mark.parametrize(
    "body", ["<link rel=stylesheet href='{{ name }}'><p>x</p>", "<style>@import '{{ name }}';</style><p>x</p>"]
)
def test_a_row_does_not_choose_the_style_sheet(folder, body):
    with pytest.raises(ConfigError, match="leaves it to the row which style sheet"):
        composer(folder, body)


@pytest.mark.parametrize("name", KEPT_BACK)
@pytest.mark.parametrize("body", ["<link rel=stylesheet href='{}'><p>x</p>", "<style>@import '{}';</style><p>x</p>"])
def test_they_are_no_style_sheets_even_where_a_row_may_write_html(folder, name, body):
    with pytest.raises(ConfigError, match="is not for letters"):
        composer(folder, body.format(name))
    for inlining in ("shape", "row"):
        one = Composer(composer(folder, "{{ name|safe }}").brief, inlining)
        letter = made(one, body.format(name))
        assert isinstance(letter, Unrenderable)
        assert "is not for letters" in letter.reason


@pytest.mark.parametrize("name", KEPT_BACK)
@pytest.mark.parametrize(
    "body",
    ["{{% include '{}' %}}", "{{% include '{}' ignore missing %}}", "{{% import '{}' as x %}}", "{{% extends '{}' %}}"],
)
def test_a_template_cannot_read_them(folder, name, body):
    with pytest.raises(ConfigError, match="is not for letters"):
        composer(folder, body.format(name))


@pytest.mark.parametrize("setting", ["html", "text", "markdown"])
def test_none_of_them_is_a_body(folder, setting):
    with pytest.raises(ConfigError, match="is not for letters"):
        composer(folder, **{"html": "", setting: "recipients.csv"})


@pytest.mark.parametrize(
    "name", ["Relay.PASSWORD", "my.Secret", "RECIPIENTS.csv", "Campaign.TOML", "Runs/x/plan.jsonl", "LE\u0301.csv"]
)
def test_they_are_kept_back_however_their_names_are_spelt(tmp_path, name):
    private = [tmp_path / one for one in (*PRIVATE, "l\u00e9.csv")]
    assert kept_back(tmp_path / name, tmp_path, private)
    assert not kept_back(tmp_path / "letter.html", tmp_path, private)


def test_a_template_is_read_once_so_a_change_in_mid_run_changes_no_letter(folder):
    (folder / "part.html").write_text("before")
    one = composer(folder, "<p>{% include 'part.html' %}{{ name }}</p>")
    (folder / "part.html").write_text("after")
    assert rendered_html(one, {"name": "x"}).count("before") == 1


def test_the_campaigns_own_files_are_private(tmp_path):
    (tmp_path / "campaign.toml").write_text(
        """
        campaign = { name = "gazette", from = "news@example.com", secret_file = "my.key" }
        audience = { source = "list.csv", suppress = ["gone.csv", "sqlite:///shop.db"], password_file = "database.pw" }
        compose = { subject = "s", text = "letter.txt" }
        [delivery]
        password_file = "a.pw"
        token_file = "token"
        password_files = { "smtp.example.com" = "b.pw" }
        tls_client_certificate = "own.pem"
        tls_client_key = "own.key"
        tls_client_certificates = { "smtp.example.com" = "other.pem" }
        tls_client_keys = { "smtp.example.com" = "other.key" }
        [ledger]
        directory = "runs"
        """
    )
    private = prepare(load(tmp_path / "campaign.toml", {}), environment={}).brief(("email",), 1).private
    names = {path.relative_to(tmp_path).as_posix() for path in private}
    assert names == {
        *("own.pem", "own.key", "other.pem", "other.key"),
        *("campaign.toml", "my.key", "list.csv", "gone.csv", "shop.db", "database.pw", "a.pw", "token", "b.pw"),
        "runs",
    }


def test_whatever_logs_us_in_somewhere_is_private(tmp_path):
    (tmp_path / "campaign.toml").write_text(
        """
        campaign = { name = "gazette", from = "news@example.com" }
        audience = { source = "list.csv" }
        compose = { subject = "s", text = "letter.txt" }
        delivery = { relay = "ada@gmail", oauth = { provider = "google", file = "google.json" } }
        report = { push_url = "https://push.example.com", push_login_file = "push.login" }
        """
    )
    private = prepare(load(tmp_path / "campaign.toml", {}), environment={}).brief(("email",), 1).private
    assert {tmp_path / "google.json", tmp_path / "push.login"} <= set(private)


def test_where_the_runs_lie_around_the_templates_only_the_runs_are_private(tmp_path):
    (tmp_path / "campaign.toml").write_text(
        """
        campaign = { name = "gazette", from = "news@example.com" }
        audience = { source = "postgresql://db.example.com/shop", query = "select 1" }
        compose = { subject = "s", text = "letter.txt" }
        ledger = { directory = "." }
        """
    )
    private = prepare(load(tmp_path / "campaign.toml", {}), environment={}).brief(("email",), 1).private
    names = {path.relative_to(tmp_path).as_posix() for path in private}
    kept = {"gazette", "pacing", "feedback", "feedback.jsonl", "suppressed.csv"}
    assert names == {"campaign.toml", "campaign.secret", *kept}
