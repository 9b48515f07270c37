"""Two sites share a run in a store, and one of them is cut off or lost: the other goes on with the standby."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import trustme
from tests.support.servers.site_servers import SiteServer, address_of_both, servers_in
from tests.support.servers.sites import NoSitesError, Site, Wire, two_sites

from torture import stores
from torture.audit import Tally
from torture.bench import Bench, OracleProcess, dice
from torture.case import Case
from torture.crew import CONNECTIONS, Crew

SCENARIO = "workers: a site is cut off or lost"
SITES = 6
PEOPLE, LETTERS = 1000, 500
#: The machines of each site.
NEAR, FAR = (0, 1), (2, 3)
#: Seconds in which the other site must go on, and for which the old primary is asked once it is back.
GOES_ON, CONFIRMED = 60.0, 3.0


def cases(kills: int) -> list[Case]:
    """With 200: 6 cuts, a third of which end the workers and the server of the site; none without PostgreSQL."""
    if not stores.installed():
        return []
    return [
        Case(SCENARIO, f"workers site {at}", cut_off, {"at": at}, 75.0)
        for at in range(max(round(SITES * kills / 200), 1))
    ]


@dataclass
class Sites:
    """The wire between the sites, a server and an oracle in each, and the workers of both."""

    wire: Wire
    primary: SiteServer
    standby: SiteServer
    near: OracleProcess
    far: OracleProcess
    crew: Crew

    def start(self, *machines: int) -> None:
        """A worker on each of these machines that has none."""
        self.crew.tend()
        self.crew.start(*(at for at in machines if at not in self.crew.at_work))

    def taken(self, oracle: OracleProcess) -> int:
        """How many letters a site's oracle has."""
        return oracle.counters()[2]

    def await_letters(self, oracle: OracleProcess, letters: int, what: str) -> float:
        """Wait until a site has sent so many more, with its workers started again; returns the seconds."""
        began, wanted = time.monotonic(), self.taken(oracle) + letters
        while self.taken(oracle) < wanted and time.monotonic() < began + GOES_ON:
            self.start(*(NEAR if oracle is self.near else FAR))
            time.sleep(0.02)
        self.crew.tally.must(self.taken(oracle) >= wanted, f"{what} within {GOES_ON:.0f} s")
        return time.monotonic() - began


def cut_off(bench: Bench, folder: Path, seed: int, tally: Tally, *, at: int) -> None:
    """The wire is cut at any moment, or the site is lost; the standby is promoted; later the site comes back."""
    chance = dice(seed, "workers site", at)
    try:
        network = bench.borrowed.enter_context(two_sites())
    except NoSitesError as reason:
        tally.notes[f"left out, {reason}"] += 1
        return
    sites = _settle(bench, folder, tally, chance.choice(("hold", "hold", "resend")), network, seed, at)
    crew, lost = sites.crew, at % 3 == 2
    crew.scene(0.02, 0.06)
    crew.start(*NEAR, *FAR)
    for oracle in (sites.near, sites.far):
        sites.await_letters(oracle, 1, "no letter left a site")
    crew.aim(chance.randrange(1, LETTERS))
    sites.wire.cut()
    tally.number += 1
    crew.bound += CONNECTIONS * len(crew.at_work)
    if lost:
        _lose(sites)
    crew.quiet(chance.uniform(0.2, 3.0))
    served = sites.taken(sites.near)
    sites.standby.promote()
    crew.database = sites.standby.from_anywhere("campaign")
    crew.midway()
    back_early = chance.random() < 0.4
    if not back_early:
        _goes_on(sites)
    tally.must(sites.taken(sites.near) == served, "the site that was cut off has sent")
    sites.wire.mend()
    if not lost:
        _confirms_nothing(sites)
    if lost:
        sites.primary.follow(sites.standby)
    else:
        sites.primary.rejoin(sites.standby)
    _until(lambda: sites.standby.commits_wait_for(sites.primary), tally, "the old primary is no standby")
    if back_early:
        _goes_on(sites)
    crew.midway()
    sites.start(*NEAR, *FAR)
    crew.close()


def _settle(
    bench: Bench, folder: Path, tally: Tally, policy: str, network: tuple[Site, Site, Wire], seed: int, at: int
) -> Sites:
    """A server and an oracle in each site, commits that wait for the standby, and two machines in each."""
    one, two, wire = network
    authority, trusted = trustme.CA(), folder / "authority.pem"
    authority.cert_pem.write_to_path(str(trusted))
    primary, standby = bench.borrowed.enter_context(servers_in(one, two, authority))
    _until(lambda: primary.commits_wait_for(standby), tally, "commits do not wait for the standby")
    primary.ask("CREATE DATABASE campaign ENCODING 'UTF8' TEMPLATE template0")
    oracles = []
    for site in (one, two):
        with site.inside():
            oracles.append(OracleProcess(folder / f"counters-{site.name}"))
        bench.borrowed.callback(oracles[-1].end)
    crew = Crew(
        bench, folder, tally, dice(seed, "workers site crew", at), PEOPLE, primary.from_anywhere("campaign"),
        [address_of_both(primary, standby, trusted)] * 4, policy,
        oracles=[oracles[0]] * 2 + [oracles[1]] * 2, sites=[one.name] * 2 + [two.name] * 2,
    )  # fmt: skip
    return Sites(wire, primary, standby, *oracles, crew)


def _lose(sites: Sites) -> None:
    """Workers and server of the site die, all at once."""
    sites.crew.bound -= CONNECTIONS * sum(at in sites.crew.at_work for at in NEAR)  # which the kills explain
    sites.crew.kill(*NEAR)
    sites.primary.stop("kill")


def _goes_on(sites: Sites) -> None:
    """The other site sends again."""
    seconds = sites.await_letters(sites.far, 1, "the other site did not go on")
    most = "most seconds until the other site sent again"
    sites.crew.tally.notes[most] = max(sites.crew.tally.notes[most], round(seconds))


def _confirms_nothing(sites: Sites) -> None:
    """The old primary is up and can be reached, and no commit of it comes to its end before it is stopped."""
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(sites.primary.ask, "UPDATE campaign.meta SET lease = lease", "campaign")
        confirmed = bool(wait([asked], CONFIRMED).done)
        sites.crew.tally.must(not confirmed, "the old primary has confirmed a commit without its standby")
        sites.primary.stop("fast")


def _until(holds: Callable[[], bool], tally: Tally, otherwise: str) -> None:
    end = time.monotonic() + GOES_ON
    while not (held := holds()) and time.monotonic() < end:
        time.sleep(0.05)
    tally.must(held, otherwise)
