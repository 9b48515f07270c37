"""Group sync: syncs of the journal that several letters share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from campaign.ledger.journal.journal_file import JournalFile


class GroupSync:
    """One sync for all waiting letters: the next begins when the last has ended."""

    def __init__(self, file: JournalFile, mark: Callable[[int], None]) -> None:
        self._file = file
        self._mark = mark
        self._waiting: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None

    def wait(self) -> asyncio.Future[None]:
        """A future that is done once everything appended before this call is on disk; raises the error of the sync."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.append(future)
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._run())
        return future

    async def _run(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                self._mark(await asyncio.to_thread(self._file.sync))
            except BaseException as error:
                self._refuse(batch, error)
                if not isinstance(error, Exception):
                    raise
            else:
                for future in batch:
                    if not future.done():
                        future.set_result(None)

    def _refuse(self, batch: list[asyncio.Future[None]], error: BaseException) -> None:
        """Fail or cancel all futures, those of this batch and those added since, so that none waits forever."""
        waiting, self._waiting = self._waiting, []
        for future in (*batch, *waiting):
            if future.done():
                continue
            if isinstance(error, Exception):
                future.set_exception(error)
            else:
                future.cancel()
