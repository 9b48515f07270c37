"""Checking an edition's runs out of the store and in again, for commands that change runs without sending.

Whoever holds the edition brings the copies up to date, works on them as on any run's folder, and then checks in what
was added to their journals, all in one transaction. Before that, every shard is taken over, so that no worker which
was frozen can add to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

from campaign.errors import UnfinishedError
from campaign.ledger import run_folder
from campaign.ledger.journal import journal_reader
from campaign.ledger.journal.journal_records import Intent, VerdictRecord
from campaign.ledger.postgres.edition_lease import EditionLease, StoreConnection
from campaign.ledger.postgres.runs.copy_mark import COPY
from campaign.ledger.postgres.runs.run_copies import RunCopy, note_copy
from campaign.ledger.postgres.runs.stored_runs import last_segment, run_records
from campaign.ledger.postgres.segments import ShardJournal, StoredShard, pack, records_of
from campaign.ledger.recovery import read_history
from campaign.ledger.state.canary_members import CanaryMembers
from campaign.ledger.state.recipient_states import DEFERRED, IN_DOUBT, VERDICTS, WAITING
from campaign.ledger.state.run_state import RunState

#: Recipients of a shard at most and at least; a run has about so many shards in between.
LARGEST_SHARD, SMALLEST_SHARD, SHARDS = 5_000, 100, 64
#: An expression: which database cluster this is, on which timeline, and whether its commits wait for a standby.
SERVER = (
    "(SELECT system_identifier FROM pg_control_system()) || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8) "
    "|| '/' || CASE current_setting('synchronous_standby_names') WHEN '' THEN 'alone' ELSE 'synchronous' END"
)
#: Octets of a file in one row of the store.
PART = 1 << 22
#: How many recipients of a run that comes from its folder go first, by the folder and its state.
FirstOnes = Callable[[Path, RunState], int]
#: The states of runs by the names of their folders.
States = Mapping[str, RunState]
NO_STATES: States = {}
#: Files of a run's folder that all machines need; any other belongs to one machine alone.
_SHARED = frozenset({run_folder.PLAN, "screened.csv", "sample.eml"})
_ADD = "INSERT INTO campaign.segment (run, shard, seq, token, data) VALUES (%s, %s, %s, %s, %s)"

#: The others were held, and then some of the canary are to go again: the hold is taken back, not an operator's pause.
_OUT_AGAIN = """
UPDATE campaign.run r SET canary_held = NULL, changed = changed + 1,
    state = CASE WHEN state = 'pause' AND isfinite(canary_held) THEN 'run' ELSE state END
WHERE run = %s AND canary > 0 AND canary_held IS NOT NULL AND state <> 'run'
    AND EXISTS (SELECT FROM campaign.shard s WHERE s.run = r.run AND NOT s.done AND s.due < 'infinity')
"""


class WorkersError(UnfinishedError):
    """Workers serve the run, so nothing else can be done with it."""


def shard_size(recipients: int) -> int:
    """How many recipients a shard of such a run has."""
    return max(SMALLEST_SHARD, min(LARGEST_SHARD, recipients // SHARDS))


def check_out(connection: StoreConnection, lease: EditionLease) -> None:
    """Take over all shards of the edition's runs. Raises WorkersError if a worker holds one."""
    refuse_held(connection, lease)
    connection.execute(  # a worker that was frozen before its first append cannot take over, either
        "UPDATE campaign.shard s SET holder = NULL, token = 0, until = '-infinity' FROM campaign.run r "
        "WHERE r.run = s.run AND r.edition = %s AND s.until < clock_timestamp() AND NOT s.done AND s.token <> 0",
        (lease.edition,),
    )
    rows = connection.execute(
        "SELECT s.run, s.shard, s.first, s.beyond FROM campaign.shard s JOIN campaign.run r USING (run) "
        "WHERE r.edition = %s AND s.shard > 0 AND EXISTS (SELECT FROM campaign.segment g "
        "WHERE g.run = s.run AND g.shard = s.shard) AND (NOT s.done OR EXISTS (SELECT FROM campaign.late l "
        "WHERE l.run = s.run AND l.shard = s.shard AND NOT l.merged))",
        (lease.edition,),
    ).fetchall()
    for row in rows:
        _take_over(connection, lease, StoredShard(*row))


def refuse_held(connection: StoreConnection, lease: EditionLease) -> None:
    """Raise WorkersError if a worker holds a shard of the edition's runs."""
    held = connection.execute(
        "SELECT DISTINCT s.holder FROM campaign.shard s JOIN campaign.run r USING (run) "
        "WHERE r.edition = %s AND s.until > clock_timestamp()",
        (lease.edition,),
    ).fetchall()
    if held:
        raise WorkersError(
            "Workers are serving this run.",
            evidence=[str(row[0]) for row in held],
            next_step="campaign stop RUN ends them in good order; then the same command again",
        )


def refuse_stale(connection: StoreConnection, copies: Iterable[RunCopy]) -> None:
    """Raise UnfinishedError if anything was appended to a run since its copy was made."""
    if any(last_segment(connection, copy.run) != (copy.segment, copy.segments) for copy in copies):
        raise UnfinishedError(
            "A run has gone on while this command worked on its copy, so nothing is changed.",
            next_step="run the same command again; it continues where the run is",
        )


def check_in(
    connection: StoreConnection,
    lease: EditionLease,
    folder: Path,
    copies: Mapping[str, RunCopy],
    *,
    to_serve: str = "",
    resend: bool = False,
    canary: FirstOnes = lambda _, __: 0,
    states: States = NO_STATES,
) -> dict[str, RunCopy]:
    """Add to the store what was added to the copies, new runs included; returns the copies as they are now.

    ``to_serve`` is the run that workers are to serve next, with ``resend`` also its doubts. ``canary`` says how many of
    a new run go first. ``states`` holds the state of runs whose journal need not be read for it.
    """
    states = read_states(folder, copies, to_serve, states)
    with connection.transaction():
        lease.confirm(connection)
        changed = add_changes(
            connection, lease, folder, copies, to_serve=to_serve, resend=resend, canary=canary, states=states
        )
    return {**copies, **{run.name: note_copy(run, copy) for run, copy in changed.items()}}


def read_states(
    folder: Path, copies: Mapping[str, RunCopy], to_serve: str = "", states: States = NO_STATES
) -> dict[str, RunState]:
    """The states of all runs that `add_changes` adds to, some of which are known: no transaction waits for reading."""
    found = [run for run, _ in _changed(folder, copies, to_serve)]
    return {run.name: states.get(run.name) or read_history(run) for run in found}


def _changed(folder: Path, copies: Mapping[str, RunCopy], to_serve: str) -> Iterator[tuple[Path, int]]:
    """New runs and those with more in their journals than the store has; and the octets of their journals."""
    for run in run_folder.runs(folder):
        before = copies.get(run.name)
        if not run_folder.has_journal(run) or (before is None and (run / COPY).exists()):
            continue  # the copy of a run that was deleted in the store stays what it is
        octets = (run / journal_reader.NAME).stat().st_size
        if before is None or before.octets != octets or run.name == to_serve:
            yield run, octets


def add_changes(
    connection: StoreConnection,
    lease: EditionLease,
    folder: Path,
    copies: Mapping[str, RunCopy],
    *,
    to_serve: str = "",
    resend: bool = False,
    canary: FirstOnes = lambda _, __: 0,
    states: States = NO_STATES,
) -> dict[Path, RunCopy]:
    """Add what `check_in` adds, inside its transaction; returns the copies that have changed.

    A rehearsal, which only a move brings here, is never open to be served.
    """
    changed: dict[Path, RunCopy] = {}
    connection.execute("SET LOCAL statement_timeout = 0")  # a plan of many millions takes its time
    refuse_held(connection, lease)
    refuse_stale(connection, copies.values())
    for run, octets in _changed(folder, copies, to_serve):
        journal, before = run / journal_reader.NAME, copies.get(run.name)
        history = states.get(run.name) or read_history(run)
        number = before.run if before else _new_run(connection, lease, run, history, canary(run, history))
        _add_tail(connection, lease, number, journal, before.octets if before else 0)
        serve = run.name == to_serve or not history.finished
        _set_shards(connection, number, history, resend=resend and run.name == to_serve)
        connection.execute(
            "UPDATE campaign.run SET open = %(open)s, exit_code = %(code)s, "
            "state = CASE WHEN %(open)s THEN state ELSE 'run' END WHERE run = %(run)s",
            {
                "open": serve and not history.abandoned and not history.rehearsal,
                "code": history.ended.exit_code if history.ended else None,
                "run": number,
            },
        )
        erased = before.erased if before else 0
        changed[run] = RunCopy(number, *last_segment(connection, number), octets, erased)
    return changed


def _take_over(connection: StoreConnection, lease: EditionLease, span: StoredShard) -> None:
    """Append to a shard as the holder of the edition, so that no earlier holder can; settle who was interrupted."""
    place = (span.run, span.shard)
    with connection.transaction():
        lease.confirm(connection)
        connection.execute(
            "UPDATE campaign.shard SET holder = NULL, token = 0, until = '-infinity' WHERE run = %s AND shard = %s",
            place,
        )
        rows = connection.execute(
            "SELECT seq, token, data FROM campaign.segment WHERE run = %s AND shard = %s ORDER BY seq", place
        ).fetchall()
        late = connection.execute(
            "UPDATE campaign.late SET merged = true WHERE run = %s AND shard = %s AND NOT merged RETURNING token, data",
            place,
        ).fetchall()
        journal = ShardJournal(span, run_records(connection, span.run).opened, rows)
        lines = journal.interrupted(time.time()) + journal.testify(late)
        _insert(connection, lease, span.run, span.shard, journal.seq + 1, lines)


def _insert(connection: StoreConnection, lease: EditionLease, run: int, shard: int, seq: int, lines: bytes) -> None:
    connection.execute(_ADD, (run, shard, seq, lease.token, pack(lines)))


def _new_run(connection: StoreConnection, lease: EditionLease, folder: Path, history: RunState, canary: int) -> int:
    """A new run with its shards and files; returns its number."""
    size, recipients = shard_size(history.opened.recipients), history.opened.recipients
    row = connection.execute(
        "INSERT INTO campaign.run (edition, stamp, recipients, shard_size, open, server, canary) "
        "VALUES (%s, %s, %s, %s, true, %s, %s) RETURNING run",
        (lease.edition, folder.name, recipients, size, server_identity(connection), canary),
    ).fetchone()
    run = int(row[0]) if row else 0
    with connection.cursor() as cursor:
        with cursor.copy("COPY campaign.shard (run, shard, first, beyond, done, tally) FROM STDIN") as copy:
            copy.write_row((run, 0, 0, 0, True, [0] * len(VERDICTS)))
            for shard, first in enumerate(range(0, recipients, size), 1):
                beyond = min(first + size, recipients)
                copy.write_row((run, shard, first, beyond, False, [0] * len(VERDICTS)))
        with cursor.copy("COPY campaign.file (run, name, part, data) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(("int8", "text", "int4", "bytea"))
            for path in sorted(folder.iterdir()):
                if path.is_file() and path.name in _SHARED:
                    for part, data in enumerate(_parts(path)):
                        copy.write_row((run, path.name, part, pack(data)))
    return run


def _parts(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(PART):
            yield data


def _add_tail(connection: StoreConnection, lease: EditionLease, run: int, journal: Path, octets: int) -> None:
    """Append what a journal says after so many octets: each line to its shard's journal, in order."""
    size = int(connection.execute("SELECT shard_size FROM campaign.run WHERE run = %s", (run,)).fetchall()[0][0])
    seqs: dict[int, int] = dict(
        connection.execute(
            "SELECT shard, max(seq) FROM campaign.segment WHERE run = %s GROUP BY shard", (run,)
        ).fetchall()
    )

    def shard_of(line: tuple[bytes, object]) -> int:
        record = line[1]
        return record.number // size + 1 if isinstance(record, Intent | VerdictRecord) else 0

    def segments(file: BinaryIO) -> Iterator[tuple[int, int, int, int, bytes]]:
        records = (one for line in file for one in records_of(StoredShard(run, 0, 0, 0), line))
        for shard, found in groupby(records, key=shard_of):
            seqs[shard] = seqs.get(shard, 0) + 1
            yield run, shard, seqs[shard], lease.token, pack(b"".join(line for line, _ in found))

    with journal.open("rb") as file, connection.cursor() as cursor:
        file.seek(octets)
        cursor.executemany(_ADD, segments(file))  # one after the other: a journal may be cut into many segments


def _set_shards(connection: StoreConnection, run: int, history: RunState, *, resend: bool) -> None:
    """Set each shard's tally, whether it is done, and when it is due next, as `store_canary` says before its end."""
    rows = connection.execute(
        "SELECT s.shard, s.first, s.beyond, r.canary FROM campaign.shard s JOIN campaign.run r USING (run) "
        "WHERE s.run = %s AND s.shard > 0",
        (run,),
    ).fetchall()
    now, doubts = time.time(), (IN_DOUBT,) if resend else ()
    found: list[tuple[Any, ...]] = []
    for shard, first, beyond, canary in rows:
        state = history.state[first:beyond]
        tally = [state.count(code) for code in range(len(VERDICTS))]
        open_ones = tally[WAITING] + tally[DEFERRED] + (tally[IN_DOUBT] if resend else 0)
        waits = [history.not_before[first + at] - now for at, code in enumerate(state) if code == DEFERRED]
        after = 0.0 if open_ones > len(waits) else max(0.0, min(waits, default=0.0))
        members = CanaryMembers(canary, len(history.state)).numbers(first, beyond)
        out = not canary or any(history.state[number] in (WAITING, *doubts) for number in members)
        found.append((tally, not open_ones or history.abandoned, out, 0.0 if canary else after, run, shard))
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE campaign.shard SET tally = %s, done = %s, due = CASE WHEN %s THEN clock_timestamp() "
            "+ make_interval(secs => %s) ELSE 'infinity' END WHERE run = %s AND shard = %s",
            found,
        )
    connection.execute(_OUT_AGAIN, (run,))


def server_identity(connection: StoreConnection) -> str:
    """What `SERVER` is."""
    row = connection.execute(f"SELECT {SERVER}").fetchone()
    return str(row[0]) if row else ""


def failed_over(began: str, now: str) -> bool:
    """Whether what the server had confirmed on which a run ``began`` may be missing in the one that it is ``now``."""
    before, _, waited = began.rpartition("/")
    return now.rpartition("/")[0] != before and waited != "synchronous"
