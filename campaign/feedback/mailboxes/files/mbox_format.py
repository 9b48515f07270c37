"""Splits an mbox file into messages, line by line (RFC 4155): each begins with a line ``From `` after an empty one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from campaign.feedback.mailboxes.incoming_message import LARGEST

SEPARATOR = b"From "
#: Octets of a line read at once.
PIECE = 1 << 16
_QUOTED = re.compile(rb"(?m)^>(>*From )")
#: Headers that mail readers add to a message in an mbox, and change when it is read.
_READERS_OWN = (
    b"status:", b"x-status:", b"x-keywords:", b"x-uid:", b"x-imap:", b"x-imapbase:", b"content-length:", b"lines:",
    b"x-label:", b"x-mozilla-status:", b"x-mozilla-status2:", b"x-mozilla-keys:",
)  # fmt: skip
#: Octets read beyond `LARGEST`: a reader's headers and ``>`` must not change where a large message is cut.
_ROOM = 1 << 16


class MboxMessage(NamedTuple):
    """A message: its offsets in the file, its first `LARGEST` octets, and whether an empty line ends it.

    ``known_by`` is the same, but of the message without the headers of mail readers.
    """

    start: int
    end: int
    content: bytes
    known_by: bytes
    closed: bool


def split_mbox(file: BinaryIO, start: int, end: int) -> Iterator[MboxMessage]:
    """The messages between two offsets; text before the first separator is skipped."""
    file.seek(start)
    position = begun = start
    pieces: list[bytes] | None = None
    left, starts, empty = LARGEST + _ROOM, True, True
    while position < end and (line := file.readline(min(PIECE, end - position))):
        if starts and empty and line.startswith(SEPARATOR):
            if pieces is not None:
                yield _message(begun, position, pieces, closed=True)
            begun, pieces, left = position, [], LARGEST + _ROOM + len(line)
        if pieces is not None and left > 0:
            pieces.append(line[:left])
            left -= len(line)
        position += len(line)
        empty = starts and line in (b"\n", b"\r\n")
        starts = line.endswith(b"\n")
    if pieces is not None:
        yield _message(begun, position, pieces, closed=empty)


def without_marks(message: bytes) -> bytes:
    """The message without the headers by which a mail reader marks it as read."""
    head, gap, body = message.partition(b"\n\n")
    kept = [line for line in head.split(b"\n") if not line.lower().startswith(_READERS_OWN)]
    return b"\n".join(kept) + gap + body


def _message(start: int, end: int, pieces: list[bytes], *, closed: bool) -> MboxMessage:
    content = _content(pieces)
    return MboxMessage(start, end, content[:LARGEST], without_marks(content)[:LARGEST], closed)


def _content(pieces: list[bytes]) -> bytes:
    """The message without its separator and final empty line, and with one ``>`` removed before each ``From ``."""
    content = b"".join(pieces).partition(b"\n")[2]
    for ending in (b"\r\n\r\n", b"\n\n"):
        if content.endswith(ending):
            content = content[: -len(ending) // 2]
            break
    return _QUOTED.sub(rb"\1", content)
