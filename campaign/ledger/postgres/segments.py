"""Segments: pieces of a journal as the store keeps them, and what the segments of one shard add up to.

A shard's journal has the same lines as a run's on disk, numbered as in the whole plan. `ShardJournal` replays them for
the shard alone, whose recipients are then numbered from 0.
"""

from __future__ import annotations

import math
import zlib
from array import array
from collections.abc import Iterable, Sequence

import msgspec

from campaign.errors import DamageError
from campaign.ledger.journal.journal_records import Intent, Leased, Opened, Record, VerdictRecord, decode, encode
from campaign.ledger.shards.lease import Lease, ages_of
from campaign.ledger.shards.shard_reader import ShardSpan
from campaign.ledger.state.canary_members import CanaryMembers
from campaign.ledger.state.recipient_states import DEFERRED, WAITING
from campaign.ledger.state.run_state import RunState
from campaign.model import Verdict

#: Octets from which on a segment is compressed.
SMALL = 400
TAKEN_OVER = "the dot was sent and the worker was gone before a reply was recorded"
#: How compressed data begins, and no journal's line.
ZLIB = b"\x78"
#: What a lease's line says of how intents are kept: durably, all of them.
DURABILITY = "store"


class StoredShard(msgspec.Struct, frozen=True):
    """The place of a shard in the plan: recipients ``first`` to ``beyond`` (excluded)."""

    run: int
    shard: int
    first: int
    beyond: int


def pack(lines: bytes) -> bytes:
    """The octets of a segment; a journal's line never begins as compressed data does."""
    return zlib.compress(lines, 1) if len(lines) >= SMALL else lines


def unpack(data: bytes) -> bytes:
    """The lines of a segment. Raises DamageError."""
    try:
        return zlib.decompress(data) if data[:1] == ZLIB else bytes(data)
    except zlib.error as error:
        raise _damaged(str(error)) from None


def records_of(span: StoredShard, lines: bytes) -> Iterable[tuple[bytes, Record]]:
    """Each line with its record. Raises DamageError."""
    for line in lines.splitlines(keepends=True):
        record = decode(line[:-1])
        if record is None:
            raise _damaged(f"run {span.run}, shard {span.shard}")
        yield line, record


def _damaged(evidence: str) -> DamageError:
    return DamageError(
        "The journal in the store is damaged, so nothing is sent.",
        evidence=evidence,
        next_step="see what can be saved: campaign repair FILE --dry-run",
    )


class ShardJournal:
    """What the segments of one shard add up to. ``seq`` is the number of the last; ``history`` numbers from 0."""

    def __init__(self, span: StoredShard, opened: Opened, segments: Iterable[tuple[int, int, bytes]]) -> None:
        self.span, self.seq = span, 0
        self.history = RunState(msgspec.structs.replace(opened, recipients=span.beyond - span.first))
        #: The token under which each recipient's last intent was recorded.
        self._intended: dict[int, int] = {}
        for seq, token, data in segments:
            if seq != self.seq + 1:
                raise _damaged(f"run {span.run}, shard {span.shard}: segment {self.seq + 1} is gone")
            self.seq = seq
            for _, record in records_of(span, unpack(data)):
                self._apply(record, token)

    def interrupted(self, at: float) -> bytes:
        """Record in doubt whoever is between dot and reply; returns the lines that say so."""
        return b"".join(self._say(self._doubt(number, at, TAKEN_OVER)) for number in list(self.history.pending))

    def doubt_open_ones(self, at: float, reason: str) -> bytes:
        """Record in doubt whoever may still have to be served; returns the lines that say so."""
        open_ones = [number for number in range(len(self.history.state)) if self.history.is_open(number)]
        return b"".join(self._say(self._doubt(number, at, reason)) for number in open_ones)

    def testify(self, late: Sequence[tuple[int, bytes]]) -> bytes:
        """Believe verdicts that came late, each with its token; returns the lines of those that count.

        One counts if the recipient is in doubt, and the last intent was recorded under the same token: no later
        letter is judged by an earlier one's answer.
        """
        said = b""
        for token, data in late:
            for line, record in records_of(self.span, unpack(data)):
                if isinstance(record, VerdictRecord) and self._in_doubt_by(record.number, token):
                    self._apply(record, token)
                    said += line
        return said

    def leased(self, at: float) -> bytes:
        """Begin with a new holder's lease; returns its line. ``at``: POSIX seconds."""
        span = self.span
        return self._say(Leased(span.shard, span.first, span.beyond, int(at), round(at, 3), "", DURABILITY))

    def lease(self, passes: int, *, resend: bool, canary: CanaryMembers | None = None) -> Lease:
        """What a sender needs to serve whoever is due; with ``resend`` also whoever is in doubt.

        While a ``canary`` is out, its members alone are served, and tried once.
        """
        history, first = self.history, self.span.first
        if resend:
            history.reopen_doubts()
        due = list(history.due(history.pass_at))
        if canary is not None:
            due = [one for one in due if history.state[one] == WAITING and canary.includes(one + first)]
        doubtful = history.digests.keys() & set(due) if history.digests else ()
        return Lease(
            ShardSpan(self.span.shard, first, self.span.beyond),
            passes,
            history.pass_at,
            few=True,
            numbers=array("I", (number + first for number in due)),
            state=bytes(history.state[number] for number in due),
            attempts=bytes(history.attempts[number] for number in due),
            dates=array("I", (history.dates[number] for number in due)),
            not_before=array("I", (history.not_before[number] for number in due)),
            ages=ages_of(history, due),
            digests={number + first: history.digests[number] for number in doubtful},
            shaped_by={number + first: history.shaped_by[number] for number in doubtful},
        )

    def due_later(self, lease: Lease) -> float:
        """When the first is due of those who wait and are not in the lease, in POSIX seconds; infinite if nobody is."""
        history, leased, first = self.history, set(lease.numbers), self.span.first
        waits = (
            history.not_before[number] if history.state[number] == DEFERRED else 0
            for number in range(len(history.state))
            if history.is_open(number) and number + first not in leased
        )
        return min(waits, default=math.inf)

    def _in_doubt_by(self, number: int, token: int) -> bool:
        doubtful = self.history.verdict(number - self.span.first) is Verdict.IN_DOUBT
        return doubtful and self._intended.get(number - self.span.first) == token

    def _doubt(self, number: int, at: float, reason: str) -> VerdictRecord:
        date = float(self.history.dates[number] or self.history.pass_at)
        return VerdictRecord(
            number + self.span.first, Verdict.IN_DOUBT.value, round(at, 3), reason=reason, date=date, counted=False
        )

    def _say(self, record: Record) -> bytes:
        self._apply(record, 0)
        return encode(record)

    def _apply(self, record: Record, token: int) -> None:
        if isinstance(record, Intent | VerdictRecord):
            number = record.number - self.span.first
            if isinstance(record, Intent):
                self._intended[number] = token
            record = msgspec.structs.replace(record, number=number)
        self.history.apply(record)
