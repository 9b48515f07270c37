"""What the DNS says about the domains that a campaign sends as: DKIM key, DMARC and alignment, MX, names of addresses.

Each function asks through `dns.Names` and returns remarks; no answer is "not verified", never a pass. SPF has a room
of its own.
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from campaign.check.dns import spf
from campaign.check.dns.remarks import Remark
from campaign.check.dns.resolver import Names, Unanswered
from campaign.config.compose import DkimSection

#: Second-level labels under which countries register names; what follows them to the left is the organisation.
_PUBLIC_SECOND = frozenset({"ac", "co", "com", "edu", "go", "gob", "gov", "gv", "ltd", "me", "ne", "net", "nom", "or"})


@dataclass(frozen=True, slots=True)
class Senders:
    """Whom a campaign sends as. ``sender``: domain of From. ``envelope``: domain of the return path.

    ``keys``: the DKIM keys we sign with ourselves; ``base``: what their files are relative to. ``addresses``: IP
    addresses the letters leave from, as far as somebody said so.
    """

    sender: str
    envelope: str
    keys: Sequence[DkimSection] = ()
    base: Path = Path()
    addresses: Sequence[str] = ()


def inspected(names: Names, who: Senders) -> list[Remark]:
    """Everything the DNS can say. Each part that gets no answer is listed as not verified."""
    found = spf.remarks(names, who.envelope, who.addresses)
    for key in who.keys:
        found += _asked("DKIM key", dkim, names, key, who.base)
    found += _asked("DMARC", dmarc, names, who)
    for domain in dict.fromkeys((who.sender, who.envelope)):
        found += _asked("MX", mail_exchange, names, domain)
    for address in who.addresses:
        found += _asked("PTR", pointer, names, address)
    return found


def _asked(what: str, ask: Callable[..., list[Remark]], *about: object) -> list[Remark]:
    try:
        return ask(*about)
    except Unanswered as silence:
        return [Remark("unverified", "dns", f"{what}: {silence}", silence.name, what)]


def organization(domain: str) -> str:
    """The registered domain above ``domain``, as well as can be told without a list: ``a.b.co.uk`` -> ``b.co.uk``."""
    labels = domain.lower().rstrip(".").split(".")
    deep = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _PUBLIC_SECOND
    return ".".join(labels[-3 if deep else -2 :])


def aligned(one: str, other: str, *, strict: bool = False) -> bool:
    """Whether two domains align for DMARC (RFC 7489, section 3.1): equal, or under one organisation."""
    return one.lower() == other.lower() if strict else organization(one) == organization(other)


def dkim(names: Names, key: DkimSection, base: Path) -> list[Remark]:
    """Whether the DNS has the public half of the key that we sign with (RFC 6376, section 3.6.1)."""
    name = f"{key.selector}._domainkey.{key.domain}"
    records = [tags(text) for text in names.texts(name)]
    records = [one for one in records if "p" in one]
    if not records:
        what = f"the DNS has no DKIM key at {name}: every signature will fail"
        return [Remark("error", "dkim-missing", what, name, "publish the public half of compose.dkim.key_file there")]
    published = "".join(records[0]["p"].split())
    if not published:
        return [Remark("error", "dkim-revoked", "the DKIM key is revoked: its p= is empty", name, "publish it again")]
    found = []
    if published not in public_halves(
        base / key.key_file
    ):  # a key that cannot be read was told before the DNS is asked
        what = f"the DKIM key in the DNS is not the public half of {key.key_file}: every signature will fail"
        found.append(Remark("error", "dkim-differs", what, name, "publish the right one, or name its selector"))
    if "y" in records[0].get("t", "").split(":"):
        what = "the DKIM key is published as a test (t=y): receivers may ignore it"
        found.append(Remark("warning", "dkim-testing", what, name, "remove t=y"))
    return found


def public_halves(file: Path) -> list[str]:
    """What p= may be for the private key in ``file``: base64 of the forms that are in use.

    Raises OSError or ValueError for a file that is no such key.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    key = load_pem_private_key(file.read_bytes(), password=None)
    forms = [(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)]
    if isinstance(key, Ed25519PrivateKey):
        forms.append((Encoding.Raw, PublicFormat.Raw))
    elif isinstance(key, RSAPrivateKey):
        forms.append((Encoding.DER, PublicFormat.PKCS1))
    return [base64.b64encode(key.public_key().public_bytes(*form)).decode("ascii") for form in forms]


def dmarc(names: Names, who: Senders) -> list[Remark]:
    """The DMARC record above the From domain, and whether anything will align with it."""
    at, records = dmarc_records(names, who.sender)
    if not records:
        what = f"{who.sender} has no DMARC record; Gmail, Yahoo and Outlook.com want one of bulk senders"
        return [Remark("warning", "dmarc-missing", what, at, 'publish TXT "v=DMARC1; p=none; rua=mailto:…" there')]
    found = tags(records[0])
    if len(records) > 1 or found.get("p", "").lower() not in ("none", "quarantine", "reject"):
        what = "several DMARC records" if len(records) > 1 else "the DMARC record has no usable p="
        return [Remark("error", "dmarc-broken", f"{what}: receivers ignore it", at, "publish one whole record")]
    spf_fits = aligned(who.envelope, who.sender, strict=found.get("aspf", "r").lower() == "s")
    strict = found.get("adkim", "r").lower() == "s"
    dkim_fits = any(aligned(key.domain, who.sender, strict=strict) for key in who.keys)
    if spf_fits or dkim_fits:
        return []
    what = f"neither the return path ({who.envelope}) nor a key of ours aligns with From ({who.sender})"
    surely = bool(who.keys)  # without keys of ours the relay may sign, and fit
    policy = found["p"].lower()
    return [
        Remark(
            "error" if surely and policy != "none" else "warning",
            "dmarc-alignment",
            f"{what}, and the policy is {policy}",
            at,
            "use a return path under the same domain, or sign with DKIM for it",
        )
    ]


def dmarc_records(names: Names, domain: str) -> tuple[str, list[str]]:
    """The DMARC records that hold for ``domain`` and where they stand: its own, or the nearest above it."""
    labels = domain.split(".")
    for start in range(max(1, len(labels) - 1)):
        at = "_dmarc." + ".".join(labels[start:])
        if records := [text for text in names.texts(at) if text.replace(" ", "").lower().startswith("v=dmarc1")]:
            return at, records
    return f"_dmarc.{domain}", []


def mail_exchange(names: Names, domain: str) -> list[Remark]:
    """Whether bounces and answers to ``domain`` can arrive (RFC 5321, section 5.1)."""
    servers = names.mail_servers(domain)
    if servers == [(0, "")]:
        what = f"{domain} says that it takes no mail (null MX): neither bounces nor answers arrive"
        return [Remark("error", "mx-null", what, domain, "write from a domain that takes mail")]
    if not servers and not names.addresses(domain):
        what = f"{domain} has neither MX nor address: many receivers refuse mail from it"
        return [Remark("error", "mx-missing", what, domain, "publish an MX record")]
    return []


def pointer(names: Names, address: str) -> list[Remark]:
    """Whether an IP address has a name that leads back to it (forward-confirmed reverse DNS)."""
    hosts = names.pointers(address)
    if not hosts:
        what = f"{address} has no name (PTR): Gmail and others refuse mail from it"
        return [Remark("error", "ptr-missing", what, address, "let whoever owns the address publish one")]
    same = ipaddress.ip_address(address)
    if any(ipaddress.ip_address(found) == same for host in hosts for found in names.addresses(host)):
        return []
    what = f"{address} is called {hosts[0]}, which does not lead back to it"
    return [Remark("error", "ptr-forward", what, address, f"publish an address record of {hosts[0]}")]


def tags(text: str) -> dict[str, str]:
    """``"v=DMARC1; p=none"`` -> ``{"v": "DMARC1", "p": "none"}``; the first of equal tags counts."""
    found: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        if equals:
            found.setdefault(name.strip().lower(), value.strip())
    return found
