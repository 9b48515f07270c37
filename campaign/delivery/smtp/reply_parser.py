"""Parser that cuts bytes from a relay into replies (RFC 5321 4.2), however the network split them."""

from __future__ import annotations

import re
from collections import deque

from campaign.model import Reply

#: Longest reply kept, all its lines together (RFC 5321 4.5.3.1.5 asks for 512 octets a line).
MAX_REPLY = 32 * 1024
#: Most replies not read yet; we never have more than five commands under way.
MAX_UNREAD = 64
#: Longest text kept of a reply once it is cleaned.
MAX_TEXT = 1000

_CODES = {b"%d" % code: code for code in range(200, 600)}
_ENDS = (b" ", b"-", b"")
_ENHANCED = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?:\s+|$)")
# C0, DEL, C1, line and paragraph separators, and the marks that reorder text on a terminal.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]+")

RawReply = tuple[int, bytes]


def printable_reply(text: str) -> str:
    """Server text made safe to print: control and reordering characters become one blank, long text is cut."""
    return " ".join(_UNPRINTABLE.sub(" ", text).split())[:MAX_TEXT]


def reply(raw: RawReply) -> Reply:
    """The reply in ``raw`` (code, lines joined by LF) with its enhanced code (RFC 2034) taken out of the text."""
    code, content = raw
    text = content.decode("utf-8", "replace")
    first = _ENHANCED.match(text)
    enhanced = first[1] if first else ""
    if "\n" in text:
        lines = (line.strip() for line in text.split("\n"))
        text = " ".join(line.removeprefix(enhanced).lstrip() for line in lines).strip()
    else:
        text = text[len(enhanced) :].strip()
    return Reply(
        code,
        enhanced,
        text if text.isascii() and text.isprintable() and len(text) <= MAX_TEXT else printable_reply(text),
    )


class ReplyParser:
    """Replies in the order they came. Bounds: one reply of `MAX_REPLY` octets, `MAX_UNREAD` replies.

    After anything that is not a reply the connection is permanently broken; replies parsed before that stay readable.
    """

    def __init__(self) -> None:
        self._replies: deque[RawReply] = deque()
        self._rest = b""
        self._lines: list[bytes] = []
        self._size = 0
        self._why = ""

    @property
    def broken(self) -> str:
        """Why the connection is unusable, or ``""``."""
        return self._why

    @property
    def quiet(self) -> bool:
        """Whether the connection is intact and nothing from the relay is unread, not even part of a line."""
        return not (self._why or self._replies or self._rest or self._lines)

    def data_received(self, data: bytes) -> None:
        """Cut received bytes into replies."""
        if self._why:
            return
        *lines, self._rest = (self._rest + data if self._rest else data).split(b"\n")
        for line in lines:
            # Nearly every reply is one line; the rest of this loop is for the others.
            code = _CODES.get(line[:3])
            if code is not None and line[3:4] == b" " and not self._lines and len(line) <= MAX_REPLY:
                self._replies.append((code, line[4:]))
            elif not self._take_line(code, line.rstrip(b"\r")):
                break
        if self._size + len(self._rest) > MAX_REPLY:
            self._break("the relay sent a reply without an end")
        elif len(self._replies) > MAX_UNREAD:
            self._break("the relay sent replies that nobody asked for")
        if self._replies:
            self._wake()

    def _take_line(self, code: int | None, line: bytes) -> bool:
        self._size += len(line)
        if code is None or line[3:4] not in _ENDS or (self._lines and line[:3] != self._lines[0][:3]):
            self._break(f"the relay sent something that is not a reply: {printable_reply(repr(line[:80])[2:-1])}")
            return False
        self._lines.append(line)
        if self._size > MAX_REPLY:
            return False
        if line[3:4] != b"-":
            self._replies.append((code, b"\n".join(one[4:] for one in self._lines)))
            self._lines, self._size = [], 0
        return True

    def agreed(self) -> bool:
        """Consume positive replies to MAIL, RCPT and DATA if all three have arrived; otherwise consume nothing."""
        replies = self._replies
        if len(replies) < 3 or replies[0][0] != 250 or replies[1][0] != 250 or replies[2][0] != 354:
            return False
        replies.popleft()
        replies.popleft()
        replies.popleft()
        return True

    def _break(self, why: str) -> None:
        """Mark the connection as unusable."""
        if not self._why:
            self._why = why
        self._wake()

    def _wake(self) -> None:
        """Wake a reader that waits for a reply."""
