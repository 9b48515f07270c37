"""Answers ``campaign suppression``: an overview, the evidence about an address, its release, and a table."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import msgspec

from campaign.audience.screening.suppression_list import Suppression, address_hash
from campaign.errors import InputError
from campaign.feedback.event_weight import weights_in_words
from campaign.feedback.suppression_rules import BY_PERSON, SuppressionEntry, suppressed
from campaign.ledger.feedback import suppressed_csv
from campaign.ledger.feedback.feedback_store import FeedbackStore, read_events
from campaign.ledger.feedback.suppressed_csv import ListedLine, SuppressedRow
from campaign.model import FeedbackEvent, FeedbackOutcome
from campaign.pipeline.command_context import Job
from campaign.pipeline.operate.suppressed_export import export_suppressed, reason_text
from campaign.pipeline.operate.suppression_view import derive_suppression, key_function, listed_address, runs_in
from campaign.system.formula_guard import guard

#: `FeedbackEvent.source` of a release.
SOURCE = "operator"
COLUMNS = ("address", "why", "since", "until", "code", "campaign", "said")


class SuppressionOverview(msgspec.Struct, frozen=True):
    """The number of addresses left out by reason, and the latest entries, newest first."""

    counts: dict[str, int]
    newest: list[SuppressionEntry]


class SuppressionAnswer(msgspec.Struct, frozen=True):
    """Why an address is left out or not: ``entry``, ``None`` if feedback does not; ``listed`` names a list.

    ``events`` is all feedback about it, each with how it counts.
    """

    address: str
    entry: SuppressionEntry | None
    listed: str
    events: list[tuple[FeedbackEvent, str]]


def suppression_overview(job: Job, now: float, newest: int) -> SuppressionOverview:
    """The overview; also imports and exports ``suppressed.csv``. Raises DamageError, StorageError."""
    export_suppressed(job.directory, job.settings, now)
    entries = derive_suppression(job.directory, job.settings, now).entries.values()
    counts = Counter(entry.reason.value for entry in entries)
    latest = sorted(entries, key=lambda entry: -entry.since)[:newest]
    return SuppressionOverview(dict(counts.most_common()), latest)


def explain_suppression(job: Job, text: str, now: float) -> SuppressionAnswer:
    """Everything known about one address. Raises InputError if ``text`` is not an address, and the lists' errors."""
    address, settings = _address(text), job.settings
    key_of = key_function(settings)
    key, forgotten = key_of(address), address_hash(address)  # who was forgotten is left out by a hash
    events = [event for event in read_events(job.directory) if key_of(event.address) in (key, forgotten)]
    found = suppressed(events, settings.feedback, now, runs_in(job.directory), key_of)
    entry = found.get(key) or found.get(forgotten)
    listed = Suppression.load(settings.audience, settings.base).covers(address)
    if not listed and any(key_of(listed_address(line)) == key for line in _by_hand(job, now)):
        listed = f"listed in {suppressed_csv.NAME}"
    weights = weights_in_words(events, entry, settings.feedback)
    return SuppressionAnswer(address, entry, listed, list(zip(events, weights, strict=True)))


def release_address(job: Job, text: str, now: float) -> SuppressionEntry:
    """Allow letters to the address again; returns the undone entry. Raises InputError if it was not left out."""
    export_suppressed(job.directory, job.settings, now)
    found = explain_suppression(job, text, now)
    if found.entry is None:
        raise InputError(
            f"Nothing that came back leaves {found.address} out, so there is nothing to release.",
            evidence=[f"it is {found.listed}, a list of this campaign's own"] if found.listed else (),
            next_step="take it off that list"
            if found.listed
            else f"see who is left out: {job.command('suppression')} --export -",
        )
    released = FeedbackEvent(
        id=f"released:{uuid4().hex}",
        source=SOURCE,
        outcome=FeedbackOutcome.RELEASED,
        at=now,
        seen=now,
        address=found.entry.address,
        matched_by=BY_PERSON,
    )
    with FeedbackStore(job.directory) as store:
        store.append([released])
        store.sync()
    export_suppressed(job.directory, job.settings, now)
    return found.entry


def suppression_table(job: Job, now: float) -> Iterator[str]:
    """The addresses left out at ``now``, as lines of CSV with a heading; each ends in a line feed."""
    found = derive_suppression(job.directory, job.settings, now)
    yield _csv_line(*COLUMNS)
    for entry in found.entries.values():
        last, until = entry.events[-1], "" if entry.until is None else stamp_text(entry.until)
        code = last.enhanced or str(last.code or "")
        said = guard(" ".join(reason_text(entry).split()))
        yield _csv_line(entry.address, entry.reason, stamp_text(entry.since), until, code, last.campaign, said)
    for row in (SuppressedRow(listed_address(line), *line.row[1:]) for line in found.by_hand):
        since = stamp_text(row.at) if row.at else ""
        yield _csv_line(row.address, "hard", since, "", row.code, row.campaign, guard(row.reason))


def stamp_text(at: float) -> str:
    """``2026-11-28T08:00:00Z``."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _by_hand(job: Job, now: float) -> list[ListedLine]:
    return derive_suppression(job.directory, job.settings, now, evidence=False).by_hand


def _address(text: str) -> str:
    address = listed_address(ListedLine(0, text, SuppressedRow(text)))
    if not address:
        raise InputError(
            f"{text!r} is no e-mail address.",
            next_step="type one such as ada@example.com, or what stands in suppressed.csv: @domain, or a hash",
        )
    return address


def _csv_line(*cells: str) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
