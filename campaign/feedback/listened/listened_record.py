"""One stored request: a JSON object a line. ``v`` is the version of the format, which docs/contract.md describes."""

from __future__ import annotations

import re
import secrets
from typing import Literal

import msgspec

VERSION = 1
#: Longest body of a webhook in octets, and longest line: a body in base64, and the rest of its record.
LONGEST_BODY = 1 << 20
LONGEST_RECORD = 2 << 20
#: Stands for no recipient, for probes from outside: it is answered as any other, and never stored.
RESERVED_TOKEN = "campaign-check-" + "0" * 40

_TOKEN = re.compile(r"[A-Za-z0-9_-]{47,2000}")


class ListenedRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A click on an unsubscribe link, with its ``token``, or a webhook of ``provider`` with its ``body``.

    ``at`` is POSIX seconds. ``id`` is unique.
    """

    v: Literal[1] = 1
    id: str
    at: float
    kind: Literal["one-click", "webhook"]
    token: str = ""
    provider: str = ""
    body: bytes = b""

    def line(self) -> bytes:
        """The record as it is stored, with its line feed."""
        return b'{"v":1,' + msgspec.json.encode(self)[1:] + b"\n"


class RecordError(ValueError):
    """A line that is no record, and why."""


def clicked(token: str, now: float) -> ListenedRecord:
    """The record of a click on the link with ``token``."""
    return ListenedRecord(id=secrets.token_hex(8), at=round(now, 3), kind="one-click", token=token)


def hooked(provider: str, body: bytes, now: float) -> ListenedRecord:
    """The record of a webhook whose request was verified."""
    return ListenedRecord(id=secrets.token_hex(8), at=round(now, 3), kind="webhook", provider=provider, body=body)


def parse_record(line: bytes) -> ListenedRecord:
    """The record in a line without its line feed. Raises RecordError."""
    try:
        record = msgspec.json.decode(line, type=ListenedRecord)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise RecordError(str(error)) from None
    if record.kind == "one-click" and not is_token(record.token):
        raise RecordError("its token is none")
    return record


def is_token(text: str) -> bool:
    """Whether ``text`` has the form of an unsubscribe token; who made it is known only where the secret is."""
    return _TOKEN.fullmatch(text) is not None
