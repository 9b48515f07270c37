"""A finished letter read back as a mail reader would: headers, texts, images, attachments.

For looking at letters before they go out. It uses the standard library's parser, and never anything of ours that
wrote the letter, so that what is seen here is what a receiver sees.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.headerregistry import AddressHeader
from email.message import EmailMessage

_CID = re.compile(r"cid:([^\s\"'()<>]+)")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file beside the letter; ``size`` in octets, decoded."""

    name: str
    type: str
    size: int


@dataclass(frozen=True, slots=True)
class ReadLetter:
    """What a receiver sees. ``headers`` are decoded, in order; ``images`` maps Content-IDs to data URIs.

    ``to`` are the addresses that To names; ``image_names`` maps Content-IDs to file names and ``image_types`` to
    content types.
    """

    headers: list[tuple[str, str]]
    html: str
    text: str
    images: Mapping[str, str] = field(default_factory=dict)
    attachments: tuple[Attachment, ...] = ()
    to: tuple[str, ...] = ()
    image_names: Mapping[str, str] = field(default_factory=dict)
    image_types: Mapping[str, str] = field(default_factory=dict)

    def header(self, name: str) -> str:
        """The first header of that name, decoded; ``""`` where there is none."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    @property
    def standalone_html(self) -> str:
        """The HTML with its cid images put in as data, to be shown without the letter."""
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
            attachments.append(Attachment(part.get_filename() or "", kind, len(_octets(part))))
        elif kind == "text/html":
            html = str(part.get_content())
        elif kind == "text/plain":
            text = str(part.get_content())
        elif cid := str(part.get("Content-ID", "")).strip("<> "):
            images[cid] = f"data:{kind};base64,{base64.b64encode(_octets(part)).decode('ascii')}"
            names[cid], types[cid] = part.get_filename() or "", kind
    headers = [(name, str(value)) for name, value in message.items()]
    return ReadLetter(headers, html, text, images, tuple(attachments), _addressees(message), names, types)


def _addressees(message: EmailMessage) -> tuple[str, ...]:
    """Every address in every To: before its names are decoded, so that no name can pass for an address."""
    fields = [value for value in message.get_all("To", []) if isinstance(value, AddressHeader)]
    found = [address.addr_spec for value in fields for address in value.addresses]
    return tuple(one.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for one in found)


def _octets(part: EmailMessage) -> bytes:
    data = part.get_payload(decode=True)
    return data if isinstance(data, bytes) else b""
