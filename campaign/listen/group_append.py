"""Makes records durable for all requests that wait: one write and one sync for each group."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from campaign.feedback.listened.listened_record import ListenedRecord

#: Octets that may wait; what is above is refused at once, as on a full disk.
MOST_WAITING = 64 << 20


class GroupAppend:
    """`stored` returns when the record is durable. ``append`` takes lines, in a thread, and raises OSError."""

    def __init__(self, append: Callable[[Sequence[bytes]], None]) -> None:
        self._append = append
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._octets = 0
        self._writing: asyncio.Task[None] | None = None

    async def stored(self, record: ListenedRecord) -> None:
        """Make ``record`` durable. Raises OSError."""
        line = record.line()
        if self._octets + len(line) > MOST_WAITING:
            raise OSError("too many requests wait for the disk")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((line, future))
        self._octets += len(line)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        await future

    async def finished(self) -> None:
        """Wait until nothing waits any more."""
        if self._writing is not None:
            await self._writing

    async def _write(self) -> None:
        while self._waiting:
            group, self._waiting, self._octets = self._waiting, [], 0
            try:
                await asyncio.to_thread(self._append, [line for line, _ in group])
            except Exception as error:  # noqa: BLE001 - each request that waits is answered, whatever happened
                failure = error if isinstance(error, OSError) else OSError(str(error))
                for _, future in group:
                    if not future.done():
                        future.set_exception(failure)
            else:
                for _, future in group:
                    if not future.done():
                        future.set_result(None)
        self._writing = None
