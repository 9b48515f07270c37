"""Encodes header values so that no row can inject a header.

Text, mailboxes, identifiers, dates and links become the octets after a header's name. Everything by which a row could
end a line, add a field, an address or a part, or be misread, is refused or encoded here. The standard library's e-mail
writer is not used, so this does not depend on the version of Python. `header_gate.py` joins fields.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from functools import cache, lru_cache
from math import floor
from typing import Literal
from urllib.parse import quote

from campaign.compose.mime.encoded_words import FOLD, encoded_words
from campaign.compose.mime.header_gate import HeaderGate, HeaderRefused, block
from campaign.errors import ConfigError
from campaign.model import Identity

__all__ = [
    "HeaderGate",
    "HeaderRefused",
    "block",
    "boundary",
    "check_custom_name",
    "custom",
    "date",
    "disposition",
    "encode_text",
    "mailbox_header",
    "message_id",
    "message_ids",
    "refuse_controls",
]

COLUMNS = 78  #: a line should not be longer (RFC 5322, section 2.1.1)
LONGEST_WORD = 900  #: octets without a blank that stay unencoded
LONGEST_TEXT = 10_000  #: characters of one value
LONGEST_NAME = 500  #: characters of a display name
LONGEST_PLAIN_NAME = 60  #: characters of one that is written without encoded words
FIRST_SECOND, LAST_SECOND = -2_208_988_800, 253_402_300_800  #: POSIX: the years 1900 (RFC 5322) to 9999

_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_BREAK = re.compile(r"(?<=[^ ]) (?=[^ ])")
ATOMS = re.compile(r"[A-Za-z0-9'_-]+(?: [A-Za-z0-9'_-]+)*")
_ATOM = r"[-A-Za-z0-9!#$%&'*+/=?^_`{|}~]"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
ADDRESS = re.compile(rf"{_ATOM}+(?:\.{_ATOM}+)*@{DOMAIN.pattern}")
_FILE_NAME = re.compile(r"[A-Za-z0-9_+(][A-Za-z0-9 ._+()-]{0,59}")
_FOLDERS = re.compile(r"[/\\]")
_CUSTOM_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,49}")
_RESERVED = re.compile(
    r"from|sender|to|cc|bcc|reply-to|subject|date|message-id|mime-version|content-.*|list-unsubscribe(-post)?|"
    r"dkim-signature|domainkey-signature|arc-.*|authentication-results|received(-spf)?|return-path|resent-.*|"
    r"delivered-to|envelope-to|apparently-to",
    re.IGNORECASE,
)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def encode_text(name: str, value: str) -> str:
    """The encoded value of the unstructured header ``name``: decodes to exactly ``value``.

    Plain ASCII is folded at blanks; everything else, and any text with ``=?``, becomes encoded words (RFC 2047).
    Raises HeaderRefused for control characters, bidi controls, lone surrogates and more than 10,000 characters.
    """
    if value.isascii() and value.isprintable() and "=?" not in value and value[:1] != " " != value[-1:]:
        if len(name) + 2 + len(value) <= COLUMNS:
            return value
        if len(value) <= LONGEST_TEXT and (folded := _folded(len(name) + 2, value)):
            return folded
    refuse_controls(name, value, LONGEST_TEXT)
    return encoded_words(value, len(name) + 2)


def mailbox_header(name: str, address: str, *, smtputf8: bool = False) -> str:
    """``Name <address>`` for From, To and Reply-To: exactly one address, whatever the display name contains.

    ``address`` is a bare addr-spec (dot-atom, domain as A-labels, at most 64 and 254 octets); characters beyond
    ASCII in its local part are allowed only with ``smtputf8`` (RFC 6532). Raises HeaderRefused.
    """
    _refuse_address(address, smtputf8)
    name = name.strip(" ")
    if not name:
        return address
    phrase = _phrase(name)
    last = len(phrase) - phrase.rfind("\n") - 1 if "\n" in phrase else len("Reply-To: ") + len(phrase)
    return f"{phrase}{FOLD if last + len(address) + 3 > COLUMNS else ' '}<{address}>"


def message_id(identity: Identity, domain: str, key: str) -> str:
    """``<…@domain>``: 160 bits of a keyed hash of campaign, edition, generation and ``key``.

    Always equal for the same letter, different for any other, and impossible to guess without the secret.
    Raises HeaderRefused for an invalid ``domain``.
    """
    return message_ids(identity, domain)(key)


def message_ids(identity: Identity, domain: str) -> Callable[[str], str]:
    """A function like `message_id` for many keys. Raises HeaderRefused for an invalid ``domain``."""
    _refuse_domain(domain)
    name_of = _names(identity, b"message-id")
    return lambda key: f"<{name_of(key)}@{domain}>"


def boundary(identity: Identity, key: str) -> str:
    """A multipart boundary (to be quoted) that cannot be guessed, so no row can contain it.

    It begins with ``=_``, which neither quoted-printable nor base64 can produce (RFC 2045, section 6.7).
    """
    return f"=_{_names(identity, b'boundary')(key)}"


@lru_cache(maxsize=64)
def date(seconds: float) -> str:
    """POSIX ``seconds`` as a Date header in UTC (RFC 5322, section 3.3), whatever the locale.

    Raises HeaderRefused for NaN and for times outside the years 1900 to 9999.
    """
    if not FIRST_SECOND <= seconds < LAST_SECOND:  # comparisons with NaN are false
        raise HeaderRefused(f"{seconds!r} is not a date that a letter may have")
    at = time.gmtime(floor(seconds))
    clock = f"{at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d} +0000"
    return f"{_DAYS[at.tm_wday]}, {at.tm_mday:02d} {_MONTHS[at.tm_mon - 1]} {at.tm_year:04d} {clock}"


def custom(name: str, value: str) -> str:
    """The encoded value of a header from ``[compose.headers]``; see `encode_text`. Raises HeaderRefused."""
    return encode_text(name, value)


def check_custom_name(name: str, setting: str = "compose.headers") -> None:
    """Raises ConfigError if ``name`` cannot be, or must not be, a header of the user's own."""
    if not _CUSTOM_NAME.fullmatch(name):
        raise ConfigError(
            f"{setting}: {name!r} cannot be the name of a header.",
            next_step="use letters, digits and dashes, at most 50, beginning with a letter, such as X-Campaign",
        )
    if _RESERVED.fullmatch(name):
        raise ConfigError(
            f"{setting}: the header {name} is made by the program and cannot be set here.",
            next_step="remove it; From and Reply-To are set in [campaign], Subject and unsubscribe in [compose]",
        )


def disposition(kind: Literal["inline", "attachment"], filename: str) -> str:
    """Content-Disposition with a file name: quoted if it is harmless, else by RFC 2231 in UTF-8.

    ``filename`` is a bare name, at most 255 octets. Raises HeaderRefused for folders, control characters, and for
    blanks, quotes and brackets around a name, because mail readers strip them.
    """
    refuse_controls("file name", filename, 255)
    if not filename.strip(".") or filename != filename.strip() or filename[0] in '"<' or _FOLDERS.search(filename):
        raise HeaderRefused(f"{filename!r} is not a name that a file of a letter may have")
    if len(filename.encode("utf-8")) > 255:
        raise HeaderRefused("the file name is longer than 255 octets")
    if _FILE_NAME.fullmatch(filename):
        return f'{kind}; filename="{filename}"'
    return f"{kind};{FOLD}filename*=utf-8''{quote(filename, safe='')}"


def refuse_controls(what: str, value: str, longest: int) -> None:
    """Raises HeaderRefused if ``value`` contains a control character, a bidi control or half a surrogate pair."""
    if found := _FORBIDDEN.search(value):
        raise HeaderRefused(f"the {what} holds {_describe(found[0])}")
    if len(value) > longest:
        raise HeaderRefused(f"the {what} is {len(value):,} characters long; at most {longest:,} are possible")


def _folded(column: int, value: str) -> str:
    """``value`` with CRLF before single blanks, or ``""`` if a word is too long for any line."""
    first, *others = _BREAK.split(value)
    pieces, column, longest = [first], column + len(first), len(first)
    for word in others:
        longest = max(longest, len(word))
        fits = column + 1 + len(word) <= COLUMNS
        pieces += [" " if fits else FOLD, word]
        column = len(word) + 1 + (column if fits else 0)
    return "" if longest > LONGEST_WORD else "".join(pieces)


def _phrase(name: str) -> str:
    """A display name as atoms, as a quoted string (RFC 5322, section 3.2.4) or as encoded words."""
    if ATOMS.fullmatch(name) and len(name) <= LONGEST_PLAIN_NAME:
        return name
    refuse_controls("display name", name, LONGEST_NAME)
    if name.isascii() and "=?" not in name and len(name) <= LONGEST_PLAIN_NAME:
        return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return encoded_words(name, len("Reply-To: "))


@lru_cache(maxsize=16)
def _names(identity: Identity, purpose: bytes) -> Callable[[str], str]:
    """A function that returns a key's HMAC-SHA-256 (RFC 2104) in hex; the common prefix is hashed in advance."""
    secret = identity.secret if len(identity.secret) <= 64 else hashlib.sha256(identity.secret).digest()
    inner, outer = (hashlib.sha256(bytes(octet ^ pad for octet in secret.ljust(64, b"\0"))) for pad in (0x36, 0x5C))
    inner.update(_prefix(identity, purpose))

    def name_of(key: str) -> str:
        octets = key.encode("utf-8", "surrogatepass")
        inside, outside = inner.copy(), outer.copy()
        inside.update(len(octets).to_bytes(4, "big") + octets)
        outside.update(inside.digest())
        return outside.digest()[:20].hex()

    return name_of


@lru_cache(maxsize=16)
def _refuse_domain(domain: str) -> None:
    if not DOMAIN.fullmatch(domain):
        raise HeaderRefused(f"{domain!r} is not a domain")


def _prefix(identity: Identity, purpose: bytes) -> bytes:
    """Each part preceded by its length, so that no two identities give the same octets."""
    numbers = (str(identity.generation).encode("ascii"), b"test" if identity.test else b"")
    parts = (purpose, identity.campaign.encode("utf-8"), identity.edition.encode("utf-8"), *numbers)
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _describe(character: str) -> str:
    point = ord(character)
    if character in "\r\n\x0b\x0c\x85\u2028\u2029":
        kind = "a line break"
    elif point >= 0xD800 and point <= 0xDFFF:
        kind = "half of a surrogate pair"
    else:
        kind = "a character that turns the direction of writing" if point > 0x2000 else "a control character"
    return f"{kind} (U+{point:04X})"


@cache
def _address_utf8() -> re.Pattern[str]:
    """`ADDRESS` with characters beyond ASCII in the local part, which takes long to compile and is seldom needed."""
    return re.compile(ADDRESS.pattern.replace(_ATOM, f"{_ATOM[:-1]}\u00a1-\U0010ffff]"))


def _refuse_address(address: str, smtputf8: bool) -> None:
    if not (_address_utf8() if smtputf8 else ADDRESS).fullmatch(address) or "=?" in address:
        raise HeaderRefused(f"{address[:260]!r} is not a bare address")
    if smtputf8 or len(address) > 254:
        refuse_controls("address", address, 254)
    if len(address) <= 64 and address.isascii():
        return  # the most common case
    local, _, domain = address.rpartition("@")
    if len(local) > 64 or len(local.encode("utf-8")) > 64 or len(domain) > 253:
        raise HeaderRefused(f"{address!r} is longer than an address may be")
