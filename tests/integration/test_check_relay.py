"""The part of `campaign check` that greets relays: what they say of themselves against what they will be given."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import json
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
import trustme

from campaign.check.findings import Findings
from campaign.check.finish_time import Span
from campaign.check.letters.render_all import Looked
from campaign.check.relay.check_relay import check_greeting, check_relays
from campaign.check.relay.relay_probe import Greeting
from campaign.config import load
from campaign.pipeline.command_context import Job, prepare
from tests.support.servers.gateway import FakeGateway
from tests.support.servers.shelf import Shelf

NOW = 1_800_000_000.0
DAY = 86400.0
FILE = """
[campaign]
name = "hello"
from = "news@example.com"
[audience]
source = "list.csv"
[compose]
subject = "Hello"
text = "body.txt"
[delivery]
relay = {relay}
{more}
"""


def job(folder: Path, relay: str, more: str = "") -> Job:
    written = relay if relay.startswith("[") else f'"{relay}"'
    (folder / "hello.toml").write_text(FILE.format(relay=written, more=more))
    return prepare(load(folder / "hello.toml", {}), environment={"CAMPAIGN_SECRET": "0" * 32})


def looked(largest: int = 1000, international: int = 0) -> Looked:
    found = Looked(rendered=10, largest=largest, largest_row=7)
    found.survey.international, found.international = international, list(range(2, 2 + international))
    return found


async def greeted(
    one: Job, letters: Looked | None = None, seconds: float | None = None
) -> tuple[dict[str, str], list[Any]]:
    findings = Findings()
    span = Span(time.time(), seconds, "no limit")
    said = await asyncio.to_thread(check_relays, one, letters or looked(), span, findings)
    return said, list(findings)


def tls(ends: dt.timedelta, folder: Path) -> ssl.SSLContext:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", not_after=dt.datetime.now(dt.UTC) + ends).configure_cert(context)
    return context


async def test_a_good_relay_is_greeted_and_nothing_is_offered_to_it(tmp_path: Path) -> None:
    async with Shelf(implicit=tls(dt.timedelta(days=90), tmp_path)) as shelf:
        said, found = await greeted(job(tmp_path, shelf.url, 'tls_ca_file = "ca.pem"'))
        assert found == []
        assert "TLSv1.3" in said[shelf.url]
        assert "letters up to 50,000,000 octets" in said[shelf.url]
        assert f"certificate until {dt.datetime.now(dt.UTC) + dt.timedelta(days=90):%Y-%m-%d}" in said[shelf.url]
        assert said[shelf.url].endswith("; offers 8BITMIME ENHANCEDSTATUSCODES PIPELINING SIZE SMTPUTF8")
        assert not shelf.told("MAIL")
        assert shelf.told("QUIT") == 1


async def test_a_login_is_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMPAIGN_RELAY_PASSWORD", "right")
    async with Shelf(implicit=tls(dt.timedelta(days=90), tmp_path)) as shelf:
        one = job(tmp_path, shelf.url.replace("//", "//ada@"), 'tls_ca_file = "ca.pem"')
        right = base64.b64encode(b"\0ada\0right").decode()
        shelf.users = {f"AUTH PLAIN {right}": "yes"}
        said, found = await greeted(one)
        assert found == []
        assert any("logged in as ada" in text for text in said.values())
        shelf.users = {"nobody": "yes"}
        said, (fault,) = await greeted(one)
        assert (said, fault.code, fault.severity) == ({}, "relay-login", "error")
        assert fault.remedy
        assert "right" not in fault.message + fault.remedy
        assert shelf.told("AUTH") == 2


async def test_a_certificate_that_ends_soon_is_a_warning_and_within_the_run_an_error(tmp_path: Path) -> None:
    async with Shelf(implicit=tls(dt.timedelta(hours=2), tmp_path)) as shelf:
        one = job(tmp_path, shelf.url, 'tls_ca_file = "ca.pem"')
        _, (soon,) = await greeted(one, seconds=3600)
        _, (within,) = await greeted(one, seconds=3 * 3600)
    assert (soon.severity, soon.code) == ("warning", "certificate-soon")
    assert (within.severity, within.code) == ("error", "certificate-expires")


def test_our_own_certificate_that_ends_within_the_run_is_an_error() -> None:
    findings = Findings()
    greeting = Greeting("smtps://mx.example", (), 0, "TLSv1.3", 0.0, "", 0.1, own_expires=NOW + 3600)
    check_greeting(greeting, looked(), Span(NOW, 7200, "no limit"), findings, now=NOW)
    (found,) = findings
    assert (found.severity, found.code) == ("error", "certificate-expires")
    assert "our certificate ends" in found.message


async def test_a_relay_that_cannot_be_trusted_or_reached_is_an_error_and_the_others_are_greeted(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = f"smtp://127.0.0.1:{free.getsockname()[1]}"
    async with Shelf(implicit=tls(dt.timedelta(days=90), tmp_path)) as untrusted, Shelf() as plain:
        said, found = await greeted(job(tmp_path, f'["{untrusted.url}", "{nobody}", "{plain.url}"]'))
    assert list(said) == [plain.url]
    assert [(one.severity, one.code) for one in found] == [("error", "relay"), ("error", "relay")]
    assert untrusted.url in found[0].message
    assert nobody in found[1].message
    assert all(one.remedy for one in found)


async def test_a_password_that_is_missing_is_told_without_dialling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CAMPAIGN_RELAY_PASSWORD", raising=False)
    said, (fault,) = await greeted(job(tmp_path, "smtps://ada@127.0.0.1:1"))
    assert (said, fault.severity, fault.code) == ({}, "error", "relay")


async def test_the_embedded_relay_needs_no_greeting(tmp_path: Path) -> None:
    assert await greeted(job(tmp_path, "mailbox")) == ({}, [])


async def test_letters_and_addresses_that_a_relay_will_not_take_are_named_with_their_rows(tmp_path: Path) -> None:
    async with Shelf(extensions=("PIPELINING", "SIZE 5000")) as shelf:
        _, found = await greeted(job(tmp_path, shelf.url), looked(largest=5001, international=3))
    assert [(one.severity, one.code, one.rows, one.count) for one in found] == [
        ("error", "relay-size", [7], 1),
        ("warning", "relay-smtputf8", [2, 3, 4], 3),
    ]


def greeting(**more: Any) -> Greeting:
    usual = {
        "extensions": ("pipelining", "smtputf8"),
        "size": 0,
        "tls": "TLSv1.3",
        "expires": 0.0,
        "login": "",
        "took": 0.1,
    }
    return Greeting(relay="smtps://relay.example:465", **{**usual, **more})


@pytest.mark.parametrize(
    ("more", "largest", "codes"),
    [
        ({}, 10**9, []),
        ({"size": 1000}, 1000, []),
        ({"size": 1000}, 1001, ["relay-size"]),
        ({"expires": NOW + 15 * DAY}, 1, []),
        ({"expires": NOW + 13 * DAY}, 1, ["certificate-soon"]),
        ({"expires": NOW + DAY - 1}, 1, ["certificate-expires"]),
        ({"extensions": ()}, 1, []),
    ],
)
def test_a_greeting_is_judged_by_what_it_will_have_to_carry(
    more: dict[str, Any], largest: int, codes: list[str]
) -> None:
    findings = Findings()
    check_greeting(greeting(**more), looked(largest), Span(NOW, DAY, "1/s"), findings, now=NOW)
    assert [one.code for one in findings] == codes


async def test_notifications_that_a_relay_does_not_offer_are_a_warning(tmp_path: Path) -> None:
    async with Shelf() as shelf:
        _, found = await greeted(job(tmp_path, shelf.url, 'dsn = "failure"'))
        assert [(one.severity, one.code) for one in found] == [("warning", "relay-dsn")]
    async with Shelf(("DSN",)) as shelf:
        _, found = await greeted(job(tmp_path, shelf.url, 'dsn = "failure"'))
        assert found == []


async def test_weights_are_told_with_what_they_come_to(tmp_path: Path) -> None:
    async with Shelf() as three, Shelf() as one, Shelf() as spare:
        relays = f'[{{url="{three.url}", weight=3}}, {{url="{one.url}", weight=1}}, {{url="{spare.url}", weight=0}}]'
        said, found = await greeted(job(tmp_path, relays))
    assert found == []
    assert said[three.url].endswith("; weight 3: 75% of the letters")
    assert said[spare.url].endswith("; weight 0: only when others fail")


ACCOUNT = {
    "ProductionAccessEnabled": False,
    "SendingEnabled": True,
    "EnforcementStatus": "HEALTHY",
    "SendQuota": {"Max24HourSend": 200.0, "MaxSendRate": 1.0, "SentLast24Hours": 195.0},
}


async def asked(
    gateway: FakeGateway, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[str, str], list[Any]]:
    for name, value in gateway.environment.items():
        monkeypatch.setenv(name, value)
    return await greeted(job(folder, gateway.url))


async def test_amazons_sandbox_quota_and_rate_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeGateway("ses-api", account=(200, json.dumps(ACCOUNT))) as gateway:
        said, found = await asked(gateway, tmp_path, monkeypatch)
    line = said[gateway.url]
    assert "1 letters/s, 200 in 24 h, 195 of them used" in line
    assert "Date and Message-ID are replaced" in line
    assert "`campaign collect`" in line
    assert [(one.severity, one.code) for one in found] == [("warning", "gateway-limited"), ("warning", "gateway-quota")]
    assert found[1].message == "the account takes 5 more letters within 24 hours, and there are 10"
    assert not gateway.letters


async def test_a_domain_that_mailgun_has_not_verified_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = {"domain": {"name": "example.com", "state": "unverified", "type": "custom", "is_disabled": False}}
    async with FakeGateway("mailgun-api", account=(200, json.dumps(state))) as gateway:
        _, found = await asked(gateway, tmp_path, monkeypatch)
    assert [(one.severity, one.code, one.message) for one in found] == [
        ("error", "gateway-account", "the domain example.com is unverified")
    ]


async def test_a_key_that_amazon_does_not_take_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeGateway("ses-api") as gateway:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
        said, found = await greeted(job(tmp_path, gateway.url))
    assert not said
    assert [(one.severity, one.code) for one in found] == [("error", "relay-login")]
    assert "another" not in found[0].message


async def test_a_key_that_may_only_send_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeGateway("mailgun-api", account=(401, "Forbidden")) as gateway:
        said, found = await asked(gateway, tmp_path, monkeypatch)
    assert found == []
    assert "about the account: it answered 401 Forbidden" in said[gateway.url]
