"""Exchanging feedback with the store: ``feedback.jsonl`` on each machine is a copy of the store's events.

What was added to the file goes to the store, and what others added to the store comes into the file. An event's id
makes it unique in both. ``feedback/store.json`` says how far both were when they were last the same.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Self

import msgspec
import psycopg
from msgspec.structs import replace

from campaign.errors import DamageError, UnfinishedError
from campaign.ledger.feedback.feedback_store import FeedbackStore, read_events, stored_end
from campaign.ledger.feedback.stored_event import event_decoder, event_of, line_is_whole, line_of
from campaign.ledger.journal.journal_file import unwritable
from campaign.ledger.postgres.edition_lease import TRY_SECONDS, StoreConnection
from campaign.ledger.postgres.forgotten.forgotten_mark import is_behind
from campaign.ledger.postgres.runs.check_in import server_identity
from campaign.ledger.postgres.runs.copy_mark import EXCHANGED
from campaign.ledger.postgres.schema import ensure_schema
from campaign.model import FeedbackEvent
from campaign.system.atomic_file import make_folders, write_atomically
from campaign.system.own_files import open_own, refuse_foreign
from campaign.system.postgres import StoreAddress, connect, store_errors

#: Beside the mark: the lock of an exchange.
_LOCK = "store.lock"
#: Events sent, or fetched, with one statement.
BATCH = 1_000
#: Advisory locks of the store: while events are added, and while a `campaign collect` is at work.
ADDING, _COLLECTING = 0x63616D71, 0x63616D72
_ADD = """
INSERT INTO campaign.feedback_event (id, event) SELECT * FROM unnest(%s::bytea[], %s::bytea[]) ON CONFLICT DO NOTHING
"""


class ExchangeMark(msgspec.Struct, frozen=True):
    """How far file and store were the same: the store, its highest ``seq``, and the file (inode and octets)."""

    store: str = ""
    seq: int = 0
    inode: int = 0
    octets: int = 0


class FeedbackExchange:
    """Exchanges events between ``feedback.jsonl`` in ``directory`` and the store. Close it, or use it with ``with``.

    Methods raise StorageError if the store or the file cannot be used, and DamageError. While this machine has yet to
    erase somebody who was forgotten, it is ``behind``: it takes events and gives none.
    """

    def __init__(self, address: StoreAddress, directory: Path) -> None:
        self._address, self._directory = address, directory
        self._mark_at, self._folder = directory / EXCHANGED, (directory / EXCHANGED).parent
        self._connection: StoreConnection | None = None
        self.behind = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def exchange(self) -> int:
        """Add to the store what only the file has, then to the file what only the store has; how many came."""
        with self._locked(), store_errors(self._address):
            connection = self.connected()
            mark = self._mark(connection)
            end = stored_end(self._directory)
            ours = self._give(connection, mark.octets, end)
            octets = mark.octets if self.behind else end
            return self._take(connection, replace(mark, octets=octets, inode=self._inode()), ours)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            with suppress(psycopg.Error, OSError):
                self._connection.close()
            self._connection = None

    def connected(self) -> StoreConnection:
        """The connection to the store, whose schema is made if need be."""
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._address)
            ensure_schema(self._connection)
        return self._connection

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One exchange at a time on this machine; others wait."""
        refuse_foreign(self._directory, self._folder)
        try:
            make_folders(self._folder)
            descriptor = open_own(self._folder / _LOCK, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise unwritable(self._folder, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _mark(self, connection: StoreConnection) -> ExchangeMark:
        """The mark; an empty one if it is of another store, of a server that failed over, or of another file."""
        uid = connection.execute("SELECT uid::text FROM campaign.meta").fetchone()
        store = f"{server_identity(connection).rpartition('/')[0]}/{uid[0] if uid else ''}"
        try:
            mark = msgspec.json.decode(self._mark_at.read_bytes(), type=ExchangeMark)
        except (OSError, msgspec.MsgspecError):
            mark = ExchangeMark()
        same = (mark.store, mark.inode) == (store, self._inode()) and mark.octets <= stored_end(self._directory)
        return mark if same else ExchangeMark(store)

    def _inode(self) -> int:
        path = FeedbackStore(self._directory).path
        return path.stat().st_ino if path.exists() else 0

    def _give(self, connection: StoreConnection, start: int, end: int) -> set[str]:
        """Add the file's events from ``start`` to ``end`` to the store; returns their ids."""
        ours, found = set[str](), read_events(self._directory, start=start, end=end)
        self.behind = False
        while events := list(islice(found, BATCH)):
            ids = [hashlib.sha256(event.id.encode()).digest() for event in events]
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (ADDING,))
                self.behind = is_behind(connection, self._directory)
                if not self.behind:
                    connection.execute(_ADD, (ids, [line_of(event).rstrip(b"\n") for event in events]))
            ours.update(event.id for event in events)
        return ours

    def _take(self, connection: StoreConnection, mark: ExchangeMark, ours: set[str]) -> int:
        """Append to the file what the store has beyond ``mark``, except ``ours``; returns how many events."""
        taken = 0
        with FeedbackStore(self._directory) as file:
            while rows := connection.execute(
                "SELECT seq, event FROM campaign.feedback_event WHERE seq > %s ORDER BY seq LIMIT %s", (mark.seq, BATCH)
            ).fetchall():
                events = [event for row in rows if (event := event_of_row(*row)).id not in ours]
                if events:
                    file.append(events)
                    file.sync()
                    taken += len(events)
                octets = self._grown(mark.octets, events)
                mark = replace(mark, seq=rows[-1][0], inode=self._inode(), octets=octets)
                self._note(mark)
        self._note(mark)
        return taken

    def _grown(self, before: int, events: Sequence[FeedbackEvent]) -> int:
        """The octets that are in the store for certain: all if nobody else appended to the file meanwhile."""
        end = stored_end(self._directory)
        return end if end == before + sum(len(line_of(event)) for event in events) else before

    def _note(self, mark: ExchangeMark) -> None:
        path, data = self._mark_at, msgspec.json.encode(mark)
        try:
            if not path.exists() or path.read_bytes() != data:
                write_atomically(path, data)
        except OSError as error:
            raise unwritable(path, error) from error


def event_of_row(seq: int, line: bytes) -> FeedbackEvent:
    """The event of a row. Raises DamageError."""
    try:
        if line_is_whole(line):
            return event_of(*msgspec.structs.astuple(event_decoder.decode(line)))
    except ValueError:  # not an event (msgspec's errors are ValueErrors)
        pass
    raise DamageError(
        "The store's record of what came back is damaged.",
        evidence=f"campaign.feedback_event, seq = {seq}",
        next_step="restore that row from a backup, or delete it; the address that it names then counts as before",
    )


@contextmanager
def one_collect(
    address: StoreAddress, *, patience: float = 0.0, sleep: Callable[[float], None] = time.sleep
) -> Iterator[None]:
    """Hold the store's lock of `campaign collect`. ``patience``: seconds to wait for another collect to end.

    Raises UnfinishedError if another machine holds it.
    """
    with connect(address) as connection:
        while not _collects(address, connection):
            if patience <= 0:
                raise UnfinishedError(
                    "Another machine is collecting feedback into the same store, so this one reads nothing.",
                    evidence=address.text,
                    next_step="run the same command again when that one has ended",
                )
            sleep(TRY_SECONDS)
            patience -= TRY_SECONDS
        yield


def _collects(address: StoreAddress, connection: StoreConnection) -> bool:
    with store_errors(address):
        row = connection.execute("SELECT pg_try_advisory_lock(%s)", (_COLLECTING,)).fetchone()
    return row is not None and bool(row[0])
