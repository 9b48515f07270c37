"""The whole pipeline against aiosmtpd: attachments, logins over TLS, answers that differ by recipient."""

from __future__ import annotations

import base64
import io
import json
import socket
import sqlite3
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from campaign.config import Settings, load
from campaign.exit_codes import ExitCode
from campaign.pipeline.command_context import Options
from campaign.pipeline.send import send
from campaign.report.live.console import Console
from tests.support.stand import parsed

ROOT = Path(__file__).parents[2]
PASSWORD = "an open secret é"


class Keeper:
    """Keeps what it takes; answers ``refusals`` to the recipients they are for, as often as there are answers left."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, bytes]] = []
        self.refusals: dict[str, list[str]] = {}
        self.users: list[str] = []

    async def handle_RCPT(self, _: SMTP, __: Session, envelope: Envelope, address: str, options: Any) -> str:  # noqa: N802 - aiosmtpd's name
        if self.refusals.get(address):
            return self.refusals[address].pop(0)
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        assert isinstance(envelope.original_content, bytes)
        self.taken += [(to, envelope.original_content) for to in envelope.rcpt_tos]
        return "250 2.0.0 taken"

    def authenticate(self, _: SMTP, __: Session, ___: Envelope, mechanism: str, data: object) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.users.append(data.login.decode())
        return AuthResult(success=data.password == PASSWORD.encode(), handled=False)


@pytest.fixture
def keeper() -> Keeper:
    return Keeper()


Serve = Callable[..., int]


@pytest.fixture
def serve(keeper: Keeper) -> Iterator[Serve]:
    """Starts aiosmtpd in a thread of its own; returns its port."""
    begun: list[Controller] = []

    def start(**more: Any) -> int:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = int(probe.getsockname()[1])
        controller = Controller(keeper, "127.0.0.1", port, ready_timeout=20, enable_SMTPUTF8=True, **more)
        controller.start()
        begun.append(controller)
        return port

    yield start
    for controller in begun:
        controller.stop()


def sample(name: str, place: Path, **more: str) -> Settings:
    return load(
        ROOT / "sample_data" / f"{name}.toml",
        {
            "CAMPAIGN__LEDGER__DIRECTORY": str(place / "runs"),
            "CAMPAIGN__CAMPAIGN__SECRET_FILE": str(place / "campaign.secret"),
            **more,
        },
    )


def run(settings: Settings, **options: Any) -> tuple[ExitCode, str]:
    stream = io.StringIO()
    return send(settings, Options(**options), Console(stream=stream)), stream.getvalue()


def attachments(letter: EmailMessage) -> dict[str, bytes]:
    return {str(part.get_filename()): part.get_content() for part in letter.iter_attachments()}


def test_each_invoice_arrives_with_its_own_attachment(keeper: Keeper, serve: Serve, tmp_path: Path) -> None:
    code, talk = run(sample("invoices", tmp_path), relay=f"smtp://127.0.0.1:{serve()}")
    assert code is ExitCode.DONE, talk
    with closing(sqlite3.connect(ROOT / "sample_data" / "shop.sqlite")) as shop:
        bills = dict(
            shop.execute(
                "select invoice_id, email from invoice join customer using (customer_id)"
                " where issued between '2026-11-01' and '2026-11-30'"
            )
        )
    assert len(keeper.taken) == len(bills) > 5
    for to, content in keeper.taken:
        [(name, pdf)] = attachments(parsed(content)).items()
        assert pdf == (ROOT / "sample_data" / "invoices" / name).read_bytes()
        local, _, domain = bills[name.removesuffix(".pdf")].rpartition("@")
        assert to == f"{local}@{domain.encode('idna').decode()}"


def test_the_alert_is_plain_text_alone(keeper: Keeper, serve: Serve, tmp_path: Path) -> None:
    code, talk = run(sample("alert", tmp_path), relay=f"smtp://127.0.0.1:{serve()}")
    assert code is ExitCode.DONE, talk
    assert keeper.taken
    for _, content in keeper.taken:
        letter = parsed(content)
        assert letter.get_content_type() == "text/plain"
        assert letter["Auto-Submitted"] == "auto-generated"
        assert letter["List-Unsubscribe"] is None


def test_one_refused_and_one_put_off_do_not_hold_up_the_others(keeper: Keeper, serve: Serve, tmp_path: Path) -> None:
    people = ["oncall", "second", "third"]
    listed = "".join(f"{one}@example.com,{one},yes\n" for one in people)
    (tmp_path / "people.csv").write_text(f"email,name,on_call\n{listed}")
    keeper.refusals = {"oncall@example.com": ["550 5.7.1 no"], "second@example.com": ["451 later", "451 later still"]}
    settings = sample(
        "alert", tmp_path, CAMPAIGN__AUDIENCE__SOURCE=str(tmp_path / "people.csv"),
        CAMPAIGN__DELIVERY__RETRY_AFTER="200ms", CAMPAIGN__COMPOSE__SUBJECT="Alert for {{ name }}",
        CAMPAIGN__COMPOSE__TEXT=str(tmp_path / "alert.txt"), CAMPAIGN__COMPOSE__ROOT=str(tmp_path),
    )  # fmt: skip
    (tmp_path / "alert.txt").write_text("Look at it, {{ name }}.\n")
    code, talk = run(settings, relay=f"smtp://127.0.0.1:{serve()}")
    assert code is ExitCode.SOME_FAILED, talk
    assert [to for to, _ in keeper.taken] == ["third@example.com", "second@example.com"]
    summary = json.loads(next(tmp_path.glob("runs/**/summary.json")).read_text(encoding="utf-8"))
    assert summary["verdicts"]["accepted"] == 2
    assert summary["verdicts"]["rejected"] == 1
    assert summary["passes"] == 3


# -- logins


@pytest.fixture
def secured(keeper: Keeper, serve: Serve, tmp_path: Path) -> tuple[int, str]:
    """The port of a server that wants STARTTLS and a login, and the file of the authority behind its certificate."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    port = serve(tls_context=context, require_starttls=True, authenticator=keeper.authenticate, auth_required=True)
    return port, str(tmp_path / "authority.pem")


@pytest.mark.parametrize("source", ["file", "command", "environment"])
def test_the_password_comes_from_a_file_a_command_or_the_environment(
    keeper: Keeper, secured: tuple[int, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    port, authority = secured
    file = tmp_path / "relay.password"
    file.write_text(PASSWORD + "\n", encoding="utf-8")
    file.chmod(0o600)
    more = {"CAMPAIGN__DELIVERY__TLS_CA_FILE": authority}
    if source == "file":
        more["CAMPAIGN__DELIVERY__PASSWORD_FILE"] = str(file)
    elif source == "command":
        more["CAMPAIGN__DELIVERY__PASSWORD_COMMAND"] = f"cat '{file}'"
    else:
        monkeypatch.setenv("CAMPAIGN_RELAY_PASSWORD", PASSWORD)
    code, talk = run(sample("alert", tmp_path, **more), relay=f"smtp://ada@127.0.0.1:{port}")
    assert code is ExitCode.DONE, talk
    assert set(keeper.users) == {"ada"}
    assert keeper.taken
    plain = PASSWORD.encode()
    forms = [plain, base64.b64encode(plain), base64.b64encode(b"\0ada\0" + plain)]
    told = [talk.encode(), *(path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file())]
    assert not [form for form in forms for one in told if form in one]


def test_a_wrong_password_is_tried_once_and_ends_the_run(
    keeper: Keeper, secured: tuple[int, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, authority = secured
    monkeypatch.setenv("CAMPAIGN_RELAY_PASSWORD", "wrong")
    settings = sample("alert", tmp_path, CAMPAIGN__DELIVERY__TLS_CA_FILE=authority)
    code, talk = run(settings, relay=f"smtp://ada@127.0.0.1:{port}")
    assert code is ExitCode.LOGIN_REFUSED, talk
    assert len(keeper.users) == 1
    assert not keeper.taken


def test_a_certificate_of_an_unknown_authority_is_refused(
    keeper: Keeper, secured: tuple[int, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAMPAIGN_RELAY_PASSWORD", PASSWORD)
    code, talk = run(sample("alert", tmp_path), relay=f"smtp://ada@127.0.0.1:{secured[0]}")
    assert code is ExitCode.NO_RELAY, talk
    assert "no trusted encryption" in talk
    assert not keeper.users
    assert not keeper.taken
