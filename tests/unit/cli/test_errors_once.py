"""What ends a run is said once, with one thing to do; and what is missing is called by its name."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from campaign.audience.sources.database import _translated
from campaign.cli.main import failure_of
from campaign.config import load
from campaign.delivery.relays import failover
from campaign.delivery.smtp.connection import certificate_advice
from campaign.errors import ConfigError, InputError
from campaign.exit_codes import ExitCode
from campaign.pipeline.command_context import Options
from campaign.pipeline.find_run import find_run
from campaign.pipeline.send import send
from campaign.report.live.console import Console

SETTINGS = """
[campaign]
name = "gazette"
from = "news@example.com"
[audience]
source = "people.csv"
[compose]
subject = "News"
text = "letter.txt"
[delivery]
relay = "smtp://127.0.0.1:1"
relay_patience = "0s"
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(failover, "FIRST_PAUSE", 0.001)
    Path("people.csv").write_text("email\nada@example.com\n")
    Path("letter.txt").write_text("News\n")
    Path("gazette.toml").write_text(SETTINGS)
    return Path("gazette.toml")


@pytest.mark.parametrize("quiet", [False, True])
def test_a_relay_that_fails_is_told_once_with_one_next(file, quiet, capsys):
    options = Options(quiet=quiet)
    assert send(load(file, {}), options, Console(quiet=quiet)) is ExitCode.UNFINISHED
    said = capsys.readouterr().err
    assert said.count("The relay cannot be reached now.") == 1
    assert said.count("smtp://127.0.0.1:1: no connection: 127.0.0.1: Connection refused") == 1
    assert said.count("Next") == 1
    assert "check the name and port in delivery.relay" in said
    assert ("campaign send gazette.toml" in said) is not quiet


def untrusted(number: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = number
    return error


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(18, "delivery.tls_ca_file"), (20, "delivery.tls_ca_file"), (62, "the name in delivery.relay"), (10, "renewed")],
)
def test_a_certificate_that_is_not_trusted_has_its_remedy(number, remedy):
    assert remedy in certificate_advice(untrusted(number))


@pytest.mark.parametrize(
    "said",
    [
        'connection to server at "db.example.com", port 5432 failed: fe_sendauth: no password supplied',
        "(1045, \"Access denied for user 'reader'@'localhost' (using password: NO)\")",
    ],
)
def test_a_database_without_its_password_names_the_variable_the_host_and_the_user(said):
    url = make_url("postgresql+psycopg://reader@db.example.com/crm")
    with pytest.raises(ConfigError, match="wants a password, and there is none") as raised, _translated("pg:crm", url):
        raise OperationalError("connect", {}, Exception(said))
    assert "for reader at db.example.com" in raised.value.evidence
    assert "CAMPAIGN_DATABASE_PASSWORD" in raised.value.next_step
    with pytest.raises(InputError, match="did not answer"), _translated("pg:crm", url.set(password="wrong")):
        raise OperationalError("connect", {}, Exception(said))


def test_the_run_of_a_colleague_is_not_called_missing(file, tmp_path, monkeypatch):
    closed = tmp_path / "runs"
    (closed / "gazette" / "20261124T080000Z").mkdir(parents=True)
    closed.chmod(0o700)
    (tmp_path / "link").symlink_to(closed)
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.F_OK or closed not in (path, *Path(path).parents))
    for named in ("", "gazette.toml", "link/gazette", "runs/gazette/20261124T080000Z"):
        with pytest.raises(ConfigError, match="is closed to you") as raised:
            find_run(named, print)
        assert str(closed) in raised.value.what
        assert "mode 0700" in raised.value.evidence[0]
        assert f"campaign status {closed}" in raised.value.next_step


def test_nor_is_one_in_a_closed_folder_further_down(file, tmp_path, monkeypatch):
    below = tmp_path / "runs" / "gazette"
    below.mkdir(parents=True)
    scandir = os.scandir

    def as_another(path):
        if str(path) == str(below):
            raise PermissionError(13, "Permission denied", str(below))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", as_another)
    with pytest.raises(ConfigError, match="gazette is closed to you"):
        find_run("runs", print)


def test_a_missing_library_of_stores_is_named_whatever_imports_it(capsys: pytest.CaptureFixture[str]) -> None:
    told, code = failure_of(ModuleNotFoundError("No module named 'psycopg'", name="psycopg"))
    assert code == ExitCode.BAD_CONFIG
    assert "postgresql" in told.next_step
    assert "Traceback" not in capsys.readouterr().err
    assert failure_of(ModuleNotFoundError("No module named 'other'", name="other"))[1] == ExitCode.INTERNAL
