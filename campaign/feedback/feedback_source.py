"""The interface of a source of feedback: receive items, and acknowledge them once their events are durable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import msgspec

from campaign.feedback.feedback_notice import FeedbackNotice


class Received(msgspec.Struct, frozen=True):
    """One message, log line or event. ``id`` is the same each time it is read; ``receipt`` is for the source's use.

    ``notices`` may be empty if it says nothing relevant. A message about two recipients has two.
    """

    id: str
    notices: tuple[FeedbackNotice, ...]
    receipt: Any = None


class Handled(msgspec.Struct, frozen=True):
    """A received item whose events are durable. ``recognised``: it was about a letter of ours."""

    receipt: Any
    recognised: bool


class FeedbackSource(Protocol):
    """A mailbox, a log, a queue or a file. Opened by `open_feedback_source`, used by one process at a time.

    ``name`` is used in events, such as ``imap:bounces@mail.example.com``; it contains no password.
    """

    name: str

    def size(self) -> int | None:
        """The number of items to read, for progress; ``None`` if unknown."""

    def receive(self) -> Iterator[Received]:
        """The items not yet acknowledged, in constant memory.

        Raises UnfinishedError (it cannot be reached, or broke off), LoginError, InputError (it cannot be read).
        """

    def acknowledge(self, handled: Sequence[Handled]) -> None:
        """Move, delete or skip these; called only after their events are on disk. Raises the errors of `receive`."""

    def close(self) -> None:
        """Close connections and files. Never raises."""
