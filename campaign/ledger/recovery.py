"""Reading a journal again after any kind of end: its state, and the torn tail left by a kill or a loss of power."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from campaign.errors import DamageError
from campaign.ledger.journal import journal_file, journal_reader
from campaign.ledger.journal.journal_records import Record
from campaign.ledger.shards.shard_reader import Leftover, leftovers
from campaign.ledger.state.run_state import RunState
from campaign.system.boot import boot_identity, power_lost


def read_history(folder: Path, *, running: bool = False) -> RunState:
    """The history of a run as far as it is written, for reading only. Raises DamageError or StorageError.

    Unless a process is ``running`` it, letters between dot and reply are in doubt.
    """
    path, reading = folder / journal_reader.NAME, journal_reader.Reading()
    history = replay_journal(path, reading)
    boot = boot_identity()
    journal_reader.refuse_damage(path, reading, boot)
    taken: list[int] = []
    for leftover in leftovers(folder, reading, boot):
        taken += apply_leftover(leftover, history, boot)
        history.replayed = 0
    if not running:
        history.settle_interrupted(power_lost=power_lost(history.boot, boot), taken=taken)
    return history


def read_run(folder: Path) -> Iterator[Record]:
    """All records of a run, those of shards that were not merged yet last. Raises DamageError or StorageError."""
    reading = journal_reader.Reading()
    yield from journal_reader.read_records(folder / journal_reader.NAME, reading)
    for leftover in leftovers(folder, reading, boot_identity()):
        yield from (line.record for line in leftover.lines)


def apply_leftover(leftover: Leftover, history: RunState, boot: str) -> list[int]:
    """Apply what a shard's journal says; returns who may have been taken from it besides."""
    for line in leftover.lines:
        history.apply(line.record)
    return leftover.taken(history, boot)


def replay_journal(path: Path, reading: journal_reader.Reading) -> RunState:
    """The state that the readable records add up to. Raises DamageError if they contradict each other."""
    try:
        history = RunState.replay(journal_reader.read_records(path, reading))
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        if reading.lines == 0:
            journal_reader.refuse_damage(path, reading, "")
        raise DamageError(
            "The journal contradicts itself, so nothing is sent.",
            evidence=f"{path}:{reading.lines}: {error}",
            next_step=f"see what can be saved: campaign repair {path.parent} --dry-run",
        ) from error
    history.replayed = reading.octets if reading.whole and not reading.completed else 0
    return history


def recover(file: journal_file.JournalFile, boot: str, notices: list[str]) -> tuple[RunState, journal_reader.Reading]:
    """The state of a journal open for writing, after repair: a torn tail is cut off and kept beside it.

    ``notices`` gets a sentence about that. Raises DamageError, StorageError.
    """
    reading = journal_reader.Reading()
    history = replay_journal(file.path, reading)
    journal_reader.refuse_damage(file.path, reading, boot)
    if reading.completed:
        file.append(b"\n")
    elif not reading.whole:
        notices.append(_cut(file, reading.octets))
    return history, reading


def _cut(file: journal_file.JournalFile, octets: int) -> str:
    tail = file.size - octets
    with file.path.open("rb") as journal:
        journal.seek(octets)
        torn = journal.read()
    journal_file.write_whole(file.path.with_name(f"torn-tail-{octets}"), torn)
    file.truncate(octets)
    return f"The last {tail} octets of the journal were torn by an earlier end and have been cut off."
