"""The result of verifying a webhook's request, and the interface of the schemes that do it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Protocol

import msgspec


class WebhookRequest(msgspec.Struct, frozen=True):
    """A request that comes from the provider.

    ``id`` is the same if the provider sends it again. If ``answer`` is not ``None``, nothing is to be stored: it is a
    handshake, or is stored already, and ``answer`` is the body of the 200.
    """

    id: str
    answer: bytes | None = None
    content_type: str = "text/plain; charset=utf-8"


class WebhookRefused(Exception):  # noqa: N818 - an answer, not an error of ours
    """A request that is not taken: the status to answer, and why, in a sentence that holds no secret and no address."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


class WebhookScheme(Protocol):
    """One way of verifying requests, with the keys of one webhook."""

    def verify(self, headers: Mapping[str, str], body: bytes, now: float) -> WebhookRequest:
        """The request. Header names are in lower case; ``now`` is POSIX seconds. Raises WebhookRefused."""


def body_identity(body: bytes, salt: str = "") -> str:
    """An id for a request whose provider gives it none."""
    return hashlib.sha256(salt.encode() + b"\n" + body).hexdigest()[:32]


def refuse_old(stamp: str, now: float, tolerance: float, status: int) -> None:
    """Refuse a time stamp in POSIX seconds that is further than ``tolerance`` from ``now``. Raises WebhookRefused."""
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        raise WebhookRefused(status, "Its time stamp is no number of seconds.")
    if abs(now - int(stamp)) > tolerance:
        raise WebhookRefused(status, "Its time stamp is too old, or in the future; is the clock of this host right?")
