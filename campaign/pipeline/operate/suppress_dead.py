"""Stores addresses that a relay called dead as feedback events, after the journal has recorded the verdict.

A process may end between the two, and a full disk or a loss of power may lose the end of the store. So the store is
completed from the journal whenever a run is opened or closed; if nothing is missing, nothing is added.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from campaign.audience.plan.plan_reader import Plan
from campaign.delivery.replies.classify import Rules, Stage
from campaign.ledger import run_folder
from campaign.ledger.feedback.feedback_store import FeedbackStore, read_events
from campaign.ledger.journal.journal_records import Opened, VerdictRecord
from campaign.ledger.state.run_state import RunState
from campaign.model import FeedbackEvent, FeedbackOutcome, Reply
from campaign.pipeline.command_context import Job
from campaign.pipeline.operate.suppressed_export import export_suppressed

#: `FeedbackEvent.source` of a relay's reply, and how it was matched.
SOURCE, MATCHED_BY = "smtp", "reply"
#: Classes stored as the event's reason. Other classes, such as a disabled mailbox, would need a second bounce, but a
#: relay's verdict counts at once.
DEAD = frozenset({"no_such_user", "no_such_domain"})


class DeadAddresses:
    """The dead addresses of one run. ``opened`` is its journal's first record."""

    def __init__(self, job: Job, plan: Plan, opened: Opened) -> None:
        self._job, self._plan = job, plan
        self._campaign = opened.campaign
        self._run = "/".join(filter(None, (opened.campaign, opened.edition, opened.run)))

    def event(self, verdict: VerdictRecord) -> FeedbackEvent:
        """The event for a verdict; equal each time."""
        reply = Reply(verdict.code, verdict.enhanced, verdict.reason)
        decision = self._rules.decide(Stage.DOT if verdict.took else Stage.RCPT, reply, relay=verdict.relay)
        return FeedbackEvent(
            id=f"{SOURCE}:{self._run}:{verdict.number}",
            source=SOURCE,
            outcome=FeedbackOutcome.HARD,
            at=verdict.at,
            seen=verdict.at,
            address=self._plan.recipient(verdict.number).address,
            matched_by=MATCHED_BY,
            campaign=self._campaign,
            run=self._run,
            number=verdict.number,
            reason=decision.means if decision.means in DEAD else decision.reason,
            code=verdict.code,
            enhanced=verdict.enhanced,
            diagnostic=verdict.reason,
        )

    def suppress(self, verdict: VerdictRecord) -> None:
        """Store the event of a verdict that was just recorded. Raises StorageError."""
        with FeedbackStore(self._job.directory) as store:
            store.append([self.event(verdict)])

    def complete(self, verdicts: Iterable[VerdictRecord]) -> None:
        """Add events of ``verdicts`` that the store lacks, and sync. Raises StorageError."""
        missing = {event.id: event for event in map(self.event, verdicts)}
        for known in read_events(self._job.directory):
            missing.pop(known.id, None)
        with FeedbackStore(self._job.directory) as store:
            store.append([*missing.values()])
            store.sync()

    @cached_property
    def _rules(self) -> Rules:
        return Rules.load(self._job.settings.delivery.reply_rules)


def suppress_missing(job: Job, run: Path, history: RunState) -> None:
    """Add events from the run's journal that the store lacks, durably, and export the list. Raises StorageError.

    A rehearsal is no evidence about any address.
    """
    if not history.dead or history.rehearsal:
        return
    plan = Plan.open(run / run_folder.PLAN)
    DeadAddresses(job, plan, history.opened).complete(history.dead.values())
    export_suppressed(job.directory, job.settings)


def conclude_suppression(job: Job, run: Path, history: RunState) -> None:
    """`suppress_missing` at the end of a run; the list is exported in any case."""
    suppress_missing(job, run, history)
    if not history.dead and not history.rehearsal:
        export_suppressed(job.directory, job.settings)
