"""Which relay now? A list in order or by weight with a state each, as arithmetic on an injected clock.

A relay that cannot be opened, or whose connections carry nothing, is left alone for a while that doubles; the
others serve meanwhile, and it comes back by itself. Nothing here touches a letter: one in doubt never changes
relays, because nobody offers it again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from campaign.delivery.relays import weights
from campaign.delivery.relays.relay import Relay
from campaign.delivery.relays.slow_relay import Slowness
from campaign.delivery.relays.weights import Portion
from campaign.errors import RelayError, UnfinishedError

#: Seconds a relay is left alone after its first failure, and at most.
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
#: Tries for a relay that was reached and has never worked: a wrong setting should be told at once.
TRIES_AT_FIRST = 3
#: Seconds until a relay that takes no more connections is looked at again.
A_WHILE = 0.25
#: Where the failure itself has nothing to advise.
ADVICE = "check the name and port in delivery.relay, and that the relay runs and lets this machine in"


@dataclass(eq=False, slots=True)
class RelayState:
    """What is known of one relay. ``since`` is when its present row of failures began; ``why`` is the last one.

    ``advice``: what to do about the last one; ``unreachable``: it was an outage, which may pass. ``left``: its patience
    is used up, the others serve; ``out``: it is not used again. ``spent_until``: its account's limit is used up until
    then. ``enough``: the connections it was seen to take, and until when that holds. ``portion`` is its share, ``None``
    in a list in order and for one that only stands by.
    """

    relay: Relay
    open_until: float = 0.0
    spent_until: float = 0.0
    failures: int = 0
    since: float = 0.0
    last: float = float("-inf")
    worked: bool = False
    left: bool = False
    out: bool = False
    why: str = ""
    advice: str = ""
    unreachable: bool = False
    connections: int = 0
    dialling: int = 0
    enough: tuple[int, float] = (0, 0.0)
    slowness: Slowness = field(default_factory=lambda: Slowness(0.0))
    portion: Portion | None = None

    def __post_init__(self) -> None:
        if self.relay.weight:
            self.portion = Portion(self.relay.weight)

    def usable(self, now: float) -> bool:
        """Whether it may be dialled now."""
        return not self.out and self.open_until <= now and self.spent_until <= now

    def cap(self, now: float) -> float:
        """How many connections it takes at most."""
        most, until = self.enough
        return min(self.relay.connections or math.inf, most if now < until else math.inf)

    def letters(self, own: int) -> int:
        """How many letters a connection carries at most, where we ourselves would have it carry ``own``."""
        return min(own, self.relay.letters) if self.relay.letters else own

    def budget(self, own: int) -> int:
        """How many it may carry before somebody asks again."""
        return self.letters(own) if self.portion is None else min(self.letters(own), weights.PORTION)

    def give(self, letters: int) -> None:
        """So many letters more, or less, are its own."""
        if self.portion is not None:
            self.portion.letters += letters


@dataclass(eq=False, slots=True)
class RelaySelector:
    """The states of all relays, in their order. Times are seconds on the caller's clock."""

    relays: Sequence[Relay]
    patience: float
    barren_limit: int
    slow_after: float = 0.0
    states: list[RelayState] = field(init=False)
    weighted: bool = field(init=False)

    def __post_init__(self) -> None:
        self.states = [RelayState(relay, slowness=Slowness(self.slow_after)) for relay in self.relays]
        self.weighted = any(relay.weight is not None for relay in self.relays)

    def begin(self) -> None:
        """A new pass: what failed in an earlier one, perhaps hours ago, is no longer held against a relay."""
        for state in self.states:
            state.failures = 0
            state.left = state.out

    def choose(self, now: float) -> RelayState | float:
        """Which relay to dial now, or the seconds until there is one. Raises when there never will be.

        The first in order, or the one most behind its share. One that rests for its slowness serves only where no
        other can.
        """
        ready = self._ready(now)
        found = self._next(ready, now) if self.weighted else next(iter(ready), None)
        if found is not None:
            return found
        waiting = [max(one.open_until, one.spent_until) - now for one in self.states if not one.out]
        if not waiting:
            raise self.given_up()
        return A_WHILE if ready else min(waiting)

    def stays(self, state: RelayState, now: float) -> bool:
        """Whether a connection to this relay may go on: not while another should have it."""
        ready = self._ready(now)
        if state not in ready:
            stands_by = self.weighted and state.portion is None
            return not ready or (not stands_by and state.slowness.until <= now)
        if state.portion is None:
            return True
        portions = self._portions([one for one in ready if one is state or self._roomy(one, now)])
        return weights.ahead(state.portion, portions) <= weights.SLACK

    def most(self, wanted: int, now: float) -> int:
        """Connections at most: what is wanted, what presets allow, and what relays were seen to take."""
        caps = [one.cap(now) for one in self.states if not one.out]
        return max(1, int(min(wanted, sum(caps) if self.weighted else min(caps, default=math.inf))))

    def spent(self, state: RelayState, seconds: float, now: float) -> float:
        """The limit of its account is used up for so long. 0 where another can serve, else how long nobody can."""
        for one in self.states:
            if one.relay.account == state.relay.account:
                one.spent_until = now + seconds
        left = [one.spent_until - now for one in self.states if not one.out]
        return max(0.0, min(left, default=seconds))

    def failed(
        self, state: RelayState, why: str, now: float, *, hopeless: bool = False, unreachable: bool = False
    ) -> None:
        """It could not be opened, or turned us away as a whole. An outage is waited for, also at the start."""
        self._pause(state, why, now)
        state.unreachable = unreachable
        patient, end = state.worked or unreachable, state.since + self.patience
        if patient and not state.left:
            state.open_until = min(state.open_until, max(end, now))  # the last try is made when patience ends
        tired = now >= end if patient else state.failures >= TRIES_AT_FIRST
        if hopeless or tired:
            self._leave(state, now, hopeless)

    def barren(self, state: RelayState, why: str, opened: float, now: float) -> None:
        """A connection opened at ``opened`` ended before it had carried a letter to acceptance.

        Connections that were open together count once: one restart of a relay is one event.
        """
        if opened < state.last:
            return
        self._pause(state, why, now)
        state.unreachable = False
        if state.failures >= self.barren_limit:
            self._leave(state, now, hopeless=False)

    def accepted(self, state: RelayState) -> None:
        """A letter was accepted: all is forgiven."""
        if state.failures or not state.worked:
            state.worked, state.failures, state.open_until, state.why = True, 0, 0.0, ""
            state.left = state.unreachable = False

    def untried(self, state: RelayState) -> bool:
        """Whether it is the only relay and has never worked: if it ends the run, the error says what was wrong."""
        return len(self.states) == 1 and not state.worked

    def waited_for(self) -> tuple[RelayState, float] | None:
        """The relay whose outage holds everything up, and when patience with it ends; None while one can serve."""
        left = [one for one in self.states if not one.out]
        if not left or any(not one.failures or one.connections for one in left):
            return None
        down = [one for one in left if one.unreachable]
        last = max(down, key=lambda one: one.since, default=None)
        return None if last is None else (last, last.since + self.patience)

    def given_up(self) -> RelayError | UnfinishedError:
        """The end of the run, with what each relay did. What may heal by itself is worth another start later."""
        many = len(self.states) > 1
        evidence = [f"{one.relay.name}: {one.why}" for one in self.states]
        advice = next((one.advice for one in self.states if one.advice), ADVICE)
        if any(one.unreachable for one in self.states):
            return UnfinishedError(
                "None of the relays can be reached now." if many else "The relay cannot be reached now.",
                evidence=evidence,
                next_step=f"run the same command again later; it continues. If that does not help, {advice}",
            )
        return RelayError(
            "None of the relays can be used." if many else "The relay cannot be used.",
            evidence=evidence,
            next_step=advice,
        )

    def _ready(self, now: float) -> list[RelayState]:
        """Who could serve now; those that rest, or only stand by, where there is nobody else."""
        usable = [one for one in self.states if one.usable(now)]
        quick = [one for one in usable if one.slowness.until <= now] or usable
        return [one for one in quick if one.portion is not None] or quick

    def _next(self, ready: Sequence[RelayState], now: float) -> RelayState | None:
        roomy = [one for one in ready if self._roomy(one, now)]
        if not roomy or roomy[0].portion is None:
            return next(iter(roomy), None)
        chosen = weights.behind(self._portions(roomy))
        return next(one for one in roomy if one.portion is chosen)

    def _roomy(self, one: RelayState, now: float) -> bool:
        return one.connections + one.dialling < one.cap(now)

    def _portions(self, candidates: Sequence[RelayState]) -> list[Portion]:
        """Their portions; those of all others lose what they miss."""
        portions = [one.portion for one in candidates if one.portion is not None]
        others = [one.portion for one in self.states if one.portion is not None and one not in candidates]
        weights.bring_forward(others, portions)
        return portions

    def _pause(self, state: RelayState, why: str, now: float) -> None:
        state.why = why
        state.since = state.since if state.failures else now
        state.failures += 1
        state.last = now
        state.open_until = now + min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (state.failures - 1))

    def _leave(self, state: RelayState, now: float, hopeless: bool) -> None:
        """It has used up its patience: the others serve. When all have, the run is at its end, not asleep for ever."""
        state.left = True
        state.out = state.out or hopeless
        if any(not one.left for one in self.states):
            state.open_until = now + LONGEST_PAUSE
        else:
            for one in self.states:
                one.out = True
