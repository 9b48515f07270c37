"""Text with gaps as MIME body text: what never changes is encoded once, values are encoded as they come.

Quoted-printable or base64 (RFC 2045, sections 6.7 and 6.8), whichever is smaller for the letter at hand, never 8bit.
After each value stands a soft line break, so that the encoded text behind it always begins in column 0 and never has
to be encoded again; in a neat text only where the line would get too long, so that people can read it raw. Escaping
for HTML has been done before; nothing of MIME's structure is known here.
"""

from __future__ import annotations

import re
from binascii import b2a_base64, b2a_qp
from collections.abc import Sequence
from typing import NamedTuple

COLUMNS = 75  #: of a quoted-printable line, the soft break's ``=`` not counted
ENOUGH = 30  #: columns for a value; a line with less room left is broken before it
SOFT = "=\r\n"
_FROM = re.compile(r"^From ", re.MULTILINE)  # some mailboxes turn it into ">From "


class Encoded(NamedTuple):
    """Body text in 7 bits, CRLF, and how it is encoded: ``quoted-printable`` or ``base64``."""

    data: bytes
    encoding: str


class Gapped:
    """A text with ``len(pieces) - 1`` gaps for values. ``neat``: no soft line break without need."""

    __slots__ = ("_bare", "_form", "_least", "_needs", "_octets", "_pieces", "_rooms", "length")

    def __init__(self, pieces: Sequence[str], *, neat: bool = False) -> None:
        self._pieces = [piece.replace("\r\n", "\n") for piece in pieces]
        self.length = sum(map(len, self._pieces))
        last = len(pieces) - 1
        encoded = [_own(piece, last=number == last) for number, piece in enumerate(self._pieces)]
        self._rooms = [COLUMNS - _column(text) for text in encoded]
        self._bare = encoded[1:] if neat else []
        self._needs = [_first_line(text, last=number + 2 == len(pieces)) for number, text in enumerate(self._bare)]
        self._form = [""] * (2 * len(encoded) - 1)
        self._form[0::2] = [encoded[0], *(SOFT + text for text in encoded[1:])]
        self._least = sum(map(len, self._form))
        self._octets = sum(len(piece.encode("utf-8")) for piece in self._pieces)

    def fill(self, values: Sequence[str], length: int | None = None, *, lines: bool = False) -> Encoded:
        """The text with ``values`` in its gaps; ``length``: characters of all; ``lines``: some may hold line feeds.

        Raises UnicodeEncodeError for lone surrogates.
        """
        if length is None:
            length = sum(map(len, values))
        if self._least + length > 1.4 * (self._octets + 4 * length) + 8:
            return self._base64(values)  # not even the template's own text is smaller as quoted-printable
        quoted = self._quoted(values, lines=lines)
        if len(quoted) > 1.35 * (self._octets + length):
            other = self._base64(values)
            if len(other.data) < len(quoted):
                return other
        return Encoded(quoted.encode("ascii"), "quoted-printable")

    def plain(self, values: Sequence[str]) -> str:
        """The text as it is, with ``values`` in its gaps."""
        form = [""] * (2 * len(self._pieces) - 1)
        form[0::2], form[1::2] = self._pieces, values
        return "".join(form)

    def _quoted(self, values: Sequence[str], *, lines: bool) -> str:
        if self._bare:
            return self._neat(values, lines)
        form = self._form.copy()
        rooms = zip(values, self._rooms, strict=False)
        whole = "".join(values)
        if lines or "=" in whole or not whole.isascii():
            form[1::2] = [_value(value, room) for value, room in rooms]
        else:
            form[1::2] = [value if len(value) <= room else _folded(value) for value, room in rooms]
        return "".join(form)

    def _neat(self, values: Sequence[str], lines: bool) -> str:
        form, whole = self._form.copy(), "".join(values)
        plain = not lines and "=" not in whole and whole.isascii()
        for number, (value, room, need) in enumerate(zip(values, self._rooms, self._needs, strict=False)):
            text = value if plain and len(value) <= room else _value(value, room)
            if room == COLUMNS and (text == "." or text.startswith("From ")):
                text = f"={ord(text[0]):02X}{text[1:]}"  # some relays and mailboxes touch such lines
            form[2 * number + 1] = text
            if len(text) + need <= room and text[-1] not in " \t":  # a blank at a line's end would be lost
                form[2 * number + 2] = self._bare[number]
        return "".join(form)

    def _base64(self, values: Sequence[str]) -> Encoded:
        text = self.plain(values)
        octets = (text.replace("\n", "\r\n") if "\n" in text else text).encode("utf-8")
        encoded = b2a_base64(octets, newline=False)
        return Encoded(b"\r\n".join([encoded[at : at + 76] for at in range(0, len(encoded), 76)]), "base64")


def _own(piece: str, *, last: bool) -> str:
    """A piece of the template, quoted; a blank at its end stays one where a value follows."""
    text = _FROM.sub("=46rom ", _quoted(piece).replace("\r\n", "\n")).replace("\n", "\r\n")
    if not last and text.endswith("=20"):
        text = text.removesuffix("=20") + " "
    text = _tightened(text)
    return text if last or COLUMNS - _column(text) >= ENOUGH else text + SOFT


def _first_line(text: str, *, last: bool) -> int:
    """Columns that the rest of a value's line takes; more than there are where another value stands in it."""
    end = text.find("\r\n")
    return end if end >= 0 else len(text) if last else COLUMNS + 1


def _column(text: str) -> int:
    """Where the last line ends."""
    return len(text) - text.rfind("\n") - 1


def _value(value: str, room: int) -> str:
    """``value``, quoted, in lines of its own where ``room`` columns are too few."""
    plain = value.isascii() and "=" not in value and value.isprintable()
    text = value if plain else _quoted(value)
    if len(text) <= room and "\n" not in text:
        return text
    return _folded(text) if plain else SOFT + _tightened(text)


def _folded(text: str) -> str:
    """Text that needs no encoding, in lines of its own."""
    return SOFT + SOFT.join([text[at : at + COLUMNS] for at in range(0, len(text), COLUMNS)])


def _quoted(text: str) -> str:
    octets = text.encode("utf-8")
    return b2a_qp(octets, istext=True).decode("ascii").replace("\n", "\r\n")


def _tightened(text: str) -> str:
    """One more soft break where the last line has no room left for the ``=`` of another."""
    start = text.rfind("\n") + 1
    if len(text) - start <= COLUMNS:
        return text
    cut = start + 72
    while "=" in text[cut - 2 : cut]:
        cut -= 1
    return text[:cut] + SOFT + text[cut:]
