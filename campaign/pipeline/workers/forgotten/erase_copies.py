"""Erasing on this machine whom another one has forgotten in the store, before anything else is done with it.

The store says on which lines of which plans the person was, and has keyed digests of the address. This machine looks
these up in its own copies and events, and erases there what it finds, as `campaign forget` does. Then its copies of
changed runs are fetched again. Runs on files are no copies, and stay as they are.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from campaign.audience.plan.forgotten_rows import seal_key
from campaign.audience.plan.plan_reader import Plan
from campaign.audience.screening.addresses import Address, address_key, parse_address
from campaign.audience.screening.key_set import digest
from campaign.errors import UnfinishedError
from campaign.ledger import run_folder
from campaign.ledger.feedback import suppressed_csv
from campaign.ledger.feedback.feedback_store import read_events
from campaign.ledger.forget_recipient import finish_replacing
from campaign.ledger.journal.journal_file import unwritable
from campaign.ledger.postgres.edition_lease import StoreConnection
from campaign.ledger.postgres.forgotten.forgettings import Forgetting, forgettings_after
from campaign.ledger.postgres.forgotten.forgotten_mark import (
    HEEDED,
    heeded,
    is_behind,
    last_forgetting,
    note_heeded,
)
from campaign.ledger.postgres.runs.copy_mark import is_copy
from campaign.ledger.postgres.runs.run_copies import copied, is_current_copy, refresh_copy
from campaign.ledger.postgres.runs.stored_runs import is_stored
from campaign.pipeline.collect.sent_runs import earlier_secrets
from campaign.pipeline.command_context import Job
from campaign.pipeline.operate.forget.erase_person import ForgetResult, PersonErasure
from campaign.pipeline.operate.forget.known_person import find_person
from campaign.pipeline.operate.forget.run_files import erase_from_files
from campaign.pipeline.operate.suppression_view import listed_address
from campaign.system.atomic_file import make_folders
from campaign.system.own_files import open_own

_LOCK, _LEVELS = "forgotten.lock", 3
Matches = Callable[[str], bool]


def erase_forgotten(job: Job, connection: StoreConnection) -> None:
    """Erase from this machine's copies whoever was forgotten since it last looked.

    Raises UnfinishedError while a worker is at work on this machine, DamageError, StorageError.
    """
    directory = job.directory
    if not is_behind(connection, directory):
        return
    with _alone(directory):
        last = last_forgetting(connection)
        _refuse_workers_here(connection)
        runs = _runs_below(directory)
        copies = [run for run in runs if is_copy(run)]
        for run in copies:
            finish_replacing(run)
        for one in forgettings_after(connection, heeded(directory, last)):
            _erase(job, connection, one, runs, copies)
        fetch_changed(connection, copies)
        note_heeded(directory, last)


def fetch_changed(connection: StoreConnection, copies: Sequence[Path]) -> None:
    """Fetch those copies again whose runs were changed by a forgetting."""
    for run in copies:
        copy = copied(run)
        if copy and is_stored(connection, copy.run, run.name) and not is_current_copy(connection, run):
            refresh_copy(connection, copy.run, run, heeded=True)


def seals_of(job: Job, key: str) -> list[str]:
    """The keyed digests of a person's key under the campaign's secret, and under what it was before."""
    return [seal_key(secret, digest(key)) for secret in earlier_secrets(job.secret)]


def _erase(
    job: Job, connection: StoreConnection, one: Forgetting, runs: Sequence[Path], copies: Sequence[Path]
) -> None:
    leave = [run for run in runs if run not in copies]
    seals = frozenset(one.seals)

    def is_theirs(text: str) -> bool:
        return not seals.isdisjoint(seals_of(job, address_key(text, one.provider_rules)))

    for address in sorted(_addresses(job, connection, one, copies, is_theirs)):
        person = find_person(address, one.provider_rules, copies)
        # before the events, too: after a kill the address is found there again, if no plan has it
        erase_from_files(job.directory, person, dry_run=False, leave=leave)
        erasure = PersonErasure(job, person, ForgetResult(address, dry_run=False))
        erasure.from_everything(copies, suppressed=one.suppressed, leave=leave)


def _addresses(
    job: Job, connection: StoreConnection, one: Forgetting, copies: Sequence[Path], is_theirs: Matches
) -> set[str]:
    """The person's addresses, one for each key, as this machine's copies, events and list have them."""
    found = {_own_address(*line, is_theirs) for line in _planned(connection, one, copies, is_theirs)}
    told = (event.address for event in read_events(job.directory, evidence=False))
    listed = map(listed_address, suppressed_csv.read_list(job.directory))
    found |= {text for texts in (told, listed) for text in texts if "@" in text and is_theirs(text)}
    wires = {parsed.wire for text in found if isinstance(parsed := parse_address(text), Address)}
    return set({address_key(wire, one.provider_rules): wire for wire in sorted(wires)}.values())


def _planned(
    connection: StoreConnection, one: Forgetting, copies: Sequence[Path], is_theirs: Matches
) -> Iterator[tuple[str, str]]:
    """Key and address of the person's lines. In a run that the store does not have any more all lines are tried."""
    for run in copies:
        copy = copied(run)
        if not (run / run_folder.PLAN).exists():
            continue
        if copy and is_stored(connection, copy.run, run.name):
            plan = Plan.open(run / run_folder.PLAN) if copy.run in one.lines else None
            rows = (plan.recipient(number) for number in one.lines[copy.run]) if plan else ()
            yield from ((row.key, row.address) for row in rows if row.address)
        else:
            lines = Plan.open(run / run_folder.PLAN).keys_and_addresses()
            yield from ((key, address) for key, address in lines if address and is_theirs(address))


def _own_address(key: str, address: str, is_theirs: Matches) -> str:
    """The address by which the person was forgotten: that of the line, unless its key is the one."""
    return key if "@" in key and is_theirs(key) and not is_theirs(address) else address


def _runs_below(directory: Path) -> list[Path]:
    return sorted(folder for folder in run_folder.folders_below(directory, _LEVELS) if run_folder.has_run(folder))


def _refuse_workers_here(connection: StoreConnection) -> None:
    """Raise UnfinishedError if a worker of this machine is alive: it writes the log that would be replaced."""
    rows = connection.execute(
        "SELECT name FROM campaign.worker WHERE split_part(name, ':', 1) = %s "
        "AND beat > clock_timestamp() - (SELECT lease FROM campaign.meta)",
        (socket.gethostname(),),
    ).fetchall()
    if rows:
        raise UnfinishedError(
            "Somebody was forgotten on another machine, and a worker on this one still has its copies in use.",
            evidence=[str(row[0]) for row in rows],
            next_step="run the same command again when that one has ended; it erases the copies first",
        )


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """One process at a time on this machine; others wait."""
    path = directory / HEEDED.parent / _LOCK
    try:
        make_folders(path.parent)
        descriptor = open_own(path, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
