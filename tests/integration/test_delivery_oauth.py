"""Logins by tokens of Google and Microsoft: their libraries, token endpoints on loopback, a relay with XOAUTH2."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import threading
from pathlib import Path
from typing import Any

import jwt
import msal
import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from campaign.delivery.relays import failover
from campaign.delivery.relays.relay import open_relays
from campaign.delivery.send.dispatcher import Dispatcher
from campaign.errors import CampaignError, ConfigError, LoginError, RelayError
from campaign.exit_codes import of_error
from campaign.model import Verdict
from tests.support.servers import certificates
from tests.support.servers.gateway import TOKEN, FakeGateway
from tests.support.servers.sending import Ledger, letter_for, recipients, settings
from tests.support.servers.shelf import Shelf
from tests.support.servers.web import AUTHORITY, Form, Web

USER = "news@example.com"
CLIENT, TENANT = "11111111-2222-3333-4444-555555555555", "example.com"
REFRESH, SECRET = "1//0g-refresh-token-of-ours", "GOCSPX-secret-of-ours"
TOKEN_PLACE = f"{AUTHORITY}/{TENANT}/oauth2/v2.0/token"
KEY = generate_private_key(65537, 2048)
KEY_PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failover, "FIRST_PAUSE", 0.001)


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    with Web() as found:
        found.lead_here(monkeypatch, tmp_path)
        yield found


def held(folder: Path, content: object) -> None:
    file = folder / "held"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    file.chmod(0o600)


def google(folder: Path, **more: object) -> dict[str, object]:
    held(
        folder,
        {"type": "authorized_user", "client_id": "c", "client_secret": SECRET, "refresh_token": REFRESH, **more},
    )
    return {"provider": "google", "file": "held"}


def microsoft(folder: Path, content: object) -> dict[str, object]:
    held(folder, content)
    return {"provider": "microsoft", "file": "held", "client_id": CLIENT, "tenant": TENANT}


def wanting(*tokens: str) -> Shelf:
    """A relay that takes these tokens and no other login."""
    lines = [base64.b64encode(f"user={USER}\1auth=Bearer {token}\1\1".encode()).decode() for token in tokens]
    return Shelf(implicit=certificates.server(), users={f"AUTH XOAUTH2 {line}": "yes" for line in lines})


async def send(shelf: Shelf, folder: Path, oauth: dict[str, object], count: int = 3, **keys: object) -> Ledger:
    url = shelf.url.replace("://", f"://{USER}@")
    chosen = settings(url, oauth=oauth, tls_ca_file=certificates.ca_file(folder), **keys)
    ledger = Ledger()
    relays = await open_relays(chosen, folder, {})
    assert REFRESH not in repr(relays)
    await Dispatcher(chosen, relays, ledger).serve_pass(iter(recipients(count)), letter_for)
    return ledger


def told(caught: pytest.ExceptionInfo[CampaignError]) -> str:
    """The whole error; none of our secrets may be in it, nor in what led to it."""
    chain, everything = caught.value, ""
    while chain is not None:
        everything += f"{chain} {chain!r} {vars(chain)!r} "
        chain = chain.__cause__
    for secret in (REFRESH, SECRET, "a-token", KEY_PEM[60:100]):
        assert secret not in everything
    return str(caught.value)


# -- Google


async def test_one_token_of_google_serves_all_connections(web: Web, tmp_path: Path) -> None:
    web.google((200, {"access_token": "a-token", "expires_in": 3599, "token_type": "Bearer"}))
    async with wanting("a-token") as shelf:
        ledger = await send(shelf, tmp_path, google(tmp_path), 200, connections=20, letters_per_connection=10)
    assert ledger.count(Verdict.ACCEPTED) == 200
    assert shelf.connections >= 20
    [(_, form)] = web.asked
    assert form == {
        "grant_type": "refresh_token",
        "client_id": "c",
        "client_secret": SECRET,
        "refresh_token": REFRESH,
        "scope": "https://mail.google.com/",
    }


async def test_a_token_that_is_about_to_end_is_renewed_between_two_connections(web: Web, tmp_path: Path) -> None:
    given = []

    def give(_: Form) -> tuple[int, Any]:
        given.append(1)
        return 200, {"access_token": f"a-token{len(given)}", "expires_in": 0 if len(given) == 1 else 3599}

    web.google(give)
    async with wanting("a-token1", "a-token2") as shelf:
        ledger = await send(shelf, tmp_path, google(tmp_path), 6, letters_per_connection=1)
    assert ledger.count(Verdict.ACCEPTED) == 6
    assert len(given) in (1, 2)


async def test_a_service_account_acts_for_the_mailbox_that_logs_in(web: Web, tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []

    def give(form: Form) -> tuple[int, Any]:
        assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        options = {"verify_aud": False}
        seen.append(jwt.decode(form["assertion"], KEY.public_key(), algorithms=["RS256"], options=options))
        return 200, {"access_token": "a-token", "expires_in": 3599}

    web.google(give)
    held(
        tmp_path,
        {
            "type": "service_account",
            "client_email": "robot@project.iam.gserviceaccount.com",
            "client_id": "1234",
            "private_key": KEY_PEM,
            "private_key_id": "k1",
            "token_uri": "https://oauth2.googleapis.com/token",
        },
    )
    async with wanting("a-token") as shelf:
        ledger = await send(shelf, tmp_path, {"provider": "google", "file": "held"})
        assert ledger.count(Verdict.ACCEPTED) == 3
        web.google((401, {"error": "unauthorized_client", "error_description": "Client is unauthorized"}))
        with pytest.raises(LoginError) as caught:
            await send(shelf, tmp_path, {"provider": "google", "file": "held"})
    assert (seen[0]["sub"], seen[0]["scope"]) == (USER, "https://mail.google.com/")
    assert "allow client 1234 the scope https://mail.google.com/ under domain-wide delegation" in told(caught)


async def test_a_revoked_refresh_token_ends_the_run_with_what_to_do(web: Web, tmp_path: Path) -> None:
    web.google(lambda form: (400, {"error": "invalid_grant", "error_description": f"expired: {form}"}))
    async with wanting("a-token") as shelf:
        with pytest.raises(LoginError) as caught:
            await send(shelf, tmp_path, google(tmp_path), connections=20)
    assert of_error(caught.value) == 77
    assert "Google gives no access token for news@example.com.\n  invalid_grant: expired" in told(caught)
    assert "Next: sign in as news@example.com again and save what you get as" in told(caught)
    assert shelf.told("AUTH") == shelf.told("MAIL") == 0
    assert len(web.asked) == 1


async def test_a_token_that_the_relay_refuses_does_not_show(web: Web, tmp_path: Path) -> None:
    web.google((200, {"access_token": "a-token-that-ended", "expires_in": 3599}))
    async with wanting("another") as shelf:
        with pytest.raises(LoginError) as caught:
            await send(shelf, tmp_path, google(tmp_path))
    assert "535" in told(caught)


async def test_google_that_cannot_be_reached_counts_as_a_relay_that_cannot(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    async with wanting("a-token") as shelf:
        with pytest.raises(RelayError) as caught:
            await send(shelf, tmp_path, google(tmp_path))
    assert "Google cannot be asked for an access token: no connection" in told(caught)
    assert not shelf.told("AUTH")


async def test_the_loop_goes_on_while_a_token_is_fetched(web: Web, tmp_path: Path) -> None:
    web.delays = threading.Event()
    web.google((200, {"access_token": "a-token", "expires_in": 3599}))
    async with wanting("a-token") as shelf:
        sending = asyncio.create_task(send(shelf, tmp_path, google(tmp_path)))
        async with asyncio.timeout(10):
            while not web.asked:  # noqa: ASYNC110 - what it waits for happens in a thread
                await asyncio.sleep(0.002)
        web.delays.set()  # reached only because the loop was free
        ledger = await sending
    assert ledger.count(Verdict.ACCEPTED) == 3


# -- Microsoft


def certificate(folder: Path) -> str:
    made = trustme.CA().issue_cert("campaign.example", key_type=trustme.KeyType.RSA)
    return made.private_key_pem.bytes().decode() + made.cert_chain_pems[0].bytes().decode()


@pytest.mark.parametrize("kind", ["secret", "certificate"])
async def test_an_application_of_microsoft_sends_by_client_credentials(kind: str, web: Web, tmp_path: Path) -> None:
    content = f"{SECRET}\n" if kind == "secret" else certificate(tmp_path)
    web.microsoft(TENANT, (200, {"access_token": "a-token", "expires_in": 3599, "token_type": "Bearer"}))
    async with wanting("a-token") as shelf:
        ledger = await send(shelf, tmp_path, microsoft(tmp_path, content), 100, connections=20)
    assert ledger.count(Verdict.ACCEPTED) == 100
    assert web.times(TOKEN_PLACE) == 1
    form = web.asked[-1][1]
    assert (form["grant_type"], form["client_id"]) == ("client_credentials", CLIENT)
    assert form["scope"] == "https://outlook.office365.com/.default"
    if kind == "secret":
        assert form["client_secret"] == SECRET
    else:
        header = jwt.get_unverified_header(form["client_assertion"])
        assert (header["alg"], "x5t#S256" in header) == ("PS256", True)


async def test_a_refresh_token_of_microsoft_is_renewed_in_its_file(web: Web, tmp_path: Path) -> None:
    asked: list[str] = []

    def give(form: Form) -> tuple[int, Any]:
        asked.append(form["refresh_token"])
        return 200, {"access_token": "a-token", "expires_in": 3599, "refresh_token": f"next-{len(asked)}"}

    web.microsoft(TENANT, give)
    oauth = microsoft(tmp_path, {"refresh_token": REFRESH})
    async with wanting("a-token") as shelf:
        for _ in range(2):
            assert (await send(shelf, tmp_path, oauth)).count(Verdict.ACCEPTED) == 3
    assert asked == [REFRESH, "next-1"]
    assert json.loads((tmp_path / "held").read_text()) == {"refresh_token": "next-2"}
    assert (tmp_path / "held").stat().st_mode & 0o777 == 0o600
    assert {one.name for one in os.scandir(tmp_path)} == {"ca.pem", "held"}
    assert "SMTP.Send" in web.asked[-1][1]["scope"]


def token_cache(*usernames: str) -> str:
    """What a program leaves behind in which these people have signed in."""
    cache = msal.SerializableTokenCache()
    for number, username in enumerate(usernames):
        who = {"uid": f"u{number}", "utid": "t"}
        claims = {
            "preferred_username": username,
            "iss": f"https://{AUTHORITY}/t",
            "sub": "s",
            "aud": CLIENT,
            "tid": "t",
        }
        cache.add(
            {
                "client_id": CLIENT,
                "scope": ["openid"],
                "token_endpoint": f"https://{AUTHORITY}/t/oauth2/v2.0/token",
                "environment": AUTHORITY,
                "response": {
                    "access_token": "for something else",
                    "expires_in": 3599,
                    "refresh_token": REFRESH,
                    "client_info": base64.urlsafe_b64encode(json.dumps(who).encode()).decode(),
                    "id_token_claims": claims,
                    "id_token": f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode()}.x",
                },
            }
        )
    return cache.serialize()


@pytest.mark.parametrize("signed_in", [USER, "ada@example.com"], ids=["the mailbox", "somebody for the mailbox"])
async def test_a_token_cache_of_msal_is_used_and_kept(signed_in: str, web: Web, tmp_path: Path) -> None:
    answer = {"access_token": "a-token", "expires_in": 3599, "refresh_token": "next", "scope": "x"}
    web.microsoft(TENANT, lambda form: (200, answer) if form["refresh_token"] == REFRESH else (400, {}))
    async with wanting("a-token") as shelf:
        ledger = await send(shelf, tmp_path, microsoft(tmp_path, token_cache(signed_in)))
    assert ledger.count(Verdict.ACCEPTED) == 3
    kept = json.loads((tmp_path / "held").read_text())
    assert [one["secret"] for one in kept["RefreshToken"].values()] == ["next"]


async def test_a_token_cache_with_several_strangers_is_not_guessed_at(web: Web, tmp_path: Path) -> None:
    web.microsoft(TENANT, (500, {}))
    async with wanting("a-token") as shelf:
        with pytest.raises(LoginError, match=r"sign in as news@example\.com again"):
            await send(shelf, tmp_path, microsoft(tmp_path, token_cache("ada@example.com", "bob@example.com")))
    assert not web.times(TOKEN_PLACE)


async def test_a_file_that_cannot_be_written_stops_nothing(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def refuse(path: Any, *more: Any, **keys: Any) -> int:
        if str(path).endswith(".new"):
            raise PermissionError(13, "Permission denied")
        return opened(path, *more, **keys)

    web.microsoft(TENANT, (200, {"access_token": "a-token", "expires_in": 3599, "refresh_token": "next"}))
    oauth = microsoft(tmp_path, {"refresh_token": REFRESH})
    monkeypatch.setattr("campaign.system.atomic_file.os.open", refuse)
    async with wanting("a-token") as shelf:
        assert (await send(shelf, tmp_path, oauth)).count(Verdict.ACCEPTED) == 3


@pytest.mark.parametrize(
    ("content", "answer", "step"),
    [
        (SECRET, {"error": "invalid_client"}, "make a new secret"),
        (SECRET, {"error": "unauthorized_client"}, "it needs SMTP.SendAsApp"),
        ({"refresh_token": REFRESH}, {"error": "invalid_grant"}, "sign in as news@example.com again"),
    ],
)
async def test_a_refusal_of_microsoft_ends_the_run_with_what_to_do(
    content: object, answer: dict[str, str], step: str, web: Web, tmp_path: Path
) -> None:
    web.microsoft(
        TENANT,
        lambda form: (401, {**answer, "error_description": f"AADSTS7000215: wrong {form}. Trace ID: 1 more"}),
    )
    async with wanting("a-token") as shelf:
        with pytest.raises(LoginError) as caught:
            await send(shelf, tmp_path, microsoft(tmp_path, content))
    assert of_error(caught.value) == 77
    assert step in told(caught)
    assert "AADSTS7000215" in told(caught)
    assert "Trace ID" not in told(caught)


async def test_a_directory_that_microsoft_does_not_know_is_a_mistake_in_the_file(web: Web, tmp_path: Path) -> None:
    place = f"{AUTHORITY}/{TENANT}/v2.0/.well-known/openid-configuration"
    web.answers[place] = (400, {"error": "invalid_tenant", "error_description": "Tenant not found"})
    async with wanting("a-token") as shelf:
        with pytest.raises(ConfigError, match=r"no directory example\.com") as caught:
            await send(shelf, tmp_path, microsoft(tmp_path, SECRET))
    assert of_error(caught.value) == 78


@pytest.mark.parametrize(
    ("status", "answer", "why"),
    [
        (503, {"error": "x"}, "it answered 503"),
        (400, {"error": "temporarily_unavailable"}, "not able to answer"),
        (200, "<html>please log in to the wireless network</html>", "somebody else answered"),
    ],
)
async def test_microsoft_that_cannot_answer_counts_as_a_relay_that_cannot(
    status: int, answer: object, why: str, web: Web, tmp_path: Path
) -> None:
    web.microsoft(TENANT, (status, answer))
    async with wanting("a-token") as shelf:
        with pytest.raises(RelayError, match=why) as caught:
            await send(shelf, tmp_path, microsoft(tmp_path, SECRET))
    told(caught)
    assert not shelf.told("AUTH")


# -- the gateways of both


async def by_gateway(gateway: FakeGateway, folder: Path, oauth: dict[str, object]) -> Ledger:
    chosen = settings(gateway.url, oauth=oauth)
    ledger = Ledger()
    relays = await open_relays(chosen, folder, {})
    await Dispatcher(chosen, relays, ledger).serve_pass(iter(recipients(2)), letter_for)
    return ledger


async def test_the_gmail_api_is_asked_for_the_permission_to_send_and_no_more(web: Web, tmp_path: Path) -> None:
    web.google((200, {"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"}))
    async with FakeGateway("gmail-api") as gateway:
        ledger = await by_gateway(gateway, tmp_path, google(tmp_path))
    assert ledger.count(Verdict.ACCEPTED) == 2
    [(_, form)] = web.asked
    assert form["scope"] == "https://www.googleapis.com/auth/gmail.send"


async def test_an_application_asks_for_tokens_of_graph_and_not_of_smtp(web: Web, tmp_path: Path) -> None:
    web.microsoft(TENANT, (200, {"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"}))
    async with FakeGateway("graph-api") as gateway:
        ledger = await by_gateway(gateway, tmp_path, microsoft(tmp_path, "client-secret"))
    assert ledger.count(Verdict.ACCEPTED) == 2
    forms = [form for _, form in web.asked if form.get("grant_type") == "client_credentials"]
    assert [form["scope"] for form in forms] == ["https://graph.microsoft.com/.default"]


async def test_an_application_without_consent_is_told_what_it_needs(web: Web, tmp_path: Path) -> None:
    web.microsoft(TENANT, (400, {"error": "unauthorized_client", "error_description": "AADSTS700016: not found"}))
    async with FakeGateway("graph-api") as gateway:
        with pytest.raises(LoginError) as caught:
            await by_gateway(gateway, tmp_path, microsoft(tmp_path, "client-secret"))
    assert "it needs Mail.Send, with admin consent" in str(caught.value)
    assert not gateway.letters
