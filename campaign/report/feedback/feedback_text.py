"""What came back about a run's letters, for the terminal and for `summary.json`."""

from __future__ import annotations

from typing import Any

from campaign.model import FeedbackOutcome
from campaign.report import formatting
from campaign.report.feedback.feedback_facts import BOUNCED, FeedbackFacts, FeedbackLevel, feedback_alarms

_SHORT = {
    FeedbackOutcome.HARD: "hard",
    FeedbackOutcome.SOFT: "soft",
    FeedbackOutcome.NOT_THEIR_FAULT: "our own fault",
}


def feedback_lines(facts: FeedbackFacts) -> list[str]:
    """The lines of a run's tally: bounces, complaints and unsubscribes, and what gives reason to worry."""
    if not facts.events:
        return []
    kinds = [f"{facts.recipients(one):,} {_SHORT[one]}" for one in BOUNCED if facts.recipients(one)]
    share = formatting.share_text(facts.share(facts.bounced))
    bounced = f"{facts.bounced:,} of {facts.accepted:,} accepted ({share}){': ' if kinds else ''}{', '.join(kinds)}"
    complaints = formatting.counted(facts.recipients(FeedbackOutcome.COMPLAINT), "complaint")
    left = formatting.counted(facts.recipients(FeedbackOutcome.UNSUBSCRIBE), "unsubscribe")
    return [f"Bounces {bounced}; {complaints}, {left}", *_worries(facts)]


def _worries(facts: FeedbackFacts) -> list[str]:
    labels = {FeedbackLevel.WARNING: "Warning", FeedbackLevel.ALARM: "ALARM"}
    return [
        f"{labels[one.level]:<8}{alarm_headline(one.kind, one.share)}. {one.advice}"
        for one in feedback_alarms(facts)
        if one.level in labels
    ]


def alarm_headline(kind: str, share: float) -> str:
    """``0.4 % complained``."""
    words = {
        "complained": "complained",
        "bounced": "bounced",
        "not_their_fault": "bounced because of the letter or its sender",
    }
    return f"{formatting.share_text(share)} {words[kind]}"


def feedback_json(facts: FeedbackFacts) -> dict[str, Any]:
    """The ``feedback`` of `summary.json`, as plain values. It contains no address of a recipient."""
    return {
        "events": facts.events,
        "accepted": facts.accepted,
        "bounced": facts.bounced,
        "outcomes": {one.value: facts.recipients(one) for one in FeedbackOutcome if one != FeedbackOutcome.RELEASED},
        "not_recognised": facts.not_recognised,
        "bounces": [
            {"outcome": one.outcome.value, "class": formatting.printable(one.reason), "recipients": one.count}
            for one in facts.bounces
        ],
        "providers": [
            {
                "name": one.name,
                "accepted": one.accepted,
                "bounced": one.bounced,
                "outcomes": {outcome.value: count for outcome, count in one.outcomes.items()},
            }
            for one in facts.providers
        ],
        "alarms": [
            {
                "of": one.kind,
                "recipients": one.count,
                "share": round(one.share, 6),
                "warning_from": one.warning,
                "alarm_above": one.alarm,
                "level": one.level.value,
                "advice": one.advice,
            }
            for one in feedback_alarms(facts)
        ],
    }
