"""Saving what can be saved of a damaged journal, on the safe side: who may have been served is in doubt, not unsent.

Every line that still carries a sound record is kept, in order. What the lost lines said cannot be known, so everybody
without a verdict who may have been drawn by then (the frontier bounds it) becomes in doubt. The damaged original is
kept beside the repaired journal.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from campaign.errors import DamageError, StorageError
from campaign.ledger.checkpoint import LARGEST_BLOCK
from campaign.ledger.folders import locked
from campaign.ledger.history import History
from campaign.ledger.records import Frontier, Intent, Opened, Record, Settled, Started, Synced, decode, encode
from campaign.ledger.storage import AppendOnly, write_whole
from campaign.model import Verdict

REASON = "lines of the journal that may have told of this letter were damaged"


@dataclass(slots=True)
class Salvage:
    """What a repair finds: sound records, the numbers of lost lines (1-based), and who becomes in doubt."""

    records: list[bytes] = field(default_factory=list)
    lost_lines: list[int] = field(default_factory=list)
    torn: bool = False
    lost_frontier: bool = False
    doubtful: list[int] = field(default_factory=list)


def inspect(path: Path) -> Salvage:
    """What can be saved. Raises DamageError where not even the first line is sound; StorageError."""
    salvage = Salvage()
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise StorageError(
            f"{path} cannot be read.",
            evidence=str(error),
            next_step="see whose file it is and that the disk is sound, then run the same command again",
        ) from error
    *whole, rest = lines
    salvage.torn = bool(rest)
    for number, line in enumerate(whole, 1):
        record = decode(line)
        if record is None:
            salvage.lost_lines.append(number)
        else:
            salvage.records.append(line + b"\n")
        salvage.lost_frontier |= _tells_of_a_frontier(salvage.lost_lines, number, record)
    salvage.lost_frontier |= salvage.lost_lines[-1:] == [len(whole)]
    history = _history(path, salvage)
    if salvage.lost_lines:
        bound = _bound(salvage, history)
        doubtful = [*history.pending, *(n for n in history.numbers(Verdict.WAITING, Verdict.DEFERRED) if n < bound)]
        salvage.doubtful = sorted(set(doubtful))
    return salvage


def repair(path: Path) -> Salvage:
    """Put the repaired journal in the damaged one's place, which stays beside it. Raises also UnfinishedError.

    Under the locks of the edition and the run: who began to send meanwhile would write into the journal replaced.
    """
    with contextlib.closing(AppendOnly(path)), locked(path.parent.resolve().parent):
        return _repaired(path)


def _repaired(path: Path) -> Salvage:
    salvage = inspect(path)
    if not salvage.lost_lines:
        return salvage
    at = _last_time(salvage)
    doubts = [encode(Settled(n, Verdict.IN_DOUBT.value, at=at, reason=REASON, counted=False)) for n in salvage.doubtful]
    kept = next(name for n in range(1, 10_000) if not (name := path.with_name(f"{path.name}.damaged-{n}")).exists())
    write_whole(kept, path.read_bytes())
    write_whole(path, b"".join([*salvage.records, *doubts]))
    return salvage


def _history(path: Path, salvage: Salvage) -> History:
    records = _decoded(salvage.records)
    first = next(records, None)
    if not isinstance(first, Opened):
        raise DamageError(
            "Nothing can be saved: the journal's first line does not say which campaign it belongs to.",
            evidence=f"{path}:1",
            next_step=f"restore {path} from a backup",
        )
    history = History(first)
    for record in records:
        try:
            history.apply(record)
        except (ValueError, IndexError, KeyError, OverflowError):
            salvage.records.remove(encode(record))
    return history


def _decoded(lines: list[bytes]) -> Iterator[Record]:
    return (record for line in list(lines) if (record := decode(line[:-1])) is not None)


def _bound(salvage: Salvage, history: History) -> int:
    """Nobody at or above it can have been drawn: the highest frontier, and a block more if one may be lost."""
    highest = 0
    for record in _decoded(salvage.records):
        if isinstance(record, Frontier):
            highest = max(highest, record.until)
        elif isinstance(record, Intent | Settled):
            highest = max(highest, record.number + 1)
    return min(highest + LARGEST_BLOCK * salvage.lost_frontier, len(history.state))


def _tells_of_a_frontier(lost: list[int], number: int, record: Record | None) -> bool:
    """A frontier is synced at once, so only a lost line before a sync mark, or beside another lost one, can be one."""
    return lost[-1:] == [number - 1] and (record is None or isinstance(record, Synced))


def _last_time(salvage: Salvage) -> float:
    times = [record.at for record in _decoded(salvage.records) if isinstance(record, Settled | Started | Opened)]
    return max(times, default=0.0)
