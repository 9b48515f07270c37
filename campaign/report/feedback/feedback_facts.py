"""What came back about a run's letters, in figures, and whether they give reason to worry: pure values and rules.

The levels of complaints are those that Google and Yahoo publish for senders, those of bounces are the ones above which
relays and receivers restrict a sender. A handful of events proves nothing, whatever share they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from campaign.model import FeedbackOutcome

#: Outcomes of a letter that was accepted and did not arrive, the worst first.
BOUNCED = (FeedbackOutcome.HARD, FeedbackOutcome.SOFT, FeedbackOutcome.NOT_THEIR_FAULT)
#: Shares of the accepted from which on there is a warning, and above which there is an alarm.
COMPLAINT_LEVELS, BOUNCE_LEVELS = (0.001, 0.003), (0.02, 0.05)
FEWEST_EVENTS = 3  #: fewer than this raise no alarm


class FeedbackLevel(StrEnum):
    """How much reason to worry there is. ``too_few``: the share is high, and a share of next to nothing."""

    QUIET = "quiet"
    TOO_FEW = "too_few"
    WARNING = "warning"
    ALARM = "alarm"


class BounceTally(msgspec.Struct, frozen=True):
    """How many recipients' letters bounced with this outcome and of this class, such as ``no_such_user``."""

    outcome: FeedbackOutcome
    reason: str
    count: int


class ProviderTally(msgspec.Struct, frozen=True):
    """What came back from the recipients of one group of domains, or of one domain that is in no group.

    ``accepted`` counts the letters to them that a relay accepted; ``outcomes`` counts, as in `FeedbackFacts`, the
    outcomes of those who complained or whose letter bounced.
    """

    name: str
    accepted: int
    outcomes: Mapping[FeedbackOutcome, int]

    @property
    def bounced(self) -> int:
        """Recipients whose letter bounced."""
        return sum(self.outcomes.get(one, 0) for one in BOUNCED)


class FeedbackFacts(msgspec.Struct, frozen=True):
    """What came back about the letters of one run.

    ``events`` is how many feedback events name the run, ``accepted`` how many of its letters a relay accepted.
    ``outcomes`` counts recipients, once for each outcome: of delivered, delayed and bounced only the worst of a
    recipient counts. ``bounces`` and ``providers`` have the most frequent first; ``provider_count`` is how many
    providers something came back from. ``not_recognised`` counts messages read in the week after the run began that
    could be tied to no letter of any campaign, or by an address alone. ``alarm_share`` is ``feedback.alarm_share``.
    """

    events: int
    accepted: int
    outcomes: Mapping[FeedbackOutcome, int] = msgspec.field(default_factory=dict)
    bounces: Sequence[BounceTally] = ()
    providers: Sequence[ProviderTally] = ()
    provider_count: int = 0
    not_recognised: int = 0
    alarm_share: float = 0.01

    def recipients(self, outcome: FeedbackOutcome) -> int:
        """How many recipients have this outcome."""
        return self.outcomes.get(outcome, 0)

    @property
    def bounced(self) -> int:
        """Recipients whose letter bounced, whatever the reason."""
        return sum(self.recipients(one) for one in BOUNCED)

    def share(self, count: int) -> float:
        """``count`` as a share of the accepted letters, from 0 to 1."""
        return min(1.0, count / self.accepted) if self.accepted else 0.0


class FeedbackAlarm(msgspec.Struct, frozen=True):
    """One figure held against its levels.

    ``warning`` is the share from which there is a warning, ``alarm`` the share above which there is an alarm; they are
    equal where there is no warning. ``advice`` is empty below both.
    """

    kind: str
    count: int
    share: float
    warning: float
    alarm: float
    level: FeedbackLevel
    advice: str


COMPLAINED, ALL_BOUNCED, OUR_FAULT = "complained", "bounced", "not_their_fault"

_ADVICE = {
    (COMPLAINED, FeedbackLevel.WARNING): (
        "At this share receivers begin to file letters as spam: write only to people who asked for your letters, and "
        "make unsubscribing easier to find than the spam button."
    ),
    (COMPLAINED, FeedbackLevel.ALARM): (
        "At this share Google and Yahoo refuse letters or file them as spam: find out which part of your list "
        "complains, and send no further edition to it."
    ),
    (ALL_BOUNCED, FeedbackLevel.WARNING): (
        "Part of your list is out of date: hard bounces are left out from now on, and addresses that have not heard "
        "from you for long should confirm that they want your letters."
    ),
    (ALL_BOUNCED, FeedbackLevel.ALARM): (
        "At this share relays and receivers restrict a sender: find out where these addresses come from before you "
        "send the next edition."
    ),
    (OUR_FAULT, FeedbackLevel.ALARM): (
        "These letters were refused for their content or their sender, not for the address: see the classes below and "
        "correct the cause before you send the next edition."
    ),
}
_TOO_FEW = f"Fewer than {FEWEST_EVENTS} of them are too few to judge by."


def feedback_alarms(facts: FeedbackFacts) -> list[FeedbackAlarm]:
    """Complaints, bounces, and bounces that are our own fault, each held against its levels."""
    own = facts.recipients(FeedbackOutcome.NOT_THEIR_FAULT)
    return [
        _held(facts, COMPLAINED, facts.recipients(FeedbackOutcome.COMPLAINT), *COMPLAINT_LEVELS),
        _held(facts, ALL_BOUNCED, facts.bounced, *BOUNCE_LEVELS),
        _held(facts, OUR_FAULT, own, facts.alarm_share, facts.alarm_share),
    ]


def _held(facts: FeedbackFacts, kind: str, count: int, warning: float, alarm: float) -> FeedbackAlarm:
    share = facts.share(count)
    level = feedback_level(count, share, warning, alarm)
    advice = _TOO_FEW if level is FeedbackLevel.TOO_FEW else _ADVICE.get((kind, level), "")
    return FeedbackAlarm(kind, count, share, warning, alarm, level, advice)


def feedback_level(count: int, share: float, warning: float, alarm: float) -> FeedbackLevel:
    """``count`` recipients that are ``share`` of the accepted: quiet below ``warning``, an alarm above ``alarm``."""
    if share > alarm:
        level = FeedbackLevel.ALARM
    elif warning <= share and warning < alarm:
        level = FeedbackLevel.WARNING
    else:
        return FeedbackLevel.QUIET
    return level if count >= FEWEST_EVENTS else FeedbackLevel.TOO_FEW
