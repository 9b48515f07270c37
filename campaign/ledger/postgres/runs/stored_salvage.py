"""What can be saved of a damaged run in the store, shard by shard, and the repair that saves it.

Every line with a sound record is kept. What the lost lines of a shard said is unknown, so everybody of that shard who
has no verdict becomes in doubt; no other shard is touched. After a fail-over that may have lost segments it is
everybody without a verdict in all shards that are not done: any of them may have been leased and served in the lost
part. Whoever is in a shard that is done has a verdict.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import compress

import msgspec

from campaign.errors import DamageError
from campaign.ledger.journal.journal_records import Intent, Leased, Opened, VerdictRecord, decode
from campaign.ledger.postgres.edition_lease import EditionLease, StoreConnection
from campaign.ledger.postgres.runs.check_in import failed_over, server_identity
from campaign.ledger.postgres.segments import ShardJournal, StoredShard, pack, unpack
from campaign.ledger.repair import REASON, is_possible
from campaign.ledger.state.recipient_states import DEFERRED, IN_DOUBT, WAITING

LOST_BY_SERVER = "the store failed over without what it had confirmed, so this letter may have been sent"
#: Octets of a compressed segment that are read at once: more than this many may be lost before damage in them.
STEP = 16
#: Takes the octets of something damaged, with a name for it, before they are replaced.
Keep = Callable[[str, bytes], None]


class ShardSalvage(msgspec.Struct):
    """One shard: ``segments`` as they would be after a repair, each with its number and token, and what is lost.

    ``replaced`` are the octets of damaged segments by their number, empty for one that is gone. ``late`` are damaged
    verdicts that came late, by their id. ``open``: whoever has no verdict was, or would be, put in doubt; ``reason``
    says why.
    """

    span: StoredShard
    segments: list[tuple[int, int, bytes]] = msgspec.field(default_factory=list)
    replaced: dict[int, bytes] = msgspec.field(default_factory=dict)
    late: dict[int, bytes] = msgspec.field(default_factory=dict)
    sound_late: list[tuple[int, int, bytes]] = msgspec.field(default_factory=list)
    lines: int = 0
    lost: list[str] = msgspec.field(default_factory=list)
    reason: str = ""

    @property
    def damaged(self) -> bool:
        """Whether the store has anything else than it would have after a repair."""
        return bool(self.replaced or self.late or self.reason)

    def testament(self, opened: Opened, at: float) -> tuple[ShardJournal, bytes]:
        """The shard's journal after a repair, and the lines that the repair appends to it."""
        journal = ShardJournal(self.span, opened, self.segments)
        lines = journal.interrupted(at)
        lines += journal.testify([(token, data) for _, token, data in self.sound_late])
        return journal, lines + (journal.doubt_open_ones(at, self.reason) if self.reason else b"")


class StoredSalvage(msgspec.Struct):
    """One run. ``in_doubt`` is how many recipients become so; ``failed_over``: segments of this run may be missing."""

    run: int
    opened: Opened
    failed_over: bool
    shards: list[ShardSalvage] = msgspec.field(default_factory=list)
    lines: int = 0
    in_doubt: int = 0

    @property
    def lost(self) -> list[str]:
        """All lost lines, as the operator is told of them."""
        return [one for shard in self.shards for one in shard.lost]


def salvage_stored(connection: StoreConnection, run: int) -> StoredSalvage:
    """Inspect a run for what can be saved. Raises DamageError if even its first line is damaged."""
    row = connection.execute("SELECT server, open FROM campaign.run WHERE run = %s", (run,)).fetchone()
    shards = connection.execute(
        "SELECT shard, first, beyond, done FROM campaign.shard WHERE run = %s ORDER BY shard", (run,)
    ).fetchall()
    own = _inspect(connection, StoredShard(run, *shards[0][:3]))
    opened = decode(unpack(own.segments[0][2]).partition(b"\n")[0]) if own.segments else None
    if row is None or not isinstance(opened, Opened):
        raise DamageError(
            "Nothing can be saved: the first line of the run in the store does not say which campaign it belongs to.",
            evidence=f"campaign.segment: run {run}, shard 0, segment 1",
            next_step="restore the database from a backup, and ask the relay's log who was served since",
        )
    lost_part = bool(row[1]) and failed_over(str(row[0]), server_identity(connection))
    found = StoredSalvage(run, opened, lost_part, lines=own.lines)
    found.shards += [own] if own.damaged else []
    for shard, beginning, beyond, done in shards[1:]:
        one = _inspect(connection, StoredShard(run, shard, beginning, beyond))
        found.lines += one.lines
        if not one.reason and lost_part and not done:
            one.reason = LOST_BY_SERVER
        if one.damaged:
            before, (after, _) = ShardJournal(one.span, opened, one.segments), one.testament(opened, time.time())
            found.in_doubt += after.history.counts[IN_DOUBT] - before.history.counts[IN_DOUBT]
            found.shards.append(one)
    return found


def save_stored(connection: StoreConnection, lease: EditionLease, found: StoredSalvage, keep: Keep) -> None:
    """Carry out a repair; the damaged octets go to ``keep`` first. Killed at any point, it is completed by another."""
    for shard in found.shards:
        for seq, octets in shard.replaced.items():
            keep(f"segment-{shard.span.shard}-{seq}", octets)
        for number, octets in shard.late.items():
            keep(f"late-{number}", octets)
        with connection.transaction():
            lease.confirm(connection)
            _save_shard(connection, lease, found.opened, shard)
    if found.failed_over:
        with connection.transaction():
            lease.confirm(connection)
            now = server_identity(connection)
            connection.execute("UPDATE campaign.run SET server = %s WHERE run = %s", (now, found.run))


def _save_shard(connection: StoreConnection, lease: EditionLease, opened: Opened, shard: ShardSalvage) -> None:
    run, number = shard.span.run, shard.span.shard
    for seq, token, data in shard.segments:
        if seq in shard.replaced:
            connection.execute(
                "INSERT INTO campaign.segment (run, shard, seq, token, data) VALUES (%(run)s, %(shard)s, %(seq)s, "
                "%(token)s, %(data)s) ON CONFLICT (run, shard, seq) DO UPDATE SET data = excluded.data",
                {"run": run, "shard": number, "seq": seq, "token": token, "data": data},
            )
    merged = [*shard.late, *(one[0] for one in shard.sound_late if number)]
    connection.execute("UPDATE campaign.late SET merged = true WHERE id = ANY(%s)", (merged,))
    if not number:
        return
    journal, lines = shard.testament(opened, time.time())
    connection.execute(
        "INSERT INTO campaign.segment (run, shard, seq, token, data) VALUES (%s, %s, %s, %s, %s)",
        (run, number, journal.seq + 1, lease.token, pack(lines)),
    )
    counts = list(journal.history.counts)
    left = bool(counts[WAITING] or counts[DEFERRED])
    connection.execute(
        "UPDATE campaign.shard SET holder = NULL, token = 0, until = '-infinity', tally = %s, done = %s "
        "WHERE run = %s AND shard = %s",
        (counts, not left, run, number),
    )


def _inspect(connection: StoreConnection, span: StoredShard) -> ShardSalvage:
    found = ShardSalvage(span)
    rows = connection.execute(
        "SELECT seq, token, data FROM campaign.segment WHERE run = %s AND shard = %s ORDER BY seq",
        (span.run, span.shard),
    ).fetchall()
    for seq, token, data in _without_gaps(rows):
        if data is None:
            found.replaced[seq] = b""
            found.lost.append(f"shard {span.shard}, segment {seq}: gone")
            found.segments.append((seq, token, b""))
            continue
        lines, lost = _sound_lines(span, bytes(data))
        found.lines += len(lines)
        text = b"".join(line + b"\n" for line in lines)
        found.segments.append((seq, token, text if lost else bytes(data)))
        if lost:
            found.replaced[seq] = bytes(data)
            found.lost += [f"shard {span.shard}, segment {seq}: {one}" for one in lost]
    found.segments = [
        (seq, token, pack(data) if seq in found.replaced else data) for seq, token, data in found.segments
    ]
    found.reason = REASON if found.lost and span.shard else ""
    _inspect_late(connection, found)
    return found


def _inspect_late(connection: StoreConnection, found: ShardSalvage) -> None:
    """Verdicts that came late settle doubts; without one that is damaged a letter stays in doubt."""
    span = found.span
    rows = connection.execute(
        "SELECT id, token, data FROM campaign.late WHERE run = %s AND shard = %s AND NOT merged ORDER BY id",
        (span.run, span.shard),
    ).fetchall()
    for number, token, data in rows:
        _, lost = _sound_lines(span, bytes(data))
        if lost:
            found.late[number] = bytes(data)
            found.lost.append(f"shard {span.shard}, late verdicts {number}: {lost[0]}")
        else:
            found.sound_late.append((number, token, bytes(data)))


def _without_gaps(rows: Sequence[tuple[int, int, bytes]]) -> Iterator[tuple[int, int, bytes | None]]:
    """The segments in order, with None for one that is missing between two others."""
    after = 1
    for seq, token, data in rows:
        for missing in range(after, seq):
            yield missing, 0, None
        yield seq, token, data
        after = seq + 1


def _sound_lines(span: StoredShard, data: bytes) -> tuple[list[bytes], list[str]]:
    """The sound lines of a segment, and which are lost."""
    text, whole = _read(data)
    *lines, rest = text.split(b"\n")
    marks = [_is_sound(span, line) for line in lines]
    sound = list(compress(lines, marks))
    lost = [f"line {at}" for at, mark in enumerate(marks, 1) if not mark]
    return sound, lost + ([f"after line {len(lines)}"] if rest or not whole else [])


def _is_sound(span: StoredShard, line: bytes) -> bool:
    record = decode(line)
    if record is None:
        return False
    if not span.shard:
        return not isinstance(record, Intent | VerdictRecord | Leased)
    if isinstance(record, Leased):
        return record.shard == span.shard
    if not isinstance(record, Intent | VerdictRecord):
        return False
    own = msgspec.structs.replace(record, number=record.number - span.first)
    return is_possible(own, span.beyond - span.first)


def _read(data: bytes) -> tuple[bytes, bool]:
    """The lines of a segment as far as they can be read, and whether that is all."""
    with suppress(DamageError):
        return unpack(data), True
    reader, found = zlib.decompressobj(), b""
    for at in range(0, len(data), STEP):
        try:
            found += reader.decompress(data[at : at + STEP])
        except zlib.error:
            return found, False
    return found, reader.eof
