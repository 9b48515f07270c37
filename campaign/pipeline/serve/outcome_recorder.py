"""Records what delivery reports: intents and verdicts in the ledger, dead addresses as feedback events.

It also turns a temporary failure into *not before* or *given up*, as decided by `backoff.py`.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from campaign.audience.plan.plan_reader import Plan
from campaign.delivery.replies.backoff import GiveUp, decide_retry
from campaign.model import Letter, Outcome, Verdict
from campaign.pipeline.command_context import Job
from campaign.pipeline.operate.suppress_dead import DeadAddresses
from campaign.report.live.progress import Counts

if TYPE_CHECKING:  # the interface, and what it names, are for readers and the type checker
    from campaign.ledger.protocol import SenderLedger


class LedgerRecorder:
    """The `OutcomeRecorder` of a run: records intents and verdicts, and applies the retry policy.

    ``written`` counts the verdicts.
    """

    def __init__(self, job: Job, plan: Plan, ledger: SenderLedger, counts: Counts) -> None:
        self.written = 0
        self._job, self._ledger, self._counts = job, ledger, counts
        self._dead = DeadAddresses(job, plan, ledger.history.opened)

    def intent(self, letter: Letter, relay: str) -> Awaitable[None] | None:
        """Record an intent, before the dot."""
        return self._ledger.intent(letter, relay)

    def verdict(self, outcome: Outcome) -> None:
        """Record a verdict, after the reply or if there is none."""
        not_before = 0.0
        if outcome.verdict is Verdict.DEFERRED:
            outcome, not_before = self._put_off(outcome)
        if outcome.verdict is Verdict.REJECTED and outcome.number in self._ledger.history.digests:
            outcome = _still_in_doubt(outcome)
        if outcome.suppress and self._job.rehearsal:
            outcome = outcome._replace(suppress=False)
        before = self._ledger.history.verdict(outcome.number)
        self._ledger.verdict(outcome, not_before)
        self.written += 1
        count(self._counts, before, outcome.verdict)
        if outcome.suppress:
            self._dead.suppress(self._ledger.history.dead[outcome.number])

    def settle(self, number: int, verdict: Verdict, reason: str) -> None:
        """Record a verdict that needed no attempt."""
        before = self._ledger.history.verdict(number)
        after = self._ledger.settle(number, verdict, reason)
        self.written += 1
        count(self._counts, before, after)

    def _put_off(self, outcome: Outcome) -> tuple[Outcome, float]:
        delivery, history, number = self._job.settings.delivery, self._ledger.history, outcome.number
        now = time.time()
        if not outcome.relay:  # our own limit holds it and no relay was asked: do not give up
            return outcome, now + (outcome.retry_after or 0.0)
        held_again = not outcome.code and history.verdict(number) is Verdict.DEFERRED
        if outcome.retry_after == 0 and not outcome.counted and not held_again:
            return outcome, now  # certainly not sent, and not refused: the next pass takes it
        decision = decide_retry(
            outcome,
            history.attempts[number] + outcome.counted,
            now - history.age(number),
            now,
            limit=delivery.attempts,
            give_up_after=delivery.give_up_after,
            first_delay=delivery.retry_after,
            key=number,
        )
        if isinstance(decision, GiveUp):
            return outcome._replace(verdict=Verdict.REJECTED, reason=decision.reason), 0.0
        return outcome, decision.not_before


def _still_in_doubt(outcome: Outcome) -> Outcome:
    """The outcome of a letter in doubt that was refused when it was sent again: the first copy may have arrived.

    Only an address that does not exist settles it, as nothing is sent there any more.
    """
    if outcome.suppress:
        return outcome
    reason = f"refused when it was sent again; the first copy may have arrived: {outcome.reason}"
    return outcome._replace(verdict=Verdict.IN_DOUBT, reason=reason)


def count(counts: Counts, before: Verdict, after: Verdict) -> None:
    """Update the counts on the screen for one recipient."""
    if before is Verdict.WAITING and after is Verdict.ACCEPTED:  # the most common case
        counts.accepted += 1
        return
    if before is not Verdict.WAITING:
        _add(counts, before, -1)
    _add(counts, after, 1)


def _add(counts: Counts, verdict: Verdict, by: int) -> None:
    name = _COUNTED.get(verdict, "other")
    setattr(counts, name, getattr(counts, name) + by)


_COUNTED = {one: one.value for one in (Verdict.ACCEPTED, Verdict.DEFERRED, Verdict.REJECTED, Verdict.IN_DOUBT)}
