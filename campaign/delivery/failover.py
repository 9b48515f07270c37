"""Which relay now? An ordered list with a breaker each, as arithmetic on an injected clock.

A relay that cannot be opened, or whose connections carry nothing, is left alone for a while that doubles; the
next in the list serves meanwhile, and the first comes back by itself. Nothing here touches a letter: one in
doubt never changes relays, because nobody offers it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from campaign.delivery.relays import Relay
from campaign.delivery.slowness import Greetings
from campaign.errors import RelayError

#: Seconds a relay is left alone after its first failure, and at most.
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
#: Tries for a relay that has never worked: a wrong name in the campaign file should be told at once.
TRIES_AT_FIRST = 3


@dataclass(eq=False, slots=True)
class Breaker:
    """What is known of one relay. ``since`` is when its present row of failures began; ``why`` is the last one."""

    relay: Relay
    open_until: float = 0.0
    failures: int = 0
    since: float = 0.0
    last: float = float("-inf")
    worked: bool = False
    out: bool = False
    why: str = ""
    connections: int = 0
    greetings: Greetings = field(default_factory=lambda: Greetings(0.0))

    def usable(self, now: float) -> bool:
        """Whether it may be dialled now."""
        return not self.out and self.open_until <= now


@dataclass(eq=False, slots=True)
class Board:
    """The breakers of all relays, in their order. Times are seconds on the caller's clock."""

    relays: Sequence[Relay]
    patience: float
    barren_limit: int
    slow_after: float = 0.0
    breakers: list[Breaker] = field(init=False)

    def __post_init__(self) -> None:
        self.breakers = [Breaker(relay, greetings=Greetings(self.slow_after)) for relay in self.relays]

    def begin(self) -> None:
        """A new sweep: what failed in an earlier one, perhaps hours ago, is no longer held against a relay."""
        for breaker in self.breakers:
            breaker.failures = 0

    def choose(self, now: float) -> Breaker | float:
        """The first relay that may be used now, or the seconds until one may. Raises RelayError when none ever will.

        One that rests for its slowness serves only where no other can.
        """
        usable = [breaker for breaker in self.breakers if breaker.usable(now)]
        if usable:
            return next((breaker for breaker in usable if breaker.greetings.until <= now), usable[0])
        waiting = [breaker.open_until - now for breaker in self.breakers if not breaker.out]
        if not waiting:
            raise self.given_up()
        return min(waiting)

    def stays(self, breaker: Breaker, now: float) -> bool:
        """Whether a connection to this relay may go on: not while it rests and another could serve."""
        return breaker.greetings.until <= now or not any(
            one.usable(now) and one.greetings.until <= now for one in self.breakers
        )

    def failed(self, breaker: Breaker, why: str, now: float, *, hopeless: bool = False) -> None:
        """It could not be opened, or turned us away as a whole."""
        self._pause(breaker, why, now)
        tired = now - breaker.since >= self.patience if breaker.worked else breaker.failures >= TRIES_AT_FIRST
        if hopeless or tired:
            self._leave(breaker, now, hopeless)

    def barren(self, breaker: Breaker, why: str, opened: float, now: float) -> None:
        """A connection opened at ``opened`` ended before it had carried a letter to acceptance.

        Connections that were open together count once: one restart of a relay is one event.
        """
        if opened < breaker.last:
            return
        self._pause(breaker, why, now)
        if breaker.failures >= self.barren_limit:
            self._leave(breaker, now, hopeless=False)

    def accepted(self, breaker: Breaker) -> None:
        """A letter was accepted: all is forgiven."""
        if breaker.failures or not breaker.worked:
            breaker.worked, breaker.failures, breaker.open_until, breaker.why = True, 0, 0.0, ""

    def given_up(self) -> RelayError:
        """The end of the run, with what each relay did."""
        many = len(self.breakers) > 1
        return RelayError(
            "None of the relays can be used." if many else "The relay cannot be used.",
            evidence=[f"{one.relay.name}: {one.why}" for one in self.breakers],
            next_step="mend what is said above, try `campaign check FILE`, then run the same command again",
        )

    def _pause(self, breaker: Breaker, why: str, now: float) -> None:
        breaker.why = why
        breaker.since = breaker.since if breaker.failures else now
        breaker.failures += 1
        breaker.last = now
        breaker.open_until = now + min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (breaker.failures - 1))

    def _leave(self, breaker: Breaker, now: float, hopeless: bool) -> None:
        others = [one for one in self.breakers if one is not breaker and not one.out]
        if hopeless or not others:
            breaker.out = True
        else:
            breaker.open_until = now + LONGEST_PAUSE
