"""DNS look-ups of the list's domains, each once: which accept mail, by which servers, and which accept none.

The commonest come first, so that look-ups cut off by the time limit concern few letters. A missing answer is never
evidence.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from campaign.check.dns.resolver import ConcurrentNames, NoSuchName, Unanswered
from campaign.check.findings import ROWS_SHOWN, Finding, Findings
from campaign.report.formatting import counted, duration_text, people_address

IN_FLIGHT = 64  #: domains queried at the same time
PATIENCE_FOR_ALL = 120.0  #: seconds for the whole list
SILENT = 64  #: domains without an answer after which, if there was none at all, no further domain is queried
NAMED = 20  #: dead domains that have a finding of their own; the others share one
SAMPLES = 3


class DomainLookups(msgspec.Struct):
    """The DNS answers. ``servers``: a domain's mail servers, best first; itself if it has only an address.

    ``dead``: domains that accept no mail, each with the reason. ``unanswered``: queried without an answer.
    """

    total: int = 0
    servers: dict[str, list[str]] = msgspec.field(default_factory=dict)
    dead: dict[str, str] = msgspec.field(default_factory=dict)
    unanswered: list[str] = msgspec.field(default_factory=list)

    @property
    def answered(self) -> int:
        """Domains with an answer."""
        return len(self.servers) + len(self.dead)

    @property
    def looked_at(self) -> int:
        """Domains that were queried, with or without an answer."""
        return self.answered + len(self.unanswered)


def look_up_domains(
    domains: Mapping[str, int],
    names: ConcurrentNames,
    at: Callable[[int], None],
    *,
    patience: float = PATIENCE_FOR_ALL,
) -> DomainLookups:
    """Look up ``domains`` (name -> letters) for at most ``patience`` seconds; ``at`` gets the number done."""
    found = DomainLookups(len(domains))
    waiting = iter(sorted(domains, key=lambda name: (-domains[name], name)))
    asyncio.run(_ask_all(waiting, names, at, found, patience))
    return found


async def _ask_all(
    waiting: Iterator[str], names: ConcurrentNames, at: Callable[[int], None], found: DomainLookups, patience: float
) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience), asyncio.TaskGroup() as group:
            for _ in range(min(IN_FLIGHT, found.total)):
                group.create_task(_ask_in_turn(waiting, names, at, found))


async def _ask_in_turn(
    waiting: Iterator[str], names: ConcurrentNames, at: Callable[[int], None], found: DomainLookups
) -> None:
    for domain in waiting:
        await _ask_about(domain, names, found)
        at(found.looked_at)
        if not found.answered and len(found.unanswered) >= SILENT:
            return


async def _ask_about(domain: str, names: ConcurrentNames, found: DomainLookups) -> None:
    """RFC 5321, section 5.1: MX records, or else an address; RFC 7505: a null MX."""
    try:
        servers = [host for _, host in await names.mail_servers(domain)]
        if any(servers):
            found.servers[domain] = [host for host in servers if host]
        elif servers:
            found.dead[domain] = "it says so (null MX)"
        elif await names.has_address(domain):
            found.servers[domain] = [domain]
        else:
            found.dead[domain] = "it has neither a mail server nor an address"
    except NoSuchName:
        found.dead[domain] = "it does not exist"
    except Unanswered:
        found.unanswered.append(domain)


def tell_lookups(
    found: DomainLookups,
    domains: Mapping[str, int],
    lines: Mapping[str, Sequence[int]],
    source: str,
    findings: Findings,
) -> None:
    """Report the dead domains with their rows (``lines``: the first of each domain), and those not verified."""
    dead = sorted(found.dead, key=lambda name: (-domains[name], name))
    for domain in dead[:NAMED]:
        findings.take(
            Finding(
                "warning",
                "dead-domain",
                f"{_shown(domain)} takes no mail: {found.dead[domain]}",
                rows=list(lines.get(domain, ())),
                where=source,
                remedy="correct the address, or leave the row out: its letter would bounce",
                count=domains[domain],
            )
        )
    if rest := dead[NAMED:]:
        findings.take(
            Finding(
                "warning",
                "dead-domain",
                f"{counted(len(rest), 'more domain')} take no mail, such as {', '.join(map(_shown, rest[:SAMPLES]))}",
                rows=sorted(line for domain in rest for line in lines.get(domain, ()))[:ROWS_SHOWN],
                where=source,
                remedy="check --json lists them all",
                count=sum(domains[domain] for domain in rest),
            )
        )
    if found.answered < found.total:
        what = f"{found.answered:,} of {counted(found.total, 'domain')} answered{_why(found)}"
        findings.add("unverified", "list-domains", "which domains of the list take mail", remedy=what)


def _why(found: DomainLookups) -> str:
    if not found.answered and found.unanswered:
        return ", the DNS server none"
    if found.looked_at < found.total:
        return f", {duration_text(PATIENCE_FOR_ALL)} are up"
    return ""


def _shown(domain: str) -> str:
    return people_address(f"@{domain}")[1:]
