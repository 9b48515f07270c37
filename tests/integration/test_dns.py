"""What the DNS says about a sender, asked of a real server on a loopback port."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.resolver
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from campaign.check.dns import spf
from campaign.check.dns.resolver import Names, Unanswered
from campaign.check.dns.sender_domain import (
    Senders,
    dkim,
    inspected,
    mail_exchange,
    pointer,
)
from campaign.cli.check import check_command
from campaign.config.compose import DkimSection
from campaign.errors import ConfigError
from tests.support.servers.dns_server import NameServer, Zone, name_server, text


@pytest.fixture
def server() -> Iterator[NameServer]:
    with name_server() as server:
        yield server


@pytest.fixture
def names(server: NameServer) -> Names:
    return Names(server.server_address, patience=0.5)


def codes(remarks: list[Any]) -> list[tuple[str, str]]:
    return [(one.severity, one.code) for one in remarks]


GOOD: Zone = {
    ("example.com", "TXT"): text("v=spf1 ip4:192.0.2.0/24 include:relay.example -all", "unrelated"),
    ("relay.example", "TXT"): text("v=spf1 ip4:198.51.100.7 ip6:2001:db8::/32 ~all"),
    ("example.com", "MX"): ["10 mx.example.com."],
    ("_dmarc.example.com", "TXT"): text("v=DMARC1; p=reject; rua=mailto:dmarc@example.com"),
    ("7.100.51.198.in-addr.arpa", "PTR"): ["out.relay.example."],
    ("out.relay.example", "A"): ["198.51.100.7"],
}


def test_a_domain_in_order_gives_no_remark(server: NameServer, names: Names):
    server.zone = GOOD
    assert inspected(names, Senders("example.com", "example.com", addresses=("198.51.100.7",))) == []


def test_a_domain_without_anything_gives_one_remark_for_each_part(names: Names):
    found = inspected(names, Senders("example.net", "bounces.example.net", addresses=("192.0.2.1",)))
    assert codes(found) == [
        ("warning", "spf-missing"),
        ("warning", "dmarc-missing"),
        ("error", "mx-missing"),
        ("error", "mx-missing"),
        ("error", "ptr-missing"),
    ]
    assert all(one.remedy and one.where for one in found)


def test_no_answer_is_not_verified_and_never_passed(server: NameServer, names: Names):
    server.zone = {
        ("example.com", "TXT"): "silent",
        ("example.com", "MX"): "broken",
        ("_dmarc.example.com", "TXT"): "broken",
    }
    found = inspected(names, Senders("example.com", "example.com"))
    assert codes(found) == [("unverified", "dns")] * 3
    assert [one.remedy for one in found] == ["SPF", "DMARC", "MX"]
    assert "example.com" in found[0].message


def test_without_dnspython_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "dns.resolver", None)
    with pytest.raises(ConfigError, match=r"\.\[dns\]"):
        Names()


def test_a_machine_that_names_no_server_is_told_how_to_name_one(monkeypatch: pytest.MonkeyPatch):
    def fail(self: object, file: str) -> None:
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr("dns.resolver.BaseResolver.read_resolv_conf", fail)
    with pytest.raises(ConfigError, match="no DNS server") as caught:
        Names()
    assert "--resolver" in caught.value.next_step


def test_a_name_that_cannot_be_asked_for_does_not_exist(names: Names):
    assert names.texts("x" * 64 + ".example") == []
    assert names.addresses("a..example") == []
    with pytest.raises(Unanswered):
        Names(("127.0.0.1", 1), patience=0.2).texts("example.com")


def test_the_command_asks_the_resolver_it_is_given(server: NameServer, tmp_path: Path):
    server.zone = {**GOOD, ("_dmarc.example.com", "TXT"): text("v=DMARC1; p=reject; aspf=s")}
    (tmp_path / "list.csv").write_text("email\nada@example.com\n", encoding="utf-8")
    (tmp_path / "body.txt").write_text("Hello Ada", encoding="utf-8")
    (tmp_path / "hello.toml").write_text(
        '[campaign]\nname = "hello"\nfrom = "news@example.com"\nreturn_path = "b@bounces.example.com"\n'
        '[audience]\nsource = "list.csv"\n[compose]\nsubject = "Hello"\ntext = "body.txt"\n',
        encoding="utf-8",
    )
    options = ["--json", "--dns", "--ip", "198.51.100.7", "--resolver", f"127.0.0.1:{server.server_address[1]}"]
    done = CliRunner().invoke(check_command, [str(tmp_path / "hello.toml"), *options], standalone_mode=False)
    found = [one["code"] for one in json.loads(done.stdout)["findings"] if one["severity"] != "unverified"]
    assert sorted(found) == ["dmarc-alignment", "mx-missing", "spf-missing"]
    assert done.return_value == 78


# -- SPF


@pytest.mark.parametrize(
    ("records", "found"),
    [
        (["v=spf1 -all"], []),
        (["v=spf1 ip4:192.0.2.1 ~all"], []),
        (["V=SPF1 mx ?all"], []),
        (["v=spf10 -all"], [("warning", "spf-missing")]),
        (["v=spf1 -all", "v=spf1 ~all"], [("error", "spf-many")]),
        (["v=spf1 +all"], [("error", "spf-open")]),
        (["v=spf1 all"], [("error", "spf-open")]),
        (["v=spf1 ip4:192.0.2.1"], [("warning", "spf-end")]),
        (["v=spf1 ip4:banana -all"], [("error", "spf-broken")]),
        (["v=spf1 ipv4:192.0.2.1 -all"], [("error", "spf-broken")]),
        (["v=spf1 include:nowhere.example -all"], [("error", "spf-broken")]),
        (["v=spf1 a:x.example a:y.example a:z.example -all"], [("warning", "spf-void")]),
        (["v=spf1 " + " ".join(f"exists:%{{i}}.{n}.example" for n in range(10)) + " -all"], []),
        (["v=spf1 " + " ".join(f"exists:%{{i}}.{n}.example" for n in range(11)) + " -all"], [("error", "spf-lookups")]),
        (["v=spf1 redirect=good.example"], []),
        (["v=spf1 redirect=open.example"], [("error", "spf-open")]),
        (["v=spf1 include:open.example -all"], []),
        (["v=spf1 include:loop.example -all"], [("error", "spf-lookups")]),
        (["v=spf1 exp=why.example -all"], []),
    ],
)
def test_spf_records_are_judged_as_a_receiver_would(
    records: list[str], found: list[tuple[str, str]], server: NameServer, names: Names
):
    server.zone = {
        ("example.com", "TXT"): text(*records),
        ("example.com", "MX"): ["10 mx.example.com."],
        ("mx.example.com", "A"): ["192.0.2.9"],
        ("good.example", "TXT"): text("v=spf1 ip4:192.0.2.1 -all"),
        ("open.example", "TXT"): text("v=spf1 +all"),
        ("loop.example", "TXT"): text("v=spf1 include:loop.example -all"),
    }
    assert codes(spf.remarks(names, "example.com")) == found


@pytest.mark.parametrize(
    ("record", "address", "allowed"),
    [
        ("v=spf1 ip4:192.0.2.0/24 -all", "192.0.2.200", True),
        ("v=spf1 ip4:192.0.2.0/24 -all", "192.0.3.1", False),
        ("v=spf1 -ip4:192.0.2.1 ip4:192.0.2.0/24 -all", "192.0.2.1", False),
        ("v=spf1 ip6:2001:db8::/32 -all", "2001:db8::7", True),
        ("v=spf1 a -all", "192.0.2.5", True),
        ("v=spf1 a/24 -all", "192.0.2.77", True),
        ("v=spf1 a:example.com/24 -all", "192.0.2.77", True),
        ("v=spf1 mx -all", "192.0.2.9", True),
        ("v=spf1 include:relay.example -all", "198.51.100.7", True),
        ("v=spf1 include:relay.example -all", "198.51.100.8", False),
        ("v=spf1 ~include:relay.example -all", "198.51.100.7", False),
        ("v=spf1 redirect=relay.example", "198.51.100.7", True),
    ],
)
def test_spf_says_whether_an_address_may_send(
    record: str, address: str, allowed: bool, server: NameServer, names: Names
):
    server.zone = {
        **GOOD,
        ("example.com", "TXT"): text(record),
        ("example.com", "A"): ["192.0.2.5"],
        ("mx.example.com", "A"): ["192.0.2.9"],
    }
    found = codes(spf.remarks(names, "example.com", [address]))
    assert (("error", "spf-address") in found) is not allowed


# -- DKIM


@pytest.fixture(scope="module")
def keys() -> dict[str, Any]:
    return {
        "rsa": rsa.generate_private_key(public_exponent=65537, key_size=2048),
        "other": rsa.generate_private_key(public_exponent=65537, key_size=2048),
        "ed25519": ed25519.Ed25519PrivateKey.generate(),
    }


def published(key: Any) -> str:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        octets = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return f"v=DKIM1; k=ed25519; p={base64.b64encode(octets).decode()}"
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    octets = key.public_key().public_bytes(serialization.Encoding.DER, form)
    return f"v=DKIM1; k=rsa; p={base64.b64encode(octets).decode()}"


def signing_with(key: Any, folder: Path) -> DkimSection:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "dkim.pem").write_bytes(private)
    (folder / "dkim.pem").chmod(0o600)
    return DkimSection(domain="example.com", selector="s1", key_file=Path("dkim.pem"))


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_a_published_key_that_is_ours_is_in_order(
    kind: str, keys: dict[str, Any], tmp_path: Path, server: NameServer, names: Names
):
    server.zone = {("s1._domainkey.example.com", "TXT"): text(published(keys[kind]))}
    assert dkim(names, signing_with(keys[kind], tmp_path), tmp_path) == []


@pytest.mark.parametrize(
    ("record", "found"),
    [
        ("", [("error", "dkim-missing")]),
        ("some other text", [("error", "dkim-missing")]),
        ("v=DKIM1; p=", [("error", "dkim-revoked")]),
        ("other", [("error", "dkim-differs")]),
        ("testing", [("warning", "dkim-testing")]),
    ],
)
def test_a_key_that_will_not_do_is_told(
    record: str, found: list[tuple[str, str]], keys: dict[str, Any], tmp_path: Path, server: NameServer, names: Names
):
    record = {"other": published(keys["other"]), "testing": "t=y; " + published(keys["rsa"])}.get(record, record)
    server.zone = {("s1._domainkey.example.com", "TXT"): text(record)} if record else {}
    assert codes(dkim(names, signing_with(keys["rsa"], tmp_path), tmp_path)) == found


# -- MX, PTR


def test_a_domain_that_takes_no_mail_cannot_get_bounces(server: NameServer, names: Names):
    server.zone = {("example.com", "MX"): ["0 ."], ("example.net", "A"): ["192.0.2.1"]}
    assert codes(mail_exchange(names, "example.com")) == [("error", "mx-null")]
    assert mail_exchange(names, "example.net") == []


def test_the_name_of_an_address_must_lead_back_to_it(server: NameServer, names: Names):
    server.zone = {
        ("1.2.0.192.in-addr.arpa", "PTR"): ["out.example.com."],
        ("out.example.com", "A"): ["192.0.2.2"],
        ("7.0.0.0." + "0.0.0.0." * 5 + "8.b.d.0.1.0.0.2.ip6.arpa", "PTR"): ["six.example.com."],
        ("six.example.com", "AAAA"): ["2001:db8::7"],
    }
    assert codes(pointer(names, "192.0.2.1")) == [("error", "ptr-forward")]
    assert pointer(names, "2001:db8::7") == []
