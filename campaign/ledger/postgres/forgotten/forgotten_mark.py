"""Up to which forgetting of a store this machine has erased its copies: ``feedback/forgotten.json`` in its ledger.

Until it has, it adds no event to the store and replaces no plan: the plan of before is where it finds the person.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from campaign.errors import UnfinishedError
from campaign.ledger.journal.journal_file import unwritable
from campaign.ledger.postgres.edition_lease import StoreConnection
from campaign.system.atomic_file import make_folders, write_atomically

HEEDED = Path("feedback") / "forgotten.json"


class ForgottenMark(msgspec.Struct, frozen=True):
    """A store, and the number of a forgetting in it."""

    store: str = ""
    number: int = 0


def last_forgetting(connection: StoreConnection) -> ForgottenMark:
    """The store's last forgetting; number 0 if nobody was ever forgotten."""
    row = connection.execute(
        "SELECT uid::text, greatest((SELECT coalesce(max(number), 0) FROM campaign.forgotten), "
        "(SELECT coalesce(max(erased), 0) FROM campaign.run)) FROM campaign.meta"
    ).fetchone()
    return ForgottenMark(row[0], int(row[1])) if row else ForgottenMark()


def heeded(directory: Path, last: ForgottenMark) -> int:
    """The last forgetting that this machine has heeded; 0 if that was of another store, or of one that went back."""
    try:
        mark = msgspec.json.decode((directory / HEEDED).read_bytes(), type=ForgottenMark)
    except (OSError, msgspec.MsgspecError):
        return 0
    return mark.number if mark.store == last.store and mark.number <= last.number else 0


def is_behind(connection: StoreConnection, directory: Path) -> bool:
    """Whether somebody was forgotten whom this machine has not erased yet."""
    last = last_forgetting(connection)
    return heeded(directory, last) < last.number


def note_heeded(directory: Path, mark: ForgottenMark) -> None:
    """Note that this machine has erased everybody up to ``mark``. Raises StorageError."""
    try:
        make_folders((directory / HEEDED).parent)
        write_atomically(directory / HEEDED, msgspec.json.encode(mark))
    except OSError as error:
        raise unwritable(directory / HEEDED, error) from error


def refuse_behind(connection: StoreConnection, run: Path) -> None:
    """Raise UnfinishedError if the ledger with this run's folder has yet to erase somebody."""
    places = [place for place in run.absolute().parents[1:3] if (place / HEEDED).exists()]
    if is_behind(connection, places[0] if places else run.absolute().parents[1]):
        raise UnfinishedError(
            "Somebody was forgotten a moment ago whom this machine has not erased yet, so its copies stay as they are.",
            evidence=str(run),
            next_step="run the same command again; it erases them first",
        )
