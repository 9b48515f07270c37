"""Encoded words (RFC 2047) for text that is not plain ASCII, in UTF-8 and the shorter of Q and B encoding.

Whole values are encoded, including spaces, so that decoding gives the same text. `header_values.py` has refused
forbidden characters before.
"""

from __future__ import annotations

from binascii import b2a_base64, b2a_qp
from collections.abc import Iterator, Sequence

LINE = 76  #: columns of a header line that holds an encoded word (RFC 2047, section 2)
FRAME = len("=?utf-8?q??=")
FOLD = "\r\n "

#: The alphabet that is safe in text and in display names (RFC 2047, section 5, rule 3); all else is =XX.
_PLAIN = b" ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/"
_WRITTEN = _PLAIN + b"=_\n"  #: besides these, `b2a_qp` leaves signs as they are that it should not
_MIDDLE_OF_A_CHARACTER = frozenset({"=8", "=9", "=A", "=B"})


def encoded_words(text: str, column: int) -> str:
    """``text`` as encoded words of at most 75 characters, folded with CRLF and a space.

    ``column`` is the column of the first word, at most 52 so that one character fits. No character is split between
    two words (RFC 2047, section 5). Raises UnicodeEncodeError for lone surrogates.
    """
    octets = text.encode("utf-8")
    (quoted,) = q_encoded([text])
    if len(quoted) <= (len(octets) + 2) // 3 * 4:
        return quoted_words(quoted, column)
    return FOLD.join(f"=?utf-8?b?{piece}?=" for piece in _base64_pieces(octets, column))


def q_encoded(texts: Sequence[str]) -> list[str]:
    """Each text in Q encoding, in one operation for all. None may contain a control character."""
    octets = b2a_qp("\n".join(texts).encode("utf-8"), header=True)
    quoted = octets.decode("ascii").replace("=\n", "").replace("=20", "_")  # a header has no soft line breaks
    for sign in set(octets.translate(None, delete=_WRITTEN)):
        quoted = quoted.replace(chr(sign), f"={sign:02X}")
    return quoted.split("\n")


def quoted_words(quoted: str, column: int) -> str:
    """As `encoded_words`, for a text in Q encoding."""
    if len(quoted) <= LINE - column - FRAME:
        return f"=?utf-8?q?{quoted}?="
    return FOLD.join([f"=?utf-8?q?{piece}?=" for piece in _quoted_pieces(quoted, column)])


def _quoted_pieces(quoted: str, column: int) -> Iterator[str]:
    start, width = 0, LINE - column - FRAME
    while len(quoted) - start > width:
        end = start + width
        end -= 1 if quoted[end - 1] == "=" else 2 if quoted[end - 2] == "=" else 0
        while quoted[end : end + 2] in _MIDDLE_OF_A_CHARACTER:
            end -= 3
        yield quoted[start:end]
        start, width = end, LINE - 1 - FRAME
    yield quoted[start:]


def _base64_pieces(octets: bytes, column: int) -> Iterator[str]:
    start, width = 0, (LINE - column - FRAME) // 4 * 3
    while start < len(octets):
        end = start + width
        while end < len(octets) and octets[end] & 0xC0 == 0x80:
            end -= 1
        yield b2a_base64(octets[start:end], newline=False).decode("ascii")
        start, width = end, (LINE - 1 - FRAME) // 4 * 3
