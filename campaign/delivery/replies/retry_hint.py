"""Retry hints in a server's text: "try again in 300 seconds", "come back in 00:05:00".

Only the number is used, and only within limits, because the text is untrusted.
"""

from __future__ import annotations

import re

#: Longest wait that a hint can cause, in seconds.
LONGEST = 86400.0

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_ASKS = re.compile(
    r"(?:try|retry|again|come back|later|wait|after|within|in|for|resume\w*|retry-after)\b", re.IGNORECASE
)
_AMOUNT = re.compile(
    r"(?<![\w.:-])(\d{1,6})\s*-?(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)\b", re.IGNORECASE
)
_CLOCK = re.compile(r"(?<![\d:])(\d{1,2}):([0-5]\d):([0-5]\d)(?![\d:])")
_BARE = re.compile(r"retry[- ]?after[: =]+(\d{1,6})\b", re.IGNORECASE)
#: Longest distance, in characters, between the words that make an amount a hint and the amount.
_REACH = 40


def hint(text: str) -> float | None:
    """The seconds that ``text`` asks us to wait, at most `LONGEST`; None if it names no time."""
    if not any(character.isdigit() for character in text):
        return None
    seconds = [_seconds(found[1], found[2]) for found in _AMOUNT.finditer(text) if _asked(text, found.start())]
    seconds += [
        int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3])
        for found in _CLOCK.finditer(text)
        if _asked(text, found.start())
    ]
    seconds += [float(found[1]) for found in _BARE.finditer(text)]
    return min(LONGEST, max(seconds)) if seconds else None


def _seconds(number: str, unit: str) -> float:
    return int(number) * _UNITS[unit[0].lower()]


def _asked(text: str, at: int) -> bool:
    return _ASKS.search(text[max(0, at - _REACH) : at]) is not None
