"""Letters through HTTP gateways: the same octets as by SMTP, one verdict each, and no doubt but real doubt."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from campaign.delivery.relays.relay import open_relays
from campaign.delivery.send.dispatcher import Dispatcher
from campaign.errors import CampaignError, LoginError, RelayError, UnfinishedError
from campaign.model import Verdict
from tests.support.servers.gateway import BREAKS, LETTERS, PAGE, TOKEN, FakeGateway, refusal
from tests.support.servers.sending import Ledger, letter_for, recipients, settings
from tests.support.servers.shelf import Shelf

KINDS = sorted(LETTERS)
THROTTLED = {
    "ses-api": (429, {"x-amzn-errortype": "TooManyRequestsException"}, '{"message": "Too many requests"}'),
    "mailgun-api": (429, {}, '{"message": "Too Many Requests"}'),
    "sparkpost-api": (429, {}, '{"errors": [{"message": "Too many requests"}]}'),
    "gmail-api": (429, {}, json.dumps({"error": {"message": "slow", "errors": [{"reason": "rateLimitExceeded"}]}})),
    "graph-api": (429, {"Retry-After": "30"}, '{"error": {"code": "ApplicationThrottled", "message": "slow"}}'),
}


async def through(
    gateway: FakeGateway, count: int, folder: Path, ledger: Ledger | None = None, compose: Any = letter_for, **keys: Any
) -> Ledger:
    ledger = ledger or Ledger()
    token = folder / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    if gateway.kind in ("gmail-api", "graph-api"):
        keys.setdefault("token_file", "token")
    keys.setdefault("rate", "10000/s")
    chosen = settings(gateway.url, **keys)
    dispatcher = Dispatcher(chosen, await open_relays(chosen, folder, gateway.environment), ledger)
    await dispatcher.serve_pass(iter(recipients(count)), compose)
    return ledger


@pytest.mark.parametrize("kind", KINDS)
async def test_a_gateway_gets_each_letter_once_with_the_octets_that_smtp_gets(kind: str, tmp_path: Path) -> None:
    async with FakeGateway(kind) as gateway:
        ledger = await through(gateway, 25, tmp_path, connections=4)
    assert not gateway.refused
    assert ledger.count(Verdict.ACCEPTED) == 25
    assert {one.recipient: one.content for one in gateway.taken} == {
        one.address: letter_for(one).content for one in recipients(25)
    }
    assert len(gateway.taken) == 25
    assert gateway.connections <= 4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stage", BREAKS)
async def test_a_break_after_the_first_octet_leaves_the_letter_in_doubt(kind: str, stage: str, tmp_path: Path) -> None:
    async with FakeGateway(kind, lambda number: stage if number == 1 else None) as gateway:
        ledger = await through(gateway, 4, tmp_path, timeouts={"dot": 0.3 if stage == "silent" else 5.0})
    verdicts = [ledger.last[number].verdict for number in range(4)]
    assert verdicts == [Verdict.ACCEPTED, Verdict.IN_DOUBT, Verdict.ACCEPTED, Verdict.ACCEPTED]
    assert gateway.letters == 4  # nothing was tried again
    assert max(ledger.intents.values()) == 1


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
async def test_what_a_server_on_the_way_says_decides_nothing(status: int, tmp_path: Path) -> None:
    page = (status, {"Content-Type": "text/html"}, PAGE.format(status))
    async with FakeGateway("ses-api", lambda number: page if number == 0 else None) as gateway:
        ledger = await through(gateway, 2, tmp_path)
    assert ledger.last[0].verdict is Verdict.IN_DOUBT
    assert ledger.last[0].reason.startswith(f"the gateway answered {status} without saying whether")
    assert ledger.last[1].verdict is Verdict.ACCEPTED


async def test_408_in_the_providers_own_form_is_no_answer_either(tmp_path: Path) -> None:
    late = (408, {"x-amzn-errortype": "RequestTimeout"}, '{"message": "too slow"}')
    async with FakeGateway("ses-api", lambda number: late if number == 0 else None) as gateway:
        ledger = await through(gateway, 1, tmp_path)
    assert ledger.last[0].verdict is Verdict.IN_DOUBT


async def test_a_page_with_status_403_or_200_is_not_the_providers_answer(tmp_path: Path) -> None:
    for status in (200, 403, 413, 429, 302):
        page = (status, {}, "<html>Log in to this network</html>")
        async with FakeGateway("ses-api", lambda _, page=page: page) as gateway:
            ledger = await through(gateway, 1, tmp_path)
        assert ledger.last[0].verdict is Verdict.IN_DOUBT, status


async def test_a_gateway_that_nobody_can_reach_leaves_every_letter_unsent(tmp_path: Path) -> None:
    async with FakeGateway("ses-api") as gateway:
        pass
    ledger = Ledger()
    with pytest.raises(UnfinishedError, match="cannot be reached now"):
        await through(gateway, 2, tmp_path, ledger, relay_patience=0)
    assert not ledger.intents


async def test_a_refusal_of_one_letter_settles_it_and_the_others_go_on(tmp_path: Path) -> None:
    no = (400, {"x-amzn-errortype": "MessageRejected:http://internal"}, '{"message": "Transaction failed"}')
    async with FakeGateway("ses-api", lambda number: no if number == 1 else None) as gateway:
        ledger = await through(gateway, 3, tmp_path)
    refused = ledger.last[1]
    assert (refused.verdict, refused.code, refused.reason) == (
        Verdict.REJECTED, 400, "MessageRejected: Transaction failed",
    )  # fmt: skip
    assert ledger.count(Verdict.ACCEPTED) == 2
    assert gateway.connections == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_gateway_that_asks_for_less_gets_the_letter_later(kind: str, tmp_path: Path) -> None:
    async with FakeGateway(kind, lambda _: THROTTLED[kind]) as gateway:
        ledger = await through(gateway, 1, tmp_path)
    outcome = ledger.last[0]
    assert (outcome.verdict, outcome.counted) == (Verdict.DEFERRED, False)
    assert outcome.retry_after == (30.0 if kind == "graph-api" else None)


async def test_retry_after_holds_the_whole_account(tmp_path: Path) -> None:
    slow = (429, {"Retry-After": "90"}, THROTTLED["graph-api"][2])
    async with FakeGateway("graph-api", lambda number: slow if number == 1 else None) as gateway:
        with pytest.raises(CampaignError, match="limit"):
            await through(gateway, 5, tmp_path, limit_wait=1)
    assert gateway.letters == 2


@pytest.mark.parametrize(
    ("kind", "status", "said", "error"),
    [
        ("ses-api", 400, "MessageRejected: Email address is not verified.", RelayError),
        ("ses-api", 400, "AccountSuspendedException: no", RelayError),
        ("ses-api", 403, "AccessDeniedException: not authorized", RelayError),
        ("ses-api", 403, "UnrecognizedClientException: no such key", LoginError),
        ("ses-api", 400, "Throttling: Daily message quota exceeded", UnfinishedError),
        ("mailgun-api", 401, "Forbidden", LoginError),
        ("mailgun-api", 402, "Payment required", RelayError),
        ("mailgun-api", 403, "Domain example.com is not allowed to send: disabled", RelayError),
        ("mailgun-api", 404, "Domain not found: example.com", RelayError),
        ("sparkpost-api", 420, "0: Exceed Sending Limit (daily)", UnfinishedError),
        ("sparkpost-api", 403, "0: Forbidden.", RelayError),
        ("gmail-api", 403, "dailyLimitExceeded: m", UnfinishedError),
        ("gmail-api", 403, "insufficientPermissions: m", RelayError),
        ("graph-api", 403, "ErrorAccessDenied: m", RelayError),
        ("graph-api", 401, "InvalidAuthenticationToken: m", LoginError),
    ],
)
async def test_what_is_about_the_account_stops_the_run_and_fails_no_letter(
    kind: str, status: int, said: str, error: type[CampaignError], tmp_path: Path
) -> None:
    ledger = Ledger()
    async with FakeGateway(kind, lambda _: refusal(kind, status, said)) as gateway:
        with pytest.raises(error):
            await through(gateway, 5, tmp_path, ledger)
    assert gateway.letters == 1
    assert ledger.last[0].verdict is Verdict.DEFERRED
    assert not ledger.last[0].counted


async def test_a_gateway_that_closes_politely_gets_the_next_letter_on_a_new_connection(tmp_path: Path) -> None:
    async with FakeGateway("mailgun-api", lambda _: "close") as gateway:
        ledger = await through(gateway, 5, tmp_path)
    assert ledger.count(Verdict.ACCEPTED) == 5
    assert gateway.connections == 5


async def test_a_large_letter_goes_in_blocks(tmp_path: Path) -> None:
    body = b"x" * 76 + b"\r\n"
    async with FakeGateway("ses-api") as gateway:
        ledger = await through(gateway, 2, tmp_path, compose=lambda who: letter_for(who, body * 30_000))
    assert ledger.count(Verdict.ACCEPTED) == 2
    assert gateway.taken[1].content == letter_for(recipients(2)[1], body * 30_000).content


async def test_no_octet_of_a_request_leaves_before_its_intent_is_durable(tmp_path: Path) -> None:
    ledger, seen = Ledger(), []

    async def durable() -> None:
        await asyncio.sleep(0)
        seen.append(gateway.letters)

    ledger.on_intent = lambda _: durable()
    async with FakeGateway("sparkpost-api") as gateway:
        await through(gateway, 3, tmp_path, ledger)
    assert seen == [0, 1, 2]


async def test_an_intent_that_cannot_be_written_sends_nothing(tmp_path: Path) -> None:
    ledger = Ledger()

    async def full() -> None:
        raise OSError("no space left")

    ledger.on_intent = lambda _: full()
    async with FakeGateway("gmail-api") as gateway:
        with pytest.raises(OSError, match="no space"):
            await through(gateway, 3, tmp_path, ledger)
    assert gateway.letters == 0
    assert ledger.last[0].verdict is Verdict.DEFERRED


async def test_what_amazon_says_of_the_account_paces_the_run(tmp_path: Path) -> None:
    account = {"SendQuota": {"Max24HourSend": 3.0, "MaxSendRate": 1000.0, "SentLast24Hours": 0.0}}
    async with FakeGateway("ses-api", account=(200, json.dumps(account))) as gateway:
        with pytest.raises(UnfinishedError, match="A limit is used up"):
            await through(gateway, 5, tmp_path, rate=(), limit_wait=1)
    assert len(gateway.taken) == 3


async def test_the_account_is_asked_about_once_and_not_by_each_connection(tmp_path: Path) -> None:
    account = {"SendQuota": {"Max24HourSend": 50_000.0, "MaxSendRate": 1000.0, "SentLast24Hours": 0.0}}
    async with FakeGateway("ses-api", account=(200, json.dumps(account))) as gateway:
        ledger = await through(gateway, 20, tmp_path, rate=(), connections=5, letters_per_connection=3)
    assert ledger.count(Verdict.ACCEPTED) == 20
    assert gateway.connections >= 7
    assert [one.method for one in gateway.requests].count("GET") == 1


async def test_letters_go_out_without_what_the_gateway_does_not_tell(tmp_path: Path) -> None:
    async with FakeGateway("ses-api", account=(503, "<html>later</html>")) as gateway:
        ledger = await through(gateway, 3, tmp_path, rate=())
    assert ledger.count(Verdict.ACCEPTED) == 3


async def test_a_rate_of_our_own_takes_precedence_over_the_accounts(tmp_path: Path) -> None:
    async with FakeGateway("ses-api", account=(200, "{}")) as gateway:
        await through(gateway, 1, tmp_path, rate="1000/s")
    assert [one.method for one in gateway.requests] == ["POST"]


async def test_letters_go_on_by_smtp_when_the_gateway_cannot_be_used(tmp_path: Path) -> None:
    async with FakeGateway("ses-api") as gone:
        pass
    async with Shelf() as shelf:
        chosen = settings([gone.url, shelf.url], relay_patience=0)
        ledger = Ledger()
        dispatcher = Dispatcher(chosen, await open_relays(chosen, tmp_path, gone.environment), ledger)
        await dispatcher.serve_pass(iter(recipients(3)), letter_for)
    assert ledger.count(Verdict.ACCEPTED) == 3


async def test_a_gateway_and_a_relay_share_the_letters_by_weight(tmp_path: Path) -> None:
    async with FakeGateway("mailgun-api") as gateway, Shelf() as shelf:
        listed = [{"url": gateway.url, "weight": 3}, {"url": shelf.url, "weight": 1}]
        chosen = settings(listed, connections=2, rate="10000/s")  # type: ignore[arg-type]
        ledger = Ledger()
        dispatcher = Dispatcher(chosen, await open_relays(chosen, tmp_path, gateway.environment), ledger)
        await dispatcher.serve_pass(iter(recipients(200)), letter_for)
    assert ledger.count(Verdict.ACCEPTED) == 200
    assert len(gateway.taken) + len(shelf.letters) == 200
    assert abs(len(gateway.taken) - 150) <= 40


async def test_a_gateway_that_fails_in_the_middle_leaves_the_rest_to_a_relay_and_its_own_letter_in_doubt(
    tmp_path: Path,
) -> None:
    async with FakeGateway("ses-api", lambda number: "head" if number >= 3 else None) as gateway, Shelf() as shelf:
        chosen = settings([gateway.url, shelf.url], rate="10000/s", stop_connections=1)
        ledger = Ledger()
        dispatcher = Dispatcher(chosen, await open_relays(chosen, tmp_path, gateway.environment), ledger)
        await dispatcher.serve_pass(iter(recipients(20)), letter_for)
    doubtful = {number for number, outcome in ledger.last.items() if outcome.verdict is Verdict.IN_DOUBT}
    assert 3 in doubtful
    assert len(doubtful) <= 2
    by_smtp = {int(recipient[1:].partition("@")[0]) for _, recipient, _ in shelf.letters}
    by_http = {int(one.recipient[1:].partition("@")[0]) for one in gateway.taken}
    assert by_smtp | by_http == set(range(20)) - doubtful
    assert not by_smtp & by_http
    assert not by_smtp & doubtful
