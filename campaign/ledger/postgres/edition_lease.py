"""Holding an edition in the store: one command at a time makes, closes or changes its runs.

A lease says who holds it and until when; a random token decides. Whoever commits a change checks its token in the same
transaction, so a holder that was frozen past its lease changes nothing. A lease that is over stays over, as workers may
have leased shards since. A holder that has certainly ended, as a killed
command of this machine, is replaced before its lease is over: by that token, so only one command does it.
"""

from __future__ import annotations

import math
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from typing import NamedTuple

import psycopg

from campaign.errors import StorageError, UnfinishedError
from campaign.system.postgres import LimitedConnection, StoreAddress, connect, store_errors
from campaign.system.process_name import has_ended, placed_name, process_name, short_name

#: Seconds that a lease lasts, and between two renewals.
LEASE_SECONDS, BEAT_SECONDS = 30.0, 5.0
#: Seconds between two tries for an edition that another command holds.
TRY_SECONDS = 0.5
_HOLDER = """
SELECT holder, token, greatest(extract(epoch FROM until)::float8 - extract(epoch FROM clock_timestamp())::float8, 0)
FROM campaign.edition WHERE name = %s AND label = %s
"""
_HOLDERS = """
SELECT holder, token, greatest(extract(epoch FROM until)::float8 - extract(epoch FROM clock_timestamp())::float8, 0)
FROM campaign.edition ORDER BY edition FOR UPDATE
"""

StoreConnection = LimitedConnection


def new_token() -> int:
    """A random token. A counter would be given out twice after a fail-over that forgot it."""
    return secrets.randbits(62) + 1


class Holder(NamedTuple):
    """Who holds an edition, by which token, and for how many seconds more without a sign of life."""

    name: str
    token: int
    seconds: float

    @property
    def gone(self) -> bool:
        """Whether it has certainly ended."""
        return has_ended(self.name)

    def words(self) -> str:
        """Who it is, and until when to wait if that one was killed."""
        seconds = max(math.ceil(self.seconds), 1)
        return f"{short_name(self.name)}; if that was killed, the edition is free in {seconds} s"


class EditionLease:
    """An edition that this process holds. ``edition`` is its number; `hold_edition` makes one.

    ``others`` are editions that it holds besides, under the same token.
    """

    def __init__(self, address: StoreAddress, edition: int, token: int, others: Sequence[int] = ()) -> None:
        self.edition, self.token, self._all = edition, token, [edition, *others]
        self._address, self._over = address, threading.Event()
        self._beating = threading.Thread(target=self._beat, name="edition lease", daemon=True)
        self._beating.start()

    @property
    def editions(self) -> list[EditionLease]:
        """This lease as that of each of its editions; all of them end with it."""
        return [self.of(edition) for edition in self._all]

    def of(self, edition: int) -> EditionLease:
        """This lease as that of one of its editions."""
        other = copy(self)
        other.edition = edition
        return other

    def confirm(self, connection: StoreConnection) -> None:
        """Check, inside a transaction, that this process still holds the edition; nobody takes it until the commit."""
        found = connection.execute(
            "SELECT FROM campaign.edition WHERE edition = %s AND token = %s AND until > clock_timestamp() FOR UPDATE",
            (self.edition, self.token),
        ).fetchone()
        if found is None:
            raise UnfinishedError(
                "This process was away for so long that others may have gone on, so nothing is changed.",
                next_step="run the same command again; it continues where they are",
            )

    def release(self, connection: StoreConnection) -> None:
        """Let others hold the edition."""
        self._over.set()
        self._beating.join()
        connection.execute(
            "UPDATE campaign.edition SET until = '-infinity' WHERE edition = ANY(%s) AND token = %s",
            (self._all, self.token),
        )

    def _beat(self) -> None:
        """Renew the lease until it is released; if the store is away, try again."""
        connection: StoreConnection | None = None
        while not self._over.wait(BEAT_SECONDS):
            try:
                connection = connection or connect(self._address)
                connection.execute(
                    "UPDATE campaign.edition SET until = clock_timestamp() + make_interval(secs => %s) "
                    "WHERE edition = ANY(%s) AND token = %s AND until > clock_timestamp()",
                    (LEASE_SECONDS, self._all, self.token),
                )
            except (psycopg.Error, StorageError):
                connection = None
        if connection is not None:
            connection.close()


@contextmanager
def hold_edition(
    address: StoreAddress,
    connection: StoreConnection,
    name: str,
    label: str,
    wait: Callable[[str], bool],
    *,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[EditionLease]:
    """Hold the edition ``label`` of the campaign ``name`` while the block runs.

    While another command holds it, ``wait`` is called with its holder: True waits on, False raises UnfinishedError.
    """
    me, token = placed_name(process_name()), new_token()
    with store_errors(address):
        connection.execute(
            "INSERT INTO campaign.edition (name, label) VALUES (%s, %s) ON CONFLICT DO NOTHING", (name, label)
        )
        while (edition := _try(connection, name, label, me, token)) is None:
            holder = _holder(connection, name, label)
            if not wait(short_name(holder.name)):
                raise _at_work([holder])
            pause(TRY_SECONDS)
    lease = EditionLease(address, edition, token)
    try:
        yield lease
    finally:
        with store_errors(address):
            lease.release(connection)


def refuse_new_editions(connection: StoreConnection, lease: EditionLease | None) -> None:
    """Raise UnfinishedError for an edition that ``lease``, of every edition, does not hold.

    None is added until the end of the transaction.
    """
    connection.execute("LOCK TABLE campaign.edition IN SHARE ROW EXCLUSIVE MODE")
    held = [one.edition for one in lease.editions] if lease else []
    others = connection.execute(
        "SELECT name, label FROM campaign.edition WHERE edition <> ALL(%s) ORDER BY edition", (held,)
    ).fetchall()
    if others:
        raise UnfinishedError(
            "Another command has begun an edition meanwhile.",
            evidence=[" ".join(filter(None, row)) for row in others],
            next_step="run the same command again when that one is through",
        )


@contextmanager
def hold_every_edition(address: StoreAddress, connection: StoreConnection) -> Iterator[EditionLease | None]:
    """Hold all editions of the store while the block runs; None if there is none.

    Raises UnfinishedError if another command holds one.
    """
    me, token = placed_name(process_name()), new_token()
    with store_errors(address), connection.transaction():
        holders = [Holder._make(row) for row in connection.execute(_HOLDERS)]
        taken = connection.execute(
            "UPDATE campaign.edition SET holder = %s, token = %s, "
            "until = clock_timestamp() + make_interval(secs => %s) "
            "WHERE until < clock_timestamp() OR token = ANY(%s) RETURNING edition",
            (me, token, LEASE_SECONDS, [holder.token for holder in holders if holder.gone]),
        ).fetchall()
        if len(taken) < len(holders):
            raise _at_work([holder for holder in holders if holder.seconds > 0 and not holder.gone])
    editions = sorted(int(row[0]) for row in taken)
    lease = EditionLease(address, editions[0], token, editions[1:]) if editions else None
    try:
        yield lease
    finally:
        if lease:
            with store_errors(address):
                lease.release(connection)


def _try(connection: StoreConnection, name: str, label: str, me: str, token: int) -> int | None:
    """Take the edition if its lease is over, or its holder has ended; that one's token must still be there."""
    holder = _holder(connection, name, label)
    row = connection.execute(
        "UPDATE campaign.edition SET holder = %s, token = %s, until = clock_timestamp() + make_interval(secs => %s) "
        "WHERE name = %s AND label = %s AND (until < clock_timestamp() OR token = %s) RETURNING edition",
        (me, token, LEASE_SECONDS, name, label, holder.token if holder.gone else None),
    ).fetchone()
    return None if row is None else int(row[0])


def _holder(connection: StoreConnection, name: str, label: str) -> Holder:
    row = connection.execute(_HOLDER, (name, label)).fetchone()
    return Holder._make(row or ("", 0, 0.0))


def _at_work(holders: Sequence[Holder]) -> UnfinishedError:
    return UnfinishedError(
        "Another command is at work on this edition.",
        evidence=sorted({holder.words() for holder in holders}),
        next_step="run the same command again when that one is through",
    )
