"""Decides when a deferred letter is tried again, or given up. Pure: no clock, no random numbers, no state.

A retry happens in a later pass (docs/contract.md); this module returns the earliest time at which a pass may take the
letter.
"""

from __future__ import annotations

import msgspec

from campaign.model import Outcome

#: Longest wait that we choose, in seconds; a server's hint may be longer.
LONGEST = 4 * 3600.0
#: Waits vary by this share, so that letters refused together are not retried together.
SPREAD = 0.25


class Retry(msgspec.Struct, frozen=True):
    """Try again, not before this time (seconds on the caller's clock)."""

    not_before: float


class GiveUp(msgspec.Struct, frozen=True):
    """Out of attempts or too old; ``reason`` is for the report."""

    reason: str


def decide_retry(
    outcome: Outcome,
    attempts: int,
    first_try: float,
    now: float,
    *,
    limit: int,
    give_up_after: float,
    first_delay: float,
    key: int,
) -> Retry | GiveUp:
    """Whether the deferred letter of ``outcome`` is tried again.

    ``attempts`` is the number of counted attempts, including this one; ``first_try`` is when the first one began.
    ``limit`` is the number of tries, ``give_up_after`` the age (seconds) at which no further try begins,
    ``first_delay`` the wait before the second try, doubled with each further one up to `LONGEST`. ``key`` is any number
    specific to the letter: the same letter always waits equally long. The server's hint is a minimum.
    """
    if attempts >= limit:
        return GiveUp(f"given up after {attempts} attempt{'' if attempts == 1 else 's'}{_last(outcome)}")
    not_before = now + max(_delay(max(1, attempts), first_delay, key), outcome.retry_after or 0.0)
    if not_before - first_try > give_up_after:
        return GiveUp(f"given up after {_words(now - first_try)}{_last(outcome)}")
    return Retry(not_before)


def _delay(attempt: int, first_delay: float, key: int) -> float:
    """Seconds after the ``attempt``-th try: exponential, 100 % to 125 % of the nominal wait, capped."""
    plain = min(LONGEST, first_delay * 2.0 ** min(attempt - 1, 60))
    return min(LONGEST, plain * (1 + SPREAD * _share(key, attempt)))


def _share(key: int, attempt: int) -> float:
    """A number in [0, 1) that depends only on the arguments (the finaliser of SplitMix64)."""
    mask = (1 << 64) - 1
    mixed = (key * 0x9E3779B97F4A7C15 + attempt * 0xD1B54A32D192ED03) & mask
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & mask
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & mask
    return (mixed ^ (mixed >> 31)) / 2.0**64


def _last(outcome: Outcome) -> str:
    said = " ".join(part for part in (str(outcome.code or ""), outcome.enhanced, outcome.reason) if part)
    return f"; last: {said}" if said else ""


def _words(seconds: float) -> str:
    for size, unit in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
