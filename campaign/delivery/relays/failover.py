"""Relay selection and failover: a list in order or by weight, with a state per relay, on an injected clock.

A relay that cannot be opened, or whose connections carry nothing, is paused for a time that doubles; the others serve
meanwhile, and it comes back by itself. No letter is touched here: one in doubt never changes relays, because it is not
offered again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from campaign.config.units import Rate
from campaign.delivery.relays import weights
from campaign.delivery.relays.relay import Relay
from campaign.delivery.relays.slow_relay import Slowness
from campaign.delivery.relays.weights import Portion
from campaign.errors import RelayError, UnfinishedError

#: Seconds a relay is paused after its first failure, and at most.
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
#: Attempts at a relay that was reached but never worked: a wrong setting should be reported soon.
TRIES_AT_FIRST = 3
#: Seconds until a relay that takes no more connections is tried again.
A_WHILE = 0.25
#: Used if the failure itself carries no advice.
ADVICE = "check the name and port in delivery.relay, and that the relay runs and lets this machine in"


class RelayState(msgspec.Struct, eq=False):
    """The state of one relay. ``since`` is when its present series of failures began; ``why`` describes the last one.

    ``advice``: what to do about the last failure; ``unreachable``: it was an outage, which may pass. ``left``: its
    patience is used up, the others serve; ``out``: it is not used again. ``spent_until``: its account's limit is used
    up until then. ``enough``: the connections it was seen to accept, and until when that holds. ``portion`` is its
    share, ``None`` in a list in order and for a standby relay. ``told_limits`` are its
    account's, as it told them; ``None``: not asked yet.
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
    slowness: Slowness = msgspec.field(default_factory=lambda: Slowness(0.0))
    portion: Portion | None = None
    told_limits: tuple[Rate, ...] | None = None

    def __post_init__(self) -> None:
        if self.relay.weight:
            self.portion = Portion(self.relay.weight)

    def usable(self, now: float) -> bool:
        """Whether it may be dialled now."""
        return not self.out and self.open_until <= now and self.spent_until <= now

    def cap(self, now: float) -> float:
        """The most connections it accepts."""
        most, until = self.enough
        return min(self.relay.connections or math.inf, most if now < until else math.inf)

    def letters(self, own: int) -> int:
        """The most letters a connection may carry, given our own limit ``own``."""
        return min(own, self.relay.letters) if self.relay.letters else own

    def budget(self, own: int) -> int:
        """The number of letters it may carry before the selector is asked again."""
        return self.letters(own) if self.portion is None else min(self.letters(own), weights.PORTION)

    def charge(self, letters: int) -> None:
        """Charge letters to this relay's weighted share; a negative number refunds them."""
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
        """Begin a pass: failures in an earlier one, perhaps hours ago, no longer count."""
        for state in self.states:
            state.failures = 0
            state.left = state.out

    def choose(self, now: float) -> RelayState | float:
        """The relay to dial now, or the seconds until there is one.

        That is the first in order, or the one most behind its share. A relay that rests because it is slow serves only
        if no other can. Raises RelayError or UnfinishedError when there never will be one.
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
        """Whether a connection to this relay may go on: not while another relay should be used."""
        ready = self._ready(now)
        if state not in ready:
            stands_by = self.weighted and state.portion is None
            return not ready or (not stands_by and state.slowness.until <= now)
        if state.portion is None:
            return True
        portions = self._portions([one for one in ready if one is state or self._has_capacity(one, now)])
        return weights.ahead(state.portion, portions) <= weights.SLACK

    def most(self, wanted: int, now: float) -> int:
        """The most connections: the wanted number, bounded by presets and by what relays were seen to accept."""
        caps = [one.cap(now) for one in self.states if not one.out]
        return max(1, int(min(wanted, sum(caps) if self.weighted else min(caps, default=math.inf))))

    def spent(self, state: RelayState, seconds: float, now: float) -> float:
        """Record that the limit of its account is used up for ``seconds``.

        Returns 0 if another relay can serve, else the seconds until one can.
        """
        for one in self.states:
            if one.relay.account == state.relay.account:
                one.spent_until = now + seconds
        left = [one.spent_until - now for one in self.states if not one.out]
        return max(0.0, min(left, default=seconds))

    def asked_to_wait(self, state: RelayState, seconds: float, now: float) -> None:
        """Record that it wants no letters for so many seconds; that is no failure."""
        state.open_until = max(state.open_until, now + seconds)

    def failed(
        self, state: RelayState, why: str, now: float, *, hopeless: bool = False, unreachable: bool = False
    ) -> None:
        """Record that it could not be opened, or refused us as a whole. An outage is waited out, also at the start."""
        self._pause(state, why, now)
        state.unreachable = unreachable
        patient, end = state.worked or unreachable, state.since + self.patience
        if patient and not state.left:
            state.open_until = min(state.open_until, max(end, now))  # the last try is made when patience ends
        tired = now >= end if patient else state.failures >= TRIES_AT_FIRST
        if hopeless or tired:
            self._leave(state, now, hopeless)

    def barren(self, state: RelayState, why: str, opened: float, now: float) -> None:
        """Record that a connection opened at ``opened`` ended before the relay accepted a letter on it.

        Connections that were open together count once: one restart of a relay is one event.
        """
        if opened < state.last:
            return
        self._pause(state, why, now)
        state.unreachable = False
        if state.failures >= self.barren_limit:
            self._leave(state, now, hopeless=False)

    def accepted(self, state: RelayState) -> None:
        """One acceptance resets the failure count."""
        if state.failures or not state.worked:
            state.worked, state.failures, state.open_until, state.why = True, 0, 0.0, ""
            state.left = state.unreachable = False

    def untried(self, state: RelayState) -> bool:
        """Whether it is the only relay and has never worked: if it ends the run, the error explains the cause."""
        return len(self.states) == 1 and not state.worked

    def waited_for(self) -> tuple[RelayState, float] | None:
        """The relay whose outage holds up all letters, and when patience with it ends; None while one can serve."""
        left = [one for one in self.states if not one.out]
        if not left or any(not one.failures or one.connections for one in left):
            return None
        down = [one for one in left if one.unreachable]
        last = max(down, key=lambda one: one.since, default=None)
        return None if last is None else (last, last.since + self.patience)

    def given_up(self) -> RelayError | UnfinishedError:
        """The error that ends the run, with each relay's last failure. UnfinishedError if a later start may succeed."""
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
        """The relays that can serve now; resting or standby ones only if there are no others."""
        usable = [one for one in self.states if one.usable(now)]
        quick = [one for one in usable if one.slowness.until <= now] or usable
        return [one for one in quick if one.portion is not None] or quick

    def _next(self, ready: Sequence[RelayState], now: float) -> RelayState | None:
        free = [one for one in ready if self._has_capacity(one, now)]
        if not free or free[0].portion is None:
            return next(iter(free), None)
        chosen = weights.behind(self._portions(free))
        return next(one for one in free if one.portion is chosen)

    def _has_capacity(self, one: RelayState, now: float) -> bool:
        return one.connections + one.dialling < one.cap(now)

    def _portions(self, candidates: Sequence[RelayState]) -> list[Portion]:
        """The candidates' portions. Those of all other relays lose their claim to what they miss."""
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
        """Its patience is used up: the others serve. Once all are, none is used again and the run ends."""
        state.left = True
        state.out = state.out or hopeless
        if any(not one.left for one in self.states):
            state.open_until = now + LONGEST_PAUSE
        else:
            for one in self.states:
                one.out = True
