"""How a pass goes and ends: bounds, order, limits, control, relays that fail, and signals."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import time
from itertools import count

import pytest

from campaign.delivery.queue import admission
from campaign.delivery.relays import failover, slow_relay
from campaign.delivery.send import connection_pool
from campaign.errors import LoginError, RelayError, StorageError, UnfinishedError
from campaign.model import Verdict
from tests.support.servers.sending import (
    Ledger,
    Steered,
    dispatcher,
    drawn,
    letter_for,
    recipients,
    send,
    settings,
)
from tests.support.servers.shelf import CLOSING, FIN, STALL, Fault, Shelf, say


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failover, "FIRST_PAUSE", 0.001)


async def until(condition) -> None:
    while not condition():  # noqa: ASYNC110 - what it waits for happens in another room
        await asyncio.sleep(0.002)


def endless():
    first = recipients(1)[0]
    return (first._replace(number=n, address=f"u{n}@example.com") for n in count())


async def test_everybody_is_served_once_over_many_connections() -> None:
    async with Shelf() as shelf:
        ledger = await send(shelf.url, recipients(300), connections=8, letters_per_connection=20)
    assert sorted(shelf.recipients) == sorted(one.address for one in recipients(300))
    assert len(ledger.outcomes) == ledger.count(Verdict.ACCEPTED) == 300
    assert shelf.most_at_once <= 9  # one may be saying goodbye while its successor dials
    assert shelf.connections >= 15


async def test_nothing_to_send_dials_nobody() -> None:
    async with Shelf() as shelf:
        await send(shelf.url, [])
    assert shelf.connections == 0


async def test_no_more_letters_are_drawn_than_connections_can_hold() -> None:
    log: list[int] = []
    async with Shelf() as shelf:
        shelf.always["dot"] = STALL
        served = await dispatcher(settings(shelf.url, connections=3), ledger := Ledger())
        serving = asyncio.create_task(served.serve_pass(drawn(recipients(100), log), letter_for))
        await until(lambda: len(shelf.letters) == 3)
        assert len(log) <= 6
        assert served.in_flight <= 6
        served.abort()
        await serving
    assert ledger.count(Verdict.IN_DOUBT) == 3
    assert len(ledger.outcomes) == 3


async def test_letters_may_come_later_and_in_any_order() -> None:
    async def slowly(one):
        await asyncio.sleep(0.001 * (one.number % 5))
        return letter_for(one) if one.number % 7 else None

    async with Shelf() as shelf:
        ledger = await send(shelf.url, recipients(60), slowly, connections=4)
    assert ledger.count(Verdict.ACCEPTED) == len(shelf.letters) == len([n for n in range(60) if n % 7])


async def test_an_error_of_the_composer_ends_the_pass() -> None:
    def fails(one):
        raise ValueError("a fault of ours")

    async with Shelf(greedy=True) as shelf:
        with pytest.raises(ValueError, match="a fault of ours"):
            await send(shelf.url, recipients(3), fails)
    assert not shelf.letters


async def test_a_drain_finishes_what_is_in_flight() -> None:
    async with Shelf() as shelf:
        served = await dispatcher(settings(shelf.url, connections=2), ledger := Ledger())
        serving = asyncio.create_task(served.serve_pass(endless(), letter_for))
        await until(lambda: len(ledger.outcomes) > 20)
        served.drain()
        await asyncio.wait_for(serving, 5)
    assert {outcome.verdict for outcome in ledger.outcomes} == {Verdict.ACCEPTED}
    assert len(shelf.letters) == len(ledger.outcomes)
    assert served.in_flight == 0


async def test_a_drain_that_takes_too_long_ends_in_doubt() -> None:
    async with Shelf() as shelf:
        shelf.always["dot"] = STALL
        served = await dispatcher(settings(shelf.url, drain=0.05), ledger := Ledger())
        serving = asyncio.create_task(served.serve_pass(iter(recipients(10)), letter_for))
        await until(lambda: shelf.letters)
        served.drain()
        await asyncio.wait_for(serving, 5)
    assert [outcome.verdict for outcome in ledger.outcomes] == [Verdict.IN_DOUBT]


async def test_an_abort_before_the_dot_leaves_no_verdict_and_no_letter() -> None:
    async with Shelf(greedy=True) as shelf:
        served = await dispatcher(settings(shelf.url), ledger := Ledger())
        shelf.always["body"] = STALL
        serving = asyncio.create_task(
            served.serve_pass(iter(recipients(10)), lambda one: letter_for(one, b"x\r\n" * 9**7))
        )
        await until(lambda: shelf.told("DATA"))
        served.abort()
        await asyncio.wait_for(serving, 5)
    assert not ledger.outcomes
    assert not ledger.intents
    assert not shelf.letters


async def test_an_abort_while_an_intent_is_written_sends_no_dot() -> None:
    written = asyncio.Event()
    async with Shelf(greedy=True) as shelf:
        ledger = Ledger()
        ledger.on_intent = lambda _: written.wait()
        served = await dispatcher(settings(shelf.url), ledger)
        serving = asyncio.create_task(served.serve_pass(iter(recipients(1)), letter_for))
        await until(lambda: ledger.intents)
        served.abort()
        written.set()
        await asyncio.wait_for(serving, 5)
    assert not shelf.letters
    assert [(one.verdict, one.counted) for one in ledger.outcomes] == [(Verdict.DEFERRED, False)]


async def test_no_dot_leaves_before_its_intent_is_durable() -> None:
    durable = asyncio.Event()
    async with Shelf() as shelf:
        ledger = Ledger()
        ledger.on_intent = lambda _: durable.wait()
        serving = asyncio.create_task(send(shelf.url, recipients(12), letter_for, ledger, connections=3))
        await until(lambda: len(ledger.intents) == 3)
        await asyncio.sleep(0.02)
        assert not any(bytes(raw).endswith(b".\r\n") for raw in shelf.raw)
        durable.set()
        await serving
    assert len(shelf.letters) == 12


async def test_a_journal_that_cannot_be_written_stops_the_next_dot() -> None:
    async with Shelf(greedy=True) as shelf:
        ledger = Ledger()
        ledger.fail_intent = StorageError("disk full")
        with pytest.raises(StorageError, match="disk full"):
            await send(shelf.url, recipients(50), letter_for, ledger, connections=5)
    assert not shelf.letters


@pytest.mark.parametrize("error", [StorageError("the disk is sick"), OSError("unforeseen")])
async def test_who_waits_for_an_intent_that_cannot_be_made_durable_is_not_sent_and_not_in_doubt(
    error: Exception,
) -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise error

    async with Shelf(greedy=True) as shelf:
        ledger = Ledger()
        ledger.on_intent = lambda _: fail()
        with pytest.raises(type(error), match=str(error)):
            await send(shelf.url, recipients(50), letter_for, ledger, connections=5)
    assert not shelf.letters
    assert set(ledger.last) == set(ledger.intents)
    assert {one.verdict for one in ledger.outcomes} == {Verdict.DEFERRED}
    assert all(str(error) in one.reason and not one.counted for one in ledger.outcomes)


async def test_a_verdict_that_cannot_be_written_stops_the_run() -> None:
    async with Shelf() as shelf:
        ledger = Ledger()
        ledger.fail_verdict = StorageError("disk full")
        with pytest.raises(StorageError, match="disk full"):
            await send(shelf.url, recipients(50), letter_for, ledger, connections=5)
    assert len(shelf.letters) <= 5
    assert len(ledger.intents) <= 5


async def test_a_cancelled_pass_cuts_its_connections() -> None:
    async with Shelf(greedy=True) as shelf:
        shelf.always["dot"] = STALL
        served = await dispatcher(settings(shelf.url, connections=2), ledger := Ledger())
        serving = asyncio.create_task(served.serve_pass(iter(recipients(10)), letter_for))
        await until(lambda: len(shelf.letters) == 2)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
    assert ledger.count(Verdict.IN_DOUBT) == 2
    assert served.connections == 0


# -- limits


async def test_a_rate_holds_from_the_first_letter() -> None:
    times: list[float] = []
    async with Shelf() as shelf:
        ledger = Ledger()
        ledger.on_intent = lambda _: times.append(time.monotonic())
        await send(shelf.url, recipients(60), letter_for, ledger, connections=10, rate="100/s")
    # What a machine in want of cores may do is be late, and catch up on a tenth of a second; never be early.
    assert times[-1] - times[0] > 0.5
    assert max(sum(start <= one < start + 0.1 for one in times) for start in times) <= 22


async def test_a_used_up_limit_ends_the_run_unfinished() -> None:
    async with Shelf(greedy=True) as shelf:
        ledger = Ledger()
        with pytest.raises(UnfinishedError, match="limit"):
            await send(shelf.url, recipients(50), letter_for, ledger, connections=4, rate=["1000/s", "10/day"])
    assert len(shelf.letters) == ledger.count(Verdict.ACCEPTED) == 10
    assert len(ledger.outcomes) == 10


async def test_a_slow_domain_does_not_hold_up_the_rest() -> None:
    slow, fast = recipients(8, "slow.example"), recipients(200, "fast.example")
    who = [*slow, *[letter for letter in fast if letter.number >= 8]]
    async with Shelf() as shelf:
        await send(shelf.url, who, connections=3, domain_rate={"slow.example": "10/s"})
    order = [recipient.partition("@")[2] for recipient in shelf.recipients]
    assert order.count("slow.example") == 8
    assert order[-1] == "slow.example"
    assert order.index("fast.example") < 5


async def test_a_domain_on_hold_is_left_for_a_later_pass() -> None:
    async with Shelf(refuse={"u0@qq.com": "550 5.7.1 Mail content denied, frequency limited"}) as shelf:
        ledger = await send(shelf.url, [*recipients(3, "qq.com"), *recipients(9)[3:]])
    assert [ledger.last[n].verdict for n in range(3)] == [Verdict.DEFERRED] * 3
    assert all(ledger.last[n].retry_after > 900 for n in range(1, 3))
    assert ledger.last[2].reason == "its domain has to wait: 550 5.7.1 Mail content denied, frequency limited"
    assert len(shelf.letters) == 6


async def test_a_pause_that_google_asks_for_holds_for_all_its_domains() -> None:
    said = "450 4.7.28 Gmail has detected an unusual amount of unsolicited email"
    who = [*recipients(1, "gmail.com"), *recipients(2, "googlemail.com")[1:], *recipients(5)[2:]]
    async with Shelf(refuse={"u0@gmail.com": said}) as shelf:
        ledger = await send(shelf.url, who, limit_wait=60)
    assert [ledger.last[n].verdict for n in range(2)] == [Verdict.DEFERRED] * 2
    assert ledger.last[1].reason == f"its domain has to wait: {said}"
    assert ledger.last[0].retry_after == pytest.approx(600)
    assert not ledger.last[0].counted
    assert len(shelf.letters) == 3


async def test_a_connection_that_was_idle_for_long_is_opened_anew() -> None:
    async with Shelf() as shelf:
        ledger = await send(shelf.url, recipients(4), rate="8/s", connection_idle=0.05)
    assert ledger.count(Verdict.ACCEPTED) == len(ledger.outcomes) == 4
    assert shelf.connections == shelf.told("QUIT") == 4


# -- control


async def test_a_pause_holds_and_a_resume_goes_on() -> None:
    control = Steered(state="pause")
    async with Shelf() as shelf:
        served = await dispatcher(settings(shelf.url), ledger := Ledger(), control=control)
        serving = asyncio.create_task(served.serve_pass(iter(recipients(5)), letter_for))
        await asyncio.sleep(2 * admission.NAP)
        assert not shelf.letters
        control.state = "run"
        await asyncio.wait_for(serving, 5)
    assert ledger.count(Verdict.ACCEPTED) == 5


async def test_a_stop_taken_back_before_the_run_obeyed_it_stops_nothing() -> None:
    control = Steered()
    async with Shelf() as shelf:
        served = await dispatcher(settings(shelf.url, rate="20/s"), ledger := Ledger(), control=control)
        serving = asyncio.create_task(served.serve_pass(iter(recipients(20)), letter_for))
        await until(lambda: shelf.letters)
        control.state, control.looks = "stop", 0
        await until(lambda: control.looks > 1)
        control.state = "run"
        await asyncio.wait_for(serving, 5)
    assert ledger.count(Verdict.ACCEPTED) == 20


async def test_connections_can_be_changed_while_it_runs() -> None:
    control = Steered(connections=1)
    async with Shelf() as shelf:
        served = await dispatcher(settings(shelf.url, connections=4), ledger := Ledger(), control=control)
        serving = asyncio.create_task(served.serve_pass(endless(), letter_for))
        await until(lambda: len(ledger.outcomes) > 50)
        assert shelf.most_at_once == 1
        control.connections = 6
        await until(lambda: shelf.open == 6)
        control.connections = 2
        await until(lambda: shelf.open == 2)
        served.drain()
        await serving


# -- relays


async def test_the_next_relay_takes_over_and_nothing_in_doubt_is_sent_again() -> None:
    async with Shelf() as first, Shelf() as second:
        served = await dispatcher(settings([first.url, second.url], connections=3), ledger := Ledger())
        serving = asyncio.create_task(served.serve_pass(iter(recipients(2000)), letter_for))
        await until(lambda: len(first.letters) > 200)
        await first.die()
        await asyncio.wait_for(serving, 20)
    doubtful = {n for n, outcome in ledger.last.items() if outcome.verdict is Verdict.IN_DOUBT}
    assert ledger.count(Verdict.ACCEPTED) + len(doubtful) == 2000
    assert len(doubtful) <= 3
    twice = set(first.recipients) & set(second.recipients)
    assert not twice
    assert len(second.letters) > 1000


async def test_a_relay_that_is_slow_to_greet_rests_while_another_serves() -> None:
    async with Shelf() as slow, Shelf() as quick:
        slow.waits["banner"] = 0.05
        ledger = await send([slow.url, quick.url], recipients(200), letters_per_connection=2, relay_slow_after="20ms")
        assert (ledger.count(Verdict.ACCEPTED), len(ledger.outcomes)) == (200, 200)
        assert len(slow.letters) + len(quick.letters) == 200
        assert slow.connections == slow_relay.ENOUGH
        assert len(slow.letters) <= 2 * slow_relay.ENOUGH
        alone = await send(slow.url, recipients(20), letters_per_connection=2, relay_slow_after="20ms")
    assert alone.count(Verdict.ACCEPTED) == 20


async def test_a_relay_that_answers_the_final_dot_slowly_rests_while_another_serves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slow_relay, "DOT_SECONDS", 0.1)
    async with Shelf() as slow, Shelf() as quick:
        slow.waits["dot"] = 0.05
        chosen = settings([slow.url, quick.url], connections=2, relay_slow_after="30ms")
        served = await dispatcher(chosen, ledger := Ledger())
        await served.serve_pass(iter(recipients(200)), letter_for)
        assert (ledger.count(Verdict.ACCEPTED), len(ledger.outcomes)) == (200, 200)
        assert slow_relay.DOT_ENOUGH <= len(slow.letters) < 30
        assert len(quick.letters) == 200 - len(slow.letters)
        (rest,) = served.rests
        assert (rest.relay, round(rest.seconds)) == (slow.url, round(slow_relay.FIRST_REST))
        assert rest.why.startswith("answers the final dot only after 0.0")
        alone = await dispatcher(settings(slow.url, connections=2, relay_slow_after="30ms"), ledger := Ledger())
        await alone.serve_pass(iter(recipients(40)), letter_for)
    assert ledger.count(Verdict.ACCEPTED) == 40
    assert not alone.rests  # there is no other, so it did not rest


async def test_a_relay_that_comes_back_is_waited_for() -> None:
    async with Shelf() as shelf:
        shelf.break_at("banner", Fault(b"554 5.3.2 not now\r\n", "fin"), after=1, times=4)
        shelf.break_at("mail", FIN, after=5)
        ledger = await send(shelf.url, recipients(20))
    assert ledger.count(Verdict.ACCEPTED) == 20


async def test_a_relay_that_was_never_there_leaves_the_run_unfinished_when_patience_ends(caplog) -> None:
    async with Shelf() as shelf:
        url = shelf.url
    with pytest.raises(UnfinishedError, match="Connection refused"):
        await send(url, recipients(2), relay_patience=0.01)
    told = [one.getMessage() for one in caplog.records if "waiting for" in one.getMessage()]
    assert len(told) == 1
    assert re.fullmatch(
        rf"waiting for {url} until \d\d:\d\d:\d\d \(no connection: .*refused\); "
        "Ctrl-C is safe, the same command continues",
        told[0],
    )


async def test_a_relay_that_starts_after_us_is_waited_for(caplog) -> None:
    async with Shelf() as shelf:
        url, port = shelf.url, shelf.port
    served = await dispatcher(settings(url), ledger := Ledger())
    serving = asyncio.create_task(served.serve_pass(iter(recipients(3)), letter_for))
    await until(lambda: "waiting for" in caplog.text)
    async with Shelf(port=port):
        await serving
    assert ledger.count(Verdict.ACCEPTED) == 3
    assert f"{url} can be reached again" in caplog.text


@pytest.mark.parametrize(
    ("errno", "ends"),
    [(socket.EAI_AGAIN, UnfinishedError), (socket.EAI_FAIL, UnfinishedError), (socket.EAI_NONAME, RelayError)],
)
async def test_a_failed_look_up_is_an_outage_and_an_unknown_name_a_slip(monkeypatch, errno, ends) -> None:
    async def fails(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(errno, "it failed")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", fails)
    with pytest.raises(ends, match="cannot be looked up"):
        await send("smtp://relay.example.com", recipients(2), relay_patience=0.01)


@contextlib.contextmanager
def swallowing():
    """The address of a socket whose queue is full: a connection to it is neither taken nor refused."""
    with contextlib.ExitStack() as stack:
        deaf = stack.enter_context(socket.socket())
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for _ in range(4):
            caller = stack.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(deaf.getsockname())
        yield deaf.getsockname()


async def test_an_address_that_swallows_packets_costs_a_moment(monkeypatch) -> None:
    async with Shelf() as shelf:
        with swallowing() as address:
            found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", one) for one in (address, ("127.0.0.1", shelf.port))]

            async def both(*_: object, **__: object) -> list:
                return found

            monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both)
            began = time.monotonic()
            ledger = await send(shelf.url, recipients(3))
    assert ledger.count(Verdict.ACCEPTED) == 3
    assert 0.2 < time.monotonic() - began < 3


async def test_connections_that_carry_nothing_end_the_run() -> None:
    async with Shelf() as shelf:
        shelf.always["mail"] = CLOSING
        with pytest.raises(RelayError, match=r"421|clos"):
            await send(shelf.url, recipients(100), connections=5)
    assert shelf.connections <= 6
    assert not shelf.letters


async def test_a_relay_that_puts_off_everybody_ends_the_run() -> None:
    async with Shelf() as shelf:
        shelf.always["dot"] = say("451 4.3.0 not now")
        with pytest.raises(RelayError, match="without one letter accepted"):
            await send(shelf.url, recipients(100), letters_per_connection=10)
    assert shelf.connections == 5


async def test_one_who_is_put_off_in_every_pass_says_nothing_of_the_relay() -> None:
    async with Shelf(refuse={"u0@example.com": "451 4.3.0 later"}) as shelf:
        served = await dispatcher(settings(shelf.url), ledger := Ledger())
        for _ in range(8):
            await served.serve_pass(iter(recipients(1)), letter_for)
    assert [outcome.verdict for outcome in ledger.outcomes] == [Verdict.DEFERRED] * 8


async def test_a_relay_that_takes_no_more_connections_serves_over_those_it_took() -> None:
    async with Shelf(most_connections=2) as shelf:
        ledger = await send(shelf.url, recipients(200), connections=10)
    assert ledger.count(Verdict.ACCEPTED) == 200


async def test_a_refusal_that_would_hit_everybody_stops_the_run() -> None:
    async with Shelf() as shelf:
        shelf.always["mail"] = say("530 5.7.0 Authentication required")
        with pytest.raises((RelayError, LoginError), match="530"):
            await send(shelf.url, recipients(100), connections=5)
    assert shelf.told("MAIL") <= 10


async def test_too_many_refusals_by_policy_stop_the_run() -> None:
    async with Shelf() as shelf:
        shelf.always["dot"] = say("550 5.7.1 this looks like spam")
        with pytest.raises(RelayError, match="refused by policy"):
            await send(shelf.url, recipients(500), stop_window=50, letters_per_connection=500)
    assert len(shelf.letters) < 60


async def test_a_list_of_dead_addresses_stops_nothing() -> None:
    who = recipients(300)
    async with Shelf(refuse={one.address: "550 5.1.1 no such user" for one in who if one.number % 3}) as shelf:
        ledger = await send(shelf.url, who, stop_window=50)
    assert ledger.count(Verdict.ACCEPTED) == 100
    assert sum(outcome.suppress for outcome in ledger.outcomes) == 200


async def test_the_first_connection_goes_alone() -> None:
    async with Shelf() as shelf:
        shelf.break_at("banner", Fault(then="stall"))
        chosen = settings(shelf.url, connections=10, timeouts={"banner": 0.3})
        await (await dispatcher(chosen, ledger := Ledger())).serve_pass(iter(recipients(50)), letter_for)
    assert ledger.count(Verdict.ACCEPTED) == 50
    assert connection_pool.OPENING_AT_ONCE <= 4


async def test_a_further_pass_waits_for_a_limit_that_an_earlier_one_used_up() -> None:
    async with Shelf() as shelf:
        served = await dispatcher(settings(shelf.url, rate="4/s"), ledger := Ledger())
        for number in range(3):
            await served.serve_pass(iter([recipients(3)[number]]), letter_for)
    assert ledger.count(Verdict.ACCEPTED) == 3


async def test_a_further_pass_says_when_that_limit_is_a_day_s() -> None:
    async with Shelf() as shelf:
        served = await dispatcher(settings(shelf.url, rate="1/day"), ledger := Ledger())
        await served.serve_pass(iter(recipients(1)), letter_for)
        with pytest.raises(UnfinishedError, match="limit"):
            await served.serve_pass(iter(recipients(2)[1:]), letter_for)
    assert len(ledger.outcomes) == 1


@pytest.mark.parametrize("told", ["drain", "abort"])
async def test_it_may_be_told_to_stop_before_its_first_pass(told: str) -> None:
    async with Shelf() as shelf:
        served = await dispatcher(settings(shelf.url), ledger := Ledger())
        getattr(served, told)()
        await served.serve_pass(iter(recipients(3)), letter_for)
    assert not ledger.outcomes
    assert not shelf.connections
