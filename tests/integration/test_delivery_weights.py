"""Several relays at once: shares hold over speeds, failures and limits; every letter goes out exactly once."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from campaign.delivery.relays import failover
from campaign.delivery.relays.weights import PORTION, SLACK
from campaign.errors import RelayError, UnfinishedError
from campaign.model import Verdict
from tests.support.servers.sending import Ledger, recipients, send
from tests.support.servers.shelf import CLOSING, FIN, RST, Fault, Shelf


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failover, "FIRST_PAUSE", 0.001)


def by_weight(**shelves: Any) -> list[dict[str, Any]]:
    return [{"url": shelf.url, "weight": weight} for shelf, weight in shelves.values()]


def everybody_once(count: int, ledger: Ledger, *shelves: Shelf) -> None:
    """All accepted, each at one relay and once."""
    assert ledger.count(Verdict.ACCEPTED) == len(ledger.outcomes) == count
    arrived = Counter(address for shelf in shelves for address in shelf.recipients)
    assert set(arrived.values()) == {1}
    assert len(arrived) == count


@pytest.mark.parametrize("connections", [1, 2, 20])
async def test_letters_are_shared_by_weight(connections: int) -> None:
    async with Shelf() as three, Shelf() as one:
        relays = by_weight(a=(three, 3), b=(one, 1))
        ledger = await send(relays, recipients(2000), connections=connections)
    everybody_once(2000, ledger, three, one)
    assert len(one.letters) == pytest.approx(500, abs=SLACK + PORTION * connections)
    assert three.most_at_once + one.most_at_once <= connections + 2  # one may be saying goodbye at each
    assert three.connections + one.connections < 2000 / PORTION  # connections stay where they are needed


async def test_a_relay_that_is_slower_gets_more_connections_not_fewer_letters() -> None:
    async with Shelf() as slow, Shelf() as quick:
        slow.waits["dot"] = 0.004
        ledger = await send(by_weight(a=(slow, 1), b=(quick, 1)), recipients(2000), connections=10)
    everybody_once(2000, ledger, slow, quick)
    assert len(slow.letters) == pytest.approx(1000, abs=SLACK + PORTION * 10)
    assert slow.most_at_once > 5


async def test_a_relay_that_dies_costs_no_letter_and_its_share_goes_to_the_other() -> None:
    async with Shelf() as dying, Shelf() as steady:

        async def kill() -> None:
            while len(dying.letters) < 100:  # noqa: ASYNC110 - what it waits for happens in another room
                await asyncio.sleep(0.002)
            await dying.die()

        killer = asyncio.create_task(kill())
        ledger = await send(by_weight(a=(dying, 1), b=(steady, 1)), recipients(1000), connections=8)
        await killer
    accepted, doubt = ledger.count(Verdict.ACCEPTED), ledger.count(Verdict.IN_DOUBT)
    assert accepted + doubt == len(ledger.outcomes) == 1000
    assert doubt <= 8
    arrived = Counter(dying.recipients + steady.recipients)
    assert set(arrived.values()) == {1}
    in_doubt = {f"u{n}@example.com" for n, one in ledger.last.items() if one.verdict is Verdict.IN_DOUBT}
    assert not in_doubt & set(steady.recipients), "what is in doubt goes through no other relay"


@pytest.mark.parametrize("fault", [FIN, RST, Fault(b"\x00garbage\r\n")], ids=["fin", "reset", "garbage"])
async def test_nothing_in_doubt_changes_relays(fault: Fault) -> None:
    async with Shelf() as bad, Shelf() as good:
        bad.break_at("dot", fault, after=5, times=3)
        ledger = await send(by_weight(a=(bad, 1), b=(good, 1)), recipients(400), connections=4)
    in_doubt = {f"u{n}@example.com" for n, one in ledger.last.items() if one.verdict is Verdict.IN_DOUBT}
    assert len(in_doubt) == 3
    assert not in_doubt & set(good.recipients)
    assert ledger.count(Verdict.ACCEPTED) == 397
    assert max(ledger.intents.values()) == 1


async def test_one_that_stands_by_serves_only_when_the_other_cannot() -> None:
    async with Shelf() as first, Shelf() as spare:
        relays = by_weight(a=(first, 1), b=(spare, 0))
        everybody_once(100, await send(relays, recipients(100), connections=4), first, spare)
        assert spare.connections == 0
        first.always["banner"] = CLOSING
        first.letters.clear()
        everybody_once(100, await send(relays, recipients(100), connections=4), first, spare)
        assert len(spare.letters) == 100


async def test_a_relay_that_takes_few_connections_does_not_hold_up_the_other() -> None:
    async with Shelf(most_connections=1) as narrow, Shelf() as wide:
        ledger = await send(by_weight(a=(narrow, 1), b=(wide, 1)), recipients(500), connections=10)
    everybody_once(500, ledger, narrow, wide)
    assert narrow.letters
    assert wide.most_at_once > 1


async def test_a_used_up_limit_of_one_leaves_the_rest_to_the_other_until_both_are_used_up() -> None:
    ledger = Ledger()
    async with Shelf() as one, Shelf() as two:
        relays = by_weight(a=(one, 9), b=(two, 1))
        with pytest.raises(UnfinishedError, match=r"in 2[34] h"):
            await send(relays, recipients(300), ledger=ledger, connections=4, rate="100/day")
    assert (len(one.letters), len(two.letters)) == (100, 100)
    assert ledger.count(Verdict.ACCEPTED) == len(ledger.outcomes) == 200


async def test_each_account_keeps_its_own_pace_and_neither_waits_for_the_other() -> None:
    async with Shelf() as one, Shelf() as two:
        loop = asyncio.get_running_loop()
        began = loop.time()
        ledger = await send(by_weight(a=(one, 1), b=(two, 1)), recipients(160), connections=6, rate="40/s")
        took = loop.time() - began
    everybody_once(160, ledger, one, two)
    assert took < 3.5  # 2 s side by side, 4 s if one waited for the other
    assert len(one.letters) == pytest.approx(80, abs=SLACK + 2 * PORTION)


async def test_when_neither_can_be_used_the_run_says_so() -> None:
    async with Shelf() as one, Shelf() as two:
        one.always["banner"] = two.always["banner"] = CLOSING
        with pytest.raises(RelayError, match="None of the relays"):
            await send(by_weight(a=(one, 3), b=(two, 1)), recipients(10), relay_patience=0)
    assert not one.letters + two.letters
