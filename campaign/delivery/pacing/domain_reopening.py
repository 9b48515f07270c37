"""Gradual reopening of a domain after a hold: one letter under way at a time, then two, then three.

Google asks for it (rule of March 2026: stop for ten minutes, come back with one connection, add one at a time), and no
other provider objects. Pure arithmetic; times are the caller's.
"""

from __future__ import annotations

#: Seconds until one more letter may be under way at the same time.
STEP = 60.0
#: Letters under way at once at which a domain is fully open again.
ENOUGH = 20


class Reopening:
    """The reopening times of each domain, or group of domains, that was held."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def __bool__(self) -> bool:
        return bool(self._since)

    def held(self, group: str, until: float) -> None:
        """Hold ``group`` until ``until``; a hold that lasts longer stays."""
        self._since[group] = max(until, self._since.get(group, until))

    def most(self, group: str, now: float) -> int | None:
        """How many letters to ``group`` may be under way at once; ``None`` for any number."""
        since = self._since.get(group)
        if since is None:
            return None
        most = 1 + int(max(0.0, now - since) // STEP)
        if most <= ENOUGH:
            return most
        del self._since[group]
        return None
