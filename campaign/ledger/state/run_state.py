"""The state of a run, rebuilt by replaying its journal's records and kept up to date while the run goes on.

Pure bookkeeping: it reads no file and writes none. A letter whose intent has no verdict after the last record is in
doubt. After a loss of power under ``durability = "process"``, so is every recipient who may have been taken since the
last sync, which the frontier bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

from campaign.ledger.journal.journal_records import (
    REHEARSAL,
    VERSION,
    Changed,
    Ended,
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
)
from campaign.ledger.state.letters_in_doubt import LettersInDoubt
from campaign.ledger.state.recipient_states import (
    ATTEMPT_CODES,
    BY_NAME,
    DEFERRED,
    IN_DOUBT,
    NEVER,
    TO_GO,
    WAITING,
)
from campaign.ledger.state.run_clock import LONGEST_GAP, RunClock
from campaign.model import Verdict
from campaign.system.boot import power_lost


class RunState(LettersInDoubt):
    """The state of the run and each of its recipients, by the records so far.

    ``pending`` maps recipients between dot and reply to their intents. ``abandoned``: a fresh run replaced it, whatever
    is written later. ``notes`` and ``settings`` are those of the last process to send. ``rehearsal``: all its letters
    went into the embedded mailbox (a run that ever lacked this mark counts as one through a relay). ``dead``: verdicts
    ``suppressed.csv`` may lack.
    """

    def __init__(self, opened: Opened) -> None:
        super().__init__(opened.recipients, opened.domain, dict(opened.fingerprints))
        self.opened = opened
        self.rehearsal = REHEARSAL in self.fingerprints
        self.pending: dict[int, Intent] = {}
        self.notes: tuple[str, ...] = ()
        self.settings: dict[str, str] = {}
        self.passes = self.pass_at = self.frontier = self.synced = 0
        self.boot = self.durability = ""
        #: The highest number of a shard whose journal was merged into this one.
        self.shards = 0
        self.ended: Ended | None = None
        self.abandoned = False
        self.dead: dict[int, VerdictRecord] = {}
        self.run_clock = RunClock(opened.at)
        #: Longest wait before a next try so far, in seconds; and how many waits were shortened when the clock was set
        #: back.
        self.longest_wait, self.drawn_in = 0.0, 0
        #: Recipients put off beyond the current pass whose wait was shortened since it began.
        self._later_than_pass: set[int] = set()
        #: Recipients whom `settle_interrupted` found in doubt and who are not recorded as such yet.
        self.interrupted: list[int] = []
        #: Size of the journal that this was replayed from, if every line of it was whole; 0 otherwise.
        self.replayed = 0

    @classmethod
    def replay(cls, records: Iterable[Record]) -> RunState:
        """Rebuild from all records, the first of which must be `Opened`. Raises ValueError if they are inconsistent."""
        stream = iter(records)
        opened = next(stream, None)
        if not isinstance(opened, Opened):
            raise ValueError("the first record does not say which campaign this is")  # noqa: TRY004 - data, not a call
        if opened.version > VERSION:
            raise ValueError(f"it is written in format {opened.version} of a later release; this one knows {VERSION}")
        history = cls(opened)
        for record in stream:
            cls._APPLY[type(record)](history, record)
        return history

    def apply(self, record: Record) -> None:
        """Apply one more record. Raises ValueError or LookupError if it is inconsistent."""
        self._APPLY[type(record)](self, record)

    def look_at_clock(self, at: float) -> None:
        """Record that the clock reads ``at``. If it was set back, cap all waits at the longest one given before.

        The pass goes by the clock as it was: whoever had to wait beyond it does not become due in it.
        """
        if self.run_clock.tick(at):
            later = [n for n in self.numbers(Verdict.DEFERRED) if self.not_before[n] > self.pass_at]
            self._later_than_pass.update(later)
            self.drawn_in += self._draw_in(max(0, int(at + self.longest_wait + 1)))

    def age(self, number: int) -> float:
        """Seconds since a relay first put this recipient off, 0 if none did; a clock that jumps adds little."""
        first = self.first_put_off[number]
        return 0.0 if first == NEVER else max(0.0, self.run_clock.elapsed - first)

    def settle_interrupted(self, *, power_lost: bool, taken: Iterable[int] = ()) -> list[int]:
        """Mark recipients in doubt after the last record of a process that ended; returns their numbers.

        ``taken`` are those who may have been taken from shards, by what their journals say.
        """
        doubtful = dict.fromkeys(self.pending) | dict.fromkeys(taken)
        if power_lost and self.durability == "process":
            doubtful.update(dict.fromkeys(number for number in self.due(self.pass_at) if number < self.frontier))
        for number in doubtful:
            intent = self.pending.pop(number, None)
            self.digests[number] = intent.sha256 if intent else self.digests.get(number, "")
            self._shaped(number)
            self.dates[number] = int(intent.date) if intent else self.dates[number] or self.pass_at
            self._move(number, IN_DOUBT)
        self.interrupted += doubtful
        return list(doubtful)

    def is_due(self, number: int) -> bool:
        """Whether the current pass serves this recipient."""
        if number in self._later_than_pass:
            return False
        code = self.state[number]
        return code == WAITING or (code == DEFERRED and self.not_before[number] <= self.pass_at)

    def due(self, now: float, start: int = 0) -> Iterator[int]:
        """As `RecipientStates.due`, for the current pass, which begins at ``now``."""
        later = self._later_than_pass
        return (number for number in super().due(now, start) if number not in later)

    @property
    def finished(self) -> bool:
        """Whether nothing is left that a pass could serve."""
        return self.abandoned or not (self.counts[WAITING] or self.counts[DEFERRED])

    def _started(self, record: Started) -> None:
        self.look_at_clock(record.at)
        self.settle_interrupted(power_lost=power_lost(self.boot, record.boot))
        self.boot, self.durability = record.boot, record.durability
        self.frontier, self.ended = 0, None

    def _changed(self, record: Changed) -> None:
        self.fingerprints = dict(record.fingerprints)
        self.rehearsal = self.rehearsal and REHEARSAL in self.fingerprints
        self.domain = record.domain or self.domain

    def _passed(self, record: Pass) -> None:
        self.look_at_clock(record.at)
        self.passes, self.pass_at, self.frontier = record.number, int(record.at), 0
        self._later_than_pass.clear()
        self.notes, self.settings = (), {}  # they were about an earlier process

    def _reached(self, record: ReservedUpTo) -> None:
        self.frontier = record.until

    def _intended(self, record: Intent) -> None:
        self.pending[record.number] = record
        self.dates[record.number] = int(record.date)

    def _settled(self, record: VerdictRecord) -> None:
        number, code, state, counts = record.number, BY_NAME[record.verdict], self.state, self.counts
        intent = self.pending.pop(number, None)
        counts[state[number]] -= 1
        counts[code] += 1
        state[number] = code
        if code == IN_DOUBT:
            self.digests[number] = intent.sha256 if intent else self.digests.get(number, "")
            self._shaped(number)
        elif self.digests and code not in TO_GO:
            self.digests.pop(number, None)
            self.domains.pop(number, None)
            self.shaped_by.pop(number, None)
        if record.counted and code in ATTEMPT_CODES and self.attempts[number] < 255:
            self.attempts[number] += 1
        if record.dead:
            self.dead[number] = record
        if record.date:
            self.dates[number] = int(record.date)
        clock = self.run_clock
        if 0.0 <= record.at - clock.at <= LONGEST_GAP:  # nearly always
            clock.at = record.at
        else:
            self.look_at_clock(record.at)
        if code == DEFERRED and record.relay and self.first_put_off[number] == NEVER:
            self.first_put_off[number] = int(clock.elapsed)
        if record.not_before:
            self.not_before[number] = int(record.not_before + 0.999)
            self.longest_wait = max(self.longest_wait, record.not_before - record.at)
        else:
            self.not_before[number] = 0

    def _synced(self, record: Synced) -> None:
        self.synced = record.upto

    def _merged(self, record: Merged) -> None:
        self.shards = max(self.shards, record.shard)

    def _left(self, record: Ended) -> None:
        self.look_at_clock(record.at)
        self.ended = record
        self.abandoned |= record.abandoned
        self.notes, self.settings = record.notes, record.settings
        if record.remembered:
            self.dead.clear()
        self.frontier = 0  # this line exists, so all before it do: no other recipient was taken

    def _leased(self, record: Leased) -> None:
        self._passed(Pass(self.passes + 1, record.pass_at))

    #: What each kind of record does. Not in the instance, which would then refer to itself: the state of ten million
    #: recipients takes 140 MB, and goes as soon as nobody has it.
    _APPLY: ClassVar[dict[type[Record], Callable[[RunState, Any], None]]] = {
        Started: _started,
        Changed: _changed,
        Pass: _passed,
        ReservedUpTo: _reached,
        Intent: _intended,
        VerdictRecord: _settled,
        Synced: _synced,
        Ended: _left,
        Merged: _merged,
        Leased: _leased,
    }
