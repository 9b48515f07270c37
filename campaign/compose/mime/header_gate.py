"""Header fields put together, and the gate that every finished header block has to pass.

The gate takes the block apart again by the strictest grammar there is and wants exactly the expected names, once
each, in order. It trusts no encoder: whatever slipped through one of them ends here. How values are encoded is the
business of `header_values.py`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

LONGEST_LINE = 998  #: octets without CRLF (RFC 5322, section 2.1.1)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,75}")
#: Values, each ended by a NUL, that the gate lets pass behind any name: visible text, folds of ours, not long.
_VALUES = re.compile(r"(?:[ -~]{0,900}(?:\r\n [!-~][ -~]{0,900})*\0)*")


class HeaderRefused(ValueError):  # noqa: N818 - a row is refused with this reason; it is no error of ours
    """A value that must not stand in a header; the message is the reason in words."""


def block(pairs: Sequence[tuple[str, str]], *, smtputf8: bool = False) -> bytes:
    """The header block of encoded ``pairs`` (name, value), ending in CRLF, without the empty line after it.

    Only 7-bit octets, or UTF-8 where ``smtputf8``. Raises HeaderRefused where the finished block is anything but
    these names, once each, in this order.
    """
    names = tuple(name for name, _ in pairs)
    text = "".join([f"{name}: {value}\r\n" for name, value in pairs])
    return _gated(text, _gate(names, smtputf8), names)


class HeaderGate:
    """A header block whose constant fields are encoded once, and whose slots are filled letter by letter.

    ``pairs`` gives all fields in order; a value of ``None`` is a slot. `fill` takes the encoded values of the slots
    in that order (`slots` names them) and passes the whole block through the gate, constants included.
    """

    __slots__ = ("_form", "_gate", "_gate_utf8", "names", "slots")

    def __init__(self, pairs: Sequence[tuple[str, str | None]]) -> None:
        self.names = tuple(name for name, _ in pairs)
        self.slots = tuple(name for name, value in pairs if value is None)
        self._gate, self._gate_utf8 = _gate(self.names, smtputf8=False), _gate(self.names, smtputf8=True)
        self._form = "".join(
            f"{name}: {'%s' if value is None else value.replace('%', '%%')}\r\n" for name, value in pairs
        )
        _gated(self._form % (("-",) * len(self.slots)), self._gate, self.names)

    def fill(self, *values: str, smtputf8: bool = False) -> bytes:
        """The finished block. Raises HeaderRefused by the gate, TypeError for the wrong number of values."""
        whole = "\0".join((*values, ""))
        if not smtputf8 and whole.count("\0") == len(values) and _VALUES.fullmatch(whole):
            return (self._form % values).encode("ascii")  # what is around them has passed the gate before
        return _gated(self._form % values, self._gate_utf8 if smtputf8 else self._gate, self.names)


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
    """The one regular language a block may be in: these names in order, lines of visible text, folds of ours."""
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
    """What is wrong with a block that the gate refused, for the person who owns the list."""
    lines = octets.split(b"\r\n")
    found = tuple(line.partition(b":")[0].decode("ascii", "replace") for line in lines[:-1] if line[:1] != b" ")
    if max(map(len, lines)) > LONGEST_LINE:
        return f"a header line is longer than {LONGEST_LINE} octets"
    if found != names:
        strangers = [name for name in found if name not in names] or list(found)
        return f"the headers would not be the expected ones, once each: {', '.join(map(repr, strangers))}"
    return "a header holds an octet that may not stand there"
