"""Appends segments to the journals of shards that this process holds: one statement for many letters.

Appending is a compare-and-swap: segment ``seq + 1`` is inserted only if segment ``seq`` is there with our token, and
the primary key lets one win. So a worker that was frozen or cut off cannot record anything in a shard that another one
has taken over, whatever its clock says.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

from campaign.errors import CampaignError, StorageError
from campaign.ledger.postgres.segments import StoredShard, pack
from campaign.ledger.postgres.session_connection import StoreLostError, refuse_lost_store
from campaign.system.postgres import STATEMENT_SECONDS, StoreAddress, connect_async

#: Seconds that letters wait for others, so that one statement serves many; and verdicts, while no intent waits.
GATHER_SECONDS, ALONE_SECONDS = 0.002, 0.05
#: Seconds for which a store that is away is asked again, and between two tries. No letter leaves meanwhile.
PATIENCE_SECONDS, AGAIN_SECONDS = 60.0, 0.3
_APPEND = (
    "INSERT INTO campaign.segment (run, shard, seq, token, data) SELECT run, shard, %(seq)s, token, %(data)b "
    "FROM campaign.segment WHERE run = %(run)s AND shard = %(shard)s AND seq = %(seq)s - 1 AND token = %(token)s"
)
#: Changes nothing, and returns when the standby has everything before it.
_CONFIRM = "UPDATE campaign.shard SET until = until WHERE run = %s AND shard = %s"
_FOUND = "SELECT token, data FROM campaign.segment WHERE run = %s AND shard = %s AND seq = %s"


class LeaseLostError(StorageError):
    """Another worker has ``shard``, which this process held. What this one knows goes to it as late testimony."""

    shard = 0


class ShardLines:
    """The lines of one shard that are not in the store yet. ``deadline``, on ``clock``, is when the lease runs out.

    ``unsaid`` are lines that will not be appended any more, since the shard is lost.
    """

    in_need: OSError | None = None

    def __init__(self, span: StoredShard, token: int, seq: int, deadline: float, wake: Callable[[], None]) -> None:
        self.span, self.token, self.seq, self.deadline = span, token, seq, deadline
        self.path = Path(f"shard {span.shard}")
        self.lost = False
        self.unsaid: list[bytes] = []
        self._waiting: list[bytes] = []
        self._wake = wake

    @property
    def empty(self) -> bool:
        """Whether everything is in the store, or will never be."""
        return not self._waiting

    def append(self, data: bytes) -> None:
        """Take lines."""
        if self.lost:
            self.unsaid.append(data)
        else:
            self._waiting.append(data)
            self._wake()

    append_in_need = append

    def taken(self) -> bytes:
        """The lines that wait, which are then the caller's."""
        lines, self._waiting = b"".join(self._waiting), []
        return lines

    def lose(self, lines: bytes = b"") -> None:
        """Note that the shard is lost, with ``lines`` that could not be appended."""
        self.lost = True
        self.unsaid += [lines, *self._waiting] if lines else self._waiting
        self._waiting = []

    def close(self) -> None:
        """Nothing: what waits is appended by the writer."""


class SegmentWriter:
    """One per worker: its connection, and the batches. ``run`` is to be a task for as long as anything is appended."""

    def __init__(self, address: StoreAddress, run: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._address, self._run, self._clock = address, run, clock
        self._connection: psycopg.AsyncConnection[tuple[Any, ...]] | None = None
        self._shards: list[ShardLines] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._news, self._hurry, self._idle = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._idle.set()
        self._unsure = False
        self.failure: CampaignError | None = None
        #: Seconds that the last append took.
        self.took = 0.0

    def open(self, span: StoredShard, token: int, seq: int, deadline: float) -> ShardLines:
        """Take a shard's lines from now on."""
        lines = ShardLines(span, token, seq, deadline, self._stirred)
        self._shards.append(lines)
        return lines

    def leave(self, lines: ShardLines) -> None:
        """Take no more lines of a shard."""
        with suppress(ValueError):
            self._shards.remove(lines)

    async def durable(self, lines: ShardLines) -> None:
        """Return when all lines of a shard are in the store and its lease still holds: now the dot may leave."""
        if self.failure:
            raise self.failure
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._hurry.set()
        await future
        if lines.lost or self._clock() > lines.deadline:
            raise lease_lost(lines.span)

    async def flush(self) -> None:
        """Return when nothing waits to be appended. Raises the error that ended this writer."""
        self._hurry.set()
        await self._idle.wait()
        if self.failure:
            raise self.failure

    async def run(self) -> None:
        """Append what waits, batch after batch, until cancelled or until the store is lost."""
        while True:
            await self._news.wait()
            if not self._hurry.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._hurry.wait(), ALONE_SECONDS)
            await asyncio.sleep(GATHER_SECONDS)
            self._news.clear()
            self._hurry.clear()
            batch, self._waiting = self._waiting, []
            try:
                await self._append_all()
            except CampaignError as error:
                self._refuse(batch, error)
                return
            except asyncio.CancelledError:
                self._waiting = [*batch, *self._waiting]  # for `fail`, which tells them why
                raise
            for future in batch:
                if not future.done():
                    future.set_result(None)
            if all(shard.empty for shard in self._shards):
                self._idle.set()

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()

    def _stirred(self) -> None:
        self._idle.clear()
        self._news.set()

    async def _append_all(self) -> None:
        for shard in list(self._shards):
            lines = shard.taken()
            if not lines:
                continue
            began = self._clock()
            try:
                await self._append(shard, lines)
            except (CampaignError, asyncio.CancelledError):
                shard.lose(lines)
                raise
            self.took = self._clock() - began

    async def _append(self, shard: ShardLines, lines: bytes) -> None:
        data, give_up = pack(lines), self._clock() + PATIENCE_SECONDS
        while True:
            try:
                async with asyncio.timeout(STATEMENT_SECONDS):
                    await self._append_once(shard, data)
            except (psycopg.Error, StorageError, OSError, TimeoutError) as error:
                if isinstance(error, LeaseLostError | StoreLostError):
                    raise
                if self._clock() > give_up:
                    raise _away(self._address, error) from None
                await self._drop_connection()
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                return

    async def _append_once(self, shard: ShardLines, data: bytes) -> None:
        connection, span = await self._connected(), shard.span
        values = {
            "run": span.run,
            "shard": span.shard,
            "seq": shard.seq + 1,
            "token": shard.token,
            "data": data,
        }
        try:
            done = await connection.execute(_APPEND, values, prepare=True)
            added = done.rowcount == 1
        except psycopg.errors.UniqueViolation:
            found = await (await connection.execute(_FOUND, (span.run, span.shard, shard.seq + 1))).fetchone()
            if found is None or found[0] != shard.token or bytes(found[1]) != data:
                raise lease_lost(span) from None
            added = True  # by us: only the answer had been lost
            await connection.execute(_CONFIRM, (span.run, span.shard))
        if not added:
            raise _forgotten(span, shard.seq)
        if self._unsure:
            self._unsure = False
            raise OSError("the server did not wait for its standby")
        shard.seq += 1

    async def _connected(self) -> psycopg.AsyncConnection[tuple[Any, ...]]:
        if self._connection is None:
            self._connection = await connect_async(self._address)
            await refuse_lost_store(self._connection, self._run)
            self._connection.add_notice_handler(self._notice)
        return self._connection

    async def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error, OSError):
                await connection.close()

    def _notice(self, said: psycopg.errors.Diagnostic) -> None:
        """A commit that did not wait for its standby comes as a success with a warning: it is not durable."""
        if said.sqlstate == "01000":
            self._unsure = True

    def fail(self, error: CampaignError) -> None:
        """Append nothing more; whoever waits gets the error."""
        self._refuse([], error)

    def _refuse(self, batch: list[asyncio.Future[None]], error: CampaignError) -> None:
        self.failure = self.failure or error
        for shard in self._shards:
            shard.lose()
        for future in (*batch, *self._waiting):
            if not future.done():
                future.set_exception(error)
        self._waiting = []
        self._idle.set()


def lease_lost(span: StoredShard) -> LeaseLostError:
    """The error of a worker whose shard another one has taken over."""
    lost = LeaseLostError(
        "Another worker has taken over a shard that this one held, as nothing was heard of it for too long.",
        evidence=f"shard {span.shard} of run {span.run}",
        next_step="see whether this machine was asleep or cut off; the run goes on",
    )
    lost.shard = span.shard
    return lost


def _forgotten(span: StoredShard, seq: int) -> StoreLostError:
    return StoreLostError(
        "The store has lost what it had confirmed, so nothing more is sent.",
        evidence=f"run {span.run}, shard {span.shard}: segment {seq} is gone",
        next_step="docs/scale.md says how to take stock after a fail-over to a standby that lagged behind",
    )


def _away(address: StoreAddress, error: Exception) -> StorageError:
    return StorageError(
        f"The store {address.text} was away for {PATIENCE_SECONDS:.0f} s, so this worker stops.",
        evidence=" ".join(str(error).split()) or type(error).__name__,
        next_step="see to the database, then run the same command again; it continues where it stopped",
    )
