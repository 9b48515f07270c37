"""No secret leaves us but to whom it is for: everything a campaign writes or says is searched, whatever went wrong."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.servers.collector import Collector
from tests.support.servers.shelf import FIN, Fault, Shelf, say
from tests.support.servers.web import Web
from tests.support.stand import Stand, until

PASSWORD = 'pä"ss/w+rd 7&<x>'
TOKEN = "ya29.a0AfB_by-Zx~9/token+of=ours"
PUSH_LOGIN = "grace:open sesame"
COLLECTOR_KEY = "collector key 0123456789"
#: base64 that a search finds must be this long, or it would be found in innocent words.
LEAST = 6


@dataclass
class Secrets:
    """What must not be found, by what it is; and the files that hold it because the operator put it there."""

    texts: dict[str, str]
    files: tuple[Path, ...]


def forms(secret: str) -> Iterator[tuple[str, bytes]]:
    """Every spelling that gives ``secret`` away, told by its name."""
    raw = secret.encode()
    yield "as it is", raw
    yield "in hexadecimal", raw.hex().encode()
    yield "quoted in JSON", json.dumps(secret)[1:-1].encode()
    yield "quoted by Python", repr(secret)[1:-1].encode()
    yield "in a URL", quote(secret, safe="").encode()
    yield "in a form", quote_plus(secret).encode()
    yield "in HTML", secret.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").encode()
    for name, encode in (("base64", base64.b64encode), ("base64 for URLs", base64.urlsafe_b64encode)):
        yield f"in {name}", encode(raw).rstrip(b"=")
        for shift in range(1, 3):
            inside = encode(b"\0" * shift + raw)[(8 * shift + 5) // 6 : (shift + len(raw)) * 8 // 6]
            assert len(inside) >= LEAST
            yield f"in {name} behind {shift} octets more", inside


def leaks(secrets: Secrets, places: dict[str, bytes]) -> list[str]:
    """Where each secret was found, and how it was spelt."""
    return [
        f"{what} {how} in {place}"
        for what, secret in secrets.texts.items()
        for how, spelling in set(forms(secret))
        for place, content in places.items()
        if spelling in content
    ]


def everything(stand: Stand, secrets: Secrets, **further: bytes) -> dict[str, bytes]:
    """All files below the campaign's folder but the operator's own, what was said, and what went over wires."""
    found = {str(path): path.read_bytes() for path in stand.folder.rglob("*") if path.is_file()}
    for own in secrets.files:
        assert found.pop(str(own))
    return found | further


@pytest.fixture
def secrets(stand: Stand) -> Secrets:
    """A password, a token, a key and logins in files of their own."""
    key = generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    mine = {
        "relay.password": PASSWORD.encode(), "relay.token": TOKEN.encode(),
        "push.login": PUSH_LOGIN.encode(), "dkim.pem": key, "campaign.secret": b"5e" * 32,
    }  # fmt: skip
    for name, text in mine.items():
        stand.write(name, text).chmod(0o600)
    texts = {
        "the password": PASSWORD, "the token": TOKEN, "the gateway's login": PUSH_LOGIN,
        "the collector's key": COLLECTOR_KEY, "the campaign's secret": "5e" * 32,
        "the DKIM key": key.decode().splitlines()[5],
    }  # fmt: skip
    return Secrets(texts, tuple(stand.folder / name for name in mine))


@pytest.fixture
def tls(stand: Stand) -> ssl.SSLContext:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(stand.folder / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    stand.set(delivery__tls_ca_file="authority.pem")
    return context


def plain(password: str) -> str:
    return "AUTH PLAIN " + base64.b64encode(f"\0ada\0{password}".encode()).decode()


def xoauth2(token: str) -> str:
    return "AUTH XOAUTH2 " + base64.b64encode(f"user=ada\1auth=Bearer {token}\1\1".encode()).decode()


LOGINS = {
    "password": (plain(PASSWORD), {"password_file": "relay.password"}),
    "token": (xoauth2(TOKEN), {"token_file": "relay.token"}),
}


def arrange(stand: Stand, relay: Shelf, pushed: Collector, traced: Collector, login: dict[str, str]) -> None:
    """A campaign that uses every secret there is, at a relay that refuses, defers, hangs up and falls silent."""
    stand.set(
        delivery__relay=f"smtps://ada@127.0.0.1:{relay.port}", delivery__retry_after="50ms", delivery__rate="50/s",
        delivery__stop_share=1.0, compose__unsubscribe="https://example.com/u/{{ unsubscribe_token }}",
        compose__dkim={"domain": "example.com", "selector": "s1", "key_file": "dkim.pem"},
        report__metrics_file="gazette.prom", report__metrics_interval="100ms", report__push_url=pushed.url,
        report__push_login_file="push.login", report__show_addresses=True, report__traces="otlp",
        **{f"delivery__{key}": value for key, value in login.items()},
    )  # fmt: skip
    stand.write("letter.txt", "Dear {{ name }}, {{ 100 // (name[7:]|int - 5) }}\n{{ unsubscribe_url }}\n")
    stand.variables |= {
        "OTEL_EXPORTER_OTLP_ENDPOINT": traced.url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"api-key={quote(COLLECTOR_KEY)}",
        "PYTHONASYNCIODEBUG": "1",  # the most that Python itself can be made to say
    }
    relay.refuse["p12@example.com"] = "550 5.1.1 no such user"
    relay.refuse["p13@example.com"] = "554 5.7.1 not from ada"
    relay.break_at("rcpt", FIN, after=9)
    relay.break_at("mail", say("450 later, please"), after=2, times=3)
    relay.break_at("dot", FIN, after=6)
    relay.break_at("dot", say("450 not now"), after=8)


@pytest.mark.parametrize("kind", LOGINS)
async def test_a_whole_campaign_with_every_kind_of_failure_gives_no_secret_away(
    stand: Stand, secrets: Secrets, tls: ssl.SSLContext, kind: str
) -> None:
    command, login = LOGINS[kind]
    with Collector() as pushed, Collector() as traced:
        async with Shelf(users={command: "ada"}, implicit=tls) as relay:
            arrange(stand, relay, pushed, traced, login)
            await stand.campaign("check", stand.file)
            (await stand.campaign("preview", stand.file)).ends(0)
            killed = await stand.sending()
            await until(lambda: len(relay.letters) >= 3, "some letters were sent")
            await killed.kill()
            (await stand.send()).ends(4, "in doubt", "rejected")
            await stand.campaign("status", stand.run)
            await stand.campaign("retry", stand.file, "--in-doubt")
            await stand.campaign("test", stand.file, "--to", "ada@example.com")
            await stand.campaign("report", stand.run, "--json")
            assert command in relay.commands, "the secret was in use"
            await stand.leave()
        assert {one.headers["authorization"] for one in pushed.taken} == {
            f"Basic {base64.b64encode(PUSH_LOGIN.encode()).decode()}"
        }
        assert {one.headers["api-key"] for one in traced.taken} == {COLLECTOR_KEY}
    bodies = b"".join(one.body for one in (*pushed.taken, *traced.taken))
    letters = b"".join(letter for _, _, letter in relay.letters)
    assert len(letters) > 10_000
    places = everything(stand, secrets, letters=letters, pushed=bodies)
    assert {"checkpoint.journal", "log.jsonl", "report.html", "summary.json", "failed.csv", "gazette.prom"} <= {
        Path(place).name for place in places
    }
    assert leaks(secrets, places) == []


#: A relay that repeats what it was told, as some do to help: plainly, in base64, or both.
ECHOES = {
    "the line it was sent": "535 5.7.8 {line}: not accepted",
    "what the line holds": "535 5.7.8 password {password} of ada is wrong",
    "an unknown command": "500 5.5.2 {line}: command not recognized",
    "a passing failure": "454 4.7.0 {line}: try later",
    "over several lines": "535-5.7.8 no\r\n535-5.7.8 {line}\r\n535 5.7.8 {password}",
}


@pytest.mark.parametrize(("kind", "echo"), [*(("password", echo) for echo in ECHOES), ("token", "over several lines")])
async def test_a_relay_that_repeats_our_login_gets_no_secret_into_our_files(
    stand: Stand, secrets: Secrets, tls: ssl.SSLContext, kind: str, echo: str
) -> None:
    line, login = LOGINS[kind]
    secret = {"password": PASSWORD, "token": TOKEN}[kind]
    said = ECHOES[echo].format(line=line, password=secret).encode() + b"\r\n"
    async with Shelf(users={"any": "ada"}, implicit=tls, always={"auth": Fault(said)}) as relay:
        stand.set(delivery__relay=f"smtps://ada@127.0.0.1:{relay.port}", delivery__relay_patience="200ms")
        stand.set(**{f"delivery__{key}": value for key, value in login.items()})
        checked = await stand.campaign("check", stand.file)
        ended = await stand.send()
        assert ended.code in {69, 77}
        assert checked.code
        assert line in relay.commands, "the secret was in use"
        await stand.leave()
    assert leaks(secrets, everything(stand, secrets)) == []


REFRESH = "1//0gRefresh-token+of=ours/0123456789"
#: Provider -> what its file holds, and what it is asked for a token with.
PROVIDERS = {
    "google": json.dumps({"refresh_token": REFRESH, "client_id": "c1", "client_secret": PASSWORD}),
    "microsoft": json.dumps({"refresh_token": REFRESH}),
}


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_tokens_are_renewed_by_themselves_and_a_refusal_gives_no_secret_away(
    stand: Stand, tls: ssl.SSLContext, provider: str
) -> None:
    stand.write("held.json", PROVIDERS[provider]).chmod(0o600)
    secrets = Secrets(
        {"the token": TOKEN, "the refresh token": REFRESH, "the client's secret": PASSWORD},
        (stand.folder / "held.json",),
    )
    more = {"client_id": "c1", "tenant": "example.com"} if provider == "microsoft" else {}
    with Web() as web:
        stand.variables |= {**web.environment(stand.folder), "PYTHONASYNCIODEBUG": "1"}
        async with Shelf(users={xoauth2(TOKEN): "ada"}, implicit=tls) as relay:
            stand.set(delivery__relay=f"smtps://ada@127.0.0.1:{relay.port}", delivery__letters_per_connection=2)
            stand.set(delivery__oauth={"provider": provider, "file": "held.json", **more})
            for give in (web.google, lambda answer: web.microsoft("example.com", answer)):
                give((200, {"access_token": TOKEN, "expires_in": 3599}))
            (await stand.campaign("check", stand.file)).ends(0)
            (await stand.send()).ends(0)
            assert (len(relay.letters), relay.connections > 3) == (20, True)
            for give in (web.google, lambda answer: web.microsoft("example.com", answer)):
                give(lambda form: (400, {"error": "invalid_grant", "error_description": f"expired: {form}"}))
            checked = await stand.campaign("check", stand.file)
            assert (checked.code, "gives no access token for ada" in checked.out) == (78, True)
            (await stand.send("--again")).tells(
                77, "gives no access token for ada", "expired", step="sign in as ada again"
            )
            assert len(relay.letters) == 20
            await stand.leave()
        asked = [form for _, form in web.asked if form]
    assert {form["refresh_token"] for form in asked} == {REFRESH}
    assert len(asked) == 4, "each command asked once"
    assert leaks(secrets, everything(stand, secrets)) == []


def test_the_search_finds_each_spelling() -> None:
    secrets = Secrets({"it": PASSWORD}, ())
    for name, spelling in forms(PASSWORD):
        assert leaks(secrets, {"x": b"before " + spelling + b" after"}), name
    for user in ("a", "ad", "ada", "grace"):
        line = base64.b64encode(f"\0{user}\0{PASSWORD}".encode())
        assert leaks(secrets, {"x": line}), user
    assert not leaks(secrets, {"x": b"innocent words"})
