"""Whom what came back leaves out, and until when: pure rules over the events, so that they can be applied anew.

A hard bounce, a complaint or an unsubscribe leaves an address out for ever. Soft bounces do so for a while, once there
are several runs of them in a row; a mailbox found full for long is as good as dead. What a person releases begins
anew. A bounce that names an address and no letter of ours counts only where the settings say so: anybody can write one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from campaign.config.feedback import FeedbackSection
from campaign.model import FeedbackEvent, FeedbackOutcome

#: Classes of a bounce (`FeedbackEvent.reason`) that have a rule of their own.
FULL, DISABLED = "full", "disabled"
#: A disabled mailbox may be enabled again: so many runs have to find it so.
DISABLED_RUNS = 2
#: Values of `FeedbackEvent.matched_by` with which nothing but an address leads to the person.
UNTRUSTED = frozenset({"address", ""})
#: The value of what a person here said, which holds from when it was said.
BY_PERSON = "person"
#: Outcomes that can leave an address out, at once or with others.
WEIGHTY = frozenset(
    {FeedbackOutcome.HARD, FeedbackOutcome.SOFT, FeedbackOutcome.COMPLAINT, FeedbackOutcome.UNSUBSCRIBE}
)

#: Campaign -> its runs as `FeedbackEvent.run` names them, with the POSIX time at which each began; no rehearsals.
RunsOf = Callable[[str], Sequence[tuple[str, float]]]


class SuppressedFor(StrEnum):
    """Why an address is left out."""

    HARD = "hard"
    SOFT = "soft"
    FULL = "full"
    COMPLAINT = "complaint"
    UNSUBSCRIBE = "unsubscribe"


@dataclass(frozen=True, slots=True)
class SuppressionEntry:
    """One address that must not be written to. ``since`` and ``until`` are POSIX seconds; ``None``: for ever.

    ``events`` are those that led to it, the one that decided last.
    """

    address: str
    reason: SuppressedFor
    since: float
    until: float | None
    events: tuple[FeedbackEvent, ...]


@dataclass(slots=True)
class AddressRecord:
    """What came back about one address since it was last released. Times are those of `happened`."""

    released: float = -inf
    for_ever: FeedbackEvent | None = None
    hard: FeedbackEvent | None = None
    bounces: tuple[FeedbackEvent, ...] = ()  # most addresses have none of these: lists of their own would be memory
    delivered: list[tuple[float, str]] | None = None
    refused_runs: frozenset[str] = frozenset()

    def take(self, event: FeedbackEvent) -> None:
        """One more event, in the order in which they were read."""
        outcome = event.outcome
        if outcome in (FeedbackOutcome.COMPLAINT, FeedbackOutcome.UNSUBSCRIBE):
            self.for_ever = self.for_ever or event  # also one written before the release: nobody had read it then
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
    """Who is left out at ``now``, by key, in the order in which they were first heard of.

    ``events`` are streamed in the order in which they were read; memory grows with the addresses that bounced or left.
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
    return {key: entry for key, one in records.items() if (entry := _entry(one, settings, now, runs_of))}


def is_trusted(event: FeedbackEvent, settings: FeedbackSection) -> bool:
    """Whether it names an address and something that only a letter of ours, or a person here, could have told."""
    return bool(event.address) and (settings.trust_addresses or event.matched_by not in UNTRUSTED)


def happened(event: FeedbackEvent) -> float:
    """When it happened, in POSIX seconds: never after it was read, whatever a stranger's clock says."""
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
    """Bounces of one address in a row, taken in the order of time; ``until`` is when its rest ends, if it had one."""

    def __init__(self, record: AddressRecord, settings: FeedbackSection, runs_of: RunsOf) -> None:
        self._settings, self._runs_of = settings, runs_of
        self._runs = {one.run for one in record.bounces} | record.refused_runs
        # A server on the way may call delivered what the last one then sends back: a bounce of the same run counts.
        self._delivered = [at for at, run in record.delivered or () if not run or run not in self._runs]
        self._softs: list[FeedbackEvent] = []
        self._disabled: list[FeedbackEvent] = []
        self._until: float | None = None

    def takes(self, event: FeedbackEvent) -> SuppressionEntry | None:
        """One more bounce; an entry where it leads to one for ever."""
        if event.outcome is FeedbackOutcome.HARD:
            return self._disable(event)
        self._soft(event)
        full = [one for one in self._softs if one.reason == FULL]
        if event.reason == FULL and _reach(full, self._settings.full_runs, self._settings.full_span):
            return _for_ever(SuppressedFor.FULL, full)
        return None

    def rest(self, now: float) -> SuppressionEntry | None:
        """The entry that ends by itself, if there is one now."""
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
        """Whether a run of the same campaign came between and nothing came back; while it rested, nobody was asked."""
        before = next((one for one in reversed(self._softs) if one.campaign == event.campaign), None)
        if before is None or not event.campaign:
            return False
        runs = self._runs_of(event.campaign)
        began = dict(runs)
        first = max(began.get(before.run, happened(before)), self._until or 0.0)
        last = began.get(event.run, happened(event))
        own = {_edition(before), _edition(event)} - {event.campaign}  # within an edition nobody is served twice
        return any(
            first < at < last and run not in self._runs and run.rpartition("/")[0] not in own for run, at in runs
        )


def _reach(events: Sequence[FeedbackEvent], runs: int, span: float) -> bool:
    return len(events) >= runs and happened(events[-1]) - happened(events[0]) >= span


def _run(event: FeedbackEvent) -> str:
    """What makes two bounces those of different runs; where no run is known, the day has to do."""
    return event.run or f"{int(happened(event) // 86_400)}"


def _edition(event: FeedbackEvent) -> str:
    return event.run.rpartition("/")[0]
