"""The interfaces of delivery: what it requires of its callers, and what a transport offers to the sender."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from campaign.config.units import Rate
from campaign.delivery.pacing.throttle import Throttle
from campaign.delivery.relays.relay import Relay
from campaign.delivery.transport_errors import EnvelopeRefused
from campaign.model import Letter, Outcome, Recipient, Reply

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


class OpenStream(Protocol):
    """The octets of a connection, whichever protocol they belong to."""

    @property
    def broken(self) -> str:
        """Why the connection is unusable, or ``""``."""

    @property
    def quiet(self) -> bool:
        """Whether the next letter may go over it: it is intact, and nothing from the other side is unread."""

    def abort(self, why: str = ...) -> None:
        """End at once, discarding unsent data."""

    async def quit(self, limit: float) -> None:
        """Close gracefully within ``limit`` seconds. Never raises ConnectionLost."""


class OpenConnection(Protocol):
    """An open connection to a relay or a gateway, ready for letters. Times are the loop's.

    ``size`` is the most octets of a letter, 0 for no limit stated. ``took`` is how many seconds the opening took,
    ``greeted`` those until the other side first answered. ``letters`` and ``accepted`` count what it has carried,
    ``budget`` is how many it may carry until the pool is asked again. ``limits`` are those that the other side told.
    """

    @property
    def stream(self) -> OpenStream:
        """Its octets."""

    @property
    def relay(self) -> Relay:
        """Where it leads."""

    @property
    def smtputf8(self) -> bool:
        """Whether addresses may hold non-ASCII characters (RFC 6531)."""

    size: int
    opened: float
    took: float
    greeted: float
    letters: int
    accepted: int
    budget: int
    limits: tuple[Rate, ...]


class Transaction(Protocol):
    """Letters over one connection, one after the other. One coroutine at a time; unusable after ConnectionLost.

    For each letter, in this order: `prepare`, `offer`, `answer` unless `agreed`, `content`, then the caller records its
    intent, `dot`, `verdict`. Nothing that could make the other side take the letter leaves before `dot`.
    ``pipelined``: `dot` may offer the following letter, which then has to be gone on with.
    """

    pipelined: bool

    def prepare(self, letter: Letter) -> bytes | Outcome:
        """The octets for `content`, or the outcome of a letter that must not be offered here. Sends nothing."""

    def offer(self, letter: Letter) -> None:
        """Begin with ``letter``."""

    def agreed(self) -> bool:
        """Whether nothing has to be waited for before `content`."""

    async def answer(self) -> EnvelopeRefused | None:
        """The answer to the letter offered last; ``None``: it may go on."""

    def content(self, data: bytes) -> Awaitable[None] | None:
        """Bring the letter to the point at which `dot` alone sends it. A result is to be awaited."""

    def dot(self, following: Letter | None = None) -> None:
        """Send it, and offer the ``following`` letter. ConnectionLost: nothing was sent."""

    async def verdict(self) -> Reply:
        """The one well-formed answer that decides. ConnectionLost: the letter is in doubt."""
