"""Recognises unsubscribes by mail: the mailto form of List-Unsubscribe (RFC 2369, 3.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from campaign.feedback.messages.message_parts import HeaderBlock

_SUBJECT = re.compile(r"(?i)[\s\[<\"']*(list-)?unsubscribe(?![a-z])")


def is_unsubscribe_mail(head: HeaderBlock, sent_to: Iterable[str]) -> bool:
    """Decide by the subject, by the address it was sent to, or by Apple's mark of such a message."""
    return (
        _SUBJECT.match(head.words("subject")) is not None
        or any("unsub" in address.rpartition("@")[0].lower() for address in sent_to)
        or head.first("x-apple-unsubscribe").lower() == "true"
    )
