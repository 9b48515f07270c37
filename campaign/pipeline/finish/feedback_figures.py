"""The figures of what came back about a run's letters, from the store of feedback and the plan.

A recipient counts once for each outcome. Where several messages tell of one letter, such as a delivery by the first
server and a bounce by the next, the worst of them is what became of it. Refusals that a relay gave in the session are
verdicts of the run and are not counted here. An event that names only an address counts as the rules for suppression
have it: not, unless ``feedback.trust_addresses`` says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol

from campaign.audience.plan.plan_reader import Plan
from campaign.delivery.pacing.domain_groups import domain_groups
from campaign.feedback.suppression_rules import is_trusted
from campaign.ledger.feedback_store import read_events
from campaign.ledger.journal.journal_records import Opened
from campaign.ledger.run_state import RunState
from campaign.model import FeedbackEvent, FeedbackOutcome, Verdict
from campaign.pipeline.command_context import Job
from campaign.pipeline.operate.suppress_dead import SOURCE
from campaign.report.feedback.feedback_facts import BOUNCED, BounceTally, FeedbackFacts, ProviderTally

TOP_PROVIDERS = 12
#: Seconds after a run's begin in which messages that cannot be tied to any letter are counted with it.
WINDOW = 7 * 86_400.0

#: What became of a letter, from good to bad; the place is what is kept of it, and 0 stands for nothing.
_WORSE = (
    FeedbackOutcome.DELAYED,
    FeedbackOutcome.DELIVERED,
    FeedbackOutcome.NOT_THEIR_FAULT,
    FeedbackOutcome.SOFT,
    FeedbackOutcome.HARD,
)
_RANK = {outcome: rank for rank, outcome in enumerate(_WORSE, start=1)}
_RANKS = 0b111
#: Outcomes that a recipient may have besides, each a bit.
_BESIDES = {
    FeedbackOutcome.COMPLAINT: 1 << 3,
    FeedbackOutcome.UNSUBSCRIBE: 1 << 4,
    FeedbackOutcome.AUTOMATIC_REPLY: 1 << 5,
    FeedbackOutcome.UNKNOWN: 1 << 6,
}


class Flags(Protocol):
    """An octet for each recipient's number, 0 at first: a bytearray, or a dictionary that has a default."""

    def __getitem__(self, number: int, /) -> int:
        """What is kept of a recipient."""

    def __setitem__(self, number: int, value: int, /) -> None:
        """Keep it."""


class RunOutcomes:
    """The outcomes of a run's recipients. ``flags`` keeps them for the numbers 0 to ``size`` - 1."""

    def __init__(self, flags: Flags, size: int) -> None:
        self._flags, self._size = flags, size
        self._reasons: dict[int, str] = {}
        self.counts: Counter[FeedbackOutcome] = Counter()

    def add(self, event: FeedbackEvent) -> None:
        """Count one event; one about a number that the plan does not have is ignored."""
        number, outcome = event.number, event.outcome
        if not 0 <= number < self._size:
            return
        flags = self._flags[number]
        rank, bit = _RANK.get(outcome, 0), _BESIDES.get(outcome, 0)
        if rank > flags & _RANKS:
            self._worse(number, flags & _RANKS, rank, event.reason)
        elif bit & ~flags:
            self._flags[number] = flags | bit
            self.counts[outcome] += 1

    def bounces(self) -> tuple[BounceTally, ...]:
        """Bounced recipients by outcome and class, the most frequent first."""
        found = Counter((self._outcome(number), reason) for number, reason in self._reasons.items())
        return tuple(BounceTally(outcome, reason, count) for (outcome, reason), count in found.most_common())

    def outcomes(self, number: int) -> list[FeedbackOutcome]:
        """All outcomes of one recipient."""
        flags = self._flags[number]
        became = [self._outcome(number)] if flags & _RANKS else []
        return became + [outcome for outcome, bit in _BESIDES.items() if flags & bit]

    def _outcome(self, number: int) -> FeedbackOutcome:
        return _WORSE[(self._flags[number] & _RANKS) - 1]

    def _worse(self, number: int, before: int, rank: int, reason: str) -> None:
        if before:
            self.counts[_WORSE[before - 1]] -= 1
        self.counts[_WORSE[rank - 1]] += 1
        self._flags[number] = self._flags[number] & ~_RANKS | rank
        if _WORSE[rank - 1] in BOUNCED:
            self._reasons[number] = reason


def feedback_figures(job: Job, plan: Plan, history: RunState) -> FeedbackFacts | None:
    """What came back about this run. None where no feedback is read and nothing came, and for a rehearsal.

    Raises StorageError, DamageError.
    """
    if history.rehearsal:
        return None
    outcomes, opened = RunOutcomes(bytearray(plan.size), plan.size), history.opened
    settings = job.settings.feedback
    events, strangers = count_events(
        read_events(job.directory), opened, outcomes.add, lambda event: is_trusted(event, settings)
    )
    if not events and not settings.source:
        return None
    providers = _providers(job, plan, history, outcomes) if events else ()
    return FeedbackFacts(
        events=events,
        accepted=history.tally()[Verdict.ACCEPTED],
        outcomes={outcome: count for outcome, count in outcomes.counts.items() if count},
        bounces=outcomes.bounces(),
        providers=providers[:TOP_PROVIDERS],
        provider_count=len(providers),
        not_recognised=strangers,
        alarm_share=settings.alarm_share,
    )


def count_events(
    events: Iterable[FeedbackEvent],
    opened: Opened,
    add: Callable[[FeedbackEvent], None],
    trusted: Callable[[FeedbackEvent], bool],
) -> tuple[int, int]:
    """Hand the run's events to ``add``. Returns how many name the run, and how many messages were not recognised."""
    name, until = run_name(opened), opened.at + WINDOW
    own = strangers = 0
    for event in events:
        if event.run == name:
            if event.source != SOURCE:
                own += 1
                if trusted(event):
                    add(event)
                else:
                    strangers += 1
        elif not event.run and event.outcome is FeedbackOutcome.UNKNOWN and opened.at <= event.seen < until:
            strangers += 1
    return own, strangers


def run_name(opened: Opened) -> str:
    """``CAMPAIGN[/EDITION]/RUN``, as events name a run."""
    return "/".join(filter(None, (opened.campaign, opened.edition, opened.run)))


def _providers(job: Job, plan: Plan, history: RunState, outcomes: RunOutcomes) -> tuple[ProviderTally, ...]:
    """By provider, those of which letters bounced or were complained about; the most bounces first."""
    groups = domain_groups(job.settings.delivery)
    accepted: Counter[str] = Counter()
    came_back: dict[str, Counter[FeedbackOutcome]] = {}
    for number, address in enumerate(plan.addresses()):
        domain = address.rpartition("@")[2]
        name = groups.get(domain, domain)
        accepted[name] += history.verdict(number) == Verdict.ACCEPTED
        if found := outcomes.outcomes(number):
            came_back.setdefault(name, Counter()).update(found)
    tallies = [ProviderTally(name, accepted[name], counts) for name, counts in came_back.items()]
    worst = [one for one in tallies if one.bounced or one.outcomes[FeedbackOutcome.COMPLAINT]]
    return tuple(sorted(worst, key=lambda one: (-one.bounced, -one.outcomes[FeedbackOutcome.COMPLAINT], one.name)))
