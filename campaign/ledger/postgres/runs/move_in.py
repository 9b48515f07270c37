"""Moving an edition's runs from files into the store: all of them in one transaction, with what operators asked for.

A run is in files until that transaction is committed, and in the store from then on. The edition's folder is marked
before it, so that nothing continues the files meanwhile. After a kill the same move finds whether the commit took
place: then the store's journals begin with those in the files, and the folders only have to be noted as copies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from campaign.errors import ConfigError
from campaign.ledger import run_folder
from campaign.ledger.journal import journal_reader
from campaign.ledger.postgres.edition_lease import EditionLease, StoreConnection
from campaign.ledger.postgres.runs.check_in import FirstOnes, add_changes, read_states
from campaign.ledger.postgres.runs.copy_mark import COPY, has_begun
from campaign.ledger.postgres.runs.run_copies import RunCopy, note_copy
from campaign.ledger.postgres.runs.stored_runs import Requests, record_request
from campaign.ledger.postgres.segments import unpack


def stored_stamps(connection: StoreConnection, name: str, label: str) -> dict[str, int]:
    """The edition's runs in the store: the number of each by the name of its folder."""
    rows = connection.execute(
        "SELECT r.stamp, r.run FROM campaign.run r JOIN campaign.edition e USING (edition) "
        "WHERE e.name = %s AND e.label = %s",
        (name, label),
    ).fetchall()
    return {str(stamp): int(run) for stamp, run in rows}


def runs_to_put(runs: Sequence[Path], stored: Mapping[str, int]) -> list[Path]:
    """Those of ``runs``, which are on files, that the store does not have.

    Raises ConfigError if others of the edition are there: each of the two ledgers may have served whom the other
    plans. A run that has served nobody gives way. ConfigError, too, if beside them are copies of another store's runs.
    """
    missing = [run for run in runs if run.name not in stored]
    if stored and (begun := [run for run in missing if has_begun(run)]):
        raise ConfigError(
            "This edition has runs in the store and others on files, and neither knows whom the other has served.",
            evidence=[f"on files: {begun[-1]}", f"in the store: {max(stored)}"],
            next_step="nothing is moved; give the campaign another edition, and send it to those whom both left out",
        )
    if missing and not stored and (copies := [run for run in run_folder.runs(runs[0].parent) if (run / COPY).exists()]):
        raise ConfigError(
            "This edition has copies of runs that this store does not have, so nothing is moved.",
            evidence=str(copies[-1]),
            next_step="set ledger.store as it was when they were made",
        )
    return [] if stored else missing


def put_runs(
    connection: StoreConnection, lease: EditionLease, folder: Path, requests: Mapping[str, Requests], canary: FirstOnes
) -> Mapping[str, int]:
    """Put all runs in an edition's folder into the store, with these requests of operators; returns their numbers.

    ``canary`` is as for `check_in.check_in`.
    """
    states = read_states(folder, {})
    with connection.transaction():
        lease.confirm(connection)
        added = add_changes(connection, lease, folder, {}, canary=canary, states=states)
        for run, copy in added.items():
            if asked := requests.get(run.name):
                record_request(connection, copy.run, asked.state, asked.rates, asked.connections)
    return {run.name: copy.run for run, copy in added.items()}


def note_moved(connection: StoreConnection, runs: Sequence[Path], stored: Mapping[str, int]) -> None:
    """Note of each run on files that its folder is a copy from now on; the next command brings it up to date.

    Raises ConfigError if the store has a run of the same name that is another one.
    """
    for run in runs:
        if run.name not in stored:
            continue
        if not _begins_with(connection, stored[run.name], run / journal_reader.NAME):
            raise ConfigError(
                "The store has a run of this name that is not the one in the files, so nothing is moved.",
                evidence=str(run),
                next_step="see which machine made each of them; people may have been served by both",
            )
        note_copy(run, RunCopy(stored[run.name], 0, 0, 0))


def _begins_with(connection: StoreConnection, run: int, journal: Path) -> bool:
    """Whether the run's journal in the store begins with the one in the file."""
    with journal.open("rb") as file, connection.transaction(), connection.cursor("moved") as segments:
        segments.itersize = 500
        segments.execute("SELECT data FROM campaign.segment WHERE run = %s ORDER BY id", (run,))
        for (data,) in segments:
            lines = unpack(data)
            found = file.read(len(lines))
            if not lines.startswith(found):
                return False
            if len(found) < len(lines):
                return True
        return not file.read(1)
