"""Transfer encoding of text with slots: constant text is encoded once, values for each letter.

The encoding is quoted-printable or base64 (RFC 2045, sections 6.7 and 6.8), whichever is smaller for the letter, never
8bit. A soft line break follows each value, so the encoded text after it always begins in column 0 and need not be
encoded again. A neat text has this break only if the line would get too long, so that it is readable without decoding.
Escaping for HTML has been done before.
"""

from __future__ import annotations

import re
from binascii import b2a_qp
from collections.abc import Sequence
from functools import lru_cache
from itertools import compress, count, repeat
from operator import contains, gt, le, not_
from typing import Protocol

import msgspec
from pybase64 import encodebytes

from campaign.compose.value_positions import Pick

COLUMNS = 75  #: of a quoted-printable line, without the ``=`` of a soft break
ENOUGH = 30  #: columns for a value; a line with fewer left is broken before it
MOST_FORMS = 256  #: of a neat text, cached at a time
SOFT = "=\r\n"
TOUCHED = ".", "From "  #: beginnings of lines that relays (dot-stuffing) and mailboxes (">From ") change
#: Such lines, if they have space for two more columns.
_TOUCHED = re.compile(rf"^(?:From (?=.{{0,{COLUMNS - 7}}}$)|\.(?=.{{0,{COLUMNS - 3}}}$))", re.MULTILINE)


class Encoded(msgspec.Struct, frozen=True, gc=False):
    """Body text in 7 bits with CRLF, and its encoding: ``quoted-printable`` or ``base64``.

    ``sound``: verified to contain no bare CR or LF, no NUL, and no line that begins with a dot; if False, not verified.
    """

    data: bytes
    encoding: str
    sound: bool = False


class Lengths(Protocol):
    """The lengths of quoted values: ``long`` if each has lines of its own."""

    @property
    def longest(self) -> int:
        """Of all values."""

    @property
    def shortest(self) -> int:
        """Of all values."""

    @property
    def long(self) -> bool:
        """Whether each is longer than any line."""


class EncodedTemplate:
    """A text with ``len(pieces) - 1`` slots for values. ``neat``: only necessary soft line breaks."""

    __slots__ = (
        "_allowed",
        "_bare",
        "_edges",
        "_form",
        "_forms",
        "_least",
        "_octets",
        "_pieces",
        "_slots",
        "_sound",
        "_widths",
        "length",
    )

    def __init__(self, pieces: Sequence[str], *, neat: bool = False) -> None:
        self._pieces = [piece.replace("\r\n", "\n") for piece in pieces]
        self.length = sum(map(len, self._pieces))
        last = len(pieces) - 1
        encoded = [_own(piece, last=number == last) for number, piece in enumerate(self._pieces)]
        self._widths = [COLUMNS - _column(text) for text in encoded[:-1]]
        self._bare = encoded[1:] if neat else []
        needs = [_first_line(text, last=number + 2 == len(pieces)) for number, text in enumerate(self._bare)]
        self._allowed = [width - need for width, need in zip(self._widths, needs, strict=False)]
        self._form = [""] * (2 * len(encoded) - 1)
        self._form[0::2] = [encoded[0], *(SOFT + text for text in encoded[1:])]
        self._forms: dict[tuple[bool, ...], list[str]] = {}
        self._slots = range(last)
        self._edges = [slot for slot, width in enumerate(self._widths) if width == COLUMNS]
        self._least = sum(map(len, self._form))
        self._octets = sum(len(piece.encode("utf-8")) for piece in self._pieces)
        self._sound = all(map(_is_sound, self._form))

    def fill(self, values: Sequence[str], pick: Pick | None = None, *, lines: bool = False) -> Encoded:
        """The text with one of ``values`` in each slot; with ``pick``, they may be any number and it assigns them.

        ``lines``: some may contain line feeds. Raises UnicodeEncodeError for lone surrogates.
        """
        if self._least > 1.4 * self._octets + 8:
            length = _length(values, pick)
            if self._least + length > 1.4 * (self._octets + 4 * length) + 8:
                return self._base64(values, pick)  # quoted-printable is longer even for the template's own text
        whole = "\n".join(values)
        quoted, sound = self._quoted(values, whole, pick, lines)
        if self.is_long(quoted, len(whole) - len(values)) and self.is_long(quoted, _length(values, pick)):
            other = self._base64(values, pick)
            if len(other.data) < len(quoted):
                return other
        return Encoded(quoted.encode("ascii"), "quoted-printable", sound)

    @property
    def usual(self) -> bool:
        """Whether quoted-printable is the shorter encoding of the template's own text."""
        return self._least <= 1.4 * self._octets + 8

    @property
    def sound(self) -> bool:
        """Whether the template's own text is sound; see `Encoded`."""
        return self._sound

    def fitting(self, kinds: Sequence[Lengths]) -> tuple[tuple[bool, ...], list[int]]:
        """Which slots' values need no soft break after them, for values of these lengths, one for each slot.

        Also the slots that have to be looked at for each row, as its value decides. `form` takes the first.
        """
        allowed = self._allowed or [-1] * len(kinds)
        fitting = tuple([not one.long and one.longest <= room for one, room in zip(kinds, allowed, strict=True)])
        loose = [
            slot
            for slot, (one, room, width) in enumerate(zip(kinds, allowed, self._widths, strict=True))
            if not one.long and (one.longest > width or one.shortest <= room < one.longest)
        ]
        return fitting, loose

    def fitting_row(
        self, texts: Sequence[str], usual: tuple[bool, ...], loose: Sequence[int]
    ) -> tuple[bool, ...] | None:
        """As `fitting` for one row, which may differ in the ``loose`` slots; None if a value exceeds its line."""
        own = list(usual)
        for slot in loose:
            length = len(texts[slot])
            if length > self._widths[slot]:
                return None
            own[slot] = bool(self._allowed) and length <= self._allowed[slot]
        return tuple(own)

    def is_long(self, quoted: str, length: int) -> bool:
        """Whether base64 might be shorter, for values with at least ``length`` characters in all slots together."""
        return len(quoted) > 1.35 * (self._octets + length)

    def plain(self, values: Sequence[str]) -> str:
        """The text without encoding, with ``values`` in its slots."""
        form = [""] * (2 * len(self._pieces) - 1)
        form[0::2], form[1::2] = self._pieces, values
        return "".join(form)

    def _quoted(self, values: Sequence[str], whole: str, pick: Pick | None, lines: bool) -> tuple[str, bool]:
        """The text, and whether it is sound. ``whole`` is all values as lines, to test them all at once."""
        texts: Sequence[str] = list(map(_quoted, values)) if lines else self._texts(values, whole)
        if pick:
            texts = pick(texts)
        lengths = list(map(len, texts))
        if lines:  # a value that needs separate lines is given a length that never fits
            lengths = [COLUMNS + 1 if "\n" in text else len(text) for text in texts]
        edges = self._edges if self._edges and begins_touched(whole) else ()
        touched = [slot for slot in edges if texts[slot].startswith(TOUCHED)]
        for slot in touched:
            lengths[slot] += 2
        open_ended = " \n" in whole or whole.endswith(" ")
        form = (self._neat(texts, lengths, open_ended) if self._bare else self._form).copy()
        form[1::2] = texts
        for slot in touched:
            form[2 * slot + 1] = _untouched(texts[slot])
        sound = self._sound and whole.count("\n") < max(1, len(values)) and "\r" not in whole and "\0" not in whole
        for slot in compress(self._slots, map(gt, lengths, self._widths)):
            form[2 * slot + 1] = own = in_own_lines(texts[slot])
            sound = sound and "\n." not in own  # its line ends are CRLF
        return "".join(form), sound

    def _texts(self, values: Sequence[str], whole: str) -> list[str]:
        """The quoted values; most need no quoting, so only the others are processed one by one."""
        texts = list(values)
        if not whole.isascii():
            for number in compress(count(), map(not_, map(str.isascii, values))):
                texts[number] = _quoted(values[number])
        if "=" in whole:
            for number in compress(count(), map(contains, values, repeat("="))):
                texts[number] = _quoted(values[number])
        return texts

    def _neat(self, texts: Sequence[str], lengths: list[int], open_ended: bool) -> list[str]:
        """The form for values of these lengths, without a soft break after those that leave enough columns."""
        if open_ended:  # a space at the end of a line would be lost
            ends = map(str.endswith, texts, repeat(" "))
            lengths = [COLUMNS + 1 if blank else length for blank, length in zip(ends, lengths, strict=True)]
        return self.form(tuple(map(le, lengths, self._allowed)))

    def form(self, fitting: tuple[bool, ...]) -> list[str]:
        """The template's own text with a place for each value, without a soft break after those that are ``fitting``.

        Of a text that is not neat, a soft break follows each value.
        """
        if not self._bare:
            return self._form
        form = self._forms.get(fitting)
        if form is None:
            form = self._form.copy()
            for slot in compress(self._slots, fitting):
                form[2 * slot + 2] = self._bare[slot]
            if len(self._forms) == MOST_FORMS:
                self._forms.clear()
            self._forms[fitting] = form
        return form

    def _base64(self, values: Sequence[str], pick: Pick | None = None) -> Encoded:
        text = self.plain(pick(values) if pick else values)
        octets = (text.replace("\n", "\r\n") if "\n" in text else text).encode("utf-8")
        return Encoded(base64_lines(octets), "base64", True)


def base64_lines(octets: bytes) -> bytes:
    """``octets`` in base64, in lines of 76 columns with CRLF between them (RFC 2045, section 6.8)."""
    return encodebytes(octets)[:-1].replace(b"\n", b"\r\n")


def _length(values: Sequence[str], pick: Pick | None) -> int:
    """The number of characters in all slots together."""
    return sum(map(len, pick(values) if pick else values))


def _own(piece: str, *, last: bool) -> str:
    """A quoted piece of the template; a space at its end is not quoted if a value follows."""
    text = _TOUCHED.sub(lambda line: _untouched(line[0]), _quoted(piece).replace("\r\n", "\n")).replace("\n", "\r\n")
    if not last and text.endswith("=20"):
        text = text.removesuffix("=20") + " "
    text = _tightened(text)
    return text if last or COLUMNS - _column(text) >= ENOUGH else text + SOFT


def _is_sound(text: str) -> bool:
    """Whether ``text`` has no bare CR or LF, no NUL, and no line that begins with a dot."""
    whole_ends = text.count("\r") == text.count("\n") == text.count("\r\n")
    return whole_ends and "\n." not in text and "\0" not in text and not text.startswith(".")


def _first_line(text: str, *, last: bool) -> int:
    """The columns of the text after a value on its line; more than a line has if another value follows on it."""
    end = text.find("\r\n")
    return end if end >= 0 else len(text) if last else COLUMNS + 1


def _column(text: str) -> int:
    """The column at which the last line ends."""
    return len(text) - text.rfind("\n") - 1


def begins_touched(whole: str) -> bool:
    """Whether some of these lines begin with one of `TOUCHED`."""
    return "\n." in whole or "\nFrom " in whole or whole.startswith(TOUCHED)


def in_own_lines(text: str) -> str:
    """Quoted ``text`` on separate lines."""
    if "=" not in text and "\n" not in text:  # quoting changed nothing
        return SOFT + SOFT.join([text[at : at + COLUMNS] for at in range(0, len(text), COLUMNS)])
    return SOFT + _tightened(text)


def quoted_lines(values: Sequence[str], whole: str) -> Sequence[str]:
    """The values quoted; ``whole`` is all of them as lines. None may contain a line end, or a space at its end."""
    if whole.isascii() and "=" not in whole:
        return values
    quoted = b2a_qp(whole.encode("utf-8"), istext=True).decode("ascii")
    if "=\n" not in quoted:
        return quoted.split("\n")
    return [value if value.isascii() and "=" not in value else _quoted(value) for value in values]


@lru_cache(maxsize=4096)  # the same cities and names recur
def _quoted(text: str) -> str:
    return b2a_qp(text.encode("utf-8"), istext=True).decode("ascii").replace("\n", "\r\n")


def _untouched(line: str) -> str:
    """A line that begins with a dot or ``From``, in a form that neither mailboxes nor relays change."""
    return f"={ord(line[0]):02X}{line[1:]}"


def _tightened(text: str) -> str:
    """``text`` with one more soft break if its last line has no column left for the ``=`` of another."""
    start = text.rfind("\n") + 1
    if len(text) - start <= COLUMNS:
        return text
    cut = start + 72
    while "=" in text[cut - 2 : cut]:
        cut -= 1
    return text[:cut] + SOFT + text[cut:]
