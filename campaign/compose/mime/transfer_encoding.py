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
from functools import lru_cache
from itertools import compress, count, repeat
from operator import contains, gt, le, not_

import msgspec

from campaign.compose.value_positions import Pick

COLUMNS = 75  #: of a quoted-printable line, the soft break's ``=`` not counted
ENOUGH = 30  #: columns for a value; a line with less room left is broken before it
MOST_FORMS = 256  #: of a neat text, kept at a time
SOFT = "=\r\n"
TOUCHED = ".", "From "  #: how lines begin that relays (a dot doubled) and mailboxes (">From ") touch
#: Such lines, if two more columns fit into them.
_TOUCHED = re.compile(rf"^(?:From (?=.{{0,{COLUMNS - 7}}}$)|\.(?=.{{0,{COLUMNS - 3}}}$))", re.MULTILINE)


class Encoded(msgspec.Struct, frozen=True, gc=False):
    """Body text in 7 bits, CRLF, and how it is encoded: ``quoted-printable`` or ``base64``.

    ``sound``: proved to hold no bare CR or LF, no NUL, and no line that begins with a dot; if not, nobody knows.
    """

    data: bytes
    encoding: str
    sound: bool = False


class EncodedTemplate:
    """A text with ``len(pieces) - 1`` gaps for values. ``neat``: no soft line break without need."""

    __slots__ = (
        "_allowed",
        "_bare",
        "_edges",
        "_form",
        "_forms",
        "_gaps",
        "_least",
        "_octets",
        "_pieces",
        "_rooms",
        "_sound",
        "length",
    )

    def __init__(self, pieces: Sequence[str], *, neat: bool = False) -> None:
        self._pieces = [piece.replace("\r\n", "\n") for piece in pieces]
        self.length = sum(map(len, self._pieces))
        last = len(pieces) - 1
        encoded = [_own(piece, last=number == last) for number, piece in enumerate(self._pieces)]
        self._rooms = [COLUMNS - _column(text) for text in encoded[:-1]]
        self._bare = encoded[1:] if neat else []
        needs = [_first_line(text, last=number + 2 == len(pieces)) for number, text in enumerate(self._bare)]
        self._allowed = [room - need for room, need in zip(self._rooms, needs, strict=False)]
        self._form = [""] * (2 * len(encoded) - 1)
        self._form[0::2] = [encoded[0], *(SOFT + text for text in encoded[1:])]
        self._forms: dict[tuple[bool, ...], list[str]] = {}
        self._gaps = range(last)
        self._edges = [gap for gap, room in enumerate(self._rooms) if room == COLUMNS]
        self._least = sum(map(len, self._form))
        self._octets = sum(len(piece.encode("utf-8")) for piece in self._pieces)
        self._sound = all(map(_is_sound, self._form))

    def fill(self, values: Sequence[str], pick: Pick | None = None, *, lines: bool = False) -> Encoded:
        """The text with ``values`` in its gaps, one for each; or as many as there are, and ``pick`` puts them there.

        ``lines``: some may hold line feeds. Raises UnicodeEncodeError for lone surrogates.
        """
        if self._least > 1.4 * self._octets + 8:
            length = _length(values, pick)
            if self._least + length > 1.4 * (self._octets + 4 * length) + 8:
                return self._base64(values, pick)  # not even the template's own text is smaller as quoted-printable
        whole = "\n".join(values)
        quoted, sound = self._quoted(values, whole, pick, lines)
        if self._is_long(quoted, len(whole) - len(values)) and self._is_long(quoted, _length(values, pick)):
            other = self._base64(values, pick)
            if len(other.data) < len(quoted):
                return other
        return Encoded(quoted.encode("ascii"), "quoted-printable", sound)

    def _is_long(self, quoted: str, length: int) -> bool:
        """Whether base64 might be shorter, for values of so many characters where they stand, or more."""
        return len(quoted) > 1.35 * (self._octets + length)

    def plain(self, values: Sequence[str]) -> str:
        """The text as it is, with ``values`` in its gaps."""
        form = [""] * (2 * len(self._pieces) - 1)
        form[0::2], form[1::2] = self._pieces, values
        return "".join(form)

    def _quoted(self, values: Sequence[str], whole: str, pick: Pick | None, lines: bool) -> tuple[str, bool]:
        """The text, and whether it is sound. ``whole``: the values as lines, to see at once what none of them needs."""
        texts: Sequence[str] = list(map(_quoted, values)) if lines else self._texts(values, whole)
        if pick:
            texts = pick(texts)
        lengths = list(map(len, texts))
        if lines:  # what has to stand in lines of its own is longer than any room
            lengths = [COLUMNS + 1 if "\n" in text else len(text) for text in texts]
        edges = self._edges if self._edges and _begins_touched(whole) else ()
        touched = [gap for gap in edges if texts[gap].startswith(TOUCHED)]
        for gap in touched:
            lengths[gap] += 2
        open_ended = " \n" in whole or whole.endswith(" ")
        form = (self._neat(texts, lengths, open_ended) if self._bare else self._form).copy()
        form[1::2] = texts
        for gap in touched:
            form[2 * gap + 1] = _untouched(texts[gap])
        sound = self._sound and whole.count("\n") < max(1, len(values)) and "\r" not in whole and "\0" not in whole
        for gap in compress(self._gaps, map(gt, lengths, self._rooms)):
            form[2 * gap + 1] = own = _in_own_lines(texts[gap])
            sound = sound and "\n." not in own  # its line ends are ours
        return "".join(form), sound

    def _texts(self, values: Sequence[str], whole: str) -> list[str]:
        """The values quoted; most need nothing, so only those that do are touched one by one."""
        texts = list(values)
        if not whole.isascii():
            for number in compress(count(), map(not_, map(str.isascii, values))):
                texts[number] = _quoted(values[number])
        if "=" in whole:
            for number in compress(count(), map(contains, values, repeat("="))):
                texts[number] = _quoted(values[number])
        return texts

    def _neat(self, texts: Sequence[str], lengths: list[int], open_ended: bool) -> list[str]:
        """The form for values of these lengths: no soft break behind those that leave room for what follows them."""
        if open_ended:  # a blank at a line's end would be lost
            ends = map(str.endswith, texts, repeat(" "))
            lengths = [COLUMNS + 1 if blank else length for blank, length in zip(ends, lengths, strict=True)]
        fitting = tuple(map(le, lengths, self._allowed))
        form = self._forms.get(fitting)
        if form is None:
            form = self._form.copy()
            for gap in compress(self._gaps, fitting):
                form[2 * gap + 2] = self._bare[gap]
            if len(self._forms) == MOST_FORMS:
                self._forms.clear()
            self._forms[fitting] = form
        return form

    def _base64(self, values: Sequence[str], pick: Pick | None = None) -> Encoded:
        text = self.plain(pick(values) if pick else values)
        octets = (text.replace("\n", "\r\n") if "\n" in text else text).encode("utf-8")
        encoded = b2a_base64(octets, newline=False)
        return Encoded(b"\r\n".join([encoded[at : at + 76] for at in range(0, len(encoded), 76)]), "base64", True)


def _length(values: Sequence[str], pick: Pick | None) -> int:
    """Characters of all, where they stand."""
    return sum(map(len, pick(values) if pick else values))


def _own(piece: str, *, last: bool) -> str:
    """A piece of the template, quoted; a blank at its end stays one where a value follows."""
    text = _TOUCHED.sub(lambda line: _untouched(line[0]), _quoted(piece).replace("\r\n", "\n")).replace("\n", "\r\n")
    if not last and text.endswith("=20"):
        text = text.removesuffix("=20") + " "
    text = _tightened(text)
    return text if last or COLUMNS - _column(text) >= ENOUGH else text + SOFT


def _is_sound(text: str) -> bool:
    """No bare CR or LF, no NUL, no line that begins with a dot."""
    whole_ends = text.count("\r") == text.count("\n") == text.count("\r\n")
    return whole_ends and "\n." not in text and "\0" not in text and not text.startswith(".")


def _first_line(text: str, *, last: bool) -> int:
    """Columns that the rest of a value's line takes; more than there are where another value stands in it."""
    end = text.find("\r\n")
    return end if end >= 0 else len(text) if last else COLUMNS + 1


def _column(text: str) -> int:
    """Where the last line ends."""
    return len(text) - text.rfind("\n") - 1


def _begins_touched(whole: str) -> bool:
    """Whether some of these lines may be `TOUCHED`."""
    return "\n." in whole or "\nFrom " in whole or whole.startswith(TOUCHED)


def _in_own_lines(text: str) -> str:
    """``text``, which is quoted, in lines of its own."""
    if "=" not in text and "\n" not in text:  # so it is as it was
        return SOFT + SOFT.join([text[at : at + COLUMNS] for at in range(0, len(text), COLUMNS)])
    return SOFT + _tightened(text)


@lru_cache(maxsize=4096)  # the same cities and names come again and again
def _quoted(text: str) -> str:
    return b2a_qp(text.encode("utf-8"), istext=True).decode("ascii").replace("\n", "\r\n")


def _untouched(line: str) -> str:
    """A line that begins with a dot or ``From``, as neither mailboxes nor relays change it."""
    return f"={ord(line[0]):02X}{line[1:]}"


def _tightened(text: str) -> str:
    """One more soft break where the last line has no room left for the ``=`` of another."""
    start = text.rfind("\n") + 1
    if len(text) - start <= COLUMNS:
        return text
    cut = start + 72
    while "=" in text[cut - 2 : cut]:
        cut -= 1
    return text[:cut] + SOFT + text[cut:]
