"""SPF of a domain, evaluated as a receiver does (RFC 7208): one record, at most ten look-ups, who may send.

Every term is followed, so the look-ups counted are the most that a receiver can need. Macros are counted, never
expanded. Queries go through `resolver.Names`; nothing is decided about letters.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence

import msgspec

from campaign.check.dns.remarks import Remark
from campaign.check.dns.resolver import Names, Unanswered

MOST_LOOKUPS = 10  #: RFC 7208, section 4.6.4
MOST_VOID = 2
MOST_DEPTH = 20
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class SpfResult(msgspec.Struct):
    """The result of a walk. ``allowed``: networks with the qualifier of their term. ``end``: qualifier of ``all``."""

    lookups: int = 0
    void: int = 0
    allowed: list[tuple[str, Network]] = msgspec.field(default_factory=list)
    end: str = ""
    broken: list[str] = msgspec.field(default_factory=list)


def remarks(names: Names, domain: str, addresses: Sequence[str] = ()) -> list[Remark]:
    """What is wrong with the SPF record of ``domain``, the envelope sender's; ``addresses`` should be allowed."""
    try:
        records = spf_records(names, domain)
        if not records:
            what = f"{domain} has no SPF record; Gmail, Yahoo and Outlook.com want one of bulk senders"
            return [Remark("warning", "spf-missing", what, domain, f'publish TXT "v=spf1 include:… -all" at {domain}')]
        if len(records) > 1:
            what = f"{domain} has {len(records)} SPF records, so none of them counts"
            return [Remark("error", "spf-many", what, domain, "put them together into one")]
        walk = SpfResult()
        _walk(names, domain, records[0], "+", walk, 0)
    except Unanswered as silence:
        return [Remark("unverified", "dns", f"SPF: {silence}", domain, "SPF")]
    return list(_judged(walk, domain, addresses))


def spf_records(names: Names, domain: str) -> list[str]:
    """The texts of ``domain`` that are SPF records."""
    return [text for text in names.texts(domain) if text.lower() == "v=spf1" or text.lower().startswith("v=spf1 ")]


def _judged(walk: SpfResult, domain: str, addresses: Sequence[str]) -> Iterator[Remark]:
    for what in walk.broken:
        yield Remark("error", "spf-broken", what, domain, "correct the record: as it is, receivers ignore it")
    if walk.lookups > MOST_LOOKUPS:
        what = f"the SPF record takes {walk.lookups} DNS look-ups; with more than {MOST_LOOKUPS} it does not count"
        yield Remark("error", "spf-lookups", what, domain, "remove includes that no longer send for you")
    if walk.void > MOST_VOID:
        what = f"{walk.void} look-ups of the SPF record find nothing; with more than {MOST_VOID} it may not count"
        yield Remark("warning", "spf-void", what, domain, "remove names that no longer exist")
    if walk.end == "+":
        what = "the SPF record ends in +all: anybody may send as this domain"
        yield Remark("error", "spf-open", what, domain, "end it in -all or ~all")
    elif not walk.end:
        what = "the SPF record says nothing of others: it has neither all nor redirect"
        yield Remark("warning", "spf-end", what, domain, "end it in -all or ~all")
    for address in addresses:
        if result(walk, address) != "+":
            what = f"the SPF record does not allow {address}"
            yield Remark(
                "error", "spf-address", what, domain, f"add ip{ipaddress.ip_address(address).version}:{address}"
            )


def result(walk: SpfResult, address: str) -> str:
    """The qualifier of the first term that ``address`` matches: ``+`` is a pass; ``?`` where nothing matches."""
    ip = ipaddress.ip_address(address)
    found = (qualifier for qualifier, network in walk.allowed if ip.version == network.version and ip in network)
    return next(found, walk.end or "?")


def _walk(names: Names, domain: str, record: str, outer: str, walk: SpfResult, depth: int) -> None:
    """Follow one record. ``outer`` is the qualifier of its include; of an include only passes count."""
    redirect = ""
    for term in record.split()[1:]:
        lower = term.lower()
        if lower.startswith("redirect="):
            redirect = term[len("redirect=") :]
            continue
        qualifier = lower[0] if lower[0] in "+-~?" else "+"
        body = term.lstrip("+-~?")
        name, _, value = body.partition(":")
        if not value and "/" in name:
            name, _, value = body.partition("/")
            value = f"/{value}"
        name = name.lower()
        if name == "all":
            walk.end = qualifier if depth == 0 else walk.end
            return
        if qualifier == "+" or depth == 0:
            _mechanism(names, domain, name, value, outer if depth else qualifier, walk, depth)
    if redirect:
        _include(names, redirect, outer, walk, depth, replaces=depth == 0)


def _mechanism(names: Names, domain: str, name: str, value: str, qualifier: str, walk: SpfResult, depth: int) -> None:
    if name in ("ip4", "ip6"):
        try:
            walk.allowed.append((qualifier, ipaddress.ip_network(value, strict=False)))
        except ValueError:
            walk.broken.append(f"{name}:{value} in the SPF record is not a network")
    elif name in ("a", "mx"):
        target, _, length = value.partition("/")
        _addresses(names, name, target or domain, length.partition("/")[0], qualifier, walk)
    elif name == "include":
        _include(names, value, qualifier, walk, depth, replaces=False)
    elif name in ("ptr", "exists"):
        walk.lookups += 1
    elif "=" not in name:
        walk.broken.append(f"{name!r} in the SPF record is no mechanism")


def _addresses(names: Names, kind: str, target: str, length: str, qualifier: str, walk: SpfResult) -> None:
    walk.lookups += 1
    if "%" in target:
        return
    hosts = [host for _, host in names.mail_servers(target)] if kind == "mx" else [target]
    found = [address for host in hosts[:MOST_LOOKUPS] if host for address in names.addresses(host)]
    walk.void += not found
    for address in found:
        suffix = f"/{length}" if length.isdigit() and ":" not in address else ""
        walk.allowed.append((qualifier, ipaddress.ip_network(address + suffix, strict=False)))


def _include(names: Names, target: str, qualifier: str, walk: SpfResult, depth: int, *, replaces: bool) -> None:
    walk.lookups += 1
    if "%" in target or depth >= MOST_DEPTH or walk.lookups > 5 * MOST_LOOKUPS:
        return
    records = spf_records(names, target)
    if len(records) != 1:
        walk.broken.append(
            f"the SPF record refers to {target}, which has {'no' if not records else 'several'} of its own"
        )
        return
    _walk(names, target, records[0], qualifier, walk, 0 if replaces else depth + 1)
