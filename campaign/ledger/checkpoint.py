"""The checkpoint of one run: its journal open for writing, and its history kept up to date with every append.

This is the interface between the pipeline and the ledger. The pipeline uses only what this class offers: open, reserve,
intent, verdict, history, end; a ledger shared by several machines would offer the same. Nothing here depends on SMTP,
templates or the source of the list.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from campaign.errors import StorageError
from campaign.ledger.journal import journal_file, journal_reader
from campaign.ledger.journal.group_sync import GroupSync
from campaign.ledger.journal.journal_records import (
    NONE,
    Changed,
    Ended,
    Intent,
    Opened,
    Pass,
    Record,
    ReservedUpTo,
    Started,
    Synced,
    VerdictRecord,
    encode,
)
from campaign.ledger.recovery import recover
from campaign.ledger.state.recipient_states import LATEST, is_date
from campaign.ledger.state.run_state import RunState
from campaign.model import Letter, Outcome, Verdict
from campaign.system.boot import boot_clock, boot_identity, power_lost

#: Recipients reserved at first; the block grows until one sync covers about two seconds of sending.
FIRST_BLOCK = 64
LARGEST_BLOCK = 65_536
BLOCK_SECONDS = 2.0


def create(folder: Path, opened: Opened) -> None:
    """Write the journal's first line, atomically and durably. Raises StorageError."""
    journal_file.write_whole(folder / journal_reader.NAME, encode(opened))


class Checkpoint:
    """One run's journal, locked by this process. ``notices`` are sentences about what was found at opening."""

    def __init__(
        self,
        folder: Path,
        *,
        durability: str = "process",
        history: RunState | None = None,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = boot_clock,
        boot: str | None = None,
        open_file: Callable[[Path], journal_file.JournalFile] = journal_file.JournalFile,
    ) -> None:
        """Lock the journal, replay it, cut off a torn tail, and mark recipients in doubt.

        A ``history`` read a moment ago (`read_history`) saves the replay if the journal has not changed since. Raises
        UnfinishedError (locked), DamageError, StorageError.
        """
        self.folder = folder
        self.notices: list[str] = []
        self._clock = clock
        self._power, self._few = durability == "power", False
        self._dots: dict[int, float] = {}
        self._refused: StorageError | None = None
        self._block, self._block_at = FIRST_BLOCK, 0.0
        self._file = open_file(folder / journal_reader.NAME)
        try:
            self._boot = boot_identity() if boot is None else boot
            known = history is not None and history.replayed == self._file.size > 0
            self.history = history if history is not None and known else recover(self._file, self._boot, self.notices)
            self._file.load_ballast()
            self._begin(durability)
            self.history.run_clock.go_by(steady)
        except BaseException:
            self._file.close()
            raise
        self._sync = GroupSync(self._file, self._mark)

    def begin_pass(self) -> int:
        """Begin a pass over all that is due now; returns its date in POSIX seconds. Raises StorageError."""
        now = int(self._clock())
        if not is_date(now):
            raise StorageError(
                "The clock of this machine is wrong by decades, so nothing is sent.",
                evidence=f"it says {now:,} seconds since 1970; a journal holds dates up to February 2106",
                next_step="set the clock, then run the same command again; it continues where it stopped",
            )
        self._append(Pass(self.history.passes + 1, now))
        self._block_at = 0.0
        return now

    def look_at_clock(self) -> str:
        """Notice a clock that was set back while nothing was written; returns the consequence in words, or ``""``."""
        before = self.history.drawn_in
        self.history.look_at_clock(self._clock())
        return self._drawn_in(self.history.drawn_in - before)

    def expect_few(self, few: bool) -> None:
        """Set whether a pass takes a few of many: it syncs intents, as a block would hold all between them."""
        self._few = few

    def reserve(self, number: int) -> None:
        """Call before ``number`` is taken, so that it counts as possibly taken after a loss of power."""
        if self._few or number < self.history.frontier:
            return
        now = time.monotonic()
        took = now - self._block_at
        self._block = FIRST_BLOCK if not self._block_at else self._fit(took)
        self._block_at = now
        self._append(ReservedUpTo(number + self._block))
        self.sync()

    def date_of(self, number: int) -> int:
        """The Date of this recipient's letter: that of its first try, else of the current pass."""
        return self.history.dates[number] or self.history.pass_at

    def intent(self, letter: Letter, relay: str) -> Awaitable[None] | None:
        """Record that the dot is about to leave. Under ``power`` the caller awaits the sync before it does."""
        number = letter.number
        if self._file.in_need:
            raise journal_file.unwritable(self._file.path, self._file.in_need)
        if self._refused:
            raise self._refused
        try:
            self._append(Intent(number, letter.digest.hex(), self.date_of(number), relay))
        except StorageError as error:
            self._refused = error  # no dot leaves after this, even if the disk works again a moment later
            raise
        self._dots[number] = time.monotonic()
        return self._sync.wait() if self._power or self._few else None

    def verdict(self, outcome: Outcome, not_before: float = 0.0) -> None:
        """Record the outcome for one recipient; if the disk is full, release the ballast and try again."""
        number = outcome.number
        dot = self._dots.pop(number, None)
        record = VerdictRecord(
            number,
            outcome.verdict.value,
            at=round(self._clock(), 3),
            code=outcome.code,
            enhanced=outcome.enhanced,
            reason=outcome.reason,
            relay=outcome.relay,
            took=NONE if dot is None else round(time.monotonic() - dot, 4),
            counted=outcome.counted,
            date=NONE if dot is not None or not outcome.relay else self.date_of(number),
            not_before=min(not_before, LATEST) if not_before else NONE,
            dead=outcome.suppress,
        )
        self._file.append_in_need(encode(record))
        self.history.apply(record)

    def settle(self, number: int, verdict: Verdict, reason: str) -> Verdict:
        """Record a verdict that needed no attempt: withdrawn, cancelled, expired, unrenderable, resolved.

        A recipient who may have a letter already stays in doubt unless it was resolved. Returns the recorded verdict.
        """
        if number in self.history.digests and verdict is not Verdict.ACCEPTED:
            verdict = Verdict.IN_DOUBT
        record = VerdictRecord(number, verdict.value, at=round(self._clock(), 3), reason=reason, counted=False)
        self._append(record)
        return verdict

    def settle_pending(self) -> None:
        """When sending is over, mark recipients in doubt whose intent has no verdict because it could not be written.

        The same holds for those who were to be sent again (`RunState.reopen_doubts`) and were not.
        """
        for number in list(self.history.pending):
            self.settle(number, Verdict.IN_DOUBT, "the dot was sent and what became of it could not be written down")
        self.history.close_doubts()

    def accept_changes(self, fingerprints: Mapping[str, str], domain: str = "") -> None:
        """Record that the operator accepted changed inputs; ``domain`` is that of later Message-IDs."""
        self._append(Changed(round(self._clock(), 3), dict(fingerprints), domain))

    def end(
        self,
        exit_code: int,
        *,
        abandoned: bool = False,
        notes: Sequence[str] | None = None,
        settings: Mapping[str, str] | None = None,
        remembered: bool = False,
    ) -> None:
        """Leave the run in good order, synced. In an abandoned run, recipients to be sent again are recorded in doubt.

        ``notes`` and ``settings`` are for its report; None: as they were. ``remembered``: every dead address is in
        ``suppressed.csv``, on disk.
        """
        for number in [number for number in self.history.digests if abandoned and self.history.is_open(number)]:
            self.settle(number, Verdict.IN_DOUBT, "the run was left behind before it was sent again")
        history, at = self.history, round(self._clock(), 3)
        said = history.notes if notes is None else tuple(notes)
        chosen = history.settings if settings is None else dict(settings)
        self._append(Ended(at, exit_code, abandoned, said, chosen, remembered))
        self.sync()

    def sync(self) -> None:
        """Force everything appended so far to disk. Raises StorageError."""
        self._mark(self._file.sync())

    def close(self) -> None:
        """Release the ballast, the lock and the file."""
        self._file.drop_ballast()
        self._file.close()

    def _append(self, record: Record) -> None:
        self._file.append(encode(record))
        self.history.apply(record)

    def _mark(self, upto: int) -> None:
        self._append(Synced(upto))

    def _fit(self, took: float) -> int:
        wanted = self._block * BLOCK_SECONDS / max(took, 0.001)
        return int(min(max(wanted, FIRST_BLOCK), 2 * self._block, LARGEST_BLOCK))

    def _begin(self, durability: str) -> None:
        self.history.settle_interrupted(power_lost=power_lost(self.history.boot, self._boot))
        for number in self.history.interrupted:
            reason = "the dot was sent and the process ended before a reply was recorded"
            at, date = round(self._clock(), 3), float(self.history.dates[number])
            self._append(VerdictRecord(number, Verdict.IN_DOUBT.value, at, reason=reason, date=date, counted=False))
        self.history.interrupted.clear()
        before = self.history.drawn_in
        self._append(Started(round(self._clock(), 3), self._boot, os.getpid(), durability))
        if notice := self._drawn_in(self.history.drawn_in - before):
            self.notices.append(notice)
        self.sync()

    def _drawn_in(self, count: int) -> str:
        if not count:
            return ""
        who, they = ("1 letter", "it is") if count == 1 else (f"{count:,} letters", "they are")
        within = f"{self.history.longest_wait / 60:,.0f} min"
        return f"The clock was ahead when {who} had to wait; {they} tried again within {within}."
