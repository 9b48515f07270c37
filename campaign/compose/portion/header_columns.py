"""Header values of several rows, encoded in a few operations over all of them; each is as `header_values` has it.

A value that needs more than that is None: its row's letter is made in the plain way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from campaign.compose.mime.encoded_words import q_encoded, quoted_words
from campaign.compose.mime.header_gate import HeaderRefused
from campaign.compose.mime.header_values import (
    ADDRESS,
    ATOMS,
    COLUMNS,
    LONGEST_NAME,
    LONGEST_PLAIN_NAME,
    encode_text,
    mailbox_header,
)
from campaign.compose.mime.list_unsubscribe import LONGEST_URL, URL, list_unsubscribe

LONGEST_LOCAL = 64  #: octets; an address of no more needs no closer look
_ADDRESSES = re.compile(rf"(?:{ADDRESS.pattern}\n)*")
_NAMES = re.compile(rf"(?:{ATOMS.pattern}\n)*")
_URLS = re.compile(rf"(?:{URL.pattern}\n)*")
_BLANK_EDGE = re.compile(r"^ | $", re.MULTILINE)
_WIDEST_LABEL = len("Reply-To: ")

Values = list[str | None]
Encoded = TypeVar("Encoded")


def encoded_texts(name: str, values: Sequence[str]) -> Values:
    """As `encode_text` for each of ``values``."""
    room, whole = COLUMNS - len(name) - 2, "\n".join(values)
    if not "".join(values).isprintable():
        return [_or_none(encode_text, name, value) for value in values]
    if whole.isascii() and "=?" not in whole and max(map(len, values)) <= room and not _BLANK_EDGE.search(whole):
        return list(values)
    column = len(name) + 2
    return [
        value if _is_plain(value, room) else _words(value, quoted, column) or _or_none(encode_text, name, value)
        for value, quoted in zip(values, q_encoded(values), strict=True)
    ]


def mailboxes(names: Sequence[str], addresses: Sequence[str]) -> Values:
    """As `mailbox_header` for each name and address."""
    whole = "\n".join(addresses)
    if (
        max(map(len, addresses)) > LONGEST_LOCAL
        or "=?" in whole
        or not _ADDRESSES.fullmatch(whole + "\n")
        or not "".join(names).isprintable()
    ):
        return [_or_none(mailbox_header, *pair) for pair in zip(names, addresses, strict=True)]
    if not any(names):
        return list(addresses)
    pairs = zip(_phrases([name.strip(" ") for name in names]), names, addresses, strict=True)
    return [
        f"{phrase} <{address}>"
        if phrase and len(phrase) + len(address) + _WIDEST_LABEL + 3 <= COLUMNS
        else _or_none(mailbox_header, name, address)
        for phrase, name, address in pairs
    ]


def unsubscribe_links(urls: Sequence[str], mailto: str) -> Values:
    """The List-Unsubscribe field of each row, as `list_unsubscribe` has it, for addresses beginning with https."""
    whole = "\n".join(urls)
    if mailto or max(map(len, urls)) > LONGEST_URL or "=?" in whole or not _URLS.fullmatch(whole + "\n"):
        found = [_or_none(list_unsubscribe, url, mailto) for url in urls]
        return [pairs[0][1] if pairs else None for pairs in found]
    return [f"<{url}>" for url in urls]


def _phrases(names: Sequence[str]) -> Values:
    """Display names as atoms or as one encoded word; None if they have another form, or none is given."""
    if _NAMES.fullmatch("\n".join(names) + "\n") and max(map(len, names)) <= LONGEST_PLAIN_NAME:
        return list(names)
    return [
        (name if ATOMS.fullmatch(name) and len(name) <= LONGEST_PLAIN_NAME else None)
        if name.isascii()
        else _words(name, quoted, _WIDEST_LABEL)
        for name, quoted in zip(names, q_encoded(names), strict=True)
    ]


def _is_plain(value: str, room: int) -> bool:
    return value.isascii() and "=?" not in value and value[:1] != " " != value[-1:] and len(value) <= room


def _words(value: str, quoted: str, column: int) -> str | None:
    """``value`` as encoded words, given in Q encoding; None if it is long, or may need no or another encoding."""
    if value.isascii() or len(quoted) > (len(value) + 2) // 3 * 4 or len(value) > LONGEST_NAME:
        return None
    return quoted_words(quoted, column)


def _or_none(encode: Callable[..., Encoded], *values: str) -> Encoded | None:
    try:
        return encode(*values)
    except HeaderRefused:
        return None
