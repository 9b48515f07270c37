"""What delivery asks of its users: letters, a place for intents and verdicts, a throttle for each account."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from campaign.delivery.pacing.throttle import Throttle
from campaign.delivery.relays.relay import Relay
from campaign.model import Letter, Outcome, Recipient

#: Makes the letter of a recipient, at once or later; ``None``: there is none, and the caller has recorded why.
Compose = Callable[[Recipient], Letter | Awaitable[Letter | None] | None]

#: The throttle of a relay's account.
Throttles = Callable[[Relay], Throttle]


class OutcomeRecorder(Protocol):
    """Where intents and verdicts go. Raising StorageError stops the run before the next dot."""

    def intent(self, letter: Letter, relay: str) -> Awaitable[None] | None:
        """The dot of ``letter`` is about to leave; ``None`` when that is durable already."""

    def verdict(self, outcome: Outcome) -> None:
        """What became of an attempt; exactly one per attempt that ended."""
