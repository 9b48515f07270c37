"""A summary of the relays' replies, grouped by meaning, with advice: the part of a report that people act on.

Relays write addresses, queue numbers and times into their replies, so that hardly two are equal. Replies are of one
kind if code, verdict and the words without a digit are equal. The rules that decided about the letters also give the
meaning of a kind. No decision is made here.
"""

from __future__ import annotations

import re

import msgspec

from campaign.delivery.replies.classify import Action, Decision, Rules, Stage
from campaign.ledger.journal.journal_records import VerdictRecord
from campaign.model import Reply, Verdict
from campaign.report.facts import ReplyTally
from campaign.report.formatting import without_addresses

LONGEST = 200  #: characters kept of a reply
MOST_KINDS = 1_000  #: kinds distinguished by their words; beyond, those of equal code and verdict are one

_VARIES = re.compile(r"\S*@\S*|\S*\d\S*")
#: Advice if the rule itself has none.
_OTHERWISE = {
    Action.SUPPRESS: "the address is in suppressed.csv now and gets nothing more; take it off your list",
    Action.REJECT: "the reply's own words say why; campaign retry tries again what you can correct",
}
_LATER = "nothing to do: a later pass tries again"
_OUT_OF_TRIES = "it was tried until its attempts or its time ran out; campaign retry begins anew"


class ReplyKind(msgspec.Struct):
    """Replies of one kind: the first of them, and how many there were."""

    first: VerdictRecord
    count: int = 0


class Refusals(msgspec.Struct):
    """Collects every verdict except good ones; `top` returns the commonest kinds."""

    _kinds: dict[tuple[int, str, str, str], ReplyKind] = msgspec.field(default_factory=dict)

    def add(self, record: VerdictRecord) -> None:
        """Add one verdict and its reply. Costs a few microseconds."""
        words = _VARIES.sub("#", record.reason[:LONGEST])
        key = (record.code, record.enhanced, record.verdict, words)
        if key not in self._kinds and len(self._kinds) >= MOST_KINDS:
            key = (record.code, record.enhanced, record.verdict, "")
        self._kinds.setdefault(key, ReplyKind(record)).count += 1

    def top(self, rules: Rules, most: int) -> list[ReplyTally]:
        """The ``most`` commonest kinds, the commonest first."""
        ranked = sorted(self._kinds.values(), key=lambda kind: -kind.count)
        return [_told(kind, rules) for kind in ranked[:most]]

    def dead(self, rules: Rules) -> int:
        """How many recipients were refused as dead, so that no run tries them again."""
        return sum(
            kind.count
            for kind in self._kinds.values()
            if kind.first.verdict == Verdict.REJECTED and _decided(kind.first, rules).action is Action.SUPPRESS
        )


def _told(kind: ReplyKind, rules: Rules) -> ReplyTally:
    first = kind.first
    meaning, advice = _in_words(first, rules) if first.code else ("", _LATER if _waits(first) else "")
    return ReplyTally(
        code=first.code,
        enhanced=first.enhanced,
        reason=without_addresses(first.reason[:LONGEST]),
        verdict=first.verdict,
        count=kind.count,
        advice=advice,
        meaning=meaning,
    )


def _decided(record: VerdictRecord, rules: Rules) -> Decision:
    stage = Stage.DOT if record.took else Stage.RCPT
    return rules.decide(stage, Reply(record.code, record.enhanced, record.reason), relay=record.relay)


def _in_words(record: VerdictRecord, rules: Rules) -> tuple[str, str]:
    decision = _decided(record, rules)
    return decision.reason, decision.advice or _otherwise(record, decision)


def _otherwise(record: VerdictRecord, decision: Decision) -> str:
    if _waits(record):
        return _LATER
    if record.verdict != Verdict.REJECTED:
        return ""
    return _OTHERWISE.get(decision.action, _OUT_OF_TRIES)


def _waits(record: VerdictRecord) -> bool:
    return record.verdict == Verdict.DEFERRED
