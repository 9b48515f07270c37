"""The connection of a worker's session: one statement at a time, each within the time limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg

from campaign.errors import DamageError, StorageError
from campaign.ledger.postgres.runs.check_in import SERVER, failed_over
from campaign.system.postgres import STATEMENT_SECONDS, StoreAddress, connect_async


class StoreAwayError(StorageError):
    """The store does not answer now; it may be asked again."""


class StoreLostError(DamageError):
    """The store does not have what it had confirmed: somebody may be served twice, so nothing more is sent."""


async def refuse_lost_store(connection: psycopg.AsyncConnection[tuple[Any, ...]], run: int) -> None:
    """Raise StoreLostError if the server is one that may lack what had been confirmed of the run."""
    row = await (
        await connection.execute(f"SELECT server, {SERVER} FROM campaign.run WHERE run = %s", (run,))  # noqa: S608
    ).fetchone()
    if row and failed_over(*row):
        await connection.close()
        raise StoreLostError(
            "The store is another server, or has failed over, and what it had confirmed may be missing in it.",
            evidence=f"the run began on {row[0]}, and this is {row[1]}",
            next_step="bring the old server back, or take stock as docs/scale.md says",
        )


class SessionConnection:
    """Opens itself again when it was lost. Methods raise StoreAwayError, and psycopg's UniqueViolation."""

    def __init__(self, address: StoreAddress, run: int) -> None:
        self._address, self._run = address, run
        self._connection: psycopg.AsyncConnection[tuple[Any, ...]] | None = None
        self._turn = asyncio.Lock()

    async def one(self, statement: str, values: Any) -> tuple[Any, ...] | None:
        """The first row, if there is any."""
        rows = await self.all(statement, values)
        return rows[0] if rows else None

    async def all(self, statement: str, values: Any) -> list[tuple[Any, ...]]:
        """All rows."""
        async with self._statement() as connection:
            return await (await connection.execute(statement, values, binary=True)).fetchall()

    async def execute(self, statement: str, values: Any) -> None:
        """Carry out a statement that returns nothing."""
        async with self._statement() as connection:
            await connection.execute(statement, values)

    @asynccontextmanager
    async def _statement(self) -> AsyncIterator[psycopg.AsyncConnection[tuple[Any, ...]]]:
        """One statement at a time, within the time limit; after that the connection is given up."""
        async with self._turn:
            try:
                async with asyncio.timeout(STATEMENT_SECONDS):
                    yield await self._connected()
            except psycopg.errors.UniqueViolation:
                raise
            except (psycopg.Error, OSError, TimeoutError, StorageError) as error:
                if self._connection is not None:
                    await self._connection.close()
                evidence = error.evidence if isinstance(error, StorageError) else " ".join(str(error).split())
                raise StoreAwayError(
                    f"The store {self._address.text} does not answer.",
                    evidence=evidence or type(error).__name__,
                    next_step="see to the database, then run the same command again; it continues where it stopped",
                ) from None

    async def _connected(self) -> psycopg.AsyncConnection[tuple[Any, ...]]:
        if self._connection is None or self._connection.closed:
            self._connection = await connect_async(self._address)
            await refuse_lost_store(self._connection, self._run)
        return self._connection

    async def close(self) -> None:
        """Close it."""
        if self._connection is not None:
            with suppress(psycopg.Error, OSError):
                await self._connection.close()
