"""Suppression of repeated messages: the same one within a few seconds is shown only once."""

from __future__ import annotations

from collections.abc import Callable

QUIET_SECONDS = 10.0
MOST_REMEMBERED = 256


class RepeatedMessages:
    """Remembers recent messages. ``clock`` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: dict[str, float] = {}

    def seen(self, text: str) -> bool:
        """Whether ``text`` was shown less than `QUIET_SECONDS` ago; if not, count it as shown now."""
        now = self._clock()
        if now - self._seen.get(text, float("-inf")) < QUIET_SECONDS:
            return True
        if len(self._seen) >= MOST_REMEMBERED:
            self._seen.clear()
        self._seen[text] = now
        return False
