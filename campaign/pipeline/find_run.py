"""Finding the run named on the command line: by a run folder, a folder above it, a campaign file, or nothing at all.

It reads only when a run began, and changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import NoReturn

from campaign.config import load
from campaign.errors import ConfigError
from campaign.ledger import run_folder
from campaign.ledger.journal import journal_reader
from campaign.ledger.postgres.runs.copy_mark import is_unmade
from campaign.pipeline.command_context import prepare
from campaign.report.live.console import path_text
from campaign.system.user_name import user_name


def find_run(named: str, say: Callable[[str], None]) -> Path:
    """The run folder named by a path: itself, or the newest run below an edition, a campaign or ``runs``.

    For a campaign file whose edition has no run yet it is the newest run of an earlier edition; ``say`` gets a message.
    Raises ConfigError if there is none, DamageError if a run has lost its journal.
    """
    if named.endswith(".toml"):
        return _of_campaign(named, say)
    place = Path(named or "runs")
    refuse_closed(place)
    if run_folder.has_run(place):
        refuse_unbegun(place)
        return place
    return _newest_below(place) or _nowhere(place, "campaign send FILE makes one")


def _of_campaign(named: str, say: Callable[[str], None]) -> Path:
    settings = load(Path(named))
    edition = settings.campaign.edition_at(datetime.now().astimezone())
    if settings.ledger.store:
        from campaign.pipeline.workers.stored_run import fetch_newest

        fetch_newest(prepare(settings))
    folder = run_folder.edition_folder(settings.base / settings.ledger.directory, settings.campaign.name, edition)
    refuse_closed(folder)
    found = _newest_below(folder)
    if found is None and edition and (found := _newest_below(folder.parent)):
        which = f"edition {found.parent.name}" if found.parent != folder.parent else "time without editions"
        say(f"The edition {edition} has no run yet; this is the newest of the {which}: {path_text(found)}")
    return found or _nowhere(folder, f"campaign send {named} makes the first")


def refuse_closed(place: Path) -> None:
    """Raise ConfigError if the user may not enter a folder on the path, instead of reporting that there is no run."""
    real = place.resolve()
    for folder in (*reversed(real.parents), real):
        if not os.access(folder, os.X_OK) and os.access(folder, os.F_OK):
            _closed(folder)


def _refuse_closed_below(error: OSError) -> None:
    if isinstance(error, PermissionError):
        _closed(Path(error.filename))


def _closed(folder: Path) -> NoReturn:
    status = folder.stat()
    owner = user_name(status.st_uid)
    raise ConfigError(
        f"The folder {folder} is closed to you, so nobody can say from here which runs it holds.",
        evidence=f"it belongs to {owner} (mode {status.st_mode & 0o777:04o}), and you are {user_name(os.geteuid())}",
        next_step=f"ask {owner}, or: sudo -u {owner} campaign status {folder}",
    )


def _newest_below(place: Path) -> Path | None:
    found = [run.parent for run in place.rglob(journal_reader.NAME)] if place.is_dir() else []
    found = [run for run in found if not is_unmade(run)]
    return max(found, key=run_folder.birth, default=None)


def _nowhere(place: Path, first: str) -> NoReturn:
    for _ in os.walk(place.resolve(), onerror=_refuse_closed_below):
        pass
    raise ConfigError(
        f"There is no run in {path_text(place)}.",
        next_step=f"name the campaign file, or a run folder such as runs/gazette/20261124T080000Z; {first}",
    )


def refuse_unbegun(run: Path) -> None:
    """Raise ConfigError for a run that has a plan but no journal: a request left there would be deleted with it."""
    if run_folder.has_journal(run):
        return
    run_folder.refuse_lost_journal(run)
    raise ConfigError(
        f"The run in {path_text(run)} has not begun, and nobody has been served by it.",
        evidence=f"there is no {journal_reader.NAME}",
        next_step="once the process that makes it says `new run`, try again; without one, the next send clears it away",
    )
