"""Putting what was erased in a copy in place of what the store has: files, segments, late verdicts, events.

Segments keep their numbers, tokens and lines, so replay, taking over and appending go on as before. The caller holds
all editions, and does everything in one transaction.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import psycopg

from campaign.ledger.feedback.stored_event import line_of
from campaign.ledger.journal import journal_reader
from campaign.ledger.journal.journal_file import unwritable
from campaign.ledger.postgres.edition_lease import StoreConnection
from campaign.ledger.postgres.feedback_exchange import ADDING, event_of_row
from campaign.ledger.postgres.runs.check_in import PART
from campaign.ledger.postgres.segments import pack, unpack
from campaign.model import FeedbackEvent

Change = Callable[[bytes], bytes]


def names_in_run(connection: StoreConnection, run: int, named: Callable[[bytes], bool]) -> bool:
    """Whether any text that the store has of a run, late verdicts included, is ``named``."""
    return any(map(named, _texts(connection, run)))


def replace_files(connection: StoreConnection, run: int, folder: Path) -> None:
    """Put the files of a copy in place of the store's."""
    names = [row[0] for row in connection.execute("SELECT DISTINCT name FROM campaign.file WHERE run = %s", (run,))]
    connection.execute("DELETE FROM campaign.file WHERE run = %s", (run,))
    for name in names:
        if (folder / name).exists():
            for part, data in enumerate(_parts(folder / name)):
                connection.execute(
                    "INSERT INTO campaign.file (run, name, part, data) VALUES (%s, %s, %s, %s)",
                    (run, name, part, pack(data)),
                )


def replace_segments(connection: StoreConnection, run: int, folder: Path) -> int:
    """Put a copy's journal, line by line, in place of the store's; returns the octets of what was there before."""
    octets = 0
    with (folder / journal_reader.NAME).open("rb") as journal, connection.cursor("replaced") as rows:
        rows.itersize = 500
        rows.execute("SELECT shard, seq, data FROM campaign.segment WHERE run = %s ORDER BY id", (run,))
        for shard, seq, data in rows:
            before = unpack(data)
            after = _lines(journal, before.count(b"\n"))
            octets += len(after)
            if after != before:
                connection.execute(
                    "UPDATE campaign.segment SET data = %s WHERE run = %s AND shard = %s AND seq = %s",
                    (pack(after), run, shard, seq),
                )
    return octets


def mask_late(connection: StoreConnection, run: int, change: Change) -> int:
    """Change the lines of a run's late verdicts; returns how many differ."""
    count = 0
    for number, data in connection.execute("SELECT id, data FROM campaign.late WHERE run = %s", (run,)).fetchall():
        before = unpack(data).splitlines(keepends=True)
        after = [change(line) for line in before]
        if after != before:
            count += sum(one != other for one, other in zip(before, after, strict=True))
            connection.execute("UPDATE campaign.late SET data = %s WHERE id = %s", (pack(b"".join(after)), number))
    return count


def replace_events(
    connection: StoreConnection, change: Callable[[FeedbackEvent], FeedbackEvent], *, dry_run: bool = False
) -> int:
    """Change events that came back; returns how many differ. With ``dry_run`` nothing is written."""
    count = 0
    with connection.transaction(), connection.cursor("events") as rows:
        rows.itersize = 1_000
        rows.execute("SELECT seq, event FROM campaign.feedback_event ORDER BY seq")
        for seq, line in rows:
            before = event_of_row(seq, line)
            after = change(before)
            count += after != before
            if after != before and not dry_run:
                _replace_event(connection, seq, after)
    return count


def hold_events(connection: StoreConnection) -> int:
    """Let nobody add an event until the transaction ends; returns the highest number."""
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (ADDING,))
    row = connection.execute("SELECT coalesce(max(seq), 0) FROM campaign.feedback_event").fetchone()
    return int(row[0]) if row else 0


def clear_dead_rows(connection: StoreConnection) -> str:
    """Have PostgreSQL remove the rows of before from its tables; returns what it said if it refused."""
    try:
        connection.execute("SET statement_timeout = 0")
        connection.limit = math.inf
        connection.execute("VACUUM campaign.file, campaign.segment, campaign.late, campaign.feedback_event")
    except psycopg.Error as error:
        return " ".join(str(error).split()) or type(error).__name__
    return ""


def _replace_event(connection: StoreConnection, seq: int, event: FeedbackEvent) -> None:
    name = hashlib.sha256(event.id.encode()).digest()
    connection.execute(
        "UPDATE campaign.feedback_event SET event = %(event)s, id = CASE WHEN EXISTS (SELECT FROM "
        "campaign.feedback_event WHERE id = %(id)s) THEN id ELSE %(id)s END WHERE seq = %(seq)s",
        {"event": line_of(event).rstrip(b"\n"), "id": name, "seq": seq},
    )


def _texts(connection: StoreConnection, run: int) -> Iterator[bytes]:
    """Pieces of text that end with a line, or with the file."""
    statements = (
        "SELECT data FROM campaign.file WHERE run = %s ORDER BY name, part",
        "SELECT data FROM campaign.segment WHERE run = %s",
        "SELECT data FROM campaign.late WHERE run = %s",
    )
    for statement in statements:
        rest = b""
        with connection.transaction(), connection.cursor("texts") as rows:
            rows.itersize = 50
            rows.execute(statement, (run,))
            for (data,) in rows:
                whole, feed, rest = (rest + unpack(data)).rpartition(b"\n")
                yield whole + feed
        yield rest


def _lines(journal: BinaryIO, count: int) -> bytes:
    return b"".join(journal.readline() for _ in range(count))


def _parts(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while data := file.read(PART):
                yield data
    except OSError as error:
        raise unwritable(path, error) from error
