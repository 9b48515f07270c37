"""Repair of a damaged journal, on the safe side: recipients who may have been served become in doubt, not unsent.

Every line that still carries a sound record is kept, in order. The content of the lost lines is unknown, so every
recipient without a verdict who may have been taken by then (the frontier bounds it) becomes in doubt. The damaged
original is kept beside the repaired journal.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from campaign.errors import DamageError, StorageError
from campaign.ledger.journal.journal_file import JournalFile, write_whole
from campaign.ledger.journal.journal_records import (
    Intent,
    Leased,
    Merged,
    Opened,
    Pass,
    Record,
    ReservedUpTo,
    Started,
    Synced,
    VerdictRecord,
    decode,
    encode,
)
from campaign.ledger.journal.journal_writer import LARGEST_BLOCK
from campaign.ledger.run_folder import locked
from campaign.ledger.shards.shard_reader import FOLDER, ShardSpan, shard_journals
from campaign.ledger.state.recipient_states import BY_NAME, is_date
from campaign.ledger.state.run_state import RunState
from campaign.model import Verdict

REASON = "damaged lines of the journal may have been about this letter"


class Salvage(msgspec.Struct):
    """The result of a repair: sound lines, the numbers of lost ones (1-based), and who becomes in doubt.

    ``doubtful`` maps each of these to the Date that the letter had, so that it can be sent again with the same bytes.

    A line is lost if it is damaged, or if its record is impossible, such as a recipient who is not in the plan.
    ``lost_in_shards`` are those of journals that sending processes left, as ``FILE:LINE``.
    """

    lines: list[bytes] = msgspec.field(default_factory=list)
    lost_lines: list[int] = msgspec.field(default_factory=list)
    lost_in_shards: list[str] = msgspec.field(default_factory=list)
    torn: bool = False
    doubtful: dict[int, int] = msgspec.field(default_factory=dict)
    last_time: float = 0.0

    @property
    def lost(self) -> list[str]:
        """All lost lines, as the operator is told of them."""
        return [*map(str, self.lost_lines), *self.lost_in_shards]


class Repaired(msgspec.Struct, frozen=True):
    """The outcome of a repair, or of a look before it: how many lines are sound, which are lost, who is in doubt.

    ``failed_over``: the run is in a store that failed over, so that more may be lost than can be seen.
    """

    folder: Path
    lines: int
    lost: list[str]
    in_doubt: int
    failed_over: bool = False


def inspect_journal(path: Path) -> Salvage:
    """Inspect a journal for what can be saved. Raises DamageError if even the first line is damaged; StorageError."""
    try:
        *whole, rest = path.read_bytes().split(b"\n")
    except OSError as error:
        raise StorageError(
            f"{path} cannot be read.",
            evidence=str(error),
            next_step="see whose file it is and that the disk is sound, then run the same command again",
        ) from error
    opened = decode(whole[0]) if whole else None
    if not isinstance(opened, Opened):
        raise DamageError(
            "Nothing can be saved: the journal's first line does not say which campaign it belongs to.",
            evidence=f"{path}:1",
            next_step=f"restore {path} from a backup",
        )
    inspection = _Inspection(opened, Salvage(whole[:1], torn=bool(rest), last_time=opened.at))
    for number, line in enumerate(whole[1:], 2):
        inspection.take(number, line)
    if shards := shard_journals(path.parent):
        merged = inspection.of_last_pass()
        for span, shard in shards:
            inspection.take_shard(span, shard, merged)
    return inspection.result(len(whole))


class _Inspection:
    """One walk through the lines: each is kept and applied, or lost."""

    def __init__(self, opened: Opened, salvage: Salvage) -> None:
        self._history, self._salvage = RunState(opened), salvage
        self._damaged = 0  # the last unreadable line
        self._may_be_frontier = False
        self._bound = 0  # upper bound of the numbers taken, by the readable lines
        self._told_of: set[int] = set()  # recipients in impossible records, and in shards with lost lines

    def take(self, number: int, line: bytes) -> None:
        """Keep or lose the next line."""
        record = decode(line)
        # A frontier is synced at once, so a lost line can only be one if it precedes a sync mark or another lost line.
        self._may_be_frontier |= self._damaged == number - 1 and (record is None or isinstance(record, Synced))
        if record is None:
            self._damaged = number
            self._salvage.lost_lines.append(number)
            return
        self._note(record)
        if is_possible(record, len(self._history.state)):
            self._history.apply(record)
            self._salvage.lines.append(line)
            return
        self._salvage.lost_lines.append(number)
        if isinstance(record, Intent | VerdictRecord):
            self._told_of.add(record.number)

    def of_last_pass(self) -> set[bytes]:
        """The lines kept of the last pass, in which all shards are. An earlier intent may be the same, line by line."""
        found: set[bytes] = set()
        for line in reversed(self._salvage.lines):
            record = decode(line)
            if record is None or isinstance(record, Pass):
                break
            found.add(encode(record))
        return found

    def take_shard(self, span: ShardSpan, path: Path, merged: set[bytes]) -> None:
        """Keep the lines of a shard's journal that are not ``merged``. If any is lost, all in it may be in doubt."""
        lost, taken = list[str](), span.first
        *lines, _ = path.read_bytes().split(b"\n")  # after the last line feed is a torn line, or nothing
        for number, line in enumerate(lines, 1):
            record = decode(line)
            if isinstance(record, Intent | VerdictRecord) and is_possible(record, len(self._history.state)):
                if encode(record) not in merged:
                    self._history.apply(record)
                    self._salvage.lines.append(line)
            elif isinstance(record, ReservedUpTo):
                taken = min(record.until, span.beyond)
            elif not isinstance(record, Leased | Synced):
                lost.append(f"{path.relative_to(path.parent.parent)}:{number}")
        self._salvage.lost_in_shards += lost
        self._told_of.update(range(span.first, span.beyond if lost or not lines else taken))

    def result(self, lines: int) -> Salvage:
        """The result after the last of ``lines`` lines."""
        history, salvage = self._history, self._salvage
        doubtful = {n for n in self._told_of if 0 <= n < len(history.state) and history.is_open(n)}
        if self._damaged:
            bound = self._bound + LARGEST_BLOCK * (self._may_be_frontier or self._damaged == lines)
            doubtful.update(n for n in history.numbers(Verdict.WAITING, Verdict.DEFERRED) if n < bound)
        if salvage.lost:
            numbers = sorted(doubtful.union(history.pending))
            salvage.doubtful = {number: history.dates[number] or history.pass_at for number in numbers}
        return salvage

    def _note(self, record: Record) -> None:
        if isinstance(record, ReservedUpTo):
            self._bound = max(self._bound, record.until)
        elif isinstance(record, Merged):
            self._bound, self._may_be_frontier = max(self._bound, record.beyond), True
        elif isinstance(record, Intent | VerdictRecord):
            self._bound = max(self._bound, record.number + 1)
        if isinstance(record, VerdictRecord | Started):
            self._salvage.last_time = max(self._salvage.last_time, record.at)


def is_possible(record: Record, recipients: int) -> bool:
    """Whether a run of so many recipients can have this record: a known verdict, dates that fit."""
    if isinstance(record, Intent):
        return 0 <= record.number < recipients and is_date(record.date)
    if isinstance(record, VerdictRecord):
        known = 0 <= record.number < recipients and record.verdict in BY_NAME
        return known and is_date(record.date) and is_date(record.not_before)
    return is_date(record.at) if isinstance(record, Pass) else not isinstance(record, Opened)


def repair(path: Path) -> Salvage:
    """Replace the damaged journal by the repaired one, and keep it beside. Also raises UnfinishedError.

    Holds the locks of the edition, the run and its shards: a process that began to send meanwhile would write into the
    replaced file.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.closing(JournalFile(path)))
        stack.enter_context(locked(path.parent.resolve().parent))
        for _, shard in shard_journals(path.parent):
            stack.enter_context(contextlib.closing(JournalFile(shard)))
        return _repaired(path)


def _repaired(path: Path) -> Salvage:
    salvage = inspect_journal(path)
    if not salvage.lost:
        return salvage
    at = salvage.last_time
    doubts = [
        encode(VerdictRecord(n, Verdict.IN_DOUBT.value, at=at, reason=REASON, date=float(date), counted=False))
        for n, date in salvage.doubtful.items()
    ]
    write_whole(kept_name(path), path.read_bytes())
    write_whole(path, b"".join([line + b"\n" for line in salvage.lines] + doubts))
    shards = path.parent / FOLDER
    if shards.is_dir():  # all that it tells is in the journal now
        shards.rename(kept_name(shards))
    return salvage


def kept_name(path: Path) -> Path:
    """A free name beside ``path``, to keep what it was."""
    return next(name for n in range(1, 10_000) if not (name := path.with_name(f"{path.name}.damaged-{n}")).exists())
