"""The figures of what came back about a run's letters, from the store of feedback and the plan.

A recipient counts once for each outcome. Where several messages tell of one letter, such as a delivery by the first
server and a bounce by the next, the worst of them is what became of it. Refusals that a relay gave in the session are
verdicts of the run and are not counted here. An event that names only an address counts as the rules for suppression
have it: not, unless ``feedback.trust_addresses`` says so.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping

from campaign.audience.plan.plan_reader import Plan
from campaign.delivery.pacing.domain_groups import domain_groups
from campaign.feedback.suppression_rules import is_trusted
from campaign.ledger.feedback.feedback_store import read_events
from campaign.ledger.journal.journal_records import Opened
from campaign.ledger.state.run_state import RunState
from campaign.model import FeedbackEvent, FeedbackOutcome, Verdict
from campaign.pipeline.command_context import Job
from campaign.pipeline.operate.suppress_dead import SOURCE
from campaign.report.feedback.feedback_facts import BounceTally, FeedbackFacts, ProviderTally

TOP_PROVIDERS = 12
#: What stands in the report in place of the domain of recipients who were forgotten.
FORGOTTEN = "(forgotten)"
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
_RANKS, _FIRST_BOUNCE = 0b111, 3
#: Outcomes that a recipient may have besides, each a bit.
_BESIDES = {
    FeedbackOutcome.COMPLAINT: 1 << 3,
    FeedbackOutcome.UNSUBSCRIBE: 1 << 4,
    FeedbackOutcome.AUTOMATIC_REPLY: 1 << 5,
    FeedbackOutcome.UNKNOWN: 1 << 6,
}
_CODES = {outcome: rank for rank, outcome in enumerate(_WORSE, start=1)} | _BESIDES


class RunOutcomes:
    """The outcomes of a run's recipients, whose numbers are 0 to ``size`` - 1.

    ``flags`` keeps an octet for each number, 0 at first: in a bytearray, or only for those of whom something came back.
    """

    def __init__(self, flags: bytearray | defaultdict[int, int], size: int) -> None:
        self._flags, self._size = flags, size
        self._reasons: dict[int, str] = {}
        self._complained: set[int] = set()

    def add(self, event: FeedbackEvent) -> None:
        """Count one event; one about a number that the plan does not have is ignored."""
        number, code = event.number, _CODES.get(event.outcome, 0)
        if not 0 <= number < self._size:
            return
        flags = self._flags[number]
        if code > _RANKS:
            self._flags[number] = flags | code
            if event.outcome is FeedbackOutcome.COMPLAINT:
                self._complained.add(number)
        elif code > flags & _RANKS:
            self._flags[number] = flags & ~_RANKS | code
            if code >= _FIRST_BOUNCE:
                self._reasons[number] = event.reason

    def counts(self) -> dict[FeedbackOutcome, int]:
        """How many recipients have each outcome; those that none has are left out."""
        flags = self._flags.values() if isinstance(self._flags, defaultdict) else self._flags
        found: Counter[FeedbackOutcome] = Counter()
        for value, count in Counter(flags).items():
            for outcome in _outcomes(value):
                found[outcome] += count
        return dict(found)

    def bounces(self) -> tuple[BounceTally, ...]:
        """Bounced recipients by outcome and class, the most frequent first."""
        found = Counter((self._flags[number] & _RANKS, reason) for number, reason in self._reasons.items())
        return tuple(BounceTally(_WORSE[rank - 1], reason, count) for (rank, reason), count in found.most_common())

    def worrying(self) -> set[int]:
        """The numbers of those who complained or whose letter bounced."""
        return self._complained.union(self._reasons)

    def outcomes(self, number: int) -> list[FeedbackOutcome]:
        """All outcomes of one recipient."""
        return _outcomes(self._flags[number])


def _outcomes(flags: int) -> list[FeedbackOutcome]:
    became = [_WORSE[(flags & _RANKS) - 1]] if flags & _RANKS else []
    return became + [outcome for outcome, bit in _BESIDES.items() if flags & bit]


def feedback_figures(
    job: Job, plan: Plan, history: RunState, domains: Mapping[str, Mapping[str, int]]
) -> FeedbackFacts | None:
    """What came back about this run. None where no feedback is read and nothing came, and for a rehearsal.

    ``domains`` counts the run's recipients by domain and verdict. Raises StorageError, DamageError.
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
    providers = _providers(job, plan, domains, outcomes) if events else ()
    return FeedbackFacts(
        events=events,
        accepted=history.tally()[Verdict.ACCEPTED],
        outcomes=outcomes.counts(),
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


def domain_in_report(address: str) -> str:
    """The domain of a planned address, or what stands for that of a recipient who was forgotten."""
    return address.rpartition("@")[2] or FORGOTTEN


def run_name(opened: Opened) -> str:
    """``CAMPAIGN[/EDITION]/RUN``, as events name a run."""
    return "/".join(filter(None, (opened.campaign, opened.edition, opened.run)))


def _providers(
    job: Job, plan: Plan, domains: Mapping[str, Mapping[str, int]], outcomes: RunOutcomes
) -> tuple[ProviderTally, ...]:
    """By provider, those of which letters bounced or were complained about; the most bounces first."""
    groups = domain_groups(job.settings.delivery)
    came_back: dict[str, Counter[FeedbackOutcome]] = {}
    worrying = outcomes.worrying()
    for number, address in enumerate(plan.addresses()) if worrying else ():
        if number in worrying:
            domain = domain_in_report(address)
            came_back.setdefault(groups.get(domain, domain), Counter()).update(outcomes.outcomes(number))
    accepted: Counter[str] = Counter()
    for domain, verdicts in domains.items():
        accepted[groups.get(domain, domain)] += verdicts.get(Verdict.ACCEPTED, 0)
    tallies = [ProviderTally(name, accepted[name], counts) for name, counts in came_back.items()]
    return tuple(sorted(tallies, key=lambda one: (-one.bounced, -one.outcomes[FeedbackOutcome.COMPLAINT], one.name)))
