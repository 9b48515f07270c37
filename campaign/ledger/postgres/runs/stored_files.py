"""The files of a run in the store, above all its plan: which are damaged, and their repair from this machine's copy.

A plan is frozen, and the run's first record has its hash. So any machine's copy with that hash is the plan itself, and
nobody becomes in doubt by it. Without one nothing is changed: the addresses are nowhere else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from campaign.errors import DamageError
from campaign.ledger import run_folder
from campaign.ledger.postgres.edition_lease import EditionLease, StoreConnection
from campaign.ledger.postgres.runs.check_in import PART
from campaign.ledger.postgres.runs.stored_salvage import Keep
from campaign.ledger.postgres.segments import pack, unpack


def damaged_files(connection: StoreConnection, run: int, plan: str) -> list[str]:
    """The names of a run's files that cannot be read from the store as they were; ``plan`` is the plan's SHA-256."""
    names = connection.execute(
        "SELECT DISTINCT name FROM campaign.file WHERE run = %s ORDER BY name", (run,)
    ).fetchall()
    known = {str(name) for (name,) in names} | {run_folder.PLAN}
    return [name for name in sorted(known) if not _is_whole(connection, run, name, plan)]


def refuse_lost_plan(names: Sequence[str], folder: Path, plan: str) -> None:
    """Raise DamageError if the plan is among the damaged files and this machine's copy is not the same plan."""
    if run_folder.PLAN in names and not _is_plan(folder / run_folder.PLAN, plan):
        raise DamageError(
            "The plan of the run in the store is damaged, and this machine has no copy of it.",
            evidence=f"campaign.file, and {folder / run_folder.PLAN}",
            next_step="run the same command on a machine that has served this run; or restore these rows from a backup",
        )


def put_files(
    connection: StoreConnection, lease: EditionLease, run: int, folder: Path, names: Sequence[str], keep: Keep
) -> None:
    """Put this machine's copies in place of damaged files; one without a copy is dropped, as no letter needs it."""
    for name in names:
        rows = _rows(connection, run, name)
        for part, octets in rows:
            keep(f"store-{name}-{part}", octets)
        path = folder / name
        content = path.read_bytes() if path.is_file() else b""
        parts = [content[at : at + PART] for at in range(0, len(content), PART)]
        with connection.transaction():
            lease.confirm(connection)
            connection.execute("DELETE FROM campaign.file WHERE run = %s AND name = %s", (run, name))
            for part, data in enumerate(parts):
                connection.execute(
                    "INSERT INTO campaign.file (run, name, part, data) VALUES (%s, %s, %s, %s)",
                    (run, name, part, pack(data)),
                )


def _rows(connection: StoreConnection, run: int, name: str) -> list[tuple[int, bytes]]:
    rows = connection.execute(
        "SELECT part, data FROM campaign.file WHERE run = %s AND name = %s ORDER BY part", (run, name)
    ).fetchall()
    return [(int(part), bytes(data)) for part, data in rows]


def _is_whole(connection: StoreConnection, run: int, name: str, plan: str) -> bool:
    sha = hashlib.sha256()
    with connection.transaction(), connection.cursor("parts") as parts:
        parts.itersize = 4
        parts.execute("SELECT part, data FROM campaign.file WHERE run = %s AND name = %s ORDER BY part", (run, name))
        for expected, (part, data) in enumerate(parts):
            try:
                sha.update(unpack(bytes(data)))
            except DamageError:
                return False
            if part != expected:
                return False
    return name != run_folder.PLAN or sha.hexdigest() == plan


def _is_plan(path: Path, plan: str) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == plan
