"""Splits a message into its parts within limits, so that any input is parsed, and quickly.

The standard library's parser keeps all parts and follows any depth, which a hostile message could exploit. Here size,
depth and number of parts are limited (RFC 2045 and 2046), and content is decoded on demand.
"""

from __future__ import annotations

import binascii
import codecs
import html
import re
from collections.abc import Iterator
from email.errors import HeaderParseError
from email.header import decode_header
from itertools import islice

import msgspec

MOST_OCTETS = 1 << 20  #: octets read of a message
DEEPEST = 10  #: levels of parts within parts
MOST_PARTS = 200
MOST_HEADER_OCTETS = 1 << 16  #: octets of one header block
MOST_HEADERS = 1_000  #: fields of one header block
MOST_TEXT = 1 << 16  #: octets decoded of a part

_FOLD = re.compile(r"\r?\n(?=[ \t])")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_TYPE = re.compile(r"\s*([\w.+-]{1,60}/[\w.+-]{1,60})")
_CHARSET = re.compile(r"[A-Za-z0-9_.:+-]{1,40}")
_TAG = re.compile(r"<[^<>]{0,2000}>")
#: Codecs that are not charsets of mail, some of them slow on malicious input.
_NO_CHARSETS = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"})


class HeaderBlock:
    """The fields of a header block, by lower-case name, with values unfolded and otherwise unchanged."""

    __slots__ = ("_fields",)

    def __init__(self, block: bytes) -> None:
        self._fields: dict[str, list[str]] = {}
        for line in _FOLD.sub("", characters(block[:MOST_HEADER_OCTETS])).split("\n", MOST_HEADERS)[:MOST_HEADERS]:
            name, colon, value = line.partition(":")
            if colon:
                self._fields.setdefault(name.strip().lower(), []).append(value.strip())

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def first(self, name: str) -> str:
        """The value of the first field ``name`` (lower case), ``""`` if there is none."""
        return self._fields.get(name, _NONE)[0]

    def all(self, name: str) -> list[str]:
        """The values of all fields ``name``, in order."""
        return self._fields.get(name, [])

    def words(self, name: str) -> str:
        """The first value of ``name`` with encoded words (RFC 2047) decoded."""
        value = self.first(name)
        if "=?" not in value:
            return value
        try:
            words = decode_header(value[:2_000])
        except (HeaderParseError, ValueError):
            return value
        return "".join(one if isinstance(one, str) else characters(one, charset or "") for one, charset in words)


_NONE = [""]


class MessagePart(msgspec.Struct, frozen=True):
    """A part without sub-parts: its header, its lower-case type such as ``text/plain``, its unchanged body."""

    head: HeaderBlock
    kind: str
    body: bytes

    def octets(self) -> bytes:
        """The decoded body, at most `MOST_TEXT` octets."""
        encoding = self.head.first("content-transfer-encoding").lower()
        if encoding.startswith("quoted"):
            return binascii.a2b_qp(self.body[: 3 * MOST_TEXT])[:MOST_TEXT]
        if encoding.startswith("base64"):
            return _from_base64(self.body[: 2 * MOST_TEXT])[:MOST_TEXT]
        return self.body[:MOST_TEXT]

    def text(self) -> str:
        """The body as text with LF between lines; HTML tags are removed, and nothing is evaluated."""
        octets = self.octets()
        charset = parameter(self.head.first("content-type"), "charset")
        text = characters(octets, charset).replace("\r\n", "\n")
        return html.unescape(_TAG.sub(" ", text)) if self.kind == "text/html" else text


class MessageParts(msgspec.Struct, frozen=True):
    """A message: its header and a flat list of its parts, in order; a message that is not multipart has one part."""

    head: HeaderBlock
    kind: str
    parts: tuple[MessagePart, ...]

    def of_kind(self, *kinds: str) -> MessagePart | None:
        """The first part of one of ``kinds``."""
        return next((part for part in self.parts if part.kind in kinds), None)


def message_parts(raw: bytes) -> MessageParts:
    """The message in ``raw``, within the limits. Never raises."""
    block, body = split_head(raw[:MOST_OCTETS])
    head = HeaderBlock(block)
    kind = _kind(head, "text/plain")
    return MessageParts(head, kind, tuple(islice(_leaves(head, kind, body, DEEPEST), MOST_PARTS)))


def split_head(octets: bytes) -> tuple[bytes, bytes]:
    """Header block and body of a message or a part. An mbox's ``From `` line is skipped."""
    if octets.startswith((b"\n", b"\r\n")):
        return b"", octets[octets.index(b"\n") + 1 :]
    end = _END_OF_HEAD.search(octets)
    return (octets, b"") if end is None else (octets[: end.start()], octets[end.end() :])


def parameter(value: str, name: str) -> str:
    """The parameter ``name`` of a header's value, without quotes; ``""`` if there is none."""
    found = re.search(_PARAMETERS[name], value[:4_000])
    return "" if found is None else found[1] or found[2] or ""


_PARAMETERS = {
    name: re.compile(rf'(?i)[;\s]{name}\s{{0,9}}=\s{{0,9}}(?:"([^"]{{0,200}})"|([^;\s"]{{1,200}}))')
    for name in ("boundary", "charset", "report-type")
}


def characters(octets: bytes, charset: str = "") -> str:
    """``octets`` as text: in ``charset`` if it is valid, else in ISO-2022-JP (if it has escapes), UTF-8 or Latin-1.

    Never raises.
    """
    if not charset and octets.isascii() and b"\x1b" not in octets:
        return octets.decode("ascii")
    for name in (charset, *_GUESSES):
        if not _CHARSET.fullmatch(name) or (name == "iso-2022-jp" and b"\x1b" not in octets):
            continue
        try:
            codec = codecs.lookup(name).name
            if codec.replace("-", "_") not in _NO_CHARSETS:
                return octets.decode(codec, "strict" if name is not charset else "replace")
        except (ValueError, LookupError):
            continue
    return octets.decode("latin-1")


_GUESSES = ("iso-2022-jp", "utf-8")


def _from_base64(body: bytes) -> bytes:
    clean = re.sub(rb"[^A-Za-z0-9+/]", b"", body)
    return binascii.a2b_base64(clean[: len(clean) // 4 * 4] + _padded(clean[len(clean) // 4 * 4 :]))


def _padded(rest: bytes) -> bytes:
    return rest + b"=" * (4 - len(rest)) if len(rest) > 1 else b""


def _kind(head: HeaderBlock, otherwise: str) -> str:
    found = _TYPE.match(head.first("content-type"))
    return found[1].lower() if found else otherwise


def _leaves(head: HeaderBlock, kind: str, body: bytes, depth: int) -> Iterator[MessagePart]:
    pieces = _pieces(head, body) if kind.startswith("multipart/") and depth > 0 else []
    if not pieces:
        yield MessagePart(head, "text/plain" if kind.startswith("multipart/") else kind, body)
    for piece in pieces:
        block, inner = split_head(piece)
        inner_head = HeaderBlock(block)
        yield from _leaves(inner_head, _kind(inner_head, "text/plain"), inner, depth - 1)


def _pieces(head: HeaderBlock, body: bytes) -> list[bytes]:
    """The pieces between the boundary lines, at most `MOST_PARTS`."""
    boundary = parameter(head.first("content-type"), "boundary").rstrip()
    if not boundary:
        return []
    line, body = b"\n--" + boundary.encode("utf-8", "replace"), b"\n" + body
    pieces: list[bytes] = []
    start, found = -1, body.find(line)
    while found >= 0 and len(pieces) < MOST_PARTS:
        end = body.find(b"\n", found + 1)
        end = len(body) if end < 0 else end
        rest = body[found + len(line) : end].strip()
        if rest in (b"", b"--"):
            if start >= 0:
                pieces.append(body[start:found].removesuffix(b"\r"))
            if rest:
                return pieces
            start = end + 1
        found = body.find(line, max(end, found + 1))
    if start >= 0 and len(pieces) < MOST_PARTS:
        pieces.append(body[start:])
    return pieces
