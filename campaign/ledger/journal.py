"""The journal on disk: read it, mend its torn tail, append to it. One writer, one record per write.

A run's journal always exists whole or not at all: its first line is put there by a rename. A torn last line (a kill
in the middle of a write) is cut off with a notice before anything is appended; so is, after a loss of power, damage
past the last sync mark. Damage anywhere else is refused with its line number, never skipped over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from campaign.errors import DamageError, StorageError
from campaign.ledger.records import Record, Started, Synced, decode

NAME = "checkpoint.journal"


@dataclass(slots=True)
class Reading:
    """How far a journal could be read: whole octets, records, and what was found after them."""

    octets: int = 0
    lines: int = 0
    damaged_line: int = 0
    torn: bool = False
    completed: bool = False
    synced: int = 0
    boot: str = ""

    @property
    def whole(self) -> bool:
        """Every line was read and none is torn."""
        return not (self.torn or self.damaged_line)


def read(path: Path, reading: Reading) -> Iterator[Record]:
    """Yield records up to the first that is damaged or torn, and note in ``reading`` where that was."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise StorageError(f"{path} cannot be read.", evidence=str(error)) from error
    with file:
        for line in file:
            record = decode(line[:-1]) if line.endswith(b"\n") else _last(line, reading)
            if record is None:
                _note_damage(line, reading, file)
                return
            reading.octets += len(line)
            reading.lines += 1
            if type(record) is Synced:
                reading.synced = record.upto
            elif type(record) is Started:
                reading.boot = record.boot
            yield record


def _last(line: bytes, reading: Reading) -> Record | None:
    """A last line without line feed: whole all the same if only the line feed is missing."""
    record = decode(line)
    reading.completed = record is not None
    return record


def _note_damage(line: bytes, reading: Reading, rest: Iterable[bytes]) -> None:
    """A line without its end is torn; anything else is damage, older than every sync mark that follows it."""
    if not line.endswith(b"\n") and decode(line[:-1]) is None:
        reading.torn = True
        return
    reading.damaged_line = reading.lines + 1
    for later in rest:
        record = decode(later.rstrip(b"\n"))
        if type(record) is Synced:
            reading.synced = max(reading.synced, record.upto)


def refuse_damage(path: Path, reading: Reading, boot: str) -> None:
    """Raise DamageError unless what follows the readable part may be cut off as tail."""
    power_lost = bool(reading.boot) and reading.boot != boot
    if reading.lines == 0:
        raise _damage(path, 1, "it does not even say which campaign it belongs to")
    if reading.damaged_line and not (power_lost and reading.octets >= reading.synced):
        raise _damage(path, reading.damaged_line, "the line's checksum does not fit its text")


def _damage(path: Path, line: int, detail: str) -> DamageError:
    return DamageError(
        "The journal is damaged, so nothing is sent.",
        evidence=f"{path}:{line}: {detail}",
        next_step=f"see what can be saved: campaign repair {path.parent} --dry-run",
    )
