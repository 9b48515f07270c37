"""The DNS queries of `check --dns`: about the domains that send the letters, then about those that receive them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from campaign.audience.screening.addresses import domain_key
from campaign.check.config_checks import domain_of
from campaign.check.dns.list_domains import look_up_domains, tell_lookups
from campaign.check.dns.mailbox_providers import Volume, bulk_demands, volume_by_provider
from campaign.check.dns.resolver import ConcurrentNames, Names
from campaign.check.dns.sender_domain import Senders, inspected
from campaign.check.findings import Findings
from campaign.check.finish_time import first_day
from campaign.check.letters.render_all import Looked
from campaign.config.compose import DkimSection
from campaign.pipeline.command_context import Job
from campaign.report.live.console import Console
from campaign.report.live.step_progress import StepProgress


class DnsWishes(msgspec.Struct, frozen=True):
    """``resolver``: a DNS server as (host, port), None for this machine's. ``addresses``: letters leave from there."""

    resolver: tuple[str, int] | None = None
    addresses: tuple[str, ...] = ()


class DnsDigest(msgspec.Struct, frozen=True):
    """Figures on the list's domains: how many there are and answered, letters to dead ones, letters by provider."""

    domains: int
    answered: int
    dead: Mapping[str, int]
    providers: Mapping[str, Volume]


def check_dns(
    job: Job, looked: Looked, source: str, wishes: DnsWishes, findings: Findings, console: Console, *, signing: bool
) -> DnsDigest:
    """Run all DNS checks. ``signing``: the DKIM keys, if there are any, can be read."""
    who = senders(job, wishes, signing=signing)
    for remark in inspected(Names(wishes.resolver), who):
        findings.add(remark.severity, remark.code, remark.message, where=remark.where, remedy=remark.remedy)
    domains = looked.survey.domains
    with StepProgress(console, len(domains), "looked up", "domain") as meter:
        found = look_up_domains(domains, ConcurrentNames(wishes.resolver), meter.at)
    tell_lookups(found, domains, looked.lines, source, findings)
    volumes = volume_by_provider(domains, first_day(job.settings.delivery, domains), found)
    findings.harden(bulk_demands(volumes, signing=bool(who.keys)))
    return DnsDigest(found.total, found.answered, {name: domains[name] for name in sorted(found.dead)}, volumes)


def senders(job: Job, wishes: DnsWishes, *, signing: bool) -> Senders:
    """The senders of the letters, as the DNS names them."""
    campaign, keys = job.settings.campaign, job.settings.compose.dkim if signing else None
    return Senders(
        sender=dns_name(campaign.sender.address),
        envelope=dns_name(campaign.return_path or campaign.sender.address),
        keys=(keys,) if isinstance(keys, DkimSection) else tuple(keys or ()),
        base=job.settings.base,
        addresses=wishes.addresses,
    )


def dns_name(address: str) -> str:
    """The domain of an address as in the DNS, in A-labels."""
    domain = domain_of(address)
    return domain_key(domain) or domain
