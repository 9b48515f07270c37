"""The suppression lists, read again while a run goes on: an unsubscribe that came meanwhile wins."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from campaign.audience.screening.suppression_list import Suppression

READ_AGAIN_SECONDS = 3600.0


class FreshSuppression:
    """``load`` reads the lists; what it raises, reading them again raises."""

    def __init__(self, load: Callable[[], Suppression]) -> None:
        self._load = load
        self._lists, self._read_at = load(), time.monotonic()

    def covers(self, address: str) -> str:
        """Why nothing may be sent to this address now; empty where it may."""
        return self._lists.covers(address)

    async def look(self) -> None:
        """Read the lists again if that was long ago."""
        if time.monotonic() - self._read_at > READ_AGAIN_SECONDS:
            await self.read()

    async def read(self) -> None:
        """Read the lists again, without holding anything up meanwhile."""
        self._read_at = time.monotonic()
        self._lists = await asyncio.to_thread(self._load)
