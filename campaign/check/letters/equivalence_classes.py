"""Equivalence classes of letters: kinds so alike that reading one letter covers them all.

Two letters are of one kind if their templates took the same branches (a blank value counts as a branch), and nothing
about their values could make one of them wrong and the other right: an address instead of ordinary text, a word such as
``None``, a name that needs quoting, a size over a limit. So every row is classified, and only the first letter of each
kind has to be read back and checked in full, which costs ten times as much as rendering it.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from typing import Any

from campaign.check.letters.html_faults import CLIPPED
from campaign.check.letters.structure import LONGEST_LINE, LONGEST_SUBJECT
from campaign.check.letters.wording import NOTHING
from campaign.model import Letter, Recipient

Printed = Sequence[tuple[Sequence[str | None], Sequence[Any]]]  #: as `Composer.compose_showing` returns it

_NOTHING = "|".join(sorted(NOTHING))
_ODD = re.compile(
    rf"(?:\A|\x00)(?:{_NOTHING})(?:\x00|\Z)|http://|://(?:[^/\x00]*@)?(?:localhost|[\d.]+[:/\x00]|\[)|"
    r"\.(?:localhost|local|internal|lan)(?:[:/\x00]|\Z)"
)
_NAMES = re.compile(rb"(?m)^([!-9;-~]+):")
_TO = re.compile(rb"(?:\A|\r\n)To:(.*?)\r\n(?![ \t])", re.DOTALL)
_QUOTED = re.compile(r"[\"(),.:;<>@\[\\\]=?]")


def kind(printed: Printed, recipient: Recipient, letter: Letter) -> Hashable:
    """A key that letters of one kind share. Costs some tens of microseconds."""
    block = letter.content[: letter.content.find(b"\r\n\r\n") + 2]
    subject = printed[0] if printed else ((), ())
    return (
        tuple([(tuple(statics), *oddities(values)) for statics, values in printed]),
        tuple(_NAMES.findall(block)),
        max(map(len, block.split(b"\r\n"))) > LONGEST_LINE,
        recipient.name if _QUOTED.search(recipient.name) else "",
        _names_only(block, letter.recipient),
        _length(subject) > LONGEST_SUBJECT,
        html_octets(letter.content) > CLIPPED,
    )


def oddities(values: Sequence[Any]) -> tuple[Hashable, ...]:
    """Which values are links, which are blank, and which need a check of their own."""
    texts = [value if type(value) is str else "" if value is None else str(value) for value in values]
    links = tuple([at for at, text in enumerate(texts) if text[:8] == "https://"])
    blank = () if all(map(str.strip, texts)) else tuple([at for at, text in enumerate(texts) if not text.strip()])
    if not _ODD.search("\0".join(texts)):
        return links, blank
    return links, blank, tuple([(at, _oddity(text)) for at, text in enumerate(texts) if _ODD.search(text)])


def _oddity(text: str) -> str:
    """What is odd about a value: the word itself, or the start of a link."""
    return text if text in NOTHING else "/".join(text.split("/", 3)[:3])


def _names_only(block: bytes, address: str) -> bool:
    """Whether To seems to end in the recipient's address."""
    match = _TO.search(block)
    value = match[1].replace(b"\r\n", b"").strip() if match else b""
    return value == address.encode() or value.endswith(b"<%s>" % address.encode())


def _length(printed: tuple[Sequence[str | None], Sequence[Any]]) -> int:
    statics, values = printed
    return sum(len(piece) for piece in statics if piece) + sum(len(str(value)) for value in values)


def html_octets(content: bytes) -> int:
    """Octets of the decoded HTML part, exact near the size that Gmail clips; 0 without one."""
    start = content.find(b"Content-Type: text/html")
    begin = content.find(b"\r\n\r\n", start) + 4
    if start < 0 or begin < 4:
        return 0
    end = content.find(b"\r\n--=_", begin)
    size = (end if end >= 0 else len(content)) - begin
    if size <= CLIPPED:
        return size
    body = content[begin : begin + size]
    if b"base64" in content[start:begin]:
        return (size - 2 * body.count(b"\r\n")) * 3 // 4 - body.count(b"=")
    soft = body.count(b"=\r\n")
    return size - 3 * soft - 2 * (body.count(b"=") - soft)
