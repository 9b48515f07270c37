"""Rendering in other processes: batches go out, letters come back, in order and with bounded look-ahead.

Rendering is pure, so the letters do not depend on where it runs. Workers are spawned, not forked: they hold no lock and
no socket of ours. They ignore the terminal's signals and live only as long as their pipe, so they end with their parent
however it ends. Each has a thread here that sends a batch, waits for its letters, and passes them on.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from multiprocessing.connection import Connection
from typing import Self

from campaign.compose.composer import Brief, Composer
from campaign.compose.html.shape_cache import Inlining
from campaign.errors import CampaignError, InternalError
from campaign.model import Letter, Recipient, Unrenderable
from campaign.pipeline.serve.gc_tuning import seldom

#: Recipients in a batch, and batches under way for each worker: together they bound the letters in memory.
BATCH, AHEAD = 32, 3
STOP_SECONDS = 5.0

Order = list[tuple[Recipient, float]]
Result = Letter | Unrenderable


def workers_for(processes: int | str) -> int:
    """The number of workers for ``compose.processes``; 0 means that the sender's own process renders."""
    wanted = (os.cpu_count() or 1) - 1 if processes == "auto" else int(processes)
    return wanted if wanted > 1 or (processes == "auto" and wanted == 1) else 0


class RenderPool:
    """Worker processes that compose, started before the sender opens sockets. Belongs to one event loop."""

    def __init__(self, brief: Brief, inlining: Inlining, workers: int, date_of: Callable[[int], int]) -> None:
        self._date_of = date_of
        self._orders: queue.SimpleQueue[tuple[Order, asyncio.Future[list[Result]]] | None] = queue.SimpleQueue()
        self._letters: dict[int, tuple[asyncio.Future[list[Result]], int]] = {}
        self._most = workers * AHEAD
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiters = [Waiter(brief, inlining, self._orders) for _ in range(workers)]

    def __enter__(self) -> Self:
        for waiter in self._waiters:
            waiter.start()
        return self

    def __exit__(self, *reason: object) -> None:
        for waiter in self._waiters:
            waiter.over = True
            self._orders.put(None)
        for waiter in self._waiters:
            waiter.stop()

    def recipients(self, source: Iterator[Recipient]) -> Iterator[Recipient]:
        """The recipients of ``source``, in order; their letters are ordered some batches ahead."""
        self._loop = asyncio.get_running_loop()
        self._letters.clear()
        ahead: list[Order] = []
        while True:
            while len(ahead) < self._most and (batch := self._order(source)):
                ahead.append(batch)
            if not ahead:
                return
            for recipient, _ in ahead.pop(0):
                yield recipient

    async def compose(self, recipient: Recipient) -> Result:
        """The letter ordered when ``recipient`` was taken; ordered again if it is taken once more."""
        if recipient.number not in self._letters:
            self._send([(recipient, float(self._date_of(recipient.number)))])
        future, position = self._letters.pop(recipient.number)
        return (await asyncio.shield(future))[position]

    def _order(self, source: Iterator[Recipient]) -> Order:
        order = [(one, float(self._date_of(one.number))) for one in islice(source, BATCH)]
        if order:
            self._send(order)
        return order

    def _send(self, order: Order) -> None:
        assert self._loop is not None  # noqa: S101 - for the type checker; `recipients` has been called
        future: asyncio.Future[list[Result]] = self._loop.create_future()
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        for position, (recipient, _) in enumerate(order):
            self._letters[recipient.number] = (future, position)
        self._orders.put((order, future))


class Waiter(threading.Thread):
    """The thread that serves one worker process: takes orders, returns letters."""

    def __init__(
        self,
        brief: Brief,
        inlining: Inlining,
        orders: queue.SimpleQueue[tuple[Order, asyncio.Future[list[Result]]] | None],
    ) -> None:
        super().__init__(name="render pool", daemon=True)
        self._brief, self._inlining, self._orders = brief, inlining, orders
        #: No more letters are awaited.
        self.over = False
        self._open()

    def run(self) -> None:
        """Take orders and return their letters, until stopped."""
        while (order := self._orders.get()) is not None and not self.over:
            rows, future = order
            try:
                letters = self._ask(rows)
            except CampaignError as error:
                _tell(future, future.set_exception, error)
            except Exception as error:  # noqa: BLE001 - a thread that dies silently would leave its letters awaited
                _tell(future, future.set_exception, InternalError(f"Rendering processes fail: {error!r}."))
            else:
                _tell(future, future.set_result, letters)

    def stop(self) -> None:
        """Kill the worker; this thread sees its end of the pipe close, and ends too."""
        self._process.kill()
        self._process.join()
        self.join(STOP_SECONDS)
        self._pipe.close()

    def _ask(self, rows: Order) -> Sequence[Result]:
        """Send one order and receive its answer. A worker that died is replaced once."""
        for _ in range(2):
            try:
                self._pipe.send(rows)
                answer = self._pipe.recv()
            except (EOFError, OSError):
                if self.over:
                    return ()
                self._process.join(STOP_SECONDS)
                self._open()
                continue
            if isinstance(answer, CampaignError):
                raise answer
            letters: Sequence[Result] = answer
            return letters
        raise InternalError(
            "A rendering process died twice over the same rows.",
            evidence=f"lines {rows[0][0].line} to {rows[-1][0].line}, exit code {self._process.exitcode}",
            next_step="set compose.processes = 1 to see which row it is",
        )

    def _open(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(theirs, self._brief, self._inlining), daemon=True)
        self._process.start()
        theirs.close()


def _tell(future: asyncio.Future[list[Result]], settle: Callable[..., None], value: object) -> None:
    def deliver() -> None:
        if not future.done():
            settle(value)

    with contextlib.suppress(RuntimeError):  # the loop is closed: no letter is awaited
        future.get_loop().call_soon_threadsafe(deliver)


@seldom()
def work(pipe: Connection, brief: Brief, inlining: Inlining) -> None:
    """The main function of a worker: compose what is ordered until the pipe ends."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    composer: Composer | None = None
    with contextlib.suppress(EOFError, OSError):
        while True:
            rows: Order = pipe.recv()
            try:
                composer = composer or Composer(brief, inlining)
                pipe.send(composer.compose_all(rows))
            except CampaignError as error:
                pipe.send(error)
