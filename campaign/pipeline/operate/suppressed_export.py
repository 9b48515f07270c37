"""Exports ``suppressed.csv`` from the store of feedback, after importing lines that people added to it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from campaign.config import Settings
from campaign.errors import UnfinishedError
from campaign.feedback.suppression_rules import BY_PERSON, SuppressedFor, SuppressionEntry
from campaign.ledger.feedback import suppressed_csv
from campaign.ledger.feedback.feedback_store import NAME as STORE
from campaign.ledger.feedback.feedback_store import FeedbackStore
from campaign.ledger.feedback.suppressed_csv import ListedLine, SuppressedRow
from campaign.model import FeedbackEvent, FeedbackOutcome
from campaign.pipeline.operate.suppression_view import BY_HAND, derive_suppression, listed_address, reason_words
from campaign.report.live.console import path_text

#: `FeedbackEvent.source` of an event made from a line of the list.
SOURCE = suppressed_csv.NAME
#: Attempts to export a file that changes meanwhile.
TRIES = 5


def export_suppressed(directory: Path, settings: Settings, now: float | None = None) -> None:
    """Import lines that the store lacks, durably, and write the list of addresses suppressed at ``now``.

    If there is neither a store nor a list, nothing is written. Raises DamageError, StorageError, UnfinishedError.
    """
    if not (directory / STORE).exists() and suppressed_csv.signature(directory) is None:
        return
    at = time.time() if now is None else now
    with suppressed_csv.list_locked(directory):
        for _ in range(TRIES):
            if _draw_up(directory, settings, at):
                return
    path = path_text(directory / suppressed_csv.NAME)
    raise UnfinishedError(
        f"{path} is being written by somebody else, so it was left as it is.",
        evidence=f"it changed {TRIES} times while it was drawn up",
        next_step=f"close the program that writes it, then: campaign suppression {path_text(settings.file)}",
    )


def _draw_up(directory: Path, settings: Settings, now: float) -> bool:
    seen = suppressed_csv.signature(directory)
    found = derive_suppression(directory, settings, now)
    if found.by_hand:
        _take_in(directory, found.by_hand, now)
        found = derive_suppression(directory, settings, now)
    kept = [line.text for line in found.unreadable]
    return suppressed_csv.rewrite_list(directory, _rows(found.entries.values()), kept, seen)


def _take_in(directory: Path, lines: Sequence[ListedLine], now: float) -> None:
    with FeedbackStore(directory) as store:
        store.append([_event_of_line(line, now) for line in lines])
        store.sync()


def _event_of_line(line: ListedLine, now: float) -> FeedbackEvent:
    row = line.row
    code = int(row.code) if len(row.code) == 3 and row.code.isdecimal() else 0
    return FeedbackEvent(
        id=f"{SOURCE}:{hashlib.sha256(f'{line.text} {now}'.encode('utf-8', 'replace')).hexdigest()[:32]}",
        source=SOURCE,
        outcome=FeedbackOutcome.HARD,
        at=row.at or now,
        seen=now,
        address=listed_address(line),
        matched_by=BY_PERSON,
        campaign=row.campaign,
        reason="listed" if row.reason or row.code else BY_HAND,
        code=code,
        enhanced="" if code else row.code,
        diagnostic=row.reason,
    )


def _rows(entries: Iterable[SuppressionEntry]) -> Iterator[SuppressedRow]:
    for entry in entries:
        last = entry.events[-1]
        if entry.address.isprintable():
            code = last.enhanced or str(last.code or "")
            yield SuppressedRow(entry.address, reason_text(entry), code, entry.since, last.campaign)


def reason_text(entry: SuppressionEntry) -> str:
    """The reason for the list: the text of the server that refused, if there is one."""
    asked = entry.reason in (SuppressedFor.COMPLAINT, SuppressedFor.UNSUBSCRIBE)
    return reason_words(entry) if asked else entry.events[-1].diagnostic or reason_words(entry)
