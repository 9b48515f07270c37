"""The parts of a message, read within bounds: whatever the bytes are, there is an answer, and soon.

The standard library's parser keeps all parts and follows any depth, which a stranger's message may use against us;
here size, depth and the number of parts are bounded (RFC 2045 and 2046), and nothing is decoded before it is asked for.
"""

from __future__ import annotations

import binascii
import codecs
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header
from itertools import islice

MOST_OCTETS = 1 << 20  #: of a message that are read
DEEPEST = 10  #: levels of parts within parts
MOST_PARTS = 200
MOST_HEADER_OCTETS = 1 << 16  #: of one header block
MOST_HEADERS = 1_000  #: fields of one header block
MOST_TEXT = 1 << 16  #: octets of a part that are decoded

_FOLD = re.compile(r"\r?\n(?=[ \t])")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_TYPE = re.compile(r"\s*([\w.+-]{1,60}/[\w.+-]{1,60})")
_CHARSET = re.compile(r"[A-Za-z0-9_.:+-]{1,40}")
_TAG = re.compile(r"<[^<>]{0,2000}>")
#: Codecs that are no charsets of mail, some of them slow on purpose-made input.
_NO_CHARSETS = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"})


class HeaderBlock:
    """The fields of a header block, by lower-case name, values unfolded and otherwise as they came."""

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
        """The value of the first field called ``name`` (lower case), ``""`` where there is none."""
        return self._fields.get(name, _NONE)[0]

    def all(self, name: str) -> list[str]:
        """The values of all fields called ``name``, in order."""
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


@dataclass(frozen=True, slots=True)
class MessagePart:
    """A part that has no parts: its header, its lower-case type such as ``text/plain``, its body as it came."""

    head: HeaderBlock
    kind: str
    body: bytes

    def octets(self) -> bytes:
        """The body without its transfer encoding, at most `MOST_TEXT` octets of it."""
        encoding = self.head.first("content-transfer-encoding").lower()
        if encoding.startswith("quoted"):
            return binascii.a2b_qp(self.body[: 3 * MOST_TEXT])[:MOST_TEXT]
        if encoding.startswith("base64"):
            return _from_base64(self.body[: 2 * MOST_TEXT])[:MOST_TEXT]
        return self.body[:MOST_TEXT]

    def text(self) -> str:
        """The body as characters with LF between lines; HTML loses its tags and is not evaluated."""
        octets = self.octets()
        charset = parameter(self.head.first("content-type"), "charset")
        text = characters(octets, charset).replace("\r\n", "\n")
        return html.unescape(_TAG.sub(" ", text)) if self.kind == "text/html" else text


@dataclass(frozen=True, slots=True)
class MessageParts:
    """A message: its header and its parts, flat and in order; one that is not multipart is its only part."""

    head: HeaderBlock
    kind: str
    parts: tuple[MessagePart, ...]

    def of_kind(self, *kinds: str) -> MessagePart | None:
        """The first part of one of ``kinds``."""
        return next((part for part in self.parts if part.kind in kinds), None)


def message_parts(raw: bytes) -> MessageParts:
    """The message in ``raw``, as far as the bounds allow. Never raises."""
    block, body = split_head(raw[:MOST_OCTETS])
    head = HeaderBlock(block)
    kind = _kind(head, "text/plain")
    return MessageParts(head, kind, tuple(islice(_leaves(head, kind, body, DEEPEST), MOST_PARTS)))


def split_head(octets: bytes) -> tuple[bytes, bytes]:
    """Header block and body of a message or a part. An mbox's ``From `` line is no header."""
    if octets.startswith((b"\n", b"\r\n")):
        return b"", octets[octets.index(b"\n") + 1 :]
    end = _END_OF_HEAD.search(octets)
    return (octets, b"") if end is None else (octets[: end.start()], octets[end.end() :])


def parameter(value: str, name: str) -> str:
    """The parameter ``name`` of a header's value, without quotes; ``""`` where there is none."""
    found = re.search(_PARAMETERS[name], value[:4_000])
    return "" if found is None else found[1] or found[2] or ""


_PARAMETERS = {
    name: re.compile(rf'(?i)[;\s]{name}\s{{0,9}}=\s{{0,9}}(?:"([^"]{{0,200}})"|([^;\s"]{{1,200}}))')
    for name in ("boundary", "charset", "report-type")
}


def characters(octets: bytes, charset: str = "") -> str:
    """``octets`` as text: in ``charset`` if it is one, else in ISO-2022-JP (where it has escapes), UTF-8 or Latin-1.

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
    """What stands between the lines of a boundary, at most `MOST_PARTS` pieces."""
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
