"""Logs a kind of trouble once a minute, with the number of times. Its lines have no addresses and no tokens."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable

PAUSE = 60.0

_LOGGER = logging.getLogger("campaign.listen")


class SeldomLog:
    """``warn`` takes a line; ``clock`` is seconds that do not go back."""

    def __init__(
        self, warn: Callable[[str], None] = _LOGGER.warning, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._warn, self._clock = warn, clock
        self._last: dict[str, float] = {}
        self._count: Counter[str] = Counter()

    def report(self, kind: str, why: str) -> None:
        """Log a trouble. ``kind`` is one of few words."""
        self._count[kind] += 1
        now = self._clock()
        if now - self._last.get(kind, -PAUSE) >= PAUSE:
            self._warn(f"{kind} ({self._count[kind]} times): {why}")
            self._last[kind] = now
            self._count[kind] = 0
