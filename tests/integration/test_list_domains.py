"""What `check --dns` says of the domains in a list: who takes mail, whose mailboxes they are, and what then binds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from campaign.check.dns import list_domains
from campaign.check.dns.list_domains import DomainLookups, look_up_domains, tell_lookups
from campaign.check.dns.mailbox_providers import Volume, bulk_demands, mailbox_providers
from campaign.check.dns.resolver import ConcurrentNames
from campaign.check.findings import Findings
from campaign.cli.check import check_command
from campaign.delivery.pacing.domain_groups import SHIPPED
from tests.support.servers.dns_server import NameServer, Zone, name_server, text

GMAIL = ["5 gmail-smtp-in.l.google.com.", "10 alt1.gmail-smtp-in.l.google.com."]
SENDER: Zone = {
    ("example.com", "TXT"): text("v=spf1 ip4:192.0.2.0/24 -all"),
    ("example.com", "MX"): ["10 mx.example.com."],
    ("_dmarc.example.com", "TXT"): text("v=DMARC1; p=reject"),
}


@pytest.fixture
def server() -> Iterator[NameServer]:
    with name_server() as server:
        yield server


def look_up(server: NameServer, *domains: str, patience: float = 30.0) -> DomainLookups:
    names = ConcurrentNames(server.server_address, patience=0.5)
    return look_up_domains(dict.fromkeys(domains, 1), names, lambda done: None, patience=patience)


# -- who takes mail


def test_a_domain_is_dead_only_where_the_dns_says_so(server: NameServer):
    server.zone = {
        ("mail.example", "MX"): ["20 second.example.", "10 First.example."],
        ("address.example", "A"): ["192.0.2.1"],
        ("six.example", "AAAA"): ["2001:db8::1"],
        ("null.example", "MX"): ["0 ."],
        ("empty.example", "TXT"): text("nothing about mail"),
        ("failing.example", "MX"): "broken",
        ("silent.example", "MX"): "silent",
        ("half.example", "A"): "broken",
    }
    found = look_up(server, *{name for name, _ in server.zone}, "gone.example")
    assert found.servers == {
        "mail.example": ["first.example", "second.example"],
        "address.example": ["address.example"],
        "six.example": ["six.example"],
    }
    assert found.dead == {
        "null.example": "it says so (null MX)",
        "empty.example": "it has neither a mail server nor an address",
        "gone.example": "it does not exist",
    }
    assert sorted(found.unanswered) == ["failing.example", "half.example", "silent.example"]
    assert (found.total, found.answered, found.looked_at) == (9, 6, 9)


def test_each_domain_is_asked_about_once_and_the_commonest_first(server: NameServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(list_domains, "IN_FLIGHT", 1)
    domains = {f"d{number}.example": number for number in range(1, 40)}
    server.zone = {(name, "MX"): ["10 mx.example."] for name in domains}
    done: list[int] = []
    found = look_up_domains(domains, ConcurrentNames(server.server_address), done.append)
    assert [name for name, _ in server.asked] == sorted(domains, key=domains.__getitem__, reverse=True)
    assert done == list(range(1, 40))
    assert found.answered == 39


def test_so_many_and_no_more_are_asked_about_at_a_time():
    at_once: list[int] = []

    class Counting:
        now = 0

        async def mail_servers(self, name: str) -> list[tuple[int, str]]:
            self.now += 1
            at_once.append(self.now)
            await asyncio.sleep(0)
            self.now -= 1
            return [(10, "mx.example")]

    names: Any = Counting()
    look_up_domains({f"d{number}.example": 1 for number in range(500)}, names, lambda done: None)
    assert max(at_once) == list_domains.IN_FLIGHT


def test_when_time_is_up_the_rest_is_left_open(server: NameServer):
    server.zone = {("silent.example", "MX"): "silent", ("mail.example", "MX"): ["10 mx.example."]}
    found = look_up(server, "silent.example", "mail.example", patience=0.0)
    assert (found.answered, found.looked_at, found.total) == (0, 0, 2)
    findings = Findings()
    tell_lookups(found, {}, {}, "list.csv", findings)
    (one,) = findings
    assert (one.severity, one.code, one.remedy) == (
        "unverified",
        "list-domains",
        "0 of 2 domains answered, 2m00s are up",
    )


def test_a_server_that_answers_nothing_is_not_asked_about_the_whole_list(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(list_domains, "IN_FLIGHT", 4)
    monkeypatch.setattr(list_domains, "SILENT", 4)
    names = ConcurrentNames(("127.0.0.1", 1), patience=0.05)
    found = look_up_domains({f"d{number}.example": 1 for number in range(1000)}, names, lambda done: None)
    assert found.answered == 0
    assert 4 <= found.looked_at <= 8
    findings = Findings()
    tell_lookups(found, {}, {}, "list.csv", findings)
    assert [one.remedy for one in findings] == ["0 of 1,000 domains answered, the DNS server none"]


def test_many_dead_domains_are_named_by_their_rows_and_the_rest_is_counted():
    domains = {f"d{number:02}.example": 100 - number for number in range(list_domains.NAMED + 3)}
    lines = {name: [number] for number, name in enumerate(domains)}
    found = DomainLookups(len(domains), dead=dict.fromkeys(domains, "it does not exist"))
    findings = Findings()
    tell_lookups(found, domains, lines, "list.csv", findings)
    told = list(findings)
    assert (told[0].message, told[0].rows, told[0].count) == (
        "d00.example takes no mail: it does not exist",
        [0],
        100,
    )
    assert len(told) == list_domains.NAMED + 1
    assert (told[-1].rows, told[-1].count) == ([20, 21, 22], 80 + 79 + 78)
    assert told[-1].message == "3 more domains take no mail, such as d20.example, d21.example, d22.example"


# -- the command


def check(
    folder: Path,
    server: NameServer,
    addresses: list[str],
    *,
    settings: str = "",
    campaign: str = "",
    compose: str = "",
    options: str = "--json",
) -> Any:
    (folder / "list.csv").write_text("email\n" + "".join(f"{one}\n" for one in addresses), encoding="utf-8")
    (folder / "body.txt").write_text("Hello", encoding="utf-8")
    (folder / "hello.toml").write_text(
        f'[campaign]\nname = "hello"\nfrom = "news@example.com"\n{campaign}\n[audience]\nsource = "list.csv"\n'
        f'[compose]\nsubject = "Hello"\ntext = "body.txt"\n{compose}\n[delivery]\n{settings}\n',
        encoding="utf-8",
    )
    resolver = f"127.0.0.1:{server.server_address[1]}"
    done = CliRunner().invoke(
        check_command, [str(folder / "hello.toml"), options, "--dns", "--resolver", resolver], standalone_mode=False
    )
    return (json.loads(done.stdout), done.return_value) if options == "--json" else (done.stdout, done.return_value)


def people(count: int, domain: str) -> list[str]:
    return [f"p{number}@{domain}" for number in range(count)]


def told(found: Any) -> dict[str, str]:
    return {one["code"]: one["severity"] for one in found["findings"] if one["severity"] != "unverified"}


def test_rows_at_dead_domains_are_named_and_keep_their_letters(server: NameServer, tmp_path: Path):
    server.zone = {**SENDER, ("alive.example", "MX"): ["10 mx.example."]}
    addresses = ["a@alive.example", "b@Gone.example", "c@gone.example", "d@bücher.example"]
    found, code = check(tmp_path, server, addresses)
    dead = [one for one in found["findings"] if one["code"] == "dead-domain"]
    assert [(one["message"], one["rows"], one["count"], one["where"]) for one in dead] == [
        ("gone.example takes no mail: it does not exist", [3, 4], 2, "list.csv"),
        ("bücher.example takes no mail: it does not exist", [5], 1, "list.csv"),
    ]
    assert found["digest"]["dns"] == {
        "domains": 3,
        "answered": 3,
        "dead": {"gone.example": 2, "xn--bcher-kva.example": 1},
        "providers": {"others": {"domains": 1, "letters": 1, "a_day": 1}},
    }
    assert (code, found["digest"]["rendered"]) == (0, 4)


def test_volume_is_told_by_provider_in_words(server: NameServer, tmp_path: Path):
    server.zone = {
        **SENDER,
        ("gmail.com", "MX"): GMAIL,
        ("club.example", "MX"): ["1 smtp.google.com."],
        ("firm.example", "MX"): ["0 firm-example.mail.protection.outlook.com."],
        ("dane.example", "MX"): ["0 dane-example.o-v1.mx.microsoft."],
        ("hotmail.com", "MX"): "broken",
        ("notgoogle.example", "MX"): ["0 notsmtp.google.com.evil.example."],
        ("quiet.example", "MX"): "broken",
    }
    addresses = [
        *people(4, "gmail.com"),
        *people(2, "club.example"),
        *people(2, "firm.example"),
        *people(1, "dane.example"),
        *people(1, "hotmail.com"),
        *people(5, "notgoogle.example"),
        *people(1, "quiet.example"),
        *people(1, "gone.example"),
    ]
    said, _ = check(tmp_path, server, addresses, settings='rate = "8/day"', options="--no-relay")
    assert "domains  6 of 8 answered; 1 domain with 1 letter dead\n" in said
    assert (
        "volume   Gmail 4 (2 a day), Microsoft 365 3 (1 a day), Google Workspace 2 (1 a day), "
        "Outlook.com 1, others 5 (2 a day), unknown 1\n"
    ) in said


def test_what_several_providers_refuse_is_told_once_with_both():
    volumes = {"Gmail": Volume(1, 9000, 9000), "Outlook.com": Volume(1, 6000, 6000), "others": Volume(9, 9000, 9000)}
    assert bulk_demands(volumes, signing=True)["dmarc-missing"] == (
        "refused at this volume by Gmail (9,000 a day) and Outlook.com (6,000 a day)"
    )
    assert set(bulk_demands(volumes, signing=True)) - set(bulk_demands(volumes, signing=False)) == {"dmarc-alignment"}
    assert bulk_demands({"others": Volume(9, 90_000, 90_000)}, signing=True) == {}


def test_the_table_of_providers_names_findings_and_groups_that_there_are():
    page = (Path(__file__).parents[2] / "docs" / "check.md").read_text(encoding="utf-8")
    for provider in mailbox_providers():
        assert all(
            f"| `{code}` | warning" in page or f"| `{code}` | error or warning" in page for code in provider.demands
        )
        assert provider.group in {"", *SHIPPED}
        assert bool(provider.above) is bool(provider.demands)


BAD: Zone = {("example.com", "MX"): ["10 mx.example.com."]}


@pytest.mark.parametrize(
    ("domain", "mx", "letters", "rate", "severities"),
    [
        ("gmail.com", GMAIL, 5001, "", ("error", "error", "error")),
        ("gmail.com", GMAIL, 5000, "", ("warning", "warning", "warning")),
        ("gmail.com", GMAIL, 5001, 'rate = "5000/day"', ("warning", "warning", "warning")),
        ("gmail.com", GMAIL, 5001, 'domain_rate = { google = "200/h" }', ("warning", "warning", "warning")),
        ("gmail.com", "broken", 5001, "", ("error", "error", "error")),
        ("outlook.fr", ["0 eur.olc.protection.outlook.com."], 5001, "", ("error", "error", "warning")),
        ("firm.example", ["0 smtp.google.com."], 5001, "", ("warning", "warning", "warning")),
    ],
)
def test_rules_for_bulk_are_errors_above_five_thousand_letters_a_day_to_free_mailboxes(
    domain: str,
    mx: list[str] | str,
    letters: int,
    rate: str,
    severities: tuple[str, str, str],
    server: NameServer,
    tmp_path: Path,
):
    server.zone = {**BAD, (domain, "MX"): mx}
    found, code = check(tmp_path, server, people(letters, domain), settings=rate)
    severity = told(found)
    assert (severity["spf-missing"], severity["dmarc-missing"], severity["no-unsubscribe"]) == severities
    assert code == (78 if "error" in severities else 0)
    reasons = [one["message"] for one in found["findings"] if one["severity"] == "error"]
    assert all(
        f"refused at this volume by {'Gmail' if domain == 'gmail.com' else 'Outlook.com'} (5,001 a day)" in one
        for one in reasons
    )


@pytest.mark.parametrize(("signed", "severity"), [(True, "error"), (False, "warning")])
def test_what_does_not_align_is_refused_for_sure_only_where_no_relay_may_sign(
    signed: bool, severity: str, server: NameServer, tmp_path: Path
):
    server.zone = {**SENDER, ("_dmarc.example.com", "TXT"): text("v=DMARC1; p=none"), ("gmail.com", "MX"): GMAIL}
    key = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "dkim.pem").write_bytes(key)
    (tmp_path / "dkim.pem").chmod(0o600)
    dkim = 'dkim = { domain = "example.net", selector = "s1", key_file = "dkim.pem" }' if signed else ""
    addresses, return_path = people(5001, "gmail.com"), 'return_path = "b@example.net"'
    found, _ = check(tmp_path, server, addresses, campaign=return_path, compose=dkim)
    assert told(found)["dmarc-alignment"] == severity
