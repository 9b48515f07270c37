"""What may stand in delivery.relay, and what kind of TLS it gets."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from campaign.config.delivery import DeliverySection
from campaign.config.units import Rate
from campaign.delivery.relays.relay import find, open_relays, parse_relay, tls_context, tls_for
from campaign.errors import ConfigError

PASSWORD = {"CAMPAIGN_RELAY_PASSWORD": "geheim"}


def chosen(relay: str | list[str], **keys: object) -> DeliverySection:
    return DeliverySection.model_validate({"relay": relay, "local_hostname": "here.example", **keys})


@pytest.mark.parametrize(
    ("text", "user", "host", "port", "tls"),
    [
        ("smtps://smtp.example.com", "", "smtp.example.com", 0, "implicit"),
        ("smtps://news@smtp.example.com:2465", "news", "smtp.example.com", 2465, "implicit"),
        ("smtps://news@example.com@smtp.example.com", "news@example.com", "smtp.example.com", 0, "implicit"),
        ("smtps://news%40example.com@smtp.example.com/", "news@example.com", "smtp.example.com", 0, "implicit"),
        ("smtp://smtp.example.com", "", "smtp.example.com", 0, "starttls"),
        ("smtp://127.0.0.1:2525", "", "127.0.0.1", 2525, "none"),
        ("smtp://127.9.9.9", "", "127.9.9.9", 0, "none"),
        ("smtp://[::1]:2525", "", "::1", 2525, "none"),
        ("smtp://localhost", "", "localhost", 0, "none"),
        ("smtp://news@localhost", "news", "localhost", 0, "starttls"),
        ("smtp://localhost.example.com", "", "localhost.example.com", 0, "starttls"),
        ("smtp://127.0.0.1.example.com", "", "127.0.0.1.example.com", 0, "starttls"),
        ("smtp://0.0.0.0", "", "0.0.0.0", 0, "starttls"),
    ],
)
def test_a_url_becomes_a_relay(text: str, user: str, host: str, port: int, tls: str) -> None:
    where = parse_relay(text)
    assert (where.user, where.host, where.port) == (user, host, port)
    assert tls_for(where, protect=bool(user)) == tls


@pytest.mark.parametrize(
    "text",
    [
        "http://smtp.example.com",
        "smtp://",
        "smtp://smtp.example.com:465",
        "smtp://user@",
        "smtps://smtp.example.com:notaport",
        "smtps://smtp.example.com:99999",
        "smtps://smtp.example.com/path",
        "smtps://smtp.example.com?verify=no",
        "smtps://smtp.example.com#x",
        "smtps://a b@smtp.example.com",
        "smtps://a%0d%0a@smtp.example.com",
        "smtps://smtp example.com",
        "smtps://smtp_\u00fc.example.com",
        "smtps://@smtp.example.com",
    ],
)
def test_what_is_no_relay_is_said_plainly(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_relay(text)


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError, match="password_file") as caught:
        parse_relay("smtps://news:geheim@smtp.example.com")
    assert "geheim" not in str(caught.value)


def test_an_unknown_preset_has_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="did you mean 'sendgrid'"):
        find("sendgird")


async def test_a_preset_brings_its_limits_unless_the_file_has_its_own() -> None:
    relay = (await open_relays(chosen("news@example.com@gmail"), Path(), PASSWORD))[0]
    assert (relay.host, relay.tls, relay.connections) == ("smtp.gmail.com", "implicit", 5)
    assert Rate(500, 86400.0) in relay.limits
    assert relay.name == "smtps://news@example.com@smtp.gmail.com:465"
    own = (await open_relays(chosen("gmail", user="news@example.com", rate="3/s"), Path(), PASSWORD))[0]
    assert own.limits == ()
    assert own.login is not None
    assert own.login.user == "news@example.com"


async def test_the_mailbox_never_logs_in() -> None:
    relay = (await open_relays(chosen("mailbox", user="news"), Path(), {}, "smtp://127.0.0.1:2525"))[0]
    assert (relay.tls, relay.login) == ("none", None)
    with pytest.raises(ConfigError, match="embedded relay"):
        find("mailbox")


async def test_each_relay_has_its_account() -> None:
    relays = await open_relays(chosen(["smtps://a@one.example", "smtps://b@one.example"]), Path(), PASSWORD)
    assert [relay.account for relay in relays] == ["a@one.example:465", "b@one.example:465"]


def test_certificates_are_checked_whatever_the_settings() -> None:
    context = tls_context(chosen("smtps://smtp.example.com"), Path())
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_an_authority_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.pem"):
        tls_context(chosen("smtps://smtp.example.com", tls_ca_file="missing.pem"), tmp_path)
    (tmp_path / "empty.pem").write_text("nothing")
    with pytest.raises(ConfigError, match=r"empty\.pem"):
        tls_context(chosen("smtps://smtp.example.com", tls_ca_file="empty.pem"), tmp_path)


@pytest.mark.parametrize("name", ["a b", "a\r\nMAIL", "-x.example", "x.example-", ""])
async def test_the_name_given_in_ehlo_cannot_smuggle(name: str) -> None:
    if not name:
        assert chosen("mailbox", local_hostname="").local_hostname == ""
        return
    with pytest.raises(ValueError, match="local_hostname"):
        chosen("mailbox", local_hostname=name)
