"""DMARC by RFC 9989: the tree walk, the policy that applies to a From domain, and whether our letters align.

Queries go through `resolver.Names`. The walk finds the organisational domain; no list of public suffixes is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from campaign.check.dns.remarks import Remark
from campaign.check.dns.resolver import Names

#: A name of so many labels or more continues with its last seven, so that a walk takes eight queries at most (4.10).
LONG_NAME = 8
POLICIES = ("none", "quarantine", "reject")

_VERSION = re.compile(r"v[ \t]*=[ \t]*DMARC1[ \t]*(?:;|$)|V[ \t]*=[ \t]*DMARC1[ \t]*(?:;|$)")
_MEANT = re.compile(r"\s*v\s*=\s*dmarc", re.IGNORECASE)
_REPORTS_TO = re.compile(r"[a-z][a-z0-9+.-]*:[^\s,]+", re.IGNORECASE)


class DmarcRecord(NamedTuple):
    """A valid record and its domain: the one below which its ``_dmarc`` was found."""

    domain: str
    tags: dict[str, str]

    @property
    def psd(self) -> str:
        """``y``: a public suffix; ``n``: an organisation; ``u``: unspecified."""
        return self.tags.get("psd", "u").lower()


class Policy(NamedTuple):
    """What receivers do with letters that do not align: ``policy``, by the tag ``tag`` of ``record``."""

    record: DmarcRecord
    tag: str
    policy: str


def tags(text: str) -> dict[str, str]:
    """``"v=DMARC1; p=none"`` -> ``{"v": "DMARC1", "p": "none"}``; the first of equal tags counts."""
    found: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        if equals:
            found.setdefault(name.strip().lower(), value.strip())
    return found


def walked_names(domain: str) -> Iterator[str]:
    """The domains that a walk from ``domain`` queries, longest first: never more than eight."""
    labels = domain.split(".")
    yield domain
    rest = labels[1 - LONG_NAME :] if len(labels) >= LONG_NAME else labels[1:]
    yield from (".".join(rest[start:]) for start in range(len(rest)))


def tree_walk(names: Names, domain: str) -> list[DmarcRecord]:
    """The valid records at ``domain`` and above it, up to one that marks the end of its organisation (4.10)."""
    found: list[DmarcRecord] = []
    for at in walked_names(domain):
        records = [text for text in names.texts(f"_dmarc.{at}") if _VERSION.match(text)]
        if len(records) == 1:
            found.append(DmarcRecord(at, tags(records[0])))
            if found[-1].psd in ("y", "n"):
                break
    return found


def organizational_domain(domain: str, found: Sequence[DmarcRecord]) -> str:
    """The organisational domain of ``domain``, by the records that its walk ``found`` (4.10.2).

    Only the last can have ``psd``, as the walk ends there; with ``psd=n`` it is the shortest name anyway.
    """
    if not found:
        return domain
    last = found[-1]
    if last.psd == "y" and last.domain != domain:
        return ".".join(domain.split(".")[-(last.domain.count(".") + 2) :])
    return last.domain


def policy_of(names: Names, domain: str, found: Sequence[DmarcRecord]) -> Policy | None:
    """The policy for From at ``domain``: its own record's, its organisation's, or its public suffix's (4.10.1)."""
    above = organizational_domain(domain, found)
    here = [record for wanted in (domain, above) for record in found if record.domain == wanted]
    here += [record for record in found if record.psd == "y"]
    if not here:
        return None
    record = here[0]
    tag = "p"
    if record.domain != domain:
        wanted = ("np", "sp") if "np" in record.tags and not names.exists(domain) else ("sp",)
        tag = next((one for one in wanted if one in record.tags), "p")
    policy = record.tags.get(tag, "none").lower()
    if not _is_sound(record):
        policy = "none"
    if record.tags.get("t", "n").lower() == "y":
        policy = POLICIES[max(0, POLICIES.index(policy) - 1)]
    return Policy(record, tag, policy)


def _is_sound(record: DmarcRecord) -> bool:
    """Whether each policy in the record is valid."""
    return all(record.tags[tag].lower() in POLICIES for tag in ("p", "sp", "np") if tag in record.tags)


def dmarc_remarks(names: Names, sender: str, envelope: str, signing: Sequence[str]) -> list[Remark]:
    """Remarks on the record that applies to From at ``sender``, and on alignment of the return path or ``signing``."""
    sender, envelope = sender.lower(), envelope.lower()
    found = tree_walk(names, sender)
    remarks = _ignored(names, sender)
    policy = policy_of(names, sender, found)
    if policy is None:
        what = f"{sender} has no DMARC record; Gmail, Yahoo and Outlook.com want one of bulk senders"
        remedy = 'publish TXT "v=DMARC1; p=none; rua=mailto:…" there'
        return remarks or [Remark("warning", "dmarc-missing", what, f"_dmarc.{sender}", remedy)]
    remarks += _record_remarks(policy)
    if any(one.severity == "error" for one in remarks):
        return remarks
    return remarks + _alignment(names, policy, sender, envelope, signing)


def _ignored(names: Names, sender: str) -> list[Remark]:
    """Records at the From domain itself that receivers ignore."""
    at = f"_dmarc.{sender}"
    texts = names.texts(at)
    valid = [text for text in texts if _VERSION.match(text)]
    if len(valid) > 1:
        what = "several DMARC records: receivers ignore all of them"
    elif not valid and any(_MEANT.match(text) for text in texts):
        what = "the DMARC record does not begin with v=DMARC1: receivers ignore it"
    else:
        return []
    return [Remark("error", "dmarc-broken", what, at, "publish one whole record")]


def _record_remarks(policy: Policy) -> list[Remark]:
    record, at = policy.record, f"_dmarc.{policy.record.domain}"
    if not _is_sound(record):
        heard = bool(_REPORTS_TO.match(record.tags.get("rua", "")))
        then = "count it as none" if heard else "ignore the record"
        what = f"a policy of the DMARC record is none of {', '.join(POLICIES)}: receivers {then}"
        return [Remark("warning" if heard else "error", "dmarc-broken", what, at, "correct p=, sp= or np=")]
    found = []
    if "p" not in record.tags:
        what = "the DMARC record has no p=, which counts as none; receivers that are not up to date ignore it"
        found.append(Remark("warning", "dmarc-policy", what, at, "write p=none"))
    if "pct" in record.tags:
        what = "pct= in the DMARC record no longer means anything (RFC 9989): the policy holds for all letters"
        found.append(Remark("warning", "dmarc-policy", what, at, "remove it; t=y asks for the next milder policy"))
    return found


def _alignment(names: Names, policy: Policy, sender: str, envelope: str, signing: Sequence[str]) -> list[Remark]:
    strict = {name: policy.record.tags.get(name, "r").lower() == "s" for name in ("aspf", "adkim")}
    if aligned(names, envelope, sender, strict=strict["aspf"]):
        return []
    if any(aligned(names, domain.lower(), sender, strict=strict["adkim"]) for domain in signing):
        return []
    surely = bool(signing)  # without our own keys the relay may sign, and align
    return [
        Remark(
            "error" if surely and policy.policy != "none" else "warning",
            "dmarc-alignment",
            f"neither the return path ({envelope}) nor a key of ours aligns with From ({sender}), "
            f"and the policy is {policy.policy}",
            f"_dmarc.{policy.record.domain}",
            "use a return path of the same organisation, or sign with DKIM for it",
        )
    ]


def aligned(names: Names, one: str, other: str, *, strict: bool) -> bool:
    """Whether two domains align (4.4): they are equal, or, unless ``strict``, of one organisation."""
    if one == other or strict:
        return one == other
    return len({organizational_domain(domain, tree_walk(names, domain)) for domain in (one, other)}) == 1
