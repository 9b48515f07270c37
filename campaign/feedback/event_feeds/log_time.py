"""Parses the time of a syslog line: RFC 3339 (rsyslog, postlogd), or ``Nov 28 08:30:00`` without a year."""

from __future__ import annotations

import calendar
import datetime as dt
import time
from collections.abc import Callable

#: Seconds that a log's clock may be ahead of ours; a time without a year that is later belongs to the year before.
AHEAD = 86400.0

_MONTHS = {name.encode(): number for number, name in enumerate(calendar.month_abbr) if number}


class LogTime:
    """Converts log times to POSIX seconds. ``now`` provides a missing year; the time zone is this machine's."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._last: tuple[bytes, float] = (b"", 0.0)

    def seconds(self, text: bytes) -> float:
        """POSIX seconds, 0 for an invalid time."""
        if text != self._last[0]:  # a busy log has many lines a second
            self._last = (text, _rfc3339(text) if text[:1].isdigit() else _traditional(text, self._now()))
        return self._last[1]


def _rfc3339(text: bytes) -> float:
    try:
        return dt.datetime.fromisoformat(text.decode("ascii")).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0


def _traditional(text: bytes, now: float) -> float:
    """The latest such time that is not in the future."""
    try:
        month, day, clock = _MONTHS[text[:3]], int(text[4:6]), [int(part) for part in text[7:].split(b":")]
        hour, minute, second = clock
    except (KeyError, ValueError):
        return 0.0
    year = time.localtime(now).tm_year + 1  # on 31 December at night a log may already be in the new year
    for one in range(year, year - 10, -1):  # for 29 February: the last leap year
        if 1 <= day <= calendar.monthrange(one, month)[1]:
            found = time.mktime((one, month, day, hour, minute, second, 0, 0, -1))
            if found <= now + AHEAD:
                return found
    return 0.0
