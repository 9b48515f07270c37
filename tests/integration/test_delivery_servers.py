"""The same octets arrive at servers that other people wrote, and their answers are understood."""

from __future__ import annotations

import asyncio

import pytest

from campaign.delivery.relays import failover
from campaign.errors import RelayError
from campaign.model import Recipient, Verdict
from tests.support.servers.real import exim, opensmtpd, postfix, smtp_server, smtp_sink
from tests.support.servers.sending import Ledger, letter_for, make_letter, recipients, send
from tests.support.servers.shelf import Fault, Shelf

HEADER = (
    b"Date: Mon, 23 Nov 2026 08:00:00 +0000\r\nMessage-ID: <1@example.com>\r\n"
    b"From: news@example.com\r\nTo: %s\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\n"
)
BODIES = {
    "plain": b"Hello\r\n",
    "leading dots": b".\r\n..\r\n...\r\n.a\r\n\r\n.\r\n",
    "a lone dot at the end": b"end\r\n.\r\n",
    "an end of data inside": b"before\r\n.\r\nMAIL FROM:<x@example.com>\r\n",
    "empty": b"",
    "lines of 998": (b"x" * 998 + b"\r\n") * 60,
    "60 kB": (b"abcdefghi." * 7 + b"\r\n") * 850,
    "dots at block ends": (b"." * 996 + b"\r\n") * 200,
}


def letters() -> list[tuple[Recipient, bytes]]:
    return [
        (recipient, HEADER % recipient.address.encode() + body)
        for recipient, body in zip(recipients(len(BODIES)), BODIES.values(), strict=True)
    ]


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failover, "FIRST_PAUSE", 0.001)


async def test_the_same_octets_arrive_at_our_own_oracle() -> None:
    planned = letters()
    async with Shelf() as shelf:
        await send(shelf.url, [one for one, _ in planned], lambda one: make_letter(one, planned[one.number][1]))
    assert {recipient: content for _, recipient, content in shelf.letters} == {
        one.address: content for one, content in planned
    }


@pytest.mark.parametrize("server", [postfix, exim, opensmtpd], ids=["postfix", "exim", "opensmtpd"])
async def test_the_same_octets_arrive_through(server) -> None:
    planned = letters()
    async with Shelf() as oracle, server(oracle.port) as port:
        ledger = await send(
            f"smtp://127.0.0.1:{port}",
            [one for one, _ in planned],
            lambda one: make_letter(one, planned[one.number][1]),
            connections=3,
        )
        assert ledger.count(Verdict.ACCEPTED) == len(planned)
        async with asyncio.timeout(20):
            while len(oracle.letters) < len(planned):  # noqa: ASYNC110 - nobody is told when a server is done
                await asyncio.sleep(0.02)
    arrived = {recipient: content for _, recipient, content in oracle.letters}
    for recipient, content in planned:
        received, _, rest = arrived[recipient.address].partition(b"\r\nDate: Mon, 23")
        assert received.startswith(b"Received:")
        assert b"Date: Mon, 23" + rest == content


async def test_the_same_octets_are_read_by_a_foreign_parser() -> None:
    planned = letters()
    async with smtp_server(0) as (port, taken):
        await send(
            f"smtp://127.0.0.1:{port}",
            [one for one, _ in planned],
            lambda one: make_letter(one, planned[one.number][1]),
            connections=3,
        )
        arrived = dict(taken())
    assert arrived == {one.address: content for one, content in planned}


@pytest.mark.parametrize("server", [postfix, exim], ids=["postfix", "exim"])
async def test_a_server_says_who_is_dead_and_who_is_to_come_later(server) -> None:
    who = [
        Recipient(n, f"{name}@example.com", name, "", n, {}) for n, name in enumerate(["ada", "dead", "grey", "bob"])
    ]
    async with Shelf() as oracle, server(oracle.port) as port:
        ledger = await send(f"smtp://127.0.0.1:{port}", who)
    verdicts = [ledger.last[n] for n in range(4)]
    assert [one.verdict for one in verdicts] == [
        Verdict.ACCEPTED,
        Verdict.REJECTED,
        Verdict.DEFERRED,
        Verdict.ACCEPTED,
    ]
    assert (verdicts[1].code, verdicts[1].enhanced, verdicts[1].suppress) == (550, "5.1.1", True)


async def test_a_letter_above_postfixs_limit_is_rejected_without_asking() -> None:
    async with Shelf() as oracle, postfix(oracle.port) as port:
        long = b"x" * 80 + b"\r\n" * 200_000
        ledger = await send(f"smtp://127.0.0.1:{port}", recipients(1), lambda one: letter_for(one, long))
    assert ledger.last[0].verdict is Verdict.REJECTED
    assert "300000" in ledger.last[0].reason


@pytest.mark.parametrize(
    "flags", [(), ("-p",), ("-e",), ("-8", "-E", "-N")], ids=["all", "no pipelining", "HELO", "bare"]
)
async def test_smtp_sink_takes_everything(flags) -> None:
    async with smtp_sink(*flags) as port:
        ledger = await send(f"smtp://127.0.0.1:{port}", recipients(200), connections=5)
    assert ledger.count(Verdict.ACCEPTED) == len(ledger.outcomes) == 200


@pytest.mark.parametrize(
    ("flag", "command", "verdict"),
    [
        ("-f", "RCPT", Verdict.REJECTED),
        ("-r", "RCPT", Verdict.DEFERRED),
        ("-r", "MAIL", Verdict.DEFERRED),
        ("-r", "DATA", Verdict.DEFERRED),
        ("-f", ".", Verdict.REJECTED),
        ("-r", ".", Verdict.DEFERRED),
        ("-Q", ".", Verdict.DEFERRED),
        ("-q", ".", Verdict.IN_DOUBT),
    ],
)
async def test_smtp_sinks_refusals_become_verdicts(flag, command, verdict) -> None:
    async with smtp_sink(flag, command, "-B", "550 5.2.0 no") as port:
        ledger = await send(f"smtp://127.0.0.1:{port}", recipients(2))
    assert [ledger.last[n].verdict for n in range(2)] == [verdict, verdict]


@pytest.mark.parametrize("flag", ["-q", "-Q"])
@pytest.mark.parametrize("command", ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA"])
async def test_a_sink_that_hangs_up_before_the_dot_costs_nobody_a_verdict(flag, command) -> None:
    ledger = Ledger()
    async with smtp_sink(flag, command) as port:
        with pytest.raises(RelayError):
            await send(f"smtp://127.0.0.1:{port}", recipients(20), letter_for, ledger)
    assert not ledger.intents
    assert all(outcome.verdict is Verdict.DEFERRED and not outcome.counted for outcome in ledger.outcomes)


async def test_a_sink_that_refuses_at_354_gets_no_letter() -> None:
    async with smtp_sink("-A", "0") as port:
        ledger = await send(f"smtp://127.0.0.1:{port}", recipients(1), lambda one: letter_for(one, b"x\r\n" * 500_000))
    assert ledger.last[0].verdict is not Verdict.ACCEPTED


@pytest.mark.parametrize("more", [("PIPELINING",), ()], ids=["pipelined", "step by step"])
async def test_notifications_are_asked_for_where_they_are_offered(more) -> None:
    who = [Recipient(1, "ada+x@example.com", "ada", "", 2, {}), *recipients(1)]
    async with Shelf(("SIZE 50000000", "DSN", *more)) as shelf:
        ledger = await send(shelf.url, who, dsn=["failure", "delay"])
    assert ledger.count(Verdict.ACCEPTED) == 2
    told = [command for command in shelf.commands if command.startswith(("MAIL", "RCPT"))]
    assert [command.partition(" RET=")[2] for command in told[::2]] == ["HDRS ENVID=1", "HDRS ENVID=0"]
    assert [command.partition("> ")[2] for command in told[1::2]] == [
        "NOTIFY=FAILURE,DELAY ORCPT=rfc822;ada+2Bx@example.com",
        "NOTIFY=FAILURE,DELAY ORCPT=rfc822;u0@example.com",
    ]


@pytest.mark.parametrize("stage", ["mail", "rcpt"])
@pytest.mark.parametrize("more", [("PIPELINING",), ()], ids=["pipelined", "step by step"])
async def test_a_relay_that_refuses_the_parameters_it_offers_gets_the_letters_without(more, stage: str) -> None:
    async with Shelf(("SIZE 50000000", "DSN", *more)) as shelf:
        shelf.break_at(stage, Fault(b"555 5.5.4 Unsupported option\r\n"))
        ledger = await send(shelf.url, recipients(4), dsn="failure", connections=1)
    assert ledger.count(Verdict.ACCEPTED) == 4
    assert sum("RET=" in command for command in shelf.commands) < 3


async def test_notifications_are_not_mentioned_where_they_are_not_offered() -> None:
    async with Shelf() as shelf:
        ledger = await send(shelf.url, recipients(3), dsn="failure")
    assert ledger.count(Verdict.ACCEPTED) == 3
    assert not any(word in command for command in shelf.commands for word in ("NOTIFY", "ENVID", "RET=", "ORCPT"))


async def test_postfix_understands_what_is_asked_and_passes_it_on() -> None:
    names = ["ada+x=y", "o'neil", "{a}~!#$%&*/?^_`|"]
    who = [Recipient(n, f"{name}@example.com", name, "", n, {}) for n, name in enumerate(names)]
    async with Shelf(("PIPELINING", "SIZE 50000000", "DSN")) as oracle, postfix(oracle.port) as port:
        ledger = await send(f"smtp://127.0.0.1:{port}", who, dsn=["failure"])
        assert ledger.count(Verdict.ACCEPTED) == len(who)
        async with asyncio.timeout(20):
            while len(oracle.letters) < len(who):  # noqa: ASYNC110 - nobody is told when a server is done
                await asyncio.sleep(0.02)
    assert {command.partition("ENVID=")[2][:1] for command in oracle.commands if command.startswith("MAIL")} == set(
        "012"
    )
    passed = [command for command in oracle.commands if command.startswith("RCPT")]
    assert any("ORCPT=rfc822;ada+2Bx+3Dy@example.com NOTIFY=FAILURE" in command for command in passed), passed
