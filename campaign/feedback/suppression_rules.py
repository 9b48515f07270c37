"""Derives from all feedback events which addresses are left out, and until when. Pure rules.

A hard bounce, a complaint or an unsubscribe leaves an address out permanently. Soft bounces in several runs in a row do
so for a limited time; a mailbox that stays full counts as dead. After a release, counting starts again. A bounce that
names an address but no letter of ours can be forged, so it counts only if the settings say so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from math import inf

import msgspec

from campaign.config.feedback import FeedbackSection
from campaign.model import FeedbackEvent, FeedbackOutcome

#: Classes of a bounce (`FeedbackEvent.reason`) with separate rules.
FULL, DISABLED = "full", "disabled"
#: Number of runs that must find a mailbox disabled, because it may be enabled again.
DISABLED_RUNS = 2
#: Values of `FeedbackEvent.matched_by` for a recipient found only by address.
UNTRUSTED = frozenset({"address", ""})
#: The value for an operator's own entry, which is in force from its time on.
BY_PERSON = "person"
#: Outcomes that can leave an address out, alone or together with others.
WEIGHTY = frozenset(
    {FeedbackOutcome.HARD, FeedbackOutcome.SOFT, FeedbackOutcome.COMPLAINT, FeedbackOutcome.UNSUBSCRIBE}
)

#: Campaign -> its runs, named as in `FeedbackEvent.run`, with the POSIX time at which each began; no rehearsals.
RunsOf = Callable[[str], Sequence[tuple[str, float]]]


class SuppressedFor(StrEnum):
    """Why an address is left out."""

    HARD = "hard"
    SOFT = "soft"
    FULL = "full"
    COMPLAINT = "complaint"
    UNSUBSCRIBE = "unsubscribe"


class SuppressionEntry(msgspec.Struct, frozen=True):
    """An address that gets no letters. ``since`` and ``until`` are POSIX seconds; ``None``: permanently.

    ``events`` are those that led to it, the deciding one last.
    """

    address: str
    reason: SuppressedFor
    since: float
    until: float | None
    events: tuple[FeedbackEvent, ...]


class AddressRecord(msgspec.Struct):
    """The events about one address since its last release. Times are those of `happened`."""

    released: float = -inf
    for_ever: FeedbackEvent | None = None
    hard: FeedbackEvent | None = None
    bounces: tuple[FeedbackEvent, ...] = ()  # most addresses have none; separate lists would cost memory
    delivered: list[tuple[float, str]] | None = None
    refused_runs: frozenset[str] = frozenset()

    def take(self, event: FeedbackEvent) -> None:
        """Add an event, in the order in which they were read."""
        outcome = event.outcome
        if outcome in (FeedbackOutcome.COMPLAINT, FeedbackOutcome.UNSUBSCRIBE):
            self.for_ever = self.for_ever or event  # also one that happened before the release, but was not read then
        elif happened(event) <= self.released and event.matched_by != BY_PERSON:
            return
        elif outcome is FeedbackOutcome.HARD and event.reason != DISABLED:
            self.hard = self.hard or event
        elif outcome in WEIGHTY:
            if not any(_run(one) == _run(event) and one.reason == event.reason for one in self.bounces):
                self.bounces = (*self.bounces, event)
        elif outcome is FeedbackOutcome.DELIVERED:
            self.delivered = self.delivered or []
            self.delivered.append((happened(event), event.run))
        elif outcome is FeedbackOutcome.NOT_THEIR_FAULT:
            self.refused_runs |= {event.run}


def suppressed(
    events: Iterable[FeedbackEvent],
    settings: FeedbackSection,
    now: float,
    runs_of: RunsOf,
    key_of: Callable[[str], str],
) -> dict[str, SuppressionEntry]:
    """The addresses left out at ``now``, by key, in the order of their first events.

    ``events`` are streamed in the order in which they were read. Memory grows with the addresses that bounced or left.
    """
    records: dict[str, AddressRecord] = {}
    for event in events:
        outcome = event.outcome
        if not is_trusted(event, settings):
            continue
        key = key_of(event.address)
        record = records.get(key)
        if outcome is FeedbackOutcome.RELEASED:
            records[key] = AddressRecord(max(record.released if record else -inf, happened(event)))
        elif record is not None:
            record.take(event)
        elif outcome in WEIGHTY:
            records[key] = record = AddressRecord()
            record.take(event)
    entries: dict[str, SuppressionEntry] = {}
    for key in list(records):  # a record goes as its entry comes: together they would take twice the memory
        if entry := _entry(records.pop(key), settings, now, runs_of):
            entries[key] = entry
    return entries


def is_trusted(event: FeedbackEvent, settings: FeedbackSection) -> bool:
    """Whether the event has an address, and evidence that only our letter or an operator could have provided."""
    return bool(event.address) and (settings.trust_addresses or event.matched_by not in UNTRUSTED)


def happened(event: FeedbackEvent) -> float:
    """The time of an event in POSIX seconds, at most the time it was read, because foreign clocks may be wrong."""
    return min(event.at or event.seen, event.seen)


def _entry(record: AddressRecord, settings: FeedbackSection, now: float, runs_of: RunsOf) -> SuppressionEntry | None:
    if decided := record.for_ever:
        return _for_ever(SuppressedFor(decided.outcome.value), [decided])
    if decided := record.hard:
        return _for_ever(SuppressedFor.HARD, [decided])
    row = _Row(record, settings, runs_of)
    for event in sorted(record.bounces, key=happened):
        if found := row.takes(event):
            return found
    return row.rest(now)


def _for_ever(reason: SuppressedFor, events: Sequence[FeedbackEvent]) -> SuppressionEntry:
    return SuppressionEntry(events[-1].address, reason, happened(events[-1]), None, tuple(events))


class _Row:
    """Consecutive bounces of one address, added in order of time; ``until`` is the end of its rest, if any."""

    def __init__(self, record: AddressRecord, settings: FeedbackSection, runs_of: RunsOf) -> None:
        self._settings, self._runs_of = settings, runs_of
        self._runs = {one.run for one in record.bounces} | record.refused_runs
        # A server on the way may report delivery before the last one bounces: a bounce of the same run counts.
        self._delivered = [at for at, run in record.delivered or () if not run or run not in self._runs]
        self._softs: list[FeedbackEvent] = []
        self._disabled: list[FeedbackEvent] = []
        self._until: float | None = None

    def takes(self, event: FeedbackEvent) -> SuppressionEntry | None:
        """Add a bounce; returns a permanent entry if it leads to one."""
        if event.outcome is FeedbackOutcome.HARD:
            return self._disable(event)
        self._soft(event)
        full = [one for one in self._softs if one.reason == FULL]
        if event.reason == FULL and _reach(full, self._settings.full_runs, self._settings.full_span):
            return _for_ever(SuppressedFor.FULL, full)
        return None

    def rest(self, now: float) -> SuppressionEntry | None:
        """The temporary entry in force at ``now``, if any."""
        if self._until is None or self._until <= now:
            return None
        last = self._softs[-1]
        return SuppressionEntry(last.address, SuppressedFor.SOFT, happened(last), self._until, tuple(self._softs))

    def _disable(self, event: FeedbackEvent) -> SuppressionEntry | None:
        if self._disabled and self._was_delivered(self._disabled[-1], event):
            self._disabled = []
        self._disabled.append(event)
        return _for_ever(SuppressedFor.HARD, self._disabled) if len(self._disabled) >= DISABLED_RUNS else None

    def _soft(self, event: FeedbackEvent) -> None:
        if self._softs and (self._was_delivered(self._softs[-1], event) or self._passed_well(event)):
            self._softs, self._until = [], None
        if self._softs and _run(self._softs[-1]) == _run(event):
            return
        self._softs.append(event)
        settings = self._settings
        if self._until is not None or _reach(self._softs, settings.soft_runs, settings.soft_span):
            self._until = happened(event) + settings.soft_rest

    def _was_delivered(self, before: FeedbackEvent, after: FeedbackEvent) -> bool:
        return any(happened(before) < at < happened(after) for at in self._delivered)

    def _passed_well(self, event: FeedbackEvent) -> bool:
        """Whether a run of the same campaign in between had no bounce; runs during its rest do not count."""
        before = next((one for one in reversed(self._softs) if one.campaign == event.campaign), None)
        if before is None or not event.campaign:
            return False
        runs = self._runs_of(event.campaign)
        began = dict(runs)
        first = max(began.get(before.run, happened(before)), self._until or 0.0)
        last = began.get(event.run, happened(event))
        own = {_edition(before), _edition(event)} - {event.campaign}  # within an edition no one is served twice
        return any(
            first < at < last and run not in self._runs and run.rpartition("/")[0] not in own for run, at in runs
        )


def _reach(events: Sequence[FeedbackEvent], runs: int, span: float) -> bool:
    return len(events) >= runs and happened(events[-1]) - happened(events[0]) >= span


def _run(event: FeedbackEvent) -> str:
    """The run that a bounce belongs to, to tell runs apart; the day, if no run is known."""
    return event.run or f"{int(happened(event) // 86_400)}"


def _edition(event: FeedbackEvent) -> str:
    return event.run.rpartition("/")[0]
