"""What a message, a log line or an event is kept as: one `FeedbackEvent` for each letter of ours that it is about.

Bounces are judged by the rules that judge SMTP replies. Where one message tells several things of the same letter, as
after an alias that stands for several people, the mildest counts: as long as one of them can be reached, the address is
alive. What is about no letter of ours is one event of outcome ``unknown`` where it came into a mailbox, which is ours;
the logs and queues of a relay tell of other people's mail too, and that is not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.feedback_source import Received
from campaign.model import FeedbackEvent, FeedbackOutcome, Reply
from campaign.pipeline.collect.find_recipient import ADDRESS, FoundRecipient
from campaign.report.formatting import printable

LONGEST_EVIDENCE = 500  #: characters of a diagnostic or a host's name
#: How ids of events about nobody we found end. A message that is read again once its letter can be found, as after a
#: lost secret was put back, is a new event then.
UNRECOGNISED = "/unknown"
#: From mild to grave, for several notices about one letter; what a person asks for comes before what machines say.
_GRAVITY = {
    outcome: place
    for place, outcome in enumerate(
        (
            FeedbackOutcome.UNSUBSCRIBE,
            FeedbackOutcome.COMPLAINT,
            FeedbackOutcome.DELIVERED,
            FeedbackOutcome.AUTOMATIC_REPLY,
            FeedbackOutcome.DELAYED,
            FeedbackOutcome.NOT_THEIR_FAULT,
            FeedbackOutcome.SOFT,
            FeedbackOutcome.HARD,
        )
    )
}
#: How a person was found whom the operator's own program names by address alone: nobody else writes that file.
OWN_PROGRAM = "own-program"
_WISHES = frozenset({FeedbackOutcome.COMPLAINT, FeedbackOutcome.UNSUBSCRIBE})

#: What stands in a reply for the recipient's address: the name of a mailbox is no verdict on it, and the same words
#: to many recipients have to be judged once.
RECIPIENT = "recipient@recipient.example"

Find = Callable[[FeedbackNotice], FoundRecipient | None]
#: `bounce_meaning` under the campaign's rules: a reply, what the report says itself, and the recipient's domain.
Meaning = Callable[[Reply, bool | None, str], tuple[FeedbackOutcome, str]]


@dataclass(frozen=True, slots=True)
class Judged:
    """What one thing received is kept as. ``recognised``: it was about a letter of ours."""

    events: tuple[FeedbackEvent, ...]
    recognised: bool


@dataclass(frozen=True, slots=True)
class Judge:
    """Makes events of what ``source`` gave. ``ours``: all of it was sent to us, as in a mailbox.

    ``own_program``: the operator's own program wrote it, so an address that it names counts.
    """

    source: str
    meaning: Meaning = field(repr=False)
    find: Find = field(repr=False)
    clock: Callable[[], float]
    ours: bool
    own_program: bool = False

    def judged(self, received: Received) -> Judged:
        """The events of one thing received."""
        seen = self.clock()
        found: dict[tuple[str, int, str], FeedbackEvent] = {}
        for notice in received.notices:
            person = self.find(notice)
            if person is not None:
                event = self._event(received.id, notice, person, seen)
                who = (event.run, event.number, "" if event.run else event.address)
                found[who] = milder(found[who], event) if who in found else event
        if found:
            return Judged(tuple(numbered([*found.values()])), recognised=True)
        return Judged(self._unrecognised(received, seen), recognised=False)

    def _event(self, name: str, notice: FeedbackNotice, person: FoundRecipient, seen: float) -> FeedbackEvent:
        outcome, reason = self._meaning(notice, person)
        earliest = person.run.opened.at if person.run else 0.0
        evidence = self._evidence(name, notice, earliest, seen)
        return evidence._replace(
            diagnostic=evidence.diagnostic if person.address else "",  # a forgotten recipient's reply may name them
            outcome=outcome,
            address=person.address,
            matched_by=self._matched_by(person.matched_by),
            campaign=person.campaign,
            run=person.run.name if person.run else "",
            number=person.number,
            message_id=person.message_id,
            reason=reason,
        )

    def _evidence(self, name: str, notice: FeedbackNotice, earliest: float, seen: float) -> FeedbackEvent:
        """What the notice itself says, about nobody yet."""
        reply, at = notice.reply, sensible_time(notice.at, earliest, seen)
        outcome = notice.outcome or FeedbackOutcome.UNKNOWN
        return FeedbackEvent(
            name,
            self.source,
            outcome,
            at,
            seen,
            code=reply.code,
            enhanced=_one_line(reply.enhanced),
            diagnostic=_one_line(reply.text),
            mta=_one_line(notice.mta),
        )

    def _meaning(self, notice: FeedbackNotice, person: FoundRecipient) -> tuple[FeedbackOutcome, str]:
        if notice.outcome is None:
            domain = person.address.rpartition("@")[2]
            return self.meaning(nameless(notice.reply, (*notice.addresses, person.address)), notice.permanent, domain)
        if person.unsubscribes and notice.outcome not in _WISHES:
            return FeedbackOutcome.UNSUBSCRIBE, ""
        return notice.outcome, ""

    def _unrecognised(self, received: Received, seen: float) -> tuple[FeedbackEvent, ...]:
        name = received.id + UNRECOGNISED
        if self.ours:
            notice = received.notices[0] if received.notices else FeedbackNotice(FeedbackOutcome.UNKNOWN)
            return (self._evidence(name, notice, 0.0, seen)._replace(outcome=FeedbackOutcome.UNKNOWN),)
        wishes = [one for one in received.notices if one.outcome in _WISHES and one.addresses]
        events = [
            self._evidence(name, one, 0.0, seen)._replace(address=one.addresses[0], matched_by=self._matched_by(""))
            for one in wishes
        ]
        return tuple(numbered(events))

    def _matched_by(self, found: str) -> str:
        return OWN_PROGRAM if self.own_program and found in (ADDRESS, "") else found


def nameless(reply: Reply, addresses: Iterable[str]) -> Reply:
    """``reply`` with `RECIPIENT` in place of these addresses, in the spelling given and in small letters."""
    text = reply.text
    for address in addresses:
        if "@" in address:
            text = text.replace(address, RECIPIENT).replace(address.lower(), RECIPIENT)
    return reply._replace(text=text)


def milder(one: FeedbackEvent, other: FeedbackEvent) -> FeedbackEvent:
    """The one of two events about the same letter that counts."""
    worst = len(_GRAVITY)
    return min(one, other, key=lambda event: _GRAVITY.get(event.outcome, worst))


def numbered(events: list[FeedbackEvent]) -> list[FeedbackEvent]:
    """The same events with ids of their own: ``id``, ``id/2``, ``id/3``."""
    return [
        event if not number else event._replace(id=f"{event.id}/{number + 1}") for number, event in enumerate(events)
    ]


def sensible_time(at: float, earliest: float, seen: float) -> float:
    """When it happened, in POSIX seconds, as far as a stranger's clock says: neither ahead nor before its letter."""
    return at if earliest <= at <= seen and at > 0 else seen


def _one_line(text: str) -> str:
    return printable(" ".join(text[: 2 * LONGEST_EVIDENCE].split()))[:LONGEST_EVIDENCE]
