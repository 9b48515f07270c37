"""The mark in an edition's folder that its runs are copies of those in a store; without it they are runs on files.

The two are never mixed: whoever one of them has served would be served again by the other. The mark is JSON: the
store's address, and the campaign file on this machine.
"""

from __future__ import annotations

import json
from pathlib import Path

from campaign.errors import ConfigError, StorageError
from campaign.ledger import run_folder
from campaign.ledger.journal import journal_reader
from campaign.ledger.journal.journal_file import write_whole

#: In an edition's folder; and in a run's, what it is a copy of.
MARK, COPY = ".store", "store.json"
#: Below the ledger's directory: how far its feedback is the same as a store's.
EXCHANGED = Path("feedback") / "store.json"


def is_copy(run: Path) -> bool:
    """Whether a run's folder is a copy of a run in a store."""
    return (run / COPY).exists() or (run.parent / MARK).exists()


def mark_edition(folder: Path, store: str, file: Path) -> None:
    """Say in an edition's folder that its runs are copies. Raises StorageError."""
    text = json.dumps({"store": store, "file": str(file.resolve())}) + "\n"
    if not (folder / MARK).exists() or (folder / MARK).read_text(encoding="utf-8") != text:
        write_whole(folder / MARK, text.encode())


def campaign_file(run: Path) -> Path | None:
    """The campaign file of a copy on this machine; None if the run is no copy."""
    if not (run.parent / MARK).exists():
        return None
    return Path(_marked(run.parent / MARK)["file"])


def refuse_other_ledgers(folder: Path, move: str) -> None:
    """Raise ConfigError if this edition has runs on files: whoever they served would be served again.

    ``move`` is the command that brings them into the store.
    """
    if kept := [run for run in runs_on_files(folder) if has_begun(run)]:
        raise ConfigError(
            "This edition has runs on files, which the store does not know, so people would be served twice.",
            evidence=str(kept[-1]),
            next_step=f"bring them into the store: {move} --dry-run",
        )


def runs_on_files(folder: Path) -> list[Path]:
    """The runs in an edition's folder that are no copies, oldest first; those without a journal are left out."""
    return [run for run in run_folder.runs(folder) if run_folder.has_journal(run) and not (run / COPY).exists()]


def has_begun(run: Path) -> bool:
    """Whether a run was served: its journal has more than the line with which it was made."""
    with (run / journal_reader.NAME).open("rb") as journal:
        return bool(journal.readline() and journal.readline())


def is_unmade(run: Path) -> bool:
    """Whether a run was made for a store that does not have it yet, or never will: it has served nobody."""
    return (run.parent / MARK).exists() and not (run / COPY).exists() and not has_begun(run)


def refuse_copies(folder: Path) -> None:
    """Raise ConfigError if this edition's runs are copies of a store's: only the store says who has been served."""
    if (folder / MARK).exists():
        raise ConfigError(
            "The runs of this edition are kept in a store, and ledger.store is not set.",
            evidence=f"{folder / MARK} names it",
            next_step="set ledger.store as it was when they were made",
        )


def refuse_in_copies(folder: Path) -> None:
    """Raise ConfigError if a run, or the feedback, below ``folder`` is a copy: what is stored would stay as it is."""
    mark = next(iter(sorted(folder.rglob(MARK))), folder / EXCHANGED)
    if mark.exists():
        raise ConfigError(
            "This ledger directory has copies of what a store keeps, and ledger.store is not set.",
            evidence=str(mark),
            next_step="set ledger.store as it was when they were made, then run the same command again",
        )


def refuse_other_stores(folder: Path, store: str) -> None:
    """Raise ConfigError if runs below ``folder`` are copies of another store's, which would keep what is erased."""
    for mark in sorted(folder.rglob(MARK)):
        if (named := _marked(mark)["store"]) != store:
            raise ConfigError(
                "This ledger directory has copies of another store's runs, so nothing is erased.",
                evidence=f"{mark} names {named}",
                next_step="see that ledger.store is the store's address; delete copies of a store that you left",
            )


def _marked(mark: Path) -> dict[str, str]:
    try:
        found = json.loads(mark.read_text(encoding="utf-8"))
        return {"store": str(found["store"]), "file": str(found["file"])}
    except (OSError, ValueError, KeyError) as error:
        raise StorageError(
            f"{mark} cannot be read.",
            evidence=str(error),
            next_step="run campaign send for this campaign, which writes it again",
        ) from None
