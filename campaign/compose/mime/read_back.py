"""Parses a finished letter as a mail reader would: headers, texts, images and attachments.

It serves to check letters before they are sent. It uses the standard library's parser and none of the code that wrote
the letter, so the result is what a receiver sees.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.headerregistry import AddressHeader
from email.message import EmailMessage
from html import unescape

import msgspec

PREHEADER = 160  #: characters of a preheader that an inbox may show

_HIDDEN = re.compile(r"<!--.*?-->|<(head|style|script|title)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_INLINE = re.compile(
    r"</?(?:a|abbr|b|bdi|bdo|big|code|em|font|i|mark|small|span|strong|sub|sup|u)\b[^>]*>", re.IGNORECASE
)
_TAG, _COMMENT = re.compile(r"<[^>]*>"), re.compile(r"<!--.*?-->", re.DOTALL)
_FILLERS = re.compile("[\u00ad\u034f\u200b-\u200d\u2007\u2060\ufeff]+")  # they keep the body out of a preheader
_SHEET = re.compile(r"<style\b[^>]*>.*?</style\s*>|<(?:html|link|source)\b[^>]*>", re.DOTALL | re.IGNORECASE)
_META = re.compile(r"<meta\b[^>]*>", re.IGNORECASE)
_DARK_RULES = re.compile(r"prefers-color-scheme\s*:\s*dark", re.IGNORECASE)
_DARK_SCHEME = re.compile(r"(?<!-)color-scheme\s*:[^;}]*\bdark\b", re.IGNORECASE)
_DARK_META = re.compile(r"color-schemes?\b.*\bdark\b|\bdark\b.*color-schemes?\b", re.DOTALL | re.IGNORECASE)
_CID = re.compile(r"cid:([^\s\"'()<>]+)")


@dataclass(frozen=True, slots=True)
class Attachment:
    """An attached file; ``data`` is decoded, and ``size`` is its length in octets."""

    name: str
    type: str
    size: int
    data: bytes = field(default=b"", repr=False)


class ReadLetter(msgspec.Struct, frozen=True):
    """A letter as a receiver sees it. ``headers`` are decoded, in order; ``images`` maps Content-IDs to data URIs.

    ``to`` are the addresses in To, ``sender`` is the name and the address of From. ``image_names`` maps Content-IDs to
    file names, and ``image_types`` to content types.
    """

    headers: list[tuple[str, str]]
    html: str
    text: str
    images: Mapping[str, str] = msgspec.field(default_factory=dict)
    attachments: tuple[Attachment, ...] = ()
    to: tuple[str, ...] = ()
    image_names: Mapping[str, str] = msgspec.field(default_factory=dict)
    image_types: Mapping[str, str] = msgspec.field(default_factory=dict)
    sender: tuple[str, str] = ("", "")

    def header(self, name: str) -> str:
        """The first header of that name, decoded; ``""`` if there is none."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    @property
    def preheader(self) -> str:
        """The text that an inbox shows after the subject: the first words of the body, including hidden ones."""
        words = visible(self.html) if self.html else self.text
        return " ".join(_FILLERS.sub("", words).split())[:PREHEADER]

    @property
    def has_dark_rules(self) -> bool:
        """Whether some rules apply only in dark mode."""
        return any(map(_DARK_RULES.search, _sheets(self.html)))

    @property
    def allows_dark(self) -> bool:
        """Whether the letter declares that it supports dark mode, so that a mail reader may use a dark background."""
        metas = (match[0] for match in _META.finditer(_COMMENT.sub("", self.html)))
        return any(map(_DARK_SCHEME.search, _sheets(self.html))) or any(map(_DARK_META.search, metas))

    @property
    def standalone_html(self) -> str:
        """The HTML with its cid images replaced by data URIs, for display without the letter."""
        return _CID.sub(lambda match: self.images.get(match[1], match[0]), self.html)


def read_letter(content: bytes) -> ReadLetter:
    """Parse the bytes of one letter."""
    message = message_from_bytes(content, policy=policy.SMTPUTF8)
    html, text, attachments = "", "", []
    images: dict[str, str] = {}
    names: dict[str, str] = {}
    types: dict[str, str] = {}
    for part in message.walk():
        kind = part.get_content_type()
        if part.is_multipart():
            continue
        if part.get_content_disposition() == "attachment":
            data = _octets(part)
            attachments.append(Attachment(part.get_filename() or "", kind, len(data), data))
        elif kind == "text/html":
            html = str(part.get_content())
        elif kind == "text/plain":
            text = str(part.get_content())
        elif cid := str(part.get("Content-ID", "")).strip("<> "):
            images[cid] = f"data:{kind};base64,{base64.b64encode(_octets(part)).decode('ascii')}"
            names[cid], types[cid] = part.get_filename() or "", kind
    headers = [(name, str(value)) for name, value in message.items()]
    to = tuple(address for _, address in _mailboxes(message, "To"))
    sender = next(_mailboxes(message, "From"), ("", ""))
    return ReadLetter(headers, html, text, images, tuple(attachments), to, names, types, sender)


def visible(html: str) -> str:
    """The visible text of ``html``, with approximate line breaks."""
    return unescape(_TAG.sub("\n", _INLINE.sub("", _HIDDEN.sub("", html))))


def _sheets(html: str) -> list[str]:
    """The places of rules for dark mode, apart from meta elements: style elements, and tags with a media attribute."""
    return [match[0] for match in _SHEET.finditer(html)]


def _mailboxes(message: EmailMessage, name: str) -> Iterator[tuple[str, str]]:
    """All names and addresses in such headers, parsed before decoding, so that no name is mistaken for an address."""
    fields = [value for value in message.get_all(name, []) if isinstance(value, AddressHeader)]
    for address in (one for value in fields for one in value.addresses):
        yield _text(address.display_name), _text(address.addr_spec)


def _text(value: str) -> str:
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _octets(part: EmailMessage) -> bytes:
    data = part.get_payload(decode=True)
    return data if isinstance(data, bytes) else b""
