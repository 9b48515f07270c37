"""Parses a line of a Postfix log: its queue id, and what happened to that message."""

from __future__ import annotations

import re
from typing import NamedTuple

from campaign.feedback.event_feeds.quoted_reply import plain_text, quoted_reply
from campaign.model import Reply

#: Longest line that is parsed, in octets; syslog cuts at 8 KiB or less.
LONGEST_LINE = 8192

#: Time, host, ``postfix[-INSTANCE]/[SERVICE/]DAEMON[PID]:``, a short or long queue id. Anchored
#: at the start of the line, so that foreign text in a line (a login name, a header) is not taken for Postfix's.
_HEAD = re.compile(
    rb"(\d{4}-\d\d-\d\dT[0-9:.+Z-]{8,32}|[A-Z][a-z]{2} [ 0-3]\d \d\d:\d\d:\d\d) \S+ "
    rb"(?:[^\s/\[]+/){1,2}([a-z]+)\[\d+\]: ([0-9A-F]{5,20}|[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10,20}): "
)
_MESSAGE_ID = re.compile(rb"(?:resent-)?message-id=<?([^\s<>]{3,500})>?")
_DELIVERY = re.compile(
    rb"to=<([^>]*)>, (?:orig_to=<([^>]*)>, )?relay=([^,]*), [^(]*?dsn=([0-9.]+), status=([A-Za-z-]+)(?: \((.*))?",
    re.DOTALL,
)
_SAID = re.compile(r"(?:said|refused to talk to me): ")


class MessageNamed(NamedTuple):
    """The cleanup daemon saw the Message-ID (without its angle brackets). The message is not accepted yet."""

    queue_id: str
    message_id: str


class MessageQueued(NamedTuple):
    """The message is in the active queue: Postfix has accepted it."""

    queue_id: str
    time: bytes


class MessageExpired(NamedTuple):
    """The message was in the queue for too long and was returned to its sender."""

    queue_id: str
    time: bytes


class MessageRemoved(NamedTuple):
    """The message was removed from the queue."""

    queue_id: str
    time: bytes


class DeliveryAttempted(NamedTuple):
    """The result of one attempt for one recipient. ``status`` is Postfix's status, in lower case.

    ``addresses``: the original recipient first. ``host``: the remote server, or ``""``. ``time`` as in the line.
    """

    queue_id: str
    time: bytes
    status: str
    addresses: tuple[str, ...]
    host: str
    reply: Reply


PostfixEvent = MessageNamed | MessageQueued | MessageExpired | MessageRemoved | DeliveryAttempted


def parse_postfix_line(line: bytes) -> PostfixEvent | None:
    """The event in a line about a queued message; ``None`` for all other lines. Undecodable octets are replaced."""
    head = _HEAD.match(line)
    if head is None:
        return None
    time, daemon, name = head.groups()
    start, queue_id = head.end(), name.decode("ascii")
    if line.startswith(b"to=<", start):
        return _delivery(queue_id, time, line, start)
    if daemon == b"qmgr":
        return _queue_manager(queue_id, time, line[start:])
    if daemon == b"cleanup" and (found := _MESSAGE_ID.match(line, start)):
        return MessageNamed(queue_id, _text(found[1]))
    if daemon == b"postsuper" and line.startswith(b"removed", start):
        return MessageRemoved(queue_id, time)
    return None


def _queue_manager(queue_id: str, time: bytes, what: bytes) -> PostfixEvent | None:
    if what.startswith(b"removed"):
        return MessageRemoved(queue_id, time)
    if not what.startswith(b"from=<"):
        return None
    if what.rstrip().endswith(b"(queue active)"):
        return MessageQueued(queue_id, time)
    if b"status=expired," in what or b"status=force-expired," in what:
        return MessageExpired(queue_id, time)
    return None


def _delivery(queue_id: str, time: bytes, line: bytes, start: int) -> DeliveryAttempted | None:
    found = _DELIVERY.match(line, start)
    if found is None:
        return None
    to, original, relay, dsn, status, why = found.groups()
    reply = _reply(_text(why or b""), dsn.decode("ascii"))
    addresses = (to,) if original in (None, b"", to) else (original, to)
    host = b"" if relay == b"none" else relay.partition(b"[")[0]
    named = tuple(_text(one) for one in addresses if one)
    return DeliveryAttempted(queue_id, time, status.decode("ascii").lower(), named, _text(host), reply)


def _reply(why: str, dsn: str) -> Reply:
    """The server's reply if it is quoted; else Postfix's text, which may also begin with a reply."""
    why = why.rstrip().removesuffix(")")
    if found := _SAID.search(why):
        why = why[found.end() :]
        if (at := why.rfind(" (in reply to ")) >= 0:
            why = why[:at]
    return quoted_reply(why, dsn)


def _text(octets: bytes) -> str:
    text = octets.decode("utf-8", "replace")
    return text if len(text) < 500 and text.isprintable() else plain_text(text)
