"""Extracts keys to a message's recipient: addresses it was sent to, Message-IDs, tokens, named addresses.

None of them is trusted here, because anyone can write a message. `find_recipient.py` matches them with letters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec.structs import replace

from campaign.feedback.messages.message_parts import (
    HeaderBlock,
    MessagePart,
    MessageParts,
    characters,
    split_head,
)

MOST_KEYS = 20  #: keys of each kind
MOST_SEARCHED = 5  #: parts searched for a Message-ID if no header and no text has one
LONGEST_ADDRESS = 320  #: characters: 64 + @ + 255 (RFC 5321, 4.5.3.1)
LONGEST_ID = 500
SHORTEST_TOKEN, LONGEST_TOKEN = 47, 2_000
SHORTEST_IN_SUBJECT = 20  #: characters of a token that fits into an address
NO_DOMAIN = "envelope-id.invalid"  #: replaces the domain of a Message-ID of which only the rest is reported

#: Headers with the address to which a message was delivered, most reliable first.
_SENT_TO = ("delivered-to", "x-original-to", "envelope-to", "x-delivered-to", "to", "cc")
_LOCAL = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.\x80-\U0010ffff-]{1,64}"
#: An address in a text, also with a quoted local part.
ADDRESS = re.compile(
    rf"(?<![A-Za-z0-9!#$%&*+/?^_`{{|}}~.-])(?![.'=])((?:{_LOCAL}|\"[^\"\s@]{{1,62}}\")"
    r"@[A-Za-z0-9\x80-\U0010ffff](?:[A-Za-z0-9\x80-\U0010ffff_.-]{0,250}[A-Za-z0-9\x80-\U0010ffff])?)"
)
_ID = re.compile(r"<([^<>\s]{3,500})>")
_ID_IN_TEXT = re.compile(r"(?i)\bmessage-id:\s{0,9}<([^<>\s]{3,500})>")
_TOKEN = re.compile(rf"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{{{SHORTEST_TOKEN},{LONGEST_TOKEN}}}(?![A-Za-z0-9_-])")
#: The token that `unsubscribe_mailto` puts into a subject: another kind, 24 characters of base32.
_MAILTO_TOKEN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z2-7]{24}(?![A-Za-z0-9])")
_SUBJECT_TOKEN = re.compile(
    rf"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{{{SHORTEST_IN_SUBJECT},{LONGEST_TOKEN}}}(?![A-Za-z0-9_-])"
)
_ENVELOPE_ID = re.compile(r"[!#-;=?A-Z_a-z~-]{16,100}")
_RETURNED = frozenset(
    {"message/rfc822", "text/rfc822-headers", "text/rfc822-header", "message/global", "message/global-headers"}
)


class MessageKeys(msgspec.Struct, frozen=True):
    """The keys of a `FeedbackNotice`, with the same names, and the header of the returned letter."""

    sent_to: tuple[str, ...]
    message_ids: tuple[str, ...]
    unsubscribe_tokens: tuple[str, ...]
    returned: HeaderBlock | None = None

    def with_subject(self, subject: str) -> MessageKeys:
        """These keys with the tokens in the ``subject`` of an unsubscribe, which may also be tokens of addresses.

        Tokens of a returned letter are dropped: forwarding a letter does not unsubscribe.
        """
        return replace(self, unsubscribe_tokens=first_ones(_SUBJECT_TOKEN.findall(subject[:8_000])))

    def with_envelope_id(self, envelope_id: str) -> MessageKeys:
        """These keys and our ENVID (RFC 3461, 4.4): the part of a Message-ID before the ``@``."""
        if not _ENVELOPE_ID.fullmatch(envelope_id):
            return self
        return replace(self, message_ids=first_ones((*self.message_ids, f"{envelope_id}@{NO_DOMAIN}")))

    def as_fields(self) -> dict[str, Any]:
        """The keys as keyword arguments of `FeedbackNotice`."""
        return {
            "sent_to": self.sent_to,
            "message_ids": self.message_ids,
            "unsubscribe_tokens": self.unsubscribe_tokens,
        }


def message_keys(message: MessageParts, story: str, copy: str) -> MessageKeys:
    """The keys in ``message``; ``story`` is its own text, ``copy`` the returned letter after it."""
    returned = returned_header(message, copy)
    own = _ID.findall(message.head.first("message-id"))
    ids = [] if returned is None else _ID.findall(returned.first("message-id"))
    if not ids:
        ids = _ID_IN_TEXT.findall(story) + _ID_IN_TEXT.findall(copy) or _ids_of_parts(message)
        for name in ("in-reply-to", "references"):  # of a returned answer to a letter of ours, these name our letter
            ids += reversed(_ID.findall(message.head.first(name)[-4_000:]))
    tokens = [] if returned is None else _tokens(returned.first("list-unsubscribe"))
    return MessageKeys(
        sent_to=_sent_to(message.head),
        message_ids=first_ones(one for one in ids if one not in own),
        unsubscribe_tokens=first_ones(tokens),
        returned=returned,
    )


def _ids_of_parts(message: MessageParts) -> list[str]:
    return [one for part in message.parts[:MOST_SEARCHED] for one in _ID_IN_TEXT.findall(characters(part.octets()))]


def returned_part(message: MessageParts) -> MessagePart | None:
    """The part with the returned letter, or its header."""
    return next((part for part in message.parts if part.kind in _RETURNED), None)


def returned_header(message: MessageParts, copy: str) -> HeaderBlock | None:
    """The header of the returned letter: in a separate part, or in ``copy``, after the text."""
    part = returned_part(message)
    if part is None and not copy:
        return None
    octets = copy.encode("utf-8", "replace") if part is None else part.octets()
    return HeaderBlock(split_head(octets.lstrip(b"\r\n"))[0])


def addressees(returned: HeaderBlock | None) -> tuple[str, ...]:
    """The addressees of the returned letter."""
    return () if returned is None else addresses_in(returned.first("to")[:2_000])


def addresses_in(text: str) -> tuple[str, ...]:
    """The addresses in ``text``, in order, without repetition."""
    return first_ones(found[1] for found in ADDRESS.finditer(text)) if "@" in text else ()


def first_ones(found: Iterable[str]) -> tuple[str, ...]:
    """At most `MOST_KEYS` of ``found``, in order, without repetition."""
    kept: dict[str, None] = {}
    for one in found:
        kept.setdefault(one)
        if len(kept) == MOST_KEYS:
            break
    return tuple(kept)


def _sent_to(head: HeaderBlock) -> tuple[str, ...]:
    return first_ones(
        one for name in _SENT_TO for value in head.all(name)[:MOST_KEYS] for one in addresses_in(value[:4_000])
    )


def _tokens(text: str) -> list[str]:
    return [*_TOKEN.findall(text[:8_000]), *_MAILTO_TOKEN.findall(text[:8_000])]
