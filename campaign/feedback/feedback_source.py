"""What every source of feedback offers: things received, and a way to acknowledge them once they are durable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from campaign.feedback.feedback_notice import FeedbackNotice


@dataclass(frozen=True, slots=True)
class Received:
    """One message, log line or event. ``id`` is the same each time it is read; ``receipt`` is the source's own.

    ``notices`` may be empty: nothing in it is for us. A message about two recipients has two.
    """

    id: str
    notices: tuple[FeedbackNotice, ...]
    receipt: Any = None


@dataclass(frozen=True, slots=True)
class Handled:
    """Something received whose events are durable. ``recognised``: it was about a letter of ours."""

    receipt: Any
    recognised: bool


class FeedbackSource(Protocol):
    """A mailbox, a log, a queue or a file. Opened by `open_feedback_source`, used by one process at a time.

    ``name`` goes into events, such as ``imap:bounces@mail.example.com``; it holds no password.
    """

    name: str

    def size(self) -> int | None:
        """How many there are to read, for progress; ``None`` where nobody can tell."""

    def receive(self) -> Iterator[Received]:
        """What there is and has not been acknowledged, in flat memory.

        Raises UnfinishedError (it cannot be reached, or broke off), LoginError, InputError (it cannot be read).
        """

    def acknowledge(self, handled: Sequence[Handled]) -> None:
        """Move, delete or step past these; called only after their events are on disk. Raises as `receive`."""

    def close(self) -> None:
        """Let go of connections and files. Never raises."""
