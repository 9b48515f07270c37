"""The usual spellings of an address in files, to find it in any of them and to mask it without changing a length.

Case is ignored. Besides the address itself these are: the domain in A-labels and in Unicode, percent-encoding, the
escapes of JSON, HTML and Python, quoted-printable's ``=40``, xtext (RFC 3461, section 4), and the form ``local=domain``
that some return paths have. A spelling counts where no longer address contains it.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from email import policy
from email.errors import MessageError
from email.parser import BytesParser
from urllib.parse import quote

import idna

#: Octets of a letter whose parts are decoded; parts looked at.
LARGEST_LETTER, MOST_PARTS = 64 << 20, 1_000
#: An escape may stand right before the address; its last character is no part of the address.
_ESCAPES = rb"(?<=%[0-9A-Fa-f]{2})|(?<==[0-9A-Fa-f]{2})|(?<=\\[nrt])|(?<=\\u[0-9a-fA-F]{4})"
_BEFORE = rb"(?:(?<![A-Za-z0-9._+\x80-\xff-])|" + _ESCAPES + rb")"
_AFTER = rb"(?![A-Za-z0-9\x80-\xff-]|\.[A-Za-z0-9])"
#: What hides an address from a search in the letter as it is.
_ENCODED = re.compile(rb"base64|quoted-printable|=\?", re.IGNORECASE)
_SHORTEST_LOCAL, _SHORTEST_PREFIX = 3, 4


class AddressMask:
    """Finds and masks all spellings of ``addresses``, the bare addresses of one person."""

    def __init__(self, addresses: Iterable[str]) -> None:
        self.addresses = sorted(set(addresses))
        self._forms = sorted({form for one in self.addresses for form in _forms(one)}, key=lambda one: -len(one))
        forms = b"|".join(map(re.escape, self._forms))
        self._pattern = re.compile(_BEFORE + b"(?:" + forms + b")" + _AFTER, re.IGNORECASE)
        self._anchors = {_anchor(one) for one in self.addresses}
        locals_ = {one.rpartition("@")[0] for one in self.addresses}
        words = [re.escape(one) for one in sorted(locals_, key=lambda one: -len(one)) if len(one) >= _SHORTEST_LOCAL]
        self._local = re.compile(rf"(?<![\w.+-])(?:{'|'.join(words)})(?![\w+-])", re.IGNORECASE) if words else None

    def found(self, data: bytes) -> bool:
        """Whether ``data`` contains a spelling."""
        return self._may_be_in(data) and self._pattern.search(data) is not None

    def masked(self, data: bytes) -> bytes:
        """``data`` with as many asterisks as each spelling has octets."""
        return self._pattern.sub(lambda match: b"*" * len(match[0]), data) if self._may_be_in(data) else data

    def _may_be_in(self, data: bytes) -> bool:
        """Whether it is worth searching: most data is passed over a hundred times faster than the pattern would."""
        folded = data.lower()
        return any(anchor in folded for anchor in self._anchors)

    def masked_reply(self, text: str) -> str:
        """A reply about this person, with the local part masked where it stands alone, too; as many octets of UTF-8."""
        text = self.masked(text.encode()).decode()
        return self._local.sub(lambda match: "*" * len(match[0].encode()), text) if self._local else text

    def masked_line(self, data: bytes) -> bytes:
        """As `masked`, for a line of a file. If it is torn, a spelling that begins at its end is masked, too."""
        data = self.masked(data)
        if data.endswith(b"\n"):
            return data
        folded = data.lower()
        for form in self._forms:
            for length in range(len(form) - 1, _SHORTEST_PREFIX - 1, -1):
                if folded.endswith(form[:length].lower()):
                    return data[:-length] + b"*" * length
        return data

    def in_letter(self, content: bytes) -> bool:
        """Whether a letter contains a spelling, in its headers or in a part, however that is encoded."""
        if self.found(content) or self.found(content.replace(b"=\r\n", b"").replace(b"=\n", b"")):
            return True
        if not _ENCODED.search(content):
            return False
        try:
            return any(self.found(text) for text in _decoded_texts(content[:LARGEST_LETTER]))
        except (MessageError, ValueError, LookupError, RecursionError):
            return False


def _decoded_texts(content: bytes) -> Iterator[bytes]:
    letter = BytesParser(policy=policy.default).parsebytes(content)
    for part, _ in zip(letter.walk(), range(MOST_PARTS), strict=False):
        for name, value in part.items():
            yield f"{name}: {value}".encode("utf-8", "replace")
        payload = part.get_payload(decode=True)
        if isinstance(payload, bytes):
            yield payload


def _anchor(address: str) -> bytes:
    """The longest run of ASCII letters and digits in the local part, which every spelling has as it is."""
    local = unicodedata.normalize("NFC", address.rpartition("@")[0]).lower()
    runs: list[str] = re.findall(r"[a-z0-9]+", local)
    return max(runs, key=len, default="").encode()


def _forms(address: str) -> Iterator[bytes]:
    local, _, domain = address.rpartition("@")
    for one in {unicodedata.normalize(form, local) for form in ("NFC", "NFD")} | {local}:
        for host in _domains(domain):
            yield from _written(one, host)


def _domains(domain: str) -> set[str]:
    found = {domain}
    for convert in (idna.decode, lambda text: idna.encode(text).decode("ascii")):
        try:
            found.add(convert(domain))
        except (idna.IDNAError, UnicodeError):
            continue
    return found


def _written(local: str, domain: str) -> Iterator[bytes]:
    text = f"{local}@{domain}"
    escaped = (json.dumps(text)[1:-1], html.escape(text), repr(text)[1:-1], ascii(text)[1:-1])
    encoded = (quote(text, safe=""), quote(text, safe="@"), quote(text, safe="@+"), quote(text, safe="+"))
    others = (f"{_xtext(local)}@{domain}", f"{local}={domain}", f"{local}=40{domain}")
    for one in {text, text.lower(), text.upper(), *escaped, *encoded, *others}:
        yield one.encode("utf-8", "surrogatepass")


def _xtext(text: str) -> str:
    octets = text.encode("utf-8", "surrogatepass")
    return "".join(chr(one) if 33 <= one <= 126 and one not in b"+=" else f"+{one:02X}" for one in octets)
