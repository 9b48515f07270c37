"""DNS checks of the domains that a campaign sends as: DKIM key, MX, names of addresses.

Each function queries `resolver.Names` and returns remarks; a missing answer is "not verified", never a pass. SPF and
DMARC have modules of their own.
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from campaign.check.dns import spf
from campaign.check.dns.dmarc import dmarc_remarks, tags
from campaign.check.dns.remarks import Remark
from campaign.check.dns.resolver import Names, Unanswered
from campaign.config.compose import DkimSection


class Senders(msgspec.Struct, frozen=True):
    """The domains that a campaign sends as. ``sender``: domain of From. ``envelope``: domain of the return path.

    ``keys``: our own DKIM keys; ``base``: what their files are relative to. ``addresses``: the IP addresses the letters
    leave from, if given.
    """

    sender: str
    envelope: str
    keys: Sequence[DkimSection] = ()
    base: Path = Path()
    addresses: Sequence[str] = ()


def inspected(names: Names, who: Senders) -> list[Remark]:
    """All checks. Each part without an answer is listed as not verified."""
    found = spf.remarks(names, who.envelope, who.addresses)
    for key in who.keys:
        found += _asked("DKIM key", dkim, names, key, who.base)
    signing = [key.domain for key in who.keys]
    found += _asked("DMARC", dmarc_remarks, names, who.sender, who.envelope, signing)
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


def dkim(names: Names, key: DkimSection, base: Path) -> list[Remark]:
    """Whether the DNS has the public half of our signing key (RFC 6376, section 3.6.1)."""
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
    if published not in public_halves(base / key.key_file):  # an unreadable key was reported before
        what = f"the DKIM key in the DNS is not the public half of {key.key_file}: every signature will fail"
        found.append(Remark("error", "dkim-differs", what, name, "publish the right one, or name its selector"))
    if "y" in records[0].get("t", "").split(":"):
        what = "the DKIM key is published as a test (t=y): receivers may ignore it"
        found.append(Remark("warning", "dkim-testing", what, name, "remove t=y"))
    return found


def public_halves(file: Path) -> list[str]:
    """The possible values of p= for the private key in ``file``: base64 of the forms in use.

    Raises OSError or ValueError for a file that is not such a key.
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


def mail_exchange(names: Names, domain: str) -> list[Remark]:
    """Whether bounces and answers to ``domain`` can arrive (RFC 5321, section 5.1)."""
    servers = names.mail_servers(domain)
    if servers and not any(host for _, host in servers):
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
