"""Counts what one `campaign collect` did: a table for people, JSON for programs."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from campaign.errors import CampaignError
from campaign.pipeline.collect.judge_notice import Judged
from campaign.pipeline.collect.why_unrecognised import UnrecognisedReason
from campaign.report.formatting import counted, duration_text


class CollectTally(msgspec.Struct):
    """``received`` items were read from ``sources`` sources; ``new`` of their events were not stored yet.

    ``meanings`` counts events by outcome and class; ``reasons`` says why messages were not recognised.
    ``settled``: letters in doubt that were accepted after all.
    ``left_out``: addresses that get no letter now, by all stored events; None if not computed.
    ``reports``: runs whose report was written again, because there is new feedback.
    """

    sources: int = 0
    received: int = 0
    not_recognised: int = 0
    events: int = 0
    new: int = 0
    settled: int = 0
    left_out: int | None = None
    reports: int = 0
    meanings: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)
    reasons: Counter[UnrecognisedReason] = msgspec.field(default_factory=Counter)
    failures: list[CampaignError] = msgspec.field(default_factory=list)

    def add(self, judged: Judged) -> None:
        """Add one received item."""
        self.received += 1
        self.events += len(judged.events)
        self.not_recognised += bool(judged.events) and not judged.recognised
        if judged.reason:
            self.reasons[judged.reason] += 1
        self.meanings.update((event.outcome.value, event.reason) for event in judged.events)

    def facts(self) -> dict[str, Any]:
        """The counts for ``--json``."""
        return {
            "sources": self.sources,
            "received": self.received,
            "events": self.events,
            "new": self.new,
            "not_recognised": self.not_recognised,
            "reasons_not_recognised": [
                {"why": reason.why, "kept": reason.kept, "messages": count}
                for reason, count in self.reasons.most_common()
            ],
            "outcomes": [
                {"outcome": outcome, "class": reason or None, "events": count}
                for (outcome, reason), count in self.meanings.most_common()
            ],
            "settled": self.settled,
            "left_out": self.left_out,
            "reports": self.reports,
            "failures": [error.what for error in self.failures],
        }

    def text(self, seconds: float) -> str:
        """The table for people: what was read, what it means, and the effect."""
        lines = [self._head(seconds)]
        lines += [
            f"  {outcome.replace('_', ' '):<16} {reason.replace('_', ' '):<16} {count:>9,}"
            for (outcome, reason), count in self.meanings.most_common()
        ]
        lines += [
            f"{count:,} not recognised: {reason.why}; {reason.kept}" for reason, count in self.reasons.most_common()
        ]
        if self.settled:
            lines.append(f"{counted(self.settled, 'letter')} in doubt settled as accepted")
        if self.left_out is not None:
            lines.append(f"{counted(self.left_out, 'address', 'addresses')} left out of what is sent from now on")
        if self.reports:
            lines.append(f"{counted(self.reports, 'report')} written again")
        return "\n".join(lines)

    def _head(self, seconds: float) -> str:
        known, where = self.events - self.new, counted(self.sources, "source")
        parts = [
            f"collected {counted(self.received, 'message')} from {where} in {duration_text(seconds)}",
            counted(self.new, "new event"),
            f"{known:,} known before" if known else "",
            f"{self.not_recognised:,} not recognised" if self.not_recognised else "",
        ]
        return ", ".join(filter(None, parts))
