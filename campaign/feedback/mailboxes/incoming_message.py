"""One message out of any mailbox: how much of it is read, and what it is known by."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.feedback_source import Received

#: Octets read of one message. Reports put what matters first; what follows is the letter that came back.
LARGEST = 1 << 20

#: What reads a message: raw octets in, at most `LARGEST` of them, and what it tells; never raises.
Reader = Callable[[bytes], tuple[FeedbackNotice, ...]]


def incoming(raw: bytes, read: Reader, receipt: Any, *, known_by: bytes | None = None) -> Received:
    """What ``raw`` tells. ``known_by`` stands for it in the id, where a mailbox changes messages."""
    return Received(content_id(raw if known_by is None else known_by), read(raw), receipt)


def content_id(raw: bytes) -> str:
    """SHA-256 of the message, 64 hexadecimal digits.

    It is of the content, not UIDVALIDITY and UID: those change when somebody moves a message back into the folder,
    when a server rebuilds its index, and from one protocol to another, and then the message would count twice. Line
    ends and empty lines at the end make no difference, since protocols and files differ in them.
    """
    return hashlib.sha256(raw.replace(b"\r\n", b"\n").rstrip(b"\r\n")).hexdigest()
