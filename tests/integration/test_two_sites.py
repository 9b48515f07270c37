"""Two sites serve one run: the primary in one, its synchronous standby in the other, and then they lose each other.

Each site has a relay of its own, so that it is known from where a letter came. The seconds are printed (pytest -s).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
import trustme

from campaign.ledger.postgres.schema import ensure_schema
from tests.support.servers.shelf import Shelf
from tests.support.servers.site_servers import SiteServer, address_of_both, servers_in
from tests.support.servers.sites import NoSitesError, Site, Wire, two_sites
from tests.support.stand import Ended, Running, Stand, until

PEOPLE, CONNECTIONS, LEASE = 300, 4, 5  # three shards
SLOW, CONFIRMED_IN_TIME = 0.03, 3.0


@dataclass
class Sites:
    """A worker's machine and a relay in each site. ``cut_at``: when the wire was cut."""

    wire: Wire
    primary: SiteServer
    standby: SiteServer
    machines: list[Stand]
    relays: list[Shelf]
    running: list[Running] = field(default_factory=list)
    cut_at: float = 0.0

    async def begin(self) -> None:
        """A worker in each site, and letters under way in both."""
        for machine, server in zip(self.machines, (self.primary, self.standby), strict=True):
            with server.site.inside():
                self.running.append(await machine.sending())
        await until(lambda: min(len(relay.recipients) for relay in self.relays) > 20, "both sites send")

    def cut(self) -> None:
        self.wire.cut()
        self.cut_at = time.monotonic()

    def tell(self, what: str) -> None:
        print(f"{time.monotonic() - self.cut_at:6.1f} s after the cut: {what}")  # noqa: T201 - the figures of docs/scale.md

    async def promote(self) -> Ended:
        """Promote the standby, and wait until the worker beside it has ended by itself."""
        before = len(self.relays[1].recipients)
        await asyncio.to_thread(self.standby.promote)
        self.tell("the standby is promoted")
        await until(lambda: len(self.relays[1].recipients) > before, "the other site goes on")
        self.tell("the other site sends again")
        ended = await self.running[1].end()
        assert "query cancellation" not in ended.err  # the driver's own words
        self.tell(f"the other site has ended with {ended.code}")
        return ended

    async def judge(self, most_doubts: int) -> None:
        """Nobody lost, nobody twice: who is not accepted is listed in doubt."""
        with self.standby.site.inside():
            told = await self.machines[1].campaign("status", self.machines[1].file, "--json")
        verdicts = {name: count for name, count in json.loads(told.ends(0).out)["verdicts"].items() if count}
        doubts = verdicts.pop("in_doubt", 0)
        arrived = Counter(one for relay in self.relays for one in relay.recipients)
        self.tell(f"accepted {verdicts}, in doubt {doubts}, letters {sum(arrived.values())}")
        assert verdicts == {"accepted": PEOPLE - doubts}
        assert doubts <= most_doubts
        assert max(arrived.values()) == 1
        assert PEOPLE - doubts <= len(arrived) <= PEOPLE

    async def leave(self) -> None:
        for machine in self.machines:
            await machine.leave()


def machine_at(folder: Path, relay: Shelf, store: str) -> Stand:
    folder.mkdir()
    machine = Stand(folder, PEOPLE)
    machine.from_nothing = True  # a fork would be where the process is that has imported, in no site
    machine.set(campaign__secret_file="../secret", ledger__store=store)
    machine.set(delivery__relay=relay.url, delivery__connections=CONNECTIONS)
    return machine


async def shelf_in(site: Site, stack: AsyncExitStack) -> Shelf:
    relay = Shelf(waits={"dot": SLOW})
    with site.inside():
        return await stack.enter_async_context(relay)


@pytest.fixture
def network() -> Iterator[tuple[Site, Site, Wire]]:
    """Two sites with a wire; the test is skipped where there can be none."""
    with ExitStack() as stack:
        try:
            made = stack.enter_context(two_sites())
        except NoSitesError as reason:
            pytest.skip(str(reason))
        yield made


@pytest.fixture
async def sites(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: tuple[Site, Site, Wire]
) -> AsyncIterator[Sites]:
    one, two, wire = network
    monkeypatch.setattr("tests.support.stand.PATIENCE", 90.0)
    authority = trustme.CA()
    trusted = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(trusted))
    secret = tmp_path / "secret"
    secret.write_text("one secret for all machines, of some length\n")
    secret.chmod(0o600)
    with servers_in(one, two, authority) as (primary, standby):
        await until(lambda: primary.commits_wait_for(standby), "commits wait for the standby")
        primary.ask("CREATE DATABASE campaign ENCODING 'UTF8' TEMPLATE template0")
        with psycopg.connect(primary.from_anywhere("campaign"), autocommit=True) as connection:
            ensure_schema(connection)
            connection.execute(f"UPDATE campaign.meta SET lease = '{LEASE} s'")
        store = address_of_both(primary, standby, trusted)
        async with AsyncExitStack() as stack:
            relays = [await shelf_in(site, stack) for site in (one, two)]
            machines = [
                machine_at(tmp_path / site.name, relay, store) for site, relay in zip((one, two), relays, strict=True)
            ]
            found = Sites(wire, primary, standby, machines, relays)
            yield found
            await found.leave()


async def test_a_site_that_is_cut_off_sends_nothing_more_and_the_other_one_goes_on_by_itself(sites: Sites) -> None:
    await sites.begin()
    near = sites.relays[0]
    sites.cut()
    before = len(near.recipients)
    await asyncio.sleep(1.0)  # dots whose intents were durable have left
    served = len(near.recipients)
    assert served - before <= CONNECTIONS
    (await sites.promote()).ends(4)
    sites.wire.mend()
    unconfirmed = asyncio.create_task(
        asyncio.to_thread(sites.primary.ask, "UPDATE campaign.meta SET lease = lease", "campaign")
    )
    assert not (await asyncio.wait([unconfirmed], timeout=CONFIRMED_IN_TIME))[0]
    assert len(near.recipients) == served
    sites.tell("the wire is back; the old primary has confirmed nothing")
    await asyncio.to_thread(sites.primary.stop, "fast")
    await asyncio.gather(unconfirmed, return_exceptions=True)
    await asyncio.to_thread(sites.primary.rejoin, sites.standby)
    await until(lambda: sites.standby.commits_wait_for(sites.primary), "the old primary is a standby")
    sites.tell("the old primary is a synchronous standby, by pg_rewind")
    ended = await sites.running[0].end()
    sites.tell(f"the first site has ended with {ended.code}")
    assert ended.code in (0, 4)
    assert len(near.recipients) == served
    await sites.judge(2 * CONNECTIONS)


async def test_a_site_that_is_lost_leaves_its_doubts_and_the_other_one_goes_on_by_itself(sites: Sites) -> None:
    await sites.begin()
    sites.cut()
    await sites.running[0].kill()
    await asyncio.to_thread(sites.primary.stop, "kill")
    await sites.promote()
    await sites.judge(2 * CONNECTIONS)
    sites.wire.mend()
    await asyncio.to_thread(sites.primary.follow, sites.standby)
    await until(lambda: sites.standby.commits_wait_for(sites.primary), "the old primary is a standby")
    sites.tell("the old primary is a synchronous standby, by pg_basebackup")
