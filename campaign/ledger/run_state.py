"""Replay: what the journal's records add up to, in ten octets a recipient.

The state of every recipient of one run, rebuilt by streaming the records and kept up to date while the run goes on.
Pure bookkeeping: it reads no file and writes none. A letter whose intent has no verdict after the last record
is in doubt, and so is, after a loss of power under ``durability = "process"``, whoever may have been drawn since the
last sync: that is what the frontier bounds.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator

from campaign.ledger.journal.journal_records import (
    REHEARSAL,
    VERSION,
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
)
from campaign.ledger.run_clock import LONGEST_GAP, RunClock
from campaign.model import FINAL, Verdict
from campaign.system.boot import power_lost

VERDICTS = tuple(Verdict)
CODE = {verdict: code for code, verdict in enumerate(VERDICTS)}
WAITING, DEFERRED, IN_DOUBT = CODE[Verdict.WAITING], CODE[Verdict.DEFERRED], CODE[Verdict.IN_DOUBT]
TO_GO = frozenset({WAITING, DEFERRED})
FINAL_CODES = frozenset(CODE[verdict] for verdict in FINAL)
#: Verdicts that end an attempt, as against those that needed none.
ATTEMPT_CODES = frozenset({CODE[Verdict.ACCEPTED], CODE[Verdict.DEFERRED], CODE[Verdict.REJECTED], IN_DOUBT})
_BY_NAME = {verdict.value: code for verdict, code in CODE.items()}
#: The last POSIX second that four octets hold, in February 2106.
LATEST = 0xFFFFFFFF


def is_date(seconds: float) -> bool:
    """Whether a POSIX time fits into the four octets that each recipient has for it."""
    return 0 <= seconds <= LATEST


class RunState:
    """Where each recipient of the run stands.

    ``state`` holds a verdict code, ``attempts`` how often it was tried (saturating), ``dates`` the Date of the letter
    and ``not_before`` the earliest next attempt, both in POSIX seconds, 0 where there is none. ``pending`` maps the
    recipients between dot and reply to their intents, ``digests`` those who may have a letter that nobody answered for
    to its SHA-256 (hex, empty where it is not known), ``domains`` to that of its Message-ID, ``shaped_by`` to the
    fingerprints of its run then. ``abandoned``: a fresh run took over, whatever is written later. ``notes`` and
    ``settings`` are what the last process to send said of its turn. ``rehearsal``: each of its letters went into the
    embedded mailbox; a run that ever lost this mark, or never had it, counts as one through a relay. ``dead`` are
    verdicts on dead addresses that ``suppressed.csv`` may lack.
    """

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.fingerprints = dict(opened.fingerprints)
        self.rehearsal = REHEARSAL in self.fingerprints
        size = opened.recipients
        self.state = bytearray(size)
        self.attempts = bytearray(size)
        self.dates = array("I", bytes(4)) * size
        self.not_before = array("I", bytes(4)) * size
        self.counts = [size] + [0] * (len(VERDICTS) - 1)
        self.pending: dict[int, Intent] = {}
        self.digests: dict[int, str] = {}
        self.domain = opened.domain
        self.domains: dict[int, str] = {}
        self.shaped_by: dict[int, dict[str, str]] = {}
        self.notes: tuple[str, ...] = ()
        self.settings: dict[str, str] = {}
        self.passes = 0
        self.pass_at = 0
        self.frontier = 0
        self.boot = ""
        self.durability = ""
        self.synced = 0
        self.ended: Ended | None = None
        self.abandoned = False
        self.dead: dict[int, VerdictRecord] = {}
        self.run_clock = RunClock(opened.at)
        #: Seconds of the longest wait before a next try so far; how many waited for longer when the clock was set back.
        self.longest_wait, self.drawn_in = 0.0, 0
        #: Who was found in doubt by `settle_interrupted` and is not recorded as such yet.
        self.interrupted: list[int] = []
        #: Size of the journal that this was replayed from, if every line of it was whole; 0 otherwise.
        self.replayed = 0
        self._apply = {
            Started: self._started,
            Changed: self._changed,
            Pass: self._passed,
            ReservedUpTo: self._reached,
            Intent: self._intended,
            VerdictRecord: self._settled,
            Synced: self._synced,
            Ended: self._left,
        }

    @classmethod
    def replay(cls, records: Iterable[Record]) -> RunState:
        """Rebuild from all records, the first of which must be `Opened`. Raises ValueError where they make no sense."""
        stream = iter(records)
        opened = next(stream, None)
        if not isinstance(opened, Opened):
            raise ValueError("the first record does not say which campaign this is")  # noqa: TRY004 - data, not a call
        if opened.version > VERSION:
            raise ValueError(f"it is written in format {opened.version} of a later release; this one knows {VERSION}")
        history = cls(opened)
        apply = history._apply
        for record in stream:
            apply[type(record)](record)  # type: ignore[operator] # each handler takes its own kind
        return history

    def apply(self, record: Record) -> None:
        """Take one more record into account. Raises ValueError or LookupError where it makes no sense."""
        self._apply[type(record)](record)  # type: ignore[operator] # as above

    def can_hold(self, record: Record) -> bool:
        """Whether `apply` makes sense of it: a recipient of this run, a verdict there is, dates that fit."""
        if isinstance(record, Intent):
            return 0 <= record.number < len(self.state) and is_date(record.date)
        if isinstance(record, VerdictRecord):
            known = 0 <= record.number < len(self.state) and record.verdict in _BY_NAME
            return known and is_date(record.date) and is_date(record.not_before)
        return is_date(record.at) if isinstance(record, Pass) else not isinstance(record, Opened)

    def look_at_clock(self, at: float) -> None:
        """The clock says ``at``. Where it was set back, nobody waits for longer than anybody was told to before."""
        if self.run_clock.tick(at):
            self._draw_in(max(0, int(at + self.longest_wait + 1)))

    def age(self, number: int, now: float) -> float:
        """Seconds since this recipient was first tried, the current pass included; a clock that jumps adds little."""
        return self.run_clock.age(self.dates[number] or self.pass_at, now)

    def settle_interrupted(self, *, power_lost: bool) -> list[int]:
        """After the last record of a process that is gone: mark who is in doubt now and return their numbers."""
        doubtful = dict.fromkeys(self.pending)
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

    def reopen_doubts(self) -> None:
        """Let those in doubt wait again, here alone: to the journal each is in doubt until its next verdict."""
        for number in list(self.numbers(Verdict.IN_DOUBT)):
            self.digests.setdefault(number, "")
            self._move(number, WAITING)

    def close_doubts(self) -> None:
        """Whoever was reopened and has no verdict is in doubt as before."""
        for number in self.digests:
            if self.state[number] == WAITING:
                self._move(number, IN_DOUBT)

    def may_go(self, number: int, sha256: bytes) -> bool:
        """Whether this letter may be sent: to whoever may have one already, only the same bytes.

        Where its SHA-256 is not known, they are the same only if nothing that shapes letters has changed since.
        """
        if number not in self.digests:
            return True
        known = self.digests[number]
        return known == sha256.hex() if known else self.shaped_by.get(number) == self.fingerprints

    def due(self, now: float, start: int = 0) -> Iterator[int]:
        """Numbers that a pass beginning at ``now`` takes up, ascending."""
        state, not_before = self.state, self.not_before
        for number in range(start, len(state)):
            code = state[number]
            if code == WAITING or (code == DEFERRED and not_before[number] <= now):
                yield number

    def is_open(self, number: int) -> bool:
        """Whether a pass may have to take this recipient up, now or later."""
        return self.state[number] in TO_GO

    def first_unsettled(self) -> int:
        """The lowest number that a pass may have to take up; the size of the run where there is none."""
        places = (self.state.find(code) for code in (WAITING, DEFERRED))
        return min((place for place in places if place >= 0), default=len(self.state))

    def is_due(self, number: int) -> bool:
        """Whether the current pass takes this recipient up."""
        code = self.state[number]
        return code == WAITING or (code == DEFERRED and self.not_before[number] <= self.pass_at)

    def next_due(self) -> float | None:
        """The earliest POSIX time at which a pass has something to do; 0.0 = at once, None = never."""
        if self.counts[WAITING]:
            return 0.0
        if not self.counts[DEFERRED]:
            return None
        return float(min(self.not_before[n] for n, code in enumerate(self.state) if code == DEFERRED))

    def numbers(self, *verdicts: Verdict) -> Iterator[int]:
        """Numbers of the recipients with one of these verdicts, ascending."""
        codes = frozenset(CODE[verdict] for verdict in verdicts)
        return (number for number, code in enumerate(self.state) if code in codes)

    def verdict(self, number: int) -> Verdict:
        """What the journal says of one recipient; between dot and reply that is what it was before."""
        return VERDICTS[self.state[number]]

    def tally(self) -> dict[str, int]:
        """How many recipients have each of the nine verdicts."""
        return {verdict.value: self.counts[code] for code, verdict in enumerate(VERDICTS)}

    @property
    def finished(self) -> bool:
        """Nothing is left that a pass could take up."""
        return self.abandoned or not (self.counts[WAITING] or self.counts[DEFERRED])

    def _move(self, number: int, code: int) -> None:
        self.counts[self.state[number]] -= 1
        self.counts[code] += 1
        self.state[number] = code

    def _draw_in(self, latest: int) -> None:
        for number, code in enumerate(self.state):
            if code == DEFERRED and self.not_before[number] > latest:
                self.not_before[number] = latest
                self.drawn_in += 1

    def _shaped(self, number: int) -> None:
        """The letter in doubt was made under what holds now, unless it was in doubt before."""
        self.domains.setdefault(number, self.domain)
        self.shaped_by.setdefault(number, self.fingerprints)

    def _started(self, record: Started) -> None:
        self.look_at_clock(record.at)
        self.settle_interrupted(power_lost=power_lost(self.boot, record.boot))
        self.boot, self.durability = record.boot, record.durability
        self.frontier = 0
        self.ended = None

    def _changed(self, record: Changed) -> None:
        self.fingerprints = dict(record.fingerprints)
        self.rehearsal = self.rehearsal and REHEARSAL in self.fingerprints
        self.domain = record.domain or self.domain

    def _passed(self, record: Pass) -> None:
        self.look_at_clock(record.at)
        self.passes, self.pass_at, self.frontier = record.number, int(record.at), 0
        self.run_clock.begin_pass(self.pass_at)
        self.notes, self.settings = (), {}  # they were about an earlier turn

    def _reached(self, record: ReservedUpTo) -> None:
        self.frontier = record.until

    def _intended(self, record: Intent) -> None:
        self.pending[record.number] = record
        self.dates[record.number] = int(record.date)

    def _settled(self, record: VerdictRecord) -> None:
        number, code, state, counts = record.number, _BY_NAME[record.verdict], self.state, self.counts
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
        if 0.0 <= record.at - clock.at <= LONGEST_GAP:  # as nearly always
            clock.at = record.at
        else:
            self.look_at_clock(record.at)
        if record.not_before:
            self.not_before[number] = int(record.not_before + 0.999)
            self.longest_wait = max(self.longest_wait, record.not_before - record.at)
        else:
            self.not_before[number] = 0

    def _synced(self, record: Synced) -> None:
        self.synced = record.upto

    def _left(self, record: Ended) -> None:
        self.look_at_clock(record.at)
        self.ended = record
        self.abandoned |= record.abandoned
        self.notes, self.settings = record.notes, record.settings
        if record.remembered:
            self.dead.clear()
        self.frontier = 0  # this line is there, so all before it are: nobody else was drawn
