"""The checkpoint of one run: its journal open for writing, and its history kept up to date with every append.

It is the ledger on files, as `protocol.py` describes a ledger. Opening it completes what killed processes left: the
journals of shards that sender processes held are merged first. Nothing here depends on SMTP, templates or the source of
the list.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from campaign.errors import StorageError
from campaign.ledger.journal import journal_file, journal_reader
from campaign.ledger.journal.journal_records import Changed, Ended, Merged, Opened, Pass, Started, VerdictRecord, encode
from campaign.ledger.journal.journal_writer import JournalWriter
from campaign.ledger.recovery import recover
from campaign.ledger.shards.held_leftovers import held_leftovers
from campaign.ledger.shards.shard_reader import Leftover, Line, ShardSpan, shard_journals
from campaign.ledger.state.recipient_states import is_date
from campaign.ledger.state.run_state import RunState
from campaign.model import Verdict
from campaign.system.boot import boot_clock, boot_identity, power_lost

ENDED = "the dot was sent and the process ended before a reply was recorded"


def create(folder: Path, opened: Opened) -> None:
    """Write the journal's first line, atomically and durably. Raises StorageError."""
    journal_file.write_whole(folder / journal_reader.NAME, encode(opened))


class Checkpoint(JournalWriter):
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

        A ``history`` read a moment ago (`read_history`) saves the replay if the journal has not changed since and no
        shard is left, as the replay also tells what of a shard is merged. Raises UnfinishedError (locked), DamageError,
        StorageError.
        """
        self.folder = folder
        self.notices: list[str] = []
        file = open_file(folder / journal_reader.NAME)
        try:
            self.boot = boot_identity() if boot is None else boot
            reading = journal_reader.Reading()
            if history is None or history.replayed != file.size or not file.size or shard_journals(folder):
                history, reading = recover(file, self.boot, self.notices)
            super().__init__(file, history, power=durability == "power", clock=clock)
            file.sync_name()
            file.load_ballast()
            with held_leftovers(folder, reading, self.boot) as found:
                self._begin(durability, found)
            self.history.run_clock.go_by(steady)
        except BaseException:
            file.close()
            raise

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
        self._reserve_anew()
        return now

    def look_at_clock(self) -> str:
        """Notice a clock that was set back while nothing was written; returns the consequence in words, or ``""``."""
        before = self.history.drawn_in
        self.history.look_at_clock(self._clock())
        return self._drawn_in(self.history.drawn_in - before)

    def settle_pending(self) -> None:
        """When sending is over, mark recipients in doubt whose intent has no verdict because it could not be written.

        The same holds for those who were to be sent again (`RunState.reopen_doubts`) and were not. Whoever is in a
        shard that could not be merged waits for the next command, which merges what its journal says.
        """
        unmerged = [span for span, _ in shard_journals(self.folder)]
        for number in list(self.history.pending):
            if any(span.first <= number < span.beyond for span in unmerged):
                continue
            self.settle(number, Verdict.IN_DOUBT, "the final dot was sent, and the reply could not be recorded")
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
            self.settle(number, Verdict.IN_DOUBT, "the run was abandoned before this letter was sent again")
        history, at = self.history, round(self._clock(), 3)
        said = history.notes if notes is None else tuple(notes)
        chosen = history.settings if settings is None else dict(settings)
        self._append(Ended(at, exit_code, abandoned, said, chosen, remembered))
        self.sync()

    def merge(self, span: ShardSpan, lines: Sequence[Line], *, closed: bool = False) -> None:
        """Append what a sender wrote into a shard's journal; ``closed``: it has left it. Raises StorageError."""
        merged = Merged(span.shard, span.beyond, len(lines), closed)
        self._file.append(encode(merged) + b"".join(line.octets for line in lines))
        self.history.apply(merged)
        for line in lines:
            self.history.apply(line.record)

    def take_back(self, leftover: Leftover) -> None:
        """Merge what a sender that died left of a shard, synced; who is between dot and reply becomes in doubt."""
        self.merge(leftover.span, leftover.lines)
        _, first, beyond = leftover.span
        for number in [number for number in self.history.pending if first <= number < beyond]:
            self._append(self._doubt(number))
        self.merge(leftover.span, (), closed=True)
        self.sync()

    def close(self) -> None:
        """Release the ballast, the lock and the file."""
        self._file.drop_ballast()
        super().close()

    def _begin(self, durability: str, leftovers: Sequence[Leftover]) -> None:
        """Merge what senders of an earlier process left, mark who is in doubt, and begin."""
        history, taken = self.history, list[int]()
        for leftover in leftovers:
            self.merge(leftover.span, leftover.lines)
            taken += leftover.taken(history, self.boot)
        history.settle_interrupted(power_lost=power_lost(history.boot, self.boot), taken=taken)
        for number in history.interrupted:
            self._append(self._doubt(number))
        history.interrupted.clear()
        for leftover in leftovers:
            self.merge(leftover.span, (), closed=True)
        before = history.drawn_in
        self._append(Started(round(self._clock(), 3), self.boot, os.getpid(), durability))
        if notice := self._drawn_in(history.drawn_in - before):
            self.notices.append(notice)
        self.sync()

    def _doubt(self, number: int) -> VerdictRecord:
        at, date = round(self._clock(), 3), float(self.history.dates[number])
        return VerdictRecord(number, Verdict.IN_DOUBT.value, at, reason=ENDED, date=date, counted=False)

    def _drawn_in(self, count: int) -> str:
        if not count:
            return ""
        who, they = ("1 letter", "it is") if count == 1 else (f"{count:,} letters", "they are")
        within = f"{self.history.longest_wait / 60:,.0f} min"
        return f"The clock was ahead when {who} had to wait; {they} tried again within {within}."
