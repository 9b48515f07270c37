"""The mark in an edition's folder that its runs are copies of those in a store; without it they are runs on files.

The two are never mixed: whoever one of them has served would be served again by the other.
"""

from __future__ import annotations

from pathlib import Path

from campaign.errors import ConfigError
from campaign.ledger import run_folder

MARK = ".store"


def refuse_other_ledgers(folder: Path) -> None:
    """Raise ConfigError if this edition has runs on files: whoever they served would be served again."""
    if (folder / MARK).exists():
        return
    if kept := [run for run in run_folder.runs(folder) if run_folder.has_journal(run)]:
        raise ConfigError(
            "This edition has runs on files, which the store does not know, so people would be served twice.",
            evidence=str(kept[-1]),
            next_step="give the campaign another edition, or leave ledger.store out for this one",
        )


def refuse_copies(folder: Path) -> None:
    """Raise ConfigError if this edition's runs are copies of a store's: only the store says who has been served."""
    if (folder / MARK).exists():
        raise ConfigError(
            "The runs of this edition are kept in a store, and ledger.store is not set.",
            evidence=f"{folder / MARK} names it",
            next_step="set ledger.store as it was when they were made",
        )
