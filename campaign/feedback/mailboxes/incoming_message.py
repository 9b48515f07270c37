"""One message from any mailbox: how much of it is read, and its id."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.feedback_source import Received

#: Octets read of one message. Reports come first in a bounce; the rest is the returned letter.
LARGEST = 1 << 20

#: Parses a message: at most `LARGEST` raw octets in, notices out; never raises.
Reader = Callable[[bytes], tuple[FeedbackNotice, ...]]


def incoming(raw: bytes, read: Reader, receipt: Any, *, known_by: bytes | None = None) -> Received:
    """The message ``raw`` with its notices. ``known_by`` replaces it in the id, if a mailbox changes messages."""
    return Received(content_id(raw if known_by is None else known_by), read(raw), receipt)


def content_id(raw: bytes) -> str:
    """SHA-256 of the message, 64 hexadecimal digits.

    The id depends on the content, not on UIDVALIDITY and UID. Those change when a message is moved back into the
    folder, when a server rebuilds its index, and between protocols, and the message would count twice. Line ends and
    empty lines at the end are ignored, because protocols and files differ in them.
    """
    return hashlib.sha256(raw.replace(b"\r\n", b"\n").rstrip(b"\r\n")).hexdigest()
