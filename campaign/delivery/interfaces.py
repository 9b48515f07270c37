"""The interfaces that delivery requires of its callers: letters, an outcome recorder, and a throttle per account."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from campaign.delivery.pacing.throttle import Throttle
from campaign.delivery.relays.relay import Relay
from campaign.model import Letter, Outcome, Recipient

#: Composes a recipient's letter, at once or later; ``None``: there is no letter, and the caller has recorded why.
Compose = Callable[[Recipient], Letter | Awaitable[Letter | None] | None]

#: Returns the throttle of a relay's account.
Throttles = Callable[[Relay], Throttle]


class OutcomeRecorder(Protocol):
    """Records intents and verdicts. A StorageError raised here stops the run before the next dot."""

    def intent(self, letter: Letter, relay: str) -> Awaitable[None] | None:
        """Record that the dot of ``letter`` is about to leave. ``None`` when the record is already durable."""

    def verdict(self, outcome: Outcome) -> None:
        """Record the outcome of an attempt; called exactly once per attempt that ended."""
