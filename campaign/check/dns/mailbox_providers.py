"""Letters per mailbox provider, and the provider rules that apply at that volume, from a table of data."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from functools import cache
from importlib import resources

import msgspec

from campaign.check.dns.list_domains import DomainLookups
from campaign.delivery.pacing.domain_groups import SHIPPED

OTHERS, UNKNOWN = "others", "unknown"


class MailboxProvider(msgspec.Struct, frozen=True):
    """A provider, by its mail servers. ``demands``: findings that are errors ``above`` so many letters a day."""

    title: str
    mx: tuple[str, ...]
    group: str = ""
    above: int = 0
    demands: tuple[str, ...] = ()


class Volume(msgspec.Struct):
    """One provider's volume: letters of the whole run, and of its first 24 hours, and the number of domains."""

    domains: int = 0
    letters: int = 0
    a_day: float = 0.0


@cache
def mailbox_providers() -> tuple[MailboxProvider, ...]:
    """The shipped table."""
    text = resources.files("campaign.check.dns").joinpath("mailbox_providers.toml").read_text(encoding="utf-8")
    return tuple(
        MailboxProvider(
            one["title"], tuple(one["mx"]), one.get("group", ""), one.get("above", 0), tuple(one.get("demands", ()))
        )
        for one in tomllib.loads(text)["provider"]
    )


def title_of(domain: str, lookups: DomainLookups) -> str:
    """The provider of ``domain``: by its best mail server, or by name if the DNS gave no answer."""
    servers = lookups.servers.get(domain)
    for provider in mailbox_providers():
        if servers and any(f".{servers[0]}".endswith(f".{name}") for name in provider.mx):
            return provider.title
        if servers is None and domain in SHIPPED.get(provider.group, ()):
            return provider.title
    return UNKNOWN if servers is None else OTHERS


def volume_by_provider(
    domains: Mapping[str, int], first_day: Mapping[str, float], lookups: DomainLookups
) -> dict[str, Volume]:
    """Letters by provider, the largest first and the rest last; dead domains are left out."""
    found: dict[str, Volume] = {}
    for domain, letters in domains.items():
        if domain not in lookups.dead:
            volume = found.setdefault(title_of(domain, lookups), Volume())
            volume.domains += 1
            volume.letters += letters
            volume.a_day += first_day[domain]
    for volume in found.values():
        volume.a_day = max(1, round(volume.a_day))
    return dict(sorted(found.items(), key=lambda pair: (pair[0] in (OTHERS, UNKNOWN), -pair[1].letters)))


def bulk_demands(volumes: Mapping[str, Volume], *, signing: bool) -> dict[str, str]:
    """Findings that are errors at these volumes, each with the reason in words.

    Without a key of ours (``signing``) the relay may sign, so alignment is unknown.
    """
    reasons: dict[str, list[str]] = {}
    for provider in mailbox_providers():
        a_day = volumes.get(provider.title, Volume()).a_day
        if provider.above and a_day > provider.above:
            for code in provider.demands:
                reasons.setdefault(code, []).append(f"{provider.title} ({a_day:,} a day)")
    unknown: Collection[str] = () if signing else ("dmarc-alignment",)
    return {
        code: f"refused at this volume by {' and '.join(those)}"
        for code, those in reasons.items()
        if code not in unknown
    }
