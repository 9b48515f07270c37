"""Run folders: where the runs of an edition are stored, their names and order, and the lock on an edition.

``directory/NAME/EDITION/RUN`` (without an edition that level is missing). An edition's folder is locked before a run is
chosen or made, so two timers at once make one run. `run_state.py` interprets the journal.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from campaign.errors import ConfigError, DamageError, StorageError, UnfinishedError
from campaign.ledger.journal import journal_reader
from campaign.ledger.journal.journal_file import unwritable
from campaign.ledger.journal.journal_records import REHEARSAL, Opened, Record
from campaign.system.atomic_file import make_folders
from campaign.system.own_files import open_own

PLAN = "plan.jsonl"
_STAMP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LOCK = ".lock"


def edition_folder(directory: Path, name: str, edition: str) -> Path:
    """The folder of this edition's runs. Raises ConfigError for an edition that cannot name a folder."""
    if edition and not _STAMP.fullmatch(edition):
        raise ConfigError(
            f"The edition {edition!r} cannot name a folder.",
            next_step="use letters, digits, dot, dash and underscore only",
        )
    return directory / name / edition if edition else directory / name


def make_folder(folder: Path) -> None:
    """Create ``folder`` and its parents, 0700. Raises StorageError."""
    try:
        make_folders(folder)
    except OSError as error:
        raise unwritable(folder, error) from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the edition's lock. Raises UnfinishedError at once when another process holds it."""
    try:
        descriptor = open_own(folder / _LOCK, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise unwritable(folder / _LOCK, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise UnfinishedError(
            "Another process is working on this edition, so this one sends nothing.",
            evidence=str(folder),
            next_step=f"watch it with: campaign status {folder}",
        ) from None
    finally:
        os.close(descriptor)


def runs(folder: Path) -> list[Path]:
    """The run folders of an edition, oldest first by creation (then by name)."""
    try:
        found = [path for path in folder.iterdir() if path.is_dir() and has_run(path)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be read.",
            evidence=str(error),
            next_step="see whose folder it is, then run the same command again",
        ) from error
    return sorted(found, key=lambda path: (birth(path), path.name))


def folders_below(place: Path, levels: int) -> Iterator[Path]:
    """The folders below ``place``, ``levels`` deep, without those inside a run; links are not followed.

    Raises StorageError if one cannot be read.
    """
    try:
        with os.scandir(place) as entries:
            found = [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(
            f"{place} cannot be read.",
            evidence=error.strerror or str(error),
            next_step="see whose folder it is, then run the same command again",
        ) from error
    for folder in found:
        yield folder
        if levels > 1 and not has_run(folder):
            yield from folders_below(folder, levels - 1)


def birth(run: Path) -> float:
    """When the run was opened, by its journal; infinity if it never was."""
    opened = first_record(run)
    return opened if opened is not None else float("inf")


def first_record(run: Path) -> float | None:
    """The time in the journal's first record, or None if there is no journal yet. Raises DamageError."""
    return getattr(_first(run), "at", None)


def began_as_rehearsal(run: Path) -> bool:
    """Whether the run was opened as a rehearsal; one that was not never becomes one. Raises DamageError."""
    first = _first(run)
    return isinstance(first, Opened) and REHEARSAL in first.fingerprints


def _first(run: Path) -> Record | None:
    path = run / journal_reader.NAME
    if not has_journal(run):
        return None
    reading = journal_reader.Reading()
    first = next(journal_reader.read_records(path, reading), None)
    if first is None:
        journal_reader.refuse_damage(path, reading, "")
    return first


def has_run(folder: Path) -> bool:
    """Whether this folder belongs to a run (as opposed to an edition, or something of the operator's)."""
    return has_journal(folder) or (folder / PLAN).exists()


def has_journal(run: Path) -> bool:
    """Whether this run was ever opened."""
    return (run / journal_reader.NAME).exists()


def new_stamp(folder: Path, now: datetime) -> Path:
    """A run folder name such as ``20261124T080000Z`` that is not taken."""
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    candidates = (stamp, *(f"{stamp}-{n}" for n in range(2, 1000)))
    return next(folder / name for name in candidates if not (folder / name).exists())


def named_run(folder: Path, name: str) -> Path:
    """The run folder called ``name`` (a bare name, or a path to it) inside ``folder``; else ConfigError."""
    path = Path(name)
    inside = folder / path if len(path.parts) == 1 else path.absolute()
    if inside.parent.resolve() != folder.resolve() or not _STAMP.fullmatch(inside.name):
        raise ConfigError(
            f"--run {name} does not name a run folder of this edition.",
            evidence=f"run folders lie directly in {folder}",
            next_step="give a bare name, such as --run trial",
        )
    found = folder / inside.name
    if found.exists() and not has_run(found) and any(not one.name.startswith(".") for one in found.iterdir()):
        raise ConfigError(
            f"--run {name} names a folder that belongs to no run.",
            evidence=f"{found} holds something else, such as another edition",
            next_step="give a name that is not taken",
        )
    return found


def refuse_lost_journal(run: Path) -> None:
    """Raise DamageError if a run without a journal shows traces of one; else it is a run about to begin."""
    traces = [name for name in ("log.jsonl", "summary.json", "ballast") if (run / name).exists()]
    if traces:
        raise DamageError(
            "The journal of this run is gone, so nobody can tell who has been served.",
            evidence=f"{run} has {traces[0]} and no {journal_reader.NAME}",
            next_step=f"restore {run / journal_reader.NAME} from a backup; starting over would mail people twice",
        )
