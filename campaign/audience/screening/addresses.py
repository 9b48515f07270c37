"""Parsing and normalisation of one address: bare addr-spec or refusal, envelope form, comparison key.

A compiled expression decides the 99.9 % that are plain ASCII; email-validator decides the rest. A property test
checks that both give the same results. Nothing here uses DNS or looks for an address *inside* a text: display names,
comments, groups, routes and quoted local parts are refused (CVE-2023-27043, CVE-2025-13033). An accepted address fits
into an envelope and into To; a property test checks this against the code for letters and transactions.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

import msgspec

#: RFC 5321 4.5.3.1: octets of a local part, and of a whole path without its angle brackets.
LOCAL_LIMIT, ADDRESS_LIMIT = 64, 254
#: Whitespace stripped from the ends of a cell; any other stays, and is refused below.
BLANKS = " \t\r\n"
#: The beginning of an encoded word (RFC 2047): in To, a mail reader would decode it and show another address.
ENCODED_WORD = "=?"

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]++"
_LABEL = r"(?![A-Za-z0-9-]{2}--)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PLAIN = re.compile(rf"((?=[^@]{{1,64}}@){_ATOM}(?:\.{_ATOM})*)@((?:{_LABEL}\.)+([A-Za-z]{{2,63}}))")
#: Separators between several addresses, and an address in angle brackets, with or without a name.
_BETWEEN = re.compile(r"[\s,;|]+")
_WITH_NAME = re.compile(r"[^<>]*<[^<>@]+@[^<>@]+>", re.DOTALL)
#: Top-level domains that never accept mail (RFC 6761, 7686). ``.test`` and ``.local`` may: rehearsals, local networks.
_SPECIAL = frozenset({"arpa", "invalid", "localhost", "onion"})
_ALLOWED_SPECIAL = frozenset({"local", "test"})

_GMAIL = frozenset({"gmail.com", "googlemail.com"})
_PLUS_TAGS = frozenset(
    {"outlook.com", "hotmail.com", "live.com", "msn.com", "icloud.com", "me.com", "mac.com", "fastmail.com"}
    | {"proton.me", "protonmail.com", "pm.me"}
)


class Address(msgspec.Struct, frozen=True, gc=False):
    """An address fit for an envelope: local part NFC as given, domain in lower-case A-labels.

    ``smtputf8``: the local part is not ASCII, so only a relay that offers SMTPUTF8 accepts it (RFC 6531).
    """

    wire: str
    smtputf8: bool = False


class Refusal(msgspec.Struct, frozen=True):
    """Why a text is not an address, in words for the owner of the list."""

    reason: str


def parse_address(text: str) -> Address | Refusal:
    """Parse a bare addr-spec, ignoring ASCII whitespace around it. Never raises."""
    text = text.strip(BLANKS)
    plain = _PLAIN.fullmatch(text)
    if plain and len(text) <= ADDRESS_LIMIT and ENCODED_WORD not in text:
        local, domain, top = plain.groups()
        if top.lower() not in _SPECIAL:
            return Address(text if domain.islower() else f"{local}@{domain.lower()}")
    return _parse_uncommon(text)


def address_key(wire: str, provider_rules: bool = False) -> str:
    """The key by which ``Address.wire`` is compared: local part in lower case, domain unchanged.

    It uses ``lower``, not ``casefold``, which would make two different mailboxes equal (CVE-2019-19844). With
    ``provider_rules``, dots and +tags at Gmail and +tags at a few large providers are ignored.
    """
    key = wire.lower()
    if not provider_rules:
        return key
    local, _, domain = key.rpartition("@")
    if domain in _GMAIL:
        return f"{local.partition('+')[0].replace('.', '') or local}@gmail.com"
    if domain in _PLUS_TAGS:
        return f"{local.partition('+')[0] or local}@{domain}"
    return key


def domain_key(domain: str) -> str | None:
    """A domain in the form that keys use (lower-case A-labels), or None if it is not a domain."""
    found = parse_address(f"postmaster@{domain}")
    return found.wire.rpartition("@")[2] if isinstance(found, Address) else None


@lru_cache(maxsize=4096)
def _parse_uncommon(text: str) -> Address | Refusal:
    if not text:
        return Refusal("the address is empty")
    if len(text) > 4 * ADDRESS_LIMIT:
        return Refusal(f"the address is {len(text)} characters long; at most {ADDRESS_LIMIT} octets may be")
    return _judge(text)


def _judge(text: str) -> Address | Refusal:
    from email_validator import EmailNotValidError

    if reason := _more_than_an_address(text):
        return Refusal(reason)
    try:
        domain = _validate(text)
    except EmailNotValidError as error:
        return Refusal(_in_words(str(error)))
    local = unicodedata.normalize("NFC", text.partition("@")[0])
    if len(local.encode()) > LOCAL_LIMIT:
        return Refusal(f"the part before the @ is longer than {LOCAL_LIMIT} octets")
    if ENCODED_WORD in local:
        return Refusal(f"the address holds {ENCODED_WORD}, which mail programs read as the beginning of other text")
    return Address(f"{local}@{domain}", smtputf8=not local.isascii())


def _more_than_an_address(text: str) -> str:
    """Why a cell holds more than one bare address (several, a display name, a mailto link); empty if it does not."""
    count = sum(0 < part.find("@") < len(part) - 1 for part in _BETWEEN.split(text))
    if count > 1:
        return f"{count} addresses in one cell; a row has one, unless split_addresses = true"
    if _WITH_NAME.fullmatch(text):
        if text.startswith("<"):
            return "the address stands in angle brackets; write it without"
        return "a name and an address in one cell; its column holds the address alone, unless split_addresses = true"
    if text[:7].lower() == "mailto:":
        return "the address begins with mailto:, as in a link; write it without"
    return ""


def _validate(text: str) -> str:
    import email_validator

    # The library's documented way to allow a special-use name is to remove it from its list.
    for name in _ALLOWED_SPECIAL.intersection(email_validator.SPECIAL_USE_DOMAIN_NAMES):
        email_validator.SPECIAL_USE_DOMAIN_NAMES.remove(name)
    found = email_validator.validate_email(text, check_deliverability=False, strict=True)
    return found.ascii_domain


def _in_words(message: str) -> str:
    sentence = message.replace("The email address", "the address").replace("An email address", "an address")
    sentence = sentence.replace("@-sign", "@").rstrip(".")
    return (sentence[0].lower() + sentence[1:])[:200]
