"""Delivery status notifications (RFC 3461): the MAIL and RCPT parameters for a relay that offers DSN.

The module turns a letter into parameters and encodes them so that no address can break out of its command. It does not
read the notifications: those come as letters to the return path. Their ``Original-Envelope-Id`` is the local part of
the Message-ID, which identifies the recipient to us and reveals nothing to others.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

import msgspec

from campaign.config.delivery import DsnWish
from campaign.model import Letter

#: Longest ENVID and longest ORCPT, as written on the wire (RFC 3461 4.4 and 4.2).
LONGEST_ENVID = 100
LONGEST_ORCPT = 500

_NOT_XTEXT = re.compile(r"[^\x21-\x2a\x2c-\x3c\x3e-\x7e]")
_NOT_QCHAR = re.compile(r"[^\x21-\x2a\x2c-\x3c\x3e-\x5b\x5d-\x7e]")


def xtext(text: str) -> str:
    """ASCII as ``xtext`` (RFC 3461 4): everything but printable characters, and ``+`` and ``=``, as ``+2B``."""
    return _NOT_XTEXT.sub(lambda found: f"+{ord(found[0]):02X}", text)


def original_recipient(address: str) -> str:
    """``rfc822;`` or, for an address of other scripts, ``utf-8;`` in its 7-bit form (RFC 6533 3)."""
    if address.isascii():
        return f"rfc822;{xtext(address)}"
    return "utf-8;" + _NOT_QCHAR.sub(lambda found: f"\\x{{{ord(found[0]):02X}}}", address)


class DsnParameters(msgspec.Struct, frozen=True):
    """The parameters of every letter of a connection; ``""`` for one that would exceed the permitted length."""

    notify: str
    full: bool

    def mail(self, letter: Letter) -> str:
        """The parameters of MAIL, with a leading blank."""
        if self.notify == "NEVER":
            return ""  # no notification, so its form does not matter
        envid = xtext(letter.message_id.strip("<>").rpartition("@")[0])
        named = f" ENVID={envid}" if 0 < len(envid) <= LONGEST_ENVID else ""
        return f" RET={'FULL' if self.full else 'HDRS'}{named}"

    def rcpt(self, letter: Letter) -> str:
        """The parameters of RCPT, with a leading blank."""
        original = original_recipient(letter.recipient)
        named = f" ORCPT={original}" if self.notify != "NEVER" and len(original) <= LONGEST_ORCPT else ""
        return f" NOTIFY={self.notify}{named}"


def wishes(dsn: Sequence[DsnWish], returned: str, extensions: Collection[str]) -> DsnParameters | None:
    """The parameters for a relay with these ``extensions``; ``None``: none are wanted, or it does not offer DSN."""
    if not dsn or "dsn" not in extensions:
        return None
    return DsnParameters(",".join(dsn).upper(), returned == "full")
