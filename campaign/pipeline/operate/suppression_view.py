"""Derives the addresses suppressed now from the store of feedback, and from lines that people wrote.

Lines added to ``suppressed.csv`` by hand take effect at once, before they are imported.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import msgspec

from campaign.audience.screening.addresses import address_key
from campaign.audience.screening.suppression_list import read_entry
from campaign.config import Settings
from campaign.errors import DamageError
from campaign.feedback.suppression_rules import (
    BY_PERSON,
    WEIGHTY,
    RunsOf,
    SuppressedFor,
    SuppressionEntry,
    happened,
    suppressed,
)
from campaign.ledger import run_folder
from campaign.ledger.feedback import suppressed_csv
from campaign.ledger.feedback.feedback_store import read_events
from campaign.ledger.feedback.suppressed_csv import ListedLine
from campaign.model import FeedbackEvent

#: `FeedbackEvent.reason` of a line without a reason.
BY_HAND = "by hand"
#: Reasons as shown to people.
WORDS = {
    SuppressedFor.HARD: "hard bounce",
    SuppressedFor.SOFT: "soft bounces",
    SuppressedFor.FULL: "mailbox full",
    SuppressedFor.COMPLAINT: "complaint",
    SuppressedFor.UNSUBSCRIBE: "unsubscribed",
}


class DerivedSuppression(msgspec.Struct, frozen=True):
    """Suppressed addresses by key; lines of ``suppressed.csv`` written by hand; and its lines without an address."""

    entries: dict[str, SuppressionEntry]
    by_hand: list[ListedLine]
    unreadable: list[ListedLine]


def derive_suppression(directory: Path, settings: Settings, now: float, *, evidence: bool = True) -> DerivedSuppression:
    """The suppression in force at ``now`` (POSIX seconds). Raises DamageError, StorageError.

    Without ``evidence`` the entries' events have only the fields that the rules need, and the comments of a list
    that is unchanged since its export are not read.
    """
    key_of = key_function(settings)
    unknown, unreadable = set[int](), []
    read = not suppressed_csv.is_as_drawn_up(directory, comments=not evidence)
    for line in suppressed_csv.read_list(directory) if read else ():
        if address := listed_address(line):
            unknown.add(_mark(key_of(address), line.row.at))
        else:
            unreadable.append(line)
    events = _without(read_events(directory, evidence=evidence), unknown, key_of)
    entries = suppressed(events, settings.feedback, now, runs_in(directory), key_of)
    return DerivedSuppression(entries, _by_hand(directory, unknown, key_of), unreadable)


def told_entries(directory: Path, settings: Settings) -> Iterator[tuple[str, str]]:
    """Each entry of `derive_suppression` with its reason in words, as suppression lists take them."""
    found = derive_suppression(directory, settings, time.time(), evidence=False)
    for entry in found.entries.values():
        yield entry.address, entry_in_words(entry)
    for line in found.by_hand:
        yield listed_address(line), f"listed in {suppressed_csv.NAME}"


def entry_in_words(entry: SuppressionEntry) -> str:
    """``hard bounce on 2026-11-28``; the day is that of UTC."""
    return f"{reason_words(entry)} on {day_text(entry.since)}"


def reason_words(entry: SuppressionEntry) -> str:
    """The reason, in two or three words."""
    last = entry.events[-1]
    by_hand = last.matched_by == BY_PERSON and last.reason == BY_HAND
    return "listed by hand" if by_hand else WORDS[entry.reason]


def day_text(at: float) -> str:
    """``2026-11-28``, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def listed_address(line: ListedLine) -> str:
    """The address, ``@domain`` or hash of this line; empty if it has none."""
    kind, value = read_entry(line.row.address)
    return f"@{value}" if kind == "domain" else value.lower() if kind == "hash" else value


def key_function(settings: Settings) -> Callable[[str], str]:
    """The function that maps an address to the key by which this campaign compares addresses."""
    rules = settings.audience.provider_rules
    return lambda address: address_key(address, rules)


def runs_in(directory: Path) -> RunsOf:
    """The runs of each campaign that still have folders, without rehearsals; read once, when first needed."""

    @cache
    def runs_of(campaign: str) -> Sequence[tuple[str, float]]:
        if campaign in {"", ".", ".."} or "/" in campaign:
            return ()
        top = directory / campaign
        editions = sorted(one for one in top.iterdir() if one.is_dir()) if top.is_dir() else []
        return [began for folder in (top, *editions) for began in _began(directory, folder)]

    return runs_of


def _began(directory: Path, folder: Path) -> Iterator[tuple[str, float]]:
    try:
        runs = run_folder.runs(folder)
    except DamageError:
        return  # a damaged run of another edition must not stop this one
    for run in runs:
        at = run_folder.first_record(run)
        if at is not None and not run_folder.began_as_rehearsal(run):
            yield run.relative_to(directory).as_posix(), at


def _without(
    events: Iterator[FeedbackEvent], unknown: set[int], key_of: Callable[[str], str]
) -> Iterator[FeedbackEvent]:
    """The events; lines that they account for are removed from ``unknown``."""
    for event in events:
        if unknown and event.outcome in WEIGHTY:
            unknown.discard(_mark(key_of(event.address), happened(event)))
        yield event


def _by_hand(directory: Path, unknown: set[int], key_of: Callable[[str], str]) -> list[ListedLine]:
    if not unknown:
        return []
    return [
        line
        for line in suppressed_csv.read_list(directory)
        if (address := listed_address(line)) and _mark(key_of(address), line.row.at) in unknown
    ]


def _mark(key: str, at: float) -> int:
    """A hash of the listed key and its second: a line exported from the store has both from one event."""
    return hash((key, int(at)))
