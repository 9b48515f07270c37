"""Assembles header blocks, and checks every finished block against a strict grammar, the gate.

The gate accepts a block only if it has exactly the expected names, once each, in order. It does not rely on any
encoder, so it also stops a value that an encoder let through by mistake. `header_values.py` encodes the values.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain

LONGEST_LINE = 998  #: octets without CRLF (RFC 5322, section 2.1.1)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,75}")
#: Values, each followed by a NUL, that the gate accepts after any name: short visible text with our folds.
_VALUES = re.compile(r"(?:[ -~]{0,900}(?:\r\n [!-~][ -~]{0,900})*\0)*")


class HeaderRefused(ValueError):  # noqa: N818 - a row is refused with this reason; the program made no error
    """A value is not allowed in a header; the message is the reason in words."""


def block(pairs: Sequence[tuple[str, str]], *, smtputf8: bool = False) -> bytes:
    """The header block of encoded ``pairs`` (name, value), ending in CRLF, without the empty line after it.

    It has only 7-bit octets, or UTF-8 with ``smtputf8``. Raises HeaderRefused if the finished block does not have
    exactly these names, once each, in this order.
    """
    names = tuple(name for name, _ in pairs)
    text = "".join([f"{name}: {value}\r\n" for name, value in pairs])
    return _gated(text, _gate(names, smtputf8), names)


class HeaderGate:
    """A header block with constant fields, which are encoded once, and slots, which are filled for each letter.

    ``pairs`` has all fields in order; a value of ``None`` is a slot. `fill` takes the encoded values of the slots in
    that order (`slots` names them) and checks the whole block with the gate, constants included.
    """

    __slots__ = ("_form", "_gate", "names", "slots")

    def __init__(self, pairs: Sequence[tuple[str, str | None]]) -> None:
        self.names = tuple(name for name, _ in pairs)
        self.slots = tuple(name for name, value in pairs if value is None)
        self._gate = _gate(self.names, smtputf8=False)
        self._form = "".join(
            f"{name}: {'%s' if value is None else value.replace('%', '%%')}\r\n" for name, value in pairs
        )
        _gated(self._form % (("-",) * len(self.slots)), self._gate, self.names)

    def fill(self, *values: str, smtputf8: bool = False) -> bytes:
        """The finished block. Raises HeaderRefused from the gate, TypeError for the wrong number of values."""
        whole = "\0".join((*values, ""))
        if not smtputf8 and whole.count("\0") == len(values) and _VALUES.fullmatch(whole):
            return (self._form % values).encode("ascii")  # the constant fields passed the gate before
        gate = _gate(self.names, smtputf8=True) if smtputf8 else self._gate
        return _gated(self._form % values, gate, self.names)

    def fill_all(self, rows: Sequence[tuple[str, ...]]) -> list[str] | None:
        """The finished blocks of several rows, as text; None if one needs a closer look, which `fill` has."""
        whole = "\0".join([*chain.from_iterable(rows), ""])
        if whole.count("\0") != len(rows) * len(self.slots) or not _VALUES.fullmatch(whole):
            return None
        return list(map(self._form.__mod__, rows))


def _gated(text: str, gate: re.Pattern[bytes], names: tuple[str, ...]) -> bytes:
    try:
        octets = text.encode("utf-8")
    except UnicodeEncodeError:
        raise HeaderRefused("a header holds half of a surrogate pair") from None
    if gate.fullmatch(octets) is None:
        raise HeaderRefused(_complaint(octets, names))
    return octets


@lru_cache(maxsize=256)
def _gate(names: tuple[str, ...], smtputf8: bool) -> re.Pattern[bytes]:
    """The pattern of a valid block: these names in order, with lines of visible text and our folds."""
    for name in names:
        if not _NAME.fullmatch(name):
            raise HeaderRefused(f"{name!r} is no name for a header")
    folded = [name.lower() for name in names]
    for name in folded:
        if folded.count(name) > 1:
            raise HeaderRefused(f"the header {name} would stand there twice")
    high = "\\x80-\\xff" if smtputf8 else ""
    again = f"(?:\\r\\n [\\x21-\\x7e{high}][\\x20-\\x7e{high}]{{0,{LONGEST_LINE - 2}}})*\\r\\n"
    lines = [f"{name}: [\\x20-\\x7e{high}]{{0,{LONGEST_LINE - len(name) - 2}}}{again}" for name in names]
    return re.compile("".join(lines).encode("ascii"))


def _complaint(octets: bytes, names: tuple[str, ...]) -> str:
    """The reason why the gate refused a block, in words for the owner of the list."""
    lines = octets.split(b"\r\n")
    found = tuple(line.partition(b":")[0].decode("ascii", "replace") for line in lines[:-1] if line[:1] != b" ")
    if max(map(len, lines)) > LONGEST_LINE:
        return f"a header line is longer than {LONGEST_LINE} octets"
    if found != names:
        strangers = [name for name in found if name not in names] or list(found)
        return f"the headers would not be the expected ones, once each: {', '.join(map(repr, strangers))}"
    return "a header holds an octet that may not stand there"
