"""The store of feedback and ``suppressed.csv``, rid of one person, who stays suppressed by a hash if they were.

A suppressed person's events get the SHA-256 of the address in its place, which suppression lists understand. Events of
anybody else lose the address, and so count for nothing. Diagnostics that name the address are masked in all events.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from pathlib import Path

from campaign.audience.screening.suppression_list import address_hash
from campaign.config import Settings
from campaign.feedback.suppression_rules import SuppressionEntry
from campaign.ledger.feedback import suppressed_csv
from campaign.ledger.feedback.feedback_store import NAME, FeedbackStore, read_events, rewrite_events
from campaign.model import FeedbackEvent
from campaign.pipeline.operate.forget.known_person import KnownPerson
from campaign.pipeline.operate.suppressed_export import export_suppressed
from campaign.pipeline.operate.suppression_view import derive_suppression, listed_address


def erase_events(
    directory: Path, settings: Settings, person: KnownPerson, *, suppressed: bool = False, dry_run: bool
) -> tuple[int, bool]:
    """Rewrite the store, then ``suppressed.csv`` from it; returns how many events change, and whether a hash is kept.

    ``suppressed``: a hash is kept even if nothing here suppresses the person. With ``dry_run`` nothing is written.
    Raises StorageError, DamageError, UnfinishedError.
    """
    if not dry_run:
        _cut_torn_end(directory)
        export_suppressed(directory, settings)  # takes in what people wrote into the list
    suppressed = suppressed or suppressing_entry(directory, settings, person) is not None
    eraser = EventEraser(person, keep_hash=suppressed)
    if dry_run:
        return sum(eraser.erased(event) != event for event in read_events(directory)), suppressed
    _drop_lines(directory, person)
    count = rewrite_events(directory, eraser.erased)
    if count:
        export_suppressed(directory, settings)
    return count, suppressed


def _cut_torn_end(directory: Path) -> None:
    """Have what is torn at the store's end put beside it, as before any other append; there it is masked."""
    if (directory / NAME).exists():
        with FeedbackStore(directory) as store:
            store.append([])


def _drop_lines(directory: Path, person: KnownPerson) -> None:
    """Take the person's lines out of ``suppressed.csv``, all of which the store has, and mask what others say.

    A line that stayed would be taken for one that somebody wrote, once the store has no event with its address.
    """
    wanted = person.key_of(person.address)
    with suppressed_csv.list_locked(directory) if (directory / suppressed_csv.NAME).exists() else nullcontext():
        lines = list(suppressed_csv.read_list(directory))
        kept = [line for line in lines if person.key_of(listed_address(line)) != wanted]
        texts = [person.mask.masked(line.text.encode("utf-8", "surrogateescape")) for line in kept]
        said = [text.decode("utf-8", "surrogateescape") for text in texts]
        if said != [line.text for line in lines]:
            suppressed_csv.rewrite_list(directory, (), said, suppressed_csv.signature(directory))


def suppressing_entry(directory: Path, settings: Settings, person: KnownPerson) -> SuppressionEntry | str | None:
    """What suppresses the person now: an entry drawn from events, or a line that somebody wrote."""
    found = derive_suppression(directory, settings, time.time())
    wanted = person.key_of(person.address)
    lines = (listed_address(line) for line in found.by_hand)
    return found.entries.get(wanted) or next((one for one in lines if person.key_of(one) == wanted), None)


class EventEraser:
    """Changes the events of one person; with ``keep_hash`` they keep suppressing the address."""

    def __init__(self, person: KnownPerson, *, keep_hash: bool) -> None:
        self._person, self._mask, self._keep_hash = person, person.mask, keep_hash

    def erased(self, event: FeedbackEvent) -> FeedbackEvent:
        """The event without the address."""
        theirs = bool(event.address) and self._person.key_of(event.address) == self._person.key_of(self._person.address)
        address = event.address
        if theirs:
            address = address_hash(event.address) if self._keep_hash else ""
        diagnostic = self._mask.masked_reply(event.diagnostic) if theirs else self._masked(event.diagnostic)
        return event._replace(
            address=address,
            diagnostic=diagnostic,
            id=self._masked(event.id),
            source=self._masked(event.source),
            mta=self._masked(event.mta),
        )

    def _masked(self, text: str) -> str:
        return self._mask.masked(text.encode("utf-8", "replace")).decode() if "@" in text or "=" in text else text
