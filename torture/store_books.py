"""An auditor's own reading of a store: plans, segments and late testimony by SQL, zlib and the lines of the journal.

Nothing of the product's replay is used, so that an error in it cannot hide itself.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from torture import audit, books
from torture.audit import People, Tally
from torture.books import Run


@dataclass
class StoreBooks:
    """All runs of a store, oldest first, and what is wrong with its segments.

    ``open`` are the runs to be served; ``left`` shards and testimonies wait for somebody; ``pending`` intents have no
    verdict, which is a doubt only if nobody is at work on them.
    """

    runs: list[Run] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    left: int = 0
    pending: int = 0

    @property
    def doubts(self) -> int:
        """How often anybody was in doubt."""
        return sum(sum(run.doubts.values()) for run in self.runs)


def read(url: str) -> StoreBooks:
    """Everything at one moment."""
    found = StoreBooks()
    with psycopg.connect(url) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        if connection.execute("SELECT to_regclass('campaign.segment')").fetchone() == (None,):
            return found
        for run, stamp, is_open in connection.execute("SELECT run, stamp, open FROM campaign.run ORDER BY run"):
            found.open += [stamp] if is_open else []
            found.runs.append(_run(connection, run, stamp, found))
        row = connection.execute(
            "SELECT (SELECT count(*) FROM campaign.shard WHERE NOT done AND run IN "
            "(SELECT run FROM campaign.run WHERE open)) + (SELECT count(*) FROM campaign.late WHERE NOT merged)"
        ).fetchone()
        found.left = int(row[0]) if row else 0
    return found


def midway(tally: Tally, url: str, oracle: Path) -> StoreBooks:
    """What must hold at any moment: whoever has a letter has an intent, and is accepted or in doubt."""
    seen = books.read_oracle(oracle)  # before the segments: each letter's intent is there by now
    found = read(url)
    tally.broken += found.faults
    audit._seen_letters(tally, People.of(found.runs), seen)
    return found


def closing(tally: Tally, url: str, oracle: Path, *, resent: bool, unserved: int = 0) -> StoreBooks:
    """What must hold at the end: nobody lost, nobody twice but by a doubt that was sent again."""
    found, seen = midway(tally, url, oracle), books.read_oracle(oracle)
    people = People.of(found.runs)
    audit._everybody(tally, people, seen, unserved)
    audit._copies(tally, people, seen, resent)
    tally.must(not found.open, f"runs {found.open} are still open")
    tally.must(not found.left, f"{found.left} shards or testimonies are left")
    return found


def _run(connection: psycopg.Connection[Any], number: int, stamp: str, found: StoreBooks) -> Run:
    run, faults = Run(Path(stamp)), found.faults
    parts = connection.execute(
        "SELECT data FROM campaign.file WHERE run = %s AND name = 'plan.jsonl' ORDER BY part", (number,)
    ).fetchall()
    for line in b"".join(_unpacked(data) for (data,) in parts).splitlines():
        entry = json.loads(line)
        if isinstance(entry, list):
            run.planned[entry[0]] = entry[2]
            run.verdicts[entry[0]] = "waiting"
    spans = {
        shard: (first, beyond)
        for shard, first, beyond in connection.execute(
            "SELECT shard, first, beyond FROM campaign.shard WHERE run = %s", (number,)
        )
    }
    covered = sorted(span for shard, span in spans.items() if shard)
    whole = [0, *(beyond for _, beyond in covered)] == [*(first for first, _ in covered), len(run.planned)]
    if not whole:
        faults.append(f"run {stamp}: its shards {covered[:3]}… do not cover the plan once")
    pending: dict[int, str] = {}
    for shard, record in _lines(connection, number, stamp, faults):
        run.records.append(record)
        first, beyond = spans[shard]
        if "number" in record and record["is"] in {"intent", "verdict"} and not first <= record["number"] < beyond:
            faults.append(f"run {stamp}, shard {shard}: a record about {record['number']}, who is not in it")
        books._replay(run, record, pending)
    found.pending += len(pending)
    for recipient in pending:
        books._doubt(run, recipient)
    return run


def _lines(
    connection: psycopg.Connection[Any], number: int, stamp: str, faults: list[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each line with its shard, the run's own first. Segments have no gaps, and no token comes back after another."""
    rows = connection.execute(
        "SELECT shard, seq, token, data FROM campaign.segment WHERE run = %s ORDER BY shard, seq", (number,)
    ).fetchall()
    at, wanted, token = -1, 1, 0
    gone: set[int] = set()
    for shard, seq, mine, data in rows:
        if shard != at:
            at, wanted, token, gone = shard, 1, mine, set()
        if seq != wanted:
            faults.append(f"run {stamp}, shard {shard}: segment {seq} where {wanted} was to be")
        if mine != token:
            gone.add(token)
            token = mine
        if mine in gone:
            faults.append(f"run {stamp}, shard {shard}: a holder appended segment {seq} after it had been fenced")
        wanted = seq + 1
        for line in _unpacked(data).split(b"\n"):
            if not line:
                continue
            if line[:8] != f"{zlib.crc32(line[9:]):08x}".encode():
                faults.append(f"run {stamp}, shard {shard}, segment {seq}: a damaged line")
                continue
            yield shard, json.loads(line[9:])


def _unpacked(data: bytes) -> bytes:
    return zlib.decompress(data) if data[:1] == b"\x78" else bytes(data)
