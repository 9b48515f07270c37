"""Suppression lists that are read again during a run, so that an unsubscribe in the meantime takes effect."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from campaign.audience.screening.suppression_list import Suppression

READ_AGAIN_SECONDS = 3600.0
#: Seconds for which the lists read at the start do for the first pass.
JUST_READ_SECONDS = 10.0


class FreshSuppression:
    """``load`` reads the lists; its errors pass through `look` and `read`."""

    def __init__(self, load: Callable[[], Suppression]) -> None:
        self._load = load
        self._lists, self._read_at = load(), time.monotonic()
        self._newer: Suppression | None = None

    def covers(self, address: str) -> str:
        """The reason why nothing may be sent to this address now; empty if it may."""
        return self._lists.covers(address) or (self._newer.covers(address) if self._newer else "")

    def heed(self, newer: Suppression) -> None:
        """Leave out these too, who were not in the lists when they were last read; replaces what was said before."""
        self._newer = newer

    async def look(self) -> None:
        """Read the lists again if they are out of date."""
        if time.monotonic() - self._read_at > READ_AGAIN_SECONDS:
            await self.read()

    async def before_pass(self, *, first: bool) -> None:
        """Read the lists again. The ``first`` pass of a process needs it only if it began with a wait."""
        if not first or time.monotonic() - self._read_at > JUST_READ_SECONDS:
            await self.read()

    async def read(self) -> None:
        """Read the lists again, in a thread, so that sending continues."""
        self._read_at = time.monotonic()
        self._lists = await asyncio.to_thread(self._load)
