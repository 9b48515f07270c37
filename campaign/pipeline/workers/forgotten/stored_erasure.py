"""Erasing one person from a store: the runs that name them are copied, erased as on files, and put back at once."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from shutil import rmtree

import msgspec

from campaign.ledger import run_folder
from campaign.ledger.forget_recipient import masked_record
from campaign.ledger.postgres.edition_lease import EditionLease, StoreConnection, refuse_new_editions
from campaign.ledger.postgres.forgotten.forgettings import record_forgetting, was_forgotten
from campaign.ledger.postgres.forgotten.replace_stored import (
    hold_events,
    mask_late,
    names_in_run,
    replace_events,
    replace_files,
    replace_segments,
)
from campaign.ledger.postgres.runs.check_in import add_changes, refuse_stale
from campaign.ledger.postgres.runs.copy_mark import COPY
from campaign.ledger.postgres.runs.run_copies import RunCopy, fetch_files, refresh_copy
from campaign.pipeline.operate.forget.erase_ledger import withdraw
from campaign.pipeline.operate.forget.erase_person import ForgetResult, PersonErasure
from campaign.pipeline.operate.forget.forgotten_events import EventEraser
from campaign.pipeline.operate.forget.known_person import KnownPerson, look_for_lines
from campaign.pipeline.workers.forgotten.erase_copies import seals_of
from campaign.pipeline.workers.join_run import OpenStore


class NamedRun(msgspec.Struct, frozen=True):
    """A run of the store; ``folder`` is that of its copy for the moment. ``name``: CAMPAIGN[/EDITION]/RUN."""

    number: int
    edition: int
    folder: Path
    name: str


class StoredErasure:
    """The steps. ``runs`` are those that name the person, ``waiting`` those in which others' lines had to stay.

    The addresses that are found in the store are added to ``person``; ``result.stored`` counts.
    """

    def __init__(self, store: OpenStore, person: KnownPerson, scratch: Path, result: ForgetResult) -> None:
        self.runs, self.waiting = list[NamedRun](), set[int]()
        self._store, self._connection, self._scratch = store, store.connection, scratch
        self._person, self._result = person, result
        self._theirs = KnownPerson(person.address, person.key_of, person.addresses)  # the same set
        self._copies: dict[int, RunCopy] = {}
        self._changed: list[NamedRun] = []

    def prepare(self) -> None:
        """Find the runs that name the person, copy them, and erase the person from the copies."""
        others = [run for run in _stored_runs(self._connection, self._scratch) if not self._planned_in(run)]
        found = self._theirs.mask.found
        self.runs += [run for run in others if names_in_run(self._connection, run.number, found)]
        for run in self.runs:
            self._copies[run.number] = refresh_copy(self._connection, run.number, run.folder)
            (run.folder / COPY).unlink()  # from now on it is handled as a run on files
        before = {run: _digest(run.folder) for run in self.runs}
        part = ForgetResult(self._person.address, self._result.dry_run, notes=self._result.notes)
        job = replace(self._store.job, directory=self._scratch)
        erasure = PersonErasure(job, self._theirs, part, withdraw)
        erasure.refuse_damage()
        erasure.from_runs([run.folder for run in self.runs])
        self._changed = [run for run in self.runs if _digest(run.folder) != before[run]]
        self.waiting = {run.number for run in self.runs if run.folder / run_folder.PLAN in erasure.waiting}
        self._result.stored = Counter(+part.counts)
        self._result.in_doubt += part.in_doubt

    def foresee(self) -> None:
        """Count the events that would change."""
        self._count("events", replace_events(self._connection, self._eraser(keep_hash=True).erased, dry_run=True))

    def last_event(self) -> int:
        """The highest number of an event in the store."""
        with self._connection.transaction():
            return hold_events(self._connection)

    def commit(self, lease: EditionLease | None, *, suppressed: bool, known: int) -> bool:
        """Put everything back in one transaction; False, and nothing is changed, if events came after ``known``."""
        with self._connection.transaction():
            if hold_events(self._connection) > known:
                return False
            for held in lease.editions if lease else ():
                held.confirm(self._connection)
            refuse_stale(self._connection, self._copies.values())
            events = replace_events(self._connection, self._eraser(keep_hash=suppressed).erased)
            late = sum(self._mask_late(run) for run in self.runs)
            seals = seals_of(self._store.job, self._person.key_of(self._person.address))
            if events or late or self._changed or not was_forgotten(self._connection, seals):
                self._put_back(lease, self._record(seals, suppressed=suppressed))
            refuse_new_editions(self._connection, lease)
        self._count("events", events)
        self._count("journal records", late)
        return True

    def _planned_in(self, run: NamedRun) -> bool:
        """Whether the person is in the run's plan, whose files are fetched for that, and kept if they are."""
        fetch_files(self._connection, run.number, run.folder)
        if look_for_lines(run.folder, self._theirs):
            self.runs.append(run)
            return True
        rmtree(run.folder)
        return False

    def _record(self, seals: list[str], *, suppressed: bool) -> int:
        lines = {run.number: [line.number for line in self._theirs.lines.get(run.folder, ())] for run in self.runs}
        rules = self._store.job.settings.audience.provider_rules
        return record_forgetting(self._connection, suppressed, rules, seals, lines)

    def _put_back(self, lease: EditionLease | None, number: int) -> None:
        places: dict[tuple[int, Path], dict[str, RunCopy]] = {}
        for run in self.runs:
            octets = self._copies[run.number].octets
            if run in self._changed:
                replace_files(self._connection, run.number, run.folder)
                octets = replace_segments(self._connection, run.number, run.folder)
                self._connection.execute("UPDATE campaign.run SET erased = %s WHERE run = %s", (number, run.number))
            copy = msgspec.structs.replace(self._copies[run.number], octets=octets)
            places.setdefault((run.edition, run.folder.parent), {})[run.folder.name] = copy
        for (edition, folder), copies in places.items():
            if lease:
                add_changes(self._connection, lease.of(edition), folder, copies)

    def _mask_late(self, run: NamedRun) -> int:
        mask, numbers = self._theirs.mask, [line.number for line in self._theirs.lines.get(run.folder, ())]
        change = partial(masked_record, masked=mask.masked_line, masked_reply=mask.masked_reply, own=numbers)
        return mask_late(self._connection, run.number, change)

    def _eraser(self, *, keep_hash: bool) -> EventEraser:
        return EventEraser(self._theirs, keep_hash=keep_hash)

    def _count(self, kind: str, count: int) -> None:
        if count and self._result.stored is not None:
            self._result.stored[kind] += count


def _stored_runs(connection: StoreConnection, scratch: Path) -> Iterator[NamedRun]:
    rows = connection.execute(
        "SELECT r.run, r.edition, e.name, e.label, r.stamp FROM campaign.run r JOIN campaign.edition e USING (edition) "
        "ORDER BY r.run"
    ).fetchall()
    for run, edition, name, label, stamp in rows:
        folder = run_folder.edition_folder(scratch, name, label) / stamp
        yield NamedRun(run, edition, folder, folder.relative_to(scratch).as_posix())


def _digest(folder: Path) -> str:
    """A digest of the files directly in a folder."""
    found = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        with path.open("rb") as file:
            found.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return found.hexdigest()
