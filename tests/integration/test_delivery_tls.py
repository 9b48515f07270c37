"""No octet of a letter or a login in clear, no certificate unchecked, and one try at a login."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ssl
from pathlib import Path

import pytest

from campaign.check.relay.relay_probe import probe
from campaign.delivery.relays import failover
from campaign.delivery.relays.relay import open_relays
from campaign.delivery.send.dispatcher import Dispatcher
from campaign.errors import CampaignError, ConfigError, LoginError, RelayError
from campaign.model import Verdict
from tests.support.servers import certificates
from tests.support.servers.sending import Ledger, letter_for, recipients, settings
from tests.support.servers.shelf import EXTENSIONS, Fault, Shelf, say

USER, PASSWORD = "news@example.com", "s3cret pa55word"
PLAIN = f"AUTH PLAIN {base64.b64encode(f'{chr(0)}{USER}{chr(0)}{PASSWORD}'.encode()).decode()}"


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failover, "FIRST_PAUSE", 0.001)


async def send_over(url: str, folder: Path, ledger: Ledger, count: int = 3, **keys) -> None:
    keys.setdefault("tls_ca_file", certificates.ca_file(folder))
    keys = {key: value for key, value in keys.items() if value is not None}
    environment = {"CAMPAIGN_RELAY_PASSWORD": keys.pop("password", PASSWORD)}
    chosen = settings(url, **keys)
    relays = await open_relays(chosen, folder, environment)
    await Dispatcher(chosen, relays, ledger).serve_pass(iter(recipients(count)), letter_for)


def with_user(url: str) -> str:
    return url.replace("://", f"://{USER}@")


def nothing_in_clear(shelf: Shelf) -> None:
    assert not any(command.upper().startswith(("MAIL", "AUTH", "RCPT")) for command in shelf.commands)
    assert not shelf.letters


@pytest.mark.parametrize("way", ["implicit", "starttls"])
async def test_letters_go_over_tls(way, tmp_path) -> None:
    async with Shelf(**{way: certificates.server()}) as shelf:
        ledger = Ledger()
        await send_over(shelf.url, tmp_path, ledger, connections=2)
    assert ledger.count(Verdict.ACCEPTED) == 3
    assert shelf.told("STARTTLS") == (shelf.connections if way == "starttls" else 0)
    assert shelf.told("EHLO") == shelf.connections * (2 if way == "starttls" else 1)


@pytest.mark.parametrize("way", ["implicit", "starttls"])
@pytest.mark.parametrize(
    ("context", "why"),
    [
        (lambda: certificates.server(expired=True), "expired"),
        (lambda: certificates.server("other.example"), "127.0.0.1"),
        (certificates.self_signed, "issuer"),
    ],
    ids=["expired", "wrong host", "unknown authority"],
)
async def test_a_certificate_that_is_not_right_ends_the_run_at_once(way, context, why, tmp_path) -> None:
    async with Shelf(**{way: context()}) as shelf:
        with pytest.raises(RelayError, match=why):
            await send_over(shelf.url, tmp_path, Ledger())
    assert shelf.connections <= 1  # it only counts those that came through their handshake
    nothing_in_clear(shelf)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("way", ["implicit", "starttls"])
async def test_tls_older_than_1_2_is_not_spoken(way, tmp_path) -> None:
    async with Shelf(**{way: certificates.server(oldest=ssl.TLSVersion.TLSv1_1)}) as shelf:
        with pytest.raises(RelayError):
            await send_over(shelf.url, tmp_path, Ledger())
    nothing_in_clear(shelf)


async def test_a_stripped_starttls_sends_nothing_in_clear(tmp_path) -> None:
    async with Shelf(users={PLAIN: "yes"}) as shelf:
        with pytest.raises(RelayError, match="does not offer STARTTLS"):
            await send_over(with_user(shelf.url), tmp_path, Ledger(), tls_ca_file=None)
    nothing_in_clear(shelf)


async def test_a_refused_starttls_sends_nothing_in_clear(tmp_path) -> None:
    async with Shelf(starttls=certificates.server()) as shelf:
        shelf.always["starttls"] = Fault(b"454 4.7.0 TLS not available\r\n", "fin")
        with pytest.raises(RelayError, match="454"):
            await send_over(shelf.url, tmp_path, Ledger())
    nothing_in_clear(shelf)


async def test_replies_injected_behind_the_220_are_not_believed(tmp_path) -> None:
    async with Shelf(starttls=certificates.server()) as shelf:
        injected = b"220 go ahead\r\n250-shelf.example\r\n250 AUTH PLAIN\r\n250 injected\r\n"
        shelf.break_at("starttls", Fault(injected, "on"))
        ledger = Ledger()
        await send_over(shelf.url, tmp_path, ledger)
    assert ledger.count(Verdict.ACCEPTED) == 3
    assert all("injected" not in outcome.reason for outcome in ledger.outcomes)


async def test_a_pinned_certificate_needs_no_authority(tmp_path) -> None:
    context, fingerprint = certificates.pinned()
    async with Shelf(implicit=context) as shelf:
        ledger = Ledger()
        await send_over(shelf.url, tmp_path, ledger, tls_ca_file=None, tls_fingerprint=fingerprint)
        assert ledger.count(Verdict.ACCEPTED) == 3


@pytest.mark.parametrize("way", ["implicit", "starttls"])
async def test_another_fingerprint_than_the_pinned_one_ends_the_run(way, tmp_path) -> None:
    context, _ = certificates.pinned()
    async with Shelf(**{way: context}, users={PLAIN: "yes"}) as shelf:
        with pytest.raises(RelayError, match="fingerprint"):
            await send_over(with_user(shelf.url), tmp_path, Ledger(), tls_ca_file=None, tls_fingerprint="ab" * 32)
    nothing_in_clear(shelf)


async def test_a_close_without_goodbye_after_the_reply_is_no_failure(tmp_path) -> None:
    async with Shelf(implicit=certificates.server()) as shelf:
        shelf.break_at("quit", Fault(then="rst"))
        shelf.break_at("dot", Fault(b"250 2.0.0 kept\r\n", "rst"), after=1)
        ledger = Ledger()
        await send_over(shelf.url, tmp_path, ledger)
    assert ledger.last[1].verdict in (Verdict.ACCEPTED, Verdict.IN_DOUBT)  # a reset may overtake the reply
    assert ledger.last[0].verdict is ledger.last[2].verdict is Verdict.ACCEPTED


async def test_a_large_letter_waits_for_a_slow_tls_relay(tmp_path) -> None:
    content = b"x" * 998 + b"\r\n"
    async with Shelf(implicit=certificates.server(), deaf=True) as shelf:
        chosen = settings(shelf.url, tls_ca_file=certificates.ca_file(tmp_path), timeouts={"content": 0.5})
        dispatcher = Dispatcher(chosen, await open_relays(chosen, tmp_path, {}), ledger := Ledger())
        await dispatcher.serve_pass(iter(recipients(1)), lambda one: letter_for(one, content * 20_000))
    assert ledger.last[0].verdict is Verdict.DEFERRED
    assert not ledger.last[0].counted
    assert not ledger.intents
    assert not shelf.letters


async def test_a_login_is_one_try_with_the_best_mechanism(tmp_path) -> None:
    async with Shelf(implicit=certificates.server(), users={PLAIN: "yes"}) as shelf:
        ledger = Ledger()
        await send_over(with_user(shelf.url), tmp_path, ledger, connections=4, count=20)
    assert ledger.count(Verdict.ACCEPTED) == 20
    assert shelf.told("AUTH") == shelf.connections
    assert {command for command in shelf.commands if command.startswith("AUTH")} == {PLAIN}


async def test_a_refused_login_ends_the_run_after_one_try(tmp_path) -> None:
    async with Shelf(implicit=certificates.server(), users={"AUTH": "never"}) as shelf:
        with pytest.raises(LoginError, match="535"):
            await send_over(with_user(shelf.url), tmp_path, Ledger(), connections=20, count=50)
    assert shelf.connections == 1
    assert shelf.told("AUTH") == 1


async def test_no_secret_shows_in_an_error_or_a_relay(tmp_path) -> None:
    async with Shelf(implicit=certificates.server(), users={"AUTH": "never"}) as shelf:
        shelf.always["auth"] = say(f"535 5.7.8 wrong for {USER}")
        with pytest.raises(LoginError) as caught:
            await send_over(with_user(shelf.url), tmp_path, Ledger())
        chosen = settings(with_user(shelf.url))
        relay = (await open_relays(chosen, tmp_path, {"CAMPAIGN_RELAY_PASSWORD": PASSWORD}))[0]
    everything = f"{caught.value} {caught.value!r} {relay!r} {relay.login!r}"
    assert PASSWORD not in everything
    assert PLAIN[11:] not in everything


async def test_a_login_that_cannot_be_checked_now_is_tried_again(tmp_path) -> None:
    async with Shelf(implicit=certificates.server(), users={PLAIN: "yes"}) as shelf:
        shelf.break_at("auth", say("454 4.7.0 Temporary authentication failure"))
        ledger = Ledger()
        await send_over(with_user(shelf.url), tmp_path, ledger)
    assert ledger.count(Verdict.ACCEPTED) == 3
    assert shelf.connections == 2


async def test_a_token_logs_in_by_xoauth2(tmp_path) -> None:
    expected = base64.b64encode(f"user={USER}\1auth=Bearer t0ken\1\1".encode()).decode()
    async with Shelf(implicit=certificates.server(), users={f"AUTH XOAUTH2 {expected}": "yes"}) as shelf:
        ledger = Ledger()
        await send_over(with_user(shelf.url), tmp_path, ledger, token_command="echo t0ken")
    assert ledger.count(Verdict.ACCEPTED) == 3


@pytest.mark.parametrize("offered", ["LOGIN", "CRAM-MD5"])
async def test_other_mechanisms_where_plain_is_not_offered(offered, tmp_path) -> None:
    challenge = "<1.2@shelf.example>"
    digest = hmac.new(PASSWORD.encode(), challenge.encode(), hashlib.md5).hexdigest()
    encoded = lambda text: base64.b64encode(text.encode()).decode()  # noqa: E731 - short, used twice
    wanted = encoded(PASSWORD) if offered == "LOGIN" else encoded(f"{USER} {digest}")
    question = "334 UGFzc3dvcmQ6" if offered == "LOGIN" else f"334 {encoded(challenge)}"
    async with Shelf((*EXTENSIONS, f"AUTH {offered} SCRAM-SHA-256"), implicit=certificates.server()) as shelf:
        shelf.break_at("auth", say(question))
        shelf.passwords[wanted] = "235 2.7.0 welcome"
        ledger = Ledger()
        await send_over(with_user(shelf.url), tmp_path, ledger)
    assert ledger.count(Verdict.ACCEPTED) == 3


async def test_a_relay_without_a_known_mechanism_is_said_plainly(tmp_path) -> None:
    async with Shelf((*EXTENSIONS, "AUTH GSSAPI"), implicit=certificates.server()) as shelf:
        with pytest.raises(RelayError, match="gssapi"):
            await send_over(with_user(shelf.url), tmp_path, Ledger())
    assert shelf.connections == 1


async def test_a_probe_greets_and_leaves(tmp_path) -> None:
    async with Shelf(starttls=certificates.server(), users={PLAIN: "yes"}) as shelf:
        chosen = settings(with_user(shelf.url), tls_ca_file=certificates.ca_file(tmp_path))
        relays = await open_relays(chosen, tmp_path, {"CAMPAIGN_RELAY_PASSWORD": PASSWORD})
        greeting = await probe(relays[0], chosen)
    assert greeting.login == USER
    assert greeting.size == 50_000_000
    assert greeting.tls.startswith("TLSv1.3")
    assert "pipelining" in greeting.extensions
    assert [code for _, code, _ in greeting.remarks(greeting.expires - 86400)] == ["relay-certificate"]
    assert shelf.told("QUIT") == 1
    assert not shelf.told("MAIL")


async def test_a_probe_tells_a_refused_login_from_a_relay_that_is_not_there(tmp_path) -> None:
    async with Shelf(implicit=certificates.server(), users={"AUTH": "never"}) as shelf:
        chosen = settings(with_user(shelf.url), tls_ca_file=certificates.ca_file(tmp_path))
        relays = await open_relays(chosen, tmp_path, {"CAMPAIGN_RELAY_PASSWORD": PASSWORD})
        with pytest.raises(LoginError):
            await probe(relays[0], chosen)
    with pytest.raises(RelayError, match="refused") as caught:
        await probe(relays[0], chosen)
    assert isinstance(caught.value, CampaignError)


async def test_a_missing_password_is_told_before_anything_is_dialled(tmp_path) -> None:
    with pytest.raises(ConfigError, match="no password for news"):
        await open_relays(settings("smtps://news@smtp.example.com"), tmp_path, {})
