"""A request and its answer as values, and the encoding of a request by h11, which is imported in this folder only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from campaign.delivery.smtp.reply_parser import printable_reply

#: Seconds that a Retry-After is obeyed at most.
LONGEST_WAIT = 86400.0


@dataclass(frozen=True, slots=True)
class GatewayRequest:
    """A request, complete but for Host and Content-Length. The headers of ``login`` hold secrets."""

    method: str
    target: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


class GatewayAnswer(msgspec.Struct, frozen=True):
    """A complete answer; the names of ``headers`` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def members(self) -> Mapping[str, Any] | None:
        """The body if it is a JSON object; otherwise ``None``, as for a page of some server on the way."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    def wait(self) -> float | None:
        """The seconds of Retry-After, if it is there and a number."""
        text = self.headers.get("retry-after", "").strip()
        return min(float(text), LONGEST_WAIT) if text.isascii() and text.isdigit() else None


def told_by(*parts: object) -> str:
    """A provider's code and message in one line that is safe to print."""
    return printable_reply(": ".join(text for part in parts if (text := str(part or "").strip())))
