"""Copies of a store's runs in the run folders of this machine, where all commands that only read find them.

A copy is derived and may be deleted at any time; nothing is sent on its word. ``store.json`` in a run's folder says of
which run it is a copy and up to which segment; ``.store`` in an edition's folder says that all runs in it are copies.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import BinaryIO

import msgspec

from campaign.errors import StorageError
from campaign.ledger import run_folder
from campaign.ledger.journal import journal_reader
from campaign.ledger.journal.journal_file import unwritable
from campaign.ledger.postgres.edition_lease import StoreConnection
from campaign.ledger.postgres.forgotten.forgotten_mark import refuse_behind
from campaign.ledger.postgres.runs.copy_mark import COPY, mark_edition, refuse_other_ledgers
from campaign.ledger.postgres.runs.stored_runs import last_segment
from campaign.ledger.postgres.segments import unpack
from campaign.ledger.shards.shard_reader import FOLDER as SHARDS
from campaign.system.atomic_file import atomic_file, write_atomically

#: The octets of a copy that is being made.
UNFINISHED = -1


class RunCopy(msgspec.Struct, frozen=True):
    """A run of the store and its copy here: the store's number, what was copied, and the journal's octets.

    ``segment`` is the highest id and ``segments`` how many there were: ids are given out before they are committed, so
    a lower one may come later. ``erased`` is the last forgetting of a person that changed the run.
    """

    run: int
    segment: int
    segments: int
    octets: int
    erased: int = 0


def mark_copies(folder: Path, store: str, file: Path, move: str) -> None:
    """Mark an edition's folder, and remove runs in it that are in no store; the caller holds the edition.

    Such a run was being made when its process was killed, and has served nobody. One that has served is on files:
    ConfigError, with the command ``move`` as the next step.
    """
    refuse_other_ledgers(folder, move)
    mark_edition(folder, store, file)
    try:
        for run in run_folder.runs(folder):
            if not (run / COPY).exists():
                shutil.rmtree(run)
    except OSError as error:
        raise unwritable(folder, error) from error


def copied(run: Path) -> RunCopy | None:
    """Of which run of the store this folder is a copy; None also for a copy that is not finished."""
    if not (run / COPY).exists():
        return None
    try:
        copy = msgspec.json.decode(_read(run / COPY), type=RunCopy)
    except msgspec.MsgspecError as error:
        raise StorageError(
            f"The copy {run} is damaged.", evidence=str(error), next_step=f"delete {run}: it is made again"
        ) from None
    return None if copy.octets == UNFINISHED else copy


def refresh_copies(connection: StoreConnection, edition: int, folder: Path) -> dict[str, RunCopy]:
    """Bring the copies of all runs of an edition up to date; returns them by the names of their folders."""
    rows = connection.execute(
        "SELECT run, stamp FROM campaign.run WHERE edition = %s ORDER BY run", (edition,)
    ).fetchall()
    return {stamp: refresh_copy(connection, run, folder / stamp) for run, stamp in rows}


def refresh_copy(connection: StoreConnection, run: int, folder: Path, *, heeded: bool = False) -> RunCopy:
    """Bring the copy of one run up to date, journal included. Raises StorageError.

    ``heeded``: this machine is erasing whoever was forgotten; otherwise UnfinishedError if it has yet to.
    """
    run_folder.make_folder(folder)
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        last, before, journal = last_segment(connection, run), copied(folder), folder / journal_reader.NAME
        erased = _erased(connection, run)
        anew = before is not None and before.erased != erased
        if anew and not heeded:
            refuse_behind(connection, folder)
        fetch_files(connection, run, folder, anew=anew)
        same = before is not None and (before.run, before.segment, before.segments, before.erased) == (
            run,
            *last,
            erased,
        )
        if before and same and journal.exists() and journal.stat().st_size == before.octets:
            return before
        if before is None:  # first: a journal beside which there is no such note is a run on files
            note_copy(folder, RunCopy(run, 0, 0, UNFINISHED, erased))
        try:
            with atomic_file(journal) as file:
                octets = _write_segments(connection, run, file)
            shutil.rmtree(folder / SHARDS, ignore_errors=True)
        except OSError as error:
            raise unwritable(journal, error) from error
    return note_copy(folder, RunCopy(run, *last, octets, erased))


def renew_copy(connection: StoreConnection, run: int, folder: Path) -> RunCopy:
    """Make the copy of a run anew, as the one that is here may be damaged. Raises StorageError."""
    run_folder.make_folder(folder)
    note_copy(folder, RunCopy(run, 0, 0, UNFINISHED, _erased(connection, run)))
    fetch_files(connection, run, folder, anew=True)
    return refresh_copy(connection, run, folder)


def is_current_copy(connection: StoreConnection, run: Path) -> bool:
    """Whether a folder is a copy, with the plan that the store has now; its journal may lack what came later."""
    copy = copied(run)
    return copy is not None and copy.erased == _erased(connection, copy.run)


def _erased(connection: StoreConnection, run: int) -> int:
    row = connection.execute("SELECT erased FROM campaign.run WHERE run = %s", (run,)).fetchone()
    return int(row[0]) if row else 0


def fetch_files(connection: StoreConnection, run: int, folder: Path, *, anew: bool = False) -> None:
    """Fetch the plan and what else belongs to a run's folder, unless it is here; ``anew`` even then.

    Raises StorageError.
    """
    run_folder.make_folder(folder)
    names = connection.execute("SELECT DISTINCT name FROM campaign.file WHERE run = %s", (run,)).fetchall()
    for (name,) in names:
        if (folder / name).exists() and not anew:
            continue
        try:
            with (
                atomic_file(folder / name) as file,
                connection.transaction(),
                connection.cursor("parts", binary=True) as parts,
            ):
                parts.itersize = 4
                parts.execute("SELECT data FROM campaign.file WHERE run = %s AND name = %s ORDER BY part", (run, name))
                for (data,) in parts:
                    file.write(unpack(data))
        except OSError as error:
            raise unwritable(folder / name, error) from error


def note_copy(folder: Path, copy: RunCopy) -> RunCopy:
    """Note in a run's folder of what it is a copy."""
    try:
        write_atomically(folder / COPY, msgspec.json.encode(copy))
    except OSError as error:
        raise unwritable(folder / COPY, error) from error
    return copy


def _write_segments(connection: StoreConnection, run: int, file: BinaryIO) -> int:
    """Write the run's journal: all segments in the order in which they were appended; returns the octets."""
    octets = 0
    with connection.cursor("segments", binary=True) as segments:
        segments.itersize = 500
        segments.execute("SELECT data FROM campaign.segment WHERE run = %s ORDER BY id", (run,))
        for (data,) in segments:
            octets += file.write(unpack(data))
    return octets


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StorageError(
            f"{path} cannot be read.", evidence=str(error), next_step="see whose file it is, then try again"
        ) from error
