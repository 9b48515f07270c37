"""Each misbehaviour of a relay ends in the verdict of the contract; nothing arrives that was not planned."""

from __future__ import annotations

import pytest

from campaign.delivery.relays import failover
from campaign.model import Verdict
from tests.support.servers.sending import Ledger, letter_for, recipients, send
from tests.support.servers.shelf import CLOSING, EXTENSIONS, FIN, GARBAGE, HALF, RST, STALL, Shelf, say

PLAIN = tuple(name for name in EXTENSIONS if name != "PIPELINING")
SHORT = dict.fromkeys(("banner", "ehlo", "mail", "rcpt", "data", "dot"), 0.3)


def nothing_unplanned(shelf: Shelf, count: int) -> None:
    planned = {letter_for(one).content: one.address for one in recipients(count)}
    for sender, recipient, content in shelf.letters:
        assert sender == "news@example.com"
        assert planned.get(content) == recipient


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failover, "FIRST_PAUSE", 0.001)


@pytest.fixture(params=[EXTENSIONS, PLAIN], ids=["pipelined", "step by step"])
def extensions(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return request.param


@pytest.mark.parametrize("greedy", [False, True])
@pytest.mark.parametrize("fault", [FIN, RST, STALL, CLOSING, GARBAGE], ids=["fin", "rst", "stall", "421", "garbage"])
@pytest.mark.parametrize("stage", ["banner", "ehlo", "mail", "rcpt", "data"])
async def test_a_break_before_the_content_loses_nobody(stage, fault, greedy, extensions) -> None:
    async with Shelf(extensions, greedy=greedy) as shelf:
        shelf.break_at(stage, fault, after=1 if stage not in ("banner", "ehlo") else 0)
        ledger = await send(shelf.url, recipients(4), timeouts=SHORT)
    assert sorted(shelf.recipients) == [f"u{n}@example.com" for n in range(4)]
    assert ledger.count(Verdict.ACCEPTED) == 4
    assert len(ledger.outcomes) == 4
    nothing_unplanned(shelf, 4)


@pytest.mark.parametrize("greedy", [False, True])
@pytest.mark.parametrize("fault", [FIN, RST, CLOSING, GARBAGE], ids=["fin", "rst", "421", "garbage"])
async def test_a_break_amid_the_content_is_not_sent_for_certain(fault, greedy, extensions) -> None:
    async with Shelf(extensions, greedy=greedy) as shelf:
        shelf.break_at("body", fault, after=1)
        long = b"x" * 70 + b"\r\n"
        ledger = await send(shelf.url, recipients(3), lambda one: letter_for(one, long * 100_000))
    accepted = ledger.count(Verdict.ACCEPTED)
    assert accepted == 3
    assert sorted(shelf.recipients) == [f"u{n}@example.com" for n in range(3)]
    assert all(letter_for(one, long * 100_000).content in [c for _, _, c in shelf.letters] for one in recipients(3))


@pytest.mark.parametrize("fault", [FIN, RST, STALL, GARBAGE, HALF], ids=["fin", "rst", "stall", "garbage", "half"])
async def test_anything_but_a_reply_after_the_dot_is_in_doubt_and_never_sent_again(fault, extensions) -> None:
    async with Shelf(extensions) as shelf:
        shelf.break_at("dot", fault, after=1)
        ledger = await send(shelf.url, recipients(4), timeouts=SHORT)
    assert ledger.last[1].verdict is Verdict.IN_DOUBT
    assert ledger.count(Verdict.ACCEPTED) == 3
    assert sorted(shelf.recipients) == [f"u{n}@example.com" for n in range(4)]
    nothing_unplanned(shelf, 4)


@pytest.mark.parametrize(
    ("line", "verdict", "counted"),
    [
        ("250 2.0.0 queued as 4711", Verdict.ACCEPTED, True),
        ("251 fine", Verdict.ACCEPTED, True),
        ("299 whatever", Verdict.ACCEPTED, True),
        ("451 4.3.0 later", Verdict.DEFERRED, True),
        ("421 4.3.2 going down", Verdict.DEFERRED, False),
        ("554 5.6.0 never", Verdict.REJECTED, True),
        ("354 go on?", Verdict.IN_DOUBT, True),
        ("150 one hundred and fifty", Verdict.IN_DOUBT, True),
        ("25 0", Verdict.IN_DOUBT, True),
        ("650 6.0.0", Verdict.IN_DOUBT, True),
    ],
)
async def test_one_well_formed_reply_decides(line, verdict, counted, extensions) -> None:
    async with Shelf(extensions) as shelf:
        shelf.break_at("dot", say(line))
        ledger = await send(shelf.url, recipients(2))
    assert ledger.last[0].verdict is verdict
    assert ledger.last[0].counted is counted
    assert ledger.last[1].verdict is Verdict.ACCEPTED
    nothing_unplanned(shelf, 2)


@pytest.mark.parametrize(
    ("stage", "line", "verdict"),
    [
        ("rcpt", "550 5.1.1 no such user", Verdict.REJECTED),
        ("rcpt", "450 4.2.1 too fast", Verdict.DEFERRED),
        ("mail", "451 4.3.0 later", Verdict.DEFERRED),
        ("data", "451 4.3.0 later", Verdict.DEFERRED),
        ("data", "554 5.5.1 no", Verdict.REJECTED),
    ],
)
async def test_a_refused_envelope_is_one_recipients_matter(stage, line, verdict, extensions) -> None:
    async with Shelf(extensions) as shelf:
        shelf.break_at(stage, say(line), after=1)
        ledger = await send(shelf.url, recipients(4))
    assert ledger.last[1].verdict is verdict
    assert ledger.last[1].code == int(line[:3])
    assert 1 not in ledger.intents
    assert ledger.count(Verdict.ACCEPTED) == 3
    assert shelf.connections == 1
    assert shelf.told("RSET") == 1
    nothing_unplanned(shelf, 4)


async def test_a_354_for_a_refused_recipient_is_answered_by_a_lone_dot() -> None:
    async with Shelf(refuse={"u1@example.com": "550 5.1.1 no such user"}, generous=True) as shelf:
        ledger = await send(shelf.url, recipients(3))
    assert ledger.last[1].verdict is Verdict.REJECTED
    assert ledger.count(Verdict.ACCEPTED) == 2
    assert shelf.connections == 1
    assert shelf.lone_dots == 1
    assert [recipient for _, recipient, _ in shelf.letters] == ["u0@example.com", "u2@example.com"]


async def test_a_354_without_a_sender_ends_the_connection_before_a_dot() -> None:
    async with Shelf() as shelf:
        shelf.break_at("mail", say("451 4.3.0 not now"), after=1)
        shelf.break_at("rcpt", say("250 2.1.5 ok"), after=1)
        ledger = await send(shelf.url, recipients(3))
    assert ledger.last[1].verdict is Verdict.DEFERRED
    assert ledger.count(Verdict.ACCEPTED) == 2
    assert all(content for _, _, content in shelf.letters)


async def test_a_421_for_a_recipient_is_never_held_against_it() -> None:
    async with Shelf() as shelf:
        shelf.break_at("rcpt", say("421 4.7.0 too many", "fin"), times=2)
        ledger = await send(shelf.url, recipients(1))
    assert [outcome.verdict for outcome in ledger.outcomes] == [Verdict.ACCEPTED]


async def test_a_recipient_that_keeps_breaking_connections_is_left_for_a_later_pass() -> None:
    async with Shelf(refuse={"u1@example.com": ""}) as shelf:
        ledger = await send(shelf.url, recipients(4))
    assert ledger.last[1].verdict is Verdict.DEFERRED
    assert not ledger.last[1].counted
    assert ledger.count(Verdict.ACCEPTED) == 3


async def test_an_unread_reply_before_the_dot_aborts_the_letter() -> None:
    async with Shelf(greedy=True) as shelf:
        shelf.break_at("body", say("250 2.0.0 already"), after=1)
        long = b"x" * 70 + b"\r\n"
        ledger = await send(shelf.url, recipients(3), lambda one: letter_for(one, long * 50_000))
    assert ledger.count(Verdict.ACCEPTED) == 3
    assert len(shelf.letters) == 3


async def test_a_relay_that_says_goodbye_while_idle_costs_nothing() -> None:
    async with Shelf(letters_per_connection=2) as shelf:
        ledger = await send(shelf.url, recipients(20), connections=3)
    assert ledger.count(Verdict.ACCEPTED) == 20
    assert len(ledger.outcomes) == 20
    assert shelf.connections >= 10


async def test_replies_come_in_many_lines_and_pieces() -> None:
    async with Shelf() as shelf:
        shelf.always["dot"] = say("250-2.0.0 queued\r\n250-2.0.0 as\r\n250 2.0.0 4711")
        ledger = await send(shelf.url, recipients(3))
    assert ledger.last[2].reason == "queued as 4711"
    assert ledger.last[2].enhanced == "2.0.0"


@pytest.mark.parametrize("reply", [b"250-" + b"x" * 40_000 + b"\r\n", b"250-more\r\n" * 5000, b"2" * 40_000])
async def test_a_reply_without_an_end_is_cut_off(reply) -> None:
    async with Shelf() as shelf:
        shelf.faults["dot"].append(say(reply.decode(), "stall"))
        ledger = await send(shelf.url, recipients(2), timeouts={"dot": 5.0})
    assert ledger.last[0].verdict is Verdict.IN_DOUBT
    assert ledger.last[1].verdict is Verdict.ACCEPTED


async def test_control_characters_of_a_relay_reach_nobody() -> None:
    async with Shelf() as shelf:
        shelf.break_at("dot", say("554 5.0.0 \x1b[31mred\x07 \u202egnirts\u2066 \x9b2J end"))
        ledger = await send(shelf.url, recipients(1))
    assert ledger.last[0].reason == "[31mred gnirts 2J end"


async def test_a_letter_without_one_is_passed_over() -> None:
    async with Shelf() as shelf:
        ledger = Ledger()
        await send(shelf.url, recipients(5), lambda one: None if one.number % 2 else letter_for(one), ledger)
    assert sorted(ledger.last) == [0, 2, 4]
