"""Parses the fields of a delivery status report: groups of lines, and the types before values (RFC 3464, 2.1)."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from itertools import pairwise

from campaign.feedback.messages.message_keys import ADDRESS, LONGEST_ADDRESS
from campaign.feedback.messages.message_parts import HeaderBlock

MOST_GROUPS = 110  #: groups of a report

_BETWEEN = re.compile(rb"(?:\r?\n[ \t]*){2,}")
#: A second such field in one group begins the lines of another recipient.
_RECIPIENT = re.compile(rb"(?im)^final-recipient:")
_BRACES = re.compile(r"\\x\{([0-9A-Fa-f]{1,6})\}")


def report_groups(octets: bytes) -> list[HeaderBlock]:
    """The groups of a report's fields, at most `MOST_GROUPS`: the message's, then one for each recipient."""
    groups: list[HeaderBlock] = []
    for block in _BETWEEN.split(octets.strip(), MOST_GROUPS)[:MOST_GROUPS]:
        starts = [found.start() for found in _RECIPIENT.finditer(block)] if block.count(b":") > 1 else []
        cuts = [0, *starts[1:MOST_GROUPS], len(block)]
        groups += [HeaderBlock(block[start:end]) for start, end in pairwise(cuts)]
    return groups[:MOST_GROUPS]


def host_of(value: str) -> str:
    """The host in ``dns; mx.example.com``, at most 255 characters."""
    return without_type(value).partition(" ")[0][:255]


def without_type(value: str) -> str:
    """The value after the type in ``smtp; 550 5.1.1 …``; all of it if there is no type."""
    kind, semicolon, rest = value.partition(";")
    return rest.strip() if semicolon and len(kind) <= 40 and " " not in kind.strip() else value.strip()


def address_of(value: str) -> str:
    r"""The address in ``rfc822; <a@example.com>``, or ``utf-8; …`` with ``\x{…}`` for characters (RFC 6533, 3).

    ``""`` if there is none that could be one of ours: a path, a pipe, a bare name.
    """
    text = without_type(value[:2_000])
    if "\\x{" in text:
        text = _BRACES.sub(lambda found: _character(int(found[1], 16)), text)
    if text.startswith("@"):  # a source route (RFC 5321, appendix C)
        text = text.partition(":")[2]
    found = ADDRESS.search(text)
    return found[1][:LONGEST_ADDRESS] if found and found.start() <= 1 else ""


def time_of(value: str) -> float:
    """A date of RFC 5322 as POSIX seconds, 0 if it is missing or invalid."""
    if not value:
        return 0.0
    try:
        return max(0.0, parsedate_to_datetime(value[:100]).timestamp())
    except (ValueError, TypeError, OverflowError, OSError, IndexError):
        return 0.0


def _character(number: int) -> str:
    return chr(number) if 0x20 < number < 0x110000 and not 0xD800 <= number < 0xE000 else ""
