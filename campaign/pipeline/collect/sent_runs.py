"""Finds the runs whose letters this campaign's secret can recognise, of all campaigns in the ledger's directory.

A journal's first record has the fingerprint of the secret that made the run's Message-IDs. Rehearsals are excluded,
because their letters reached no one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from campaign.config.campaign_secret import secret_fingerprint
from campaign.ledger import run_folder
from campaign.ledger.journal import journal_reader
from campaign.ledger.journal.journal_records import REHEARSAL, Opened, decode
from campaign.ledger.recovery import read_history
from campaign.model import Identity

LEVELS = 3  #: CAMPAIGN, EDITION, RUN
LONGEST_FIRST = 1 << 20  #: octets of a first record
CHUNK = 1 << 20
SECRET = "campaign.secret"  # noqa: S105 - the name among a run's fingerprints
_CHANGED = b'"is":"changed"'


@dataclass(frozen=True, slots=True)
class SentRun:
    """A run through a relay. ``name`` is CAMPAIGN[/EDITION]/RUN; ``secret`` is the one with which it began."""

    name: str
    folder: Path
    opened: Opened
    secret: bytes = field(repr=False)

    @property
    def identity(self) -> Identity:
        """The identity from which its Message-IDs and tokens are derived."""
        return Identity(self.opened.campaign, self.opened.edition, self.opened.generation, self.secret)


def sent_runs(directory: Path, secret: bytes, *, rehearsals: bool = False) -> tuple[SentRun, ...]:
    """The runs below ``directory``, newest first; runs without a readable first record are skipped.

    With ``rehearsals`` only those, otherwise only runs through a relay.

    ``secret`` may have several lines: a file with a new first line still recognises what it made before.
    Raises StorageError if the directory cannot be read.
    """
    known = {secret_fingerprint(one): one for one in earlier_secrets(secret)}
    found = [
        SentRun(folder.relative_to(directory).as_posix(), folder, opened, known[opened.fingerprints[SECRET]])
        for folder in run_folder.folders_below(directory, LEVELS)
        if (opened := _opened(folder))
        and opened.fingerprints.get(SECRET) in known
        and _rehearsal(folder, opened) is rehearsals
    ]
    return tuple(sorted(found, key=lambda run: (run.opened.at, run.name), reverse=True))


def earlier_secrets(secret: bytes) -> list[bytes]:
    """The whole secret, then the secret without its first line, and so on."""
    lines = secret.strip().splitlines(keepends=True)
    return [b"".join(lines[first:]).strip() for first in range(len(lines)) if lines[first].strip()]


def _opened(folder: Path) -> Opened | None:
    """The journal's first record; None if it cannot be read, which other commands report."""
    try:
        with (folder / journal_reader.NAME).open("rb") as journal:
            record = decode(journal.readline(LONGEST_FIRST).rstrip(b"\n"))
    except OSError:
        return None
    return record if isinstance(record, Opened) else None


def _rehearsal(folder: Path, opened: Opened) -> bool:
    """Whether no relay got its letters. A run continued with a relay has a record of changed inputs in its journal."""
    if REHEARSAL not in opened.fingerprints:
        return False
    return not _changed(folder) or read_history(folder, running=True).rehearsal


def _changed(folder: Path) -> bool:
    """Whether the journal has a record of changed inputs; found without decoding the others."""
    with (folder / journal_reader.NAME).open("rb") as journal:
        tail = b""
        while octets := journal.read(CHUNK):
            if _CHANGED in tail + octets:
                return True
            tail = octets[-len(_CHANGED) :]
    return False
