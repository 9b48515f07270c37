"""Turns a message, a log line or an event into `FeedbackEvent`s: one for each letter of ours that it is about.

The rules for SMTP replies judge bounces. If one message reports several results for the same letter, for example after
an alias for several people, the mildest counts: as long as one of them can be reached, the address is alive. A message
in a mailbox about no letter of ours becomes one event of outcome ``unknown``. Logs and queues also report other mail,
which is not stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.feedback_source import Received
from campaign.model import FeedbackEvent, FeedbackOutcome, Reply
from campaign.pipeline.collect.find_recipient import ADDRESS, FoundRecipient
from campaign.pipeline.collect.why_unrecognised import UnrecognisedReason
from campaign.report.formatting import printable

LONGEST_EVIDENCE = 500  #: longest diagnostic or host name, in characters
#: Ending of the ids of events without a recipient. A message that is read again when its letter can be found, for
#: example after a lost secret was restored, then gives a new event.
UNRECOGNISED = "/unknown"
#: From mild to grave, for several notices about one letter; a person's wish takes precedence over machines.
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
#: ``matched_by`` of an address named where nobody else can name one: in the file that only the operator's own program
#: writes, in the provider's lists that only it keeps, and in its webhooks, which are verified when they arrive.
OWN_PROGRAM, PROVIDER_LIST, WEBHOOK = "own-program", "provider-list", "webhook"
_WISHES = frozenset({FeedbackOutcome.COMPLAINT, FeedbackOutcome.UNSUBSCRIBE})

#: Replaces the recipient's address in a reply: a mailbox's name must not influence the result, and the same text for
#: many recipients is judged only once.
RECIPIENT = "recipient@recipient.example"

Explain = Callable[[Sequence[FeedbackNotice]], UnrecognisedReason]
Find = Callable[[FeedbackNotice], FoundRecipient | None]
#: `bounce_meaning` with the campaign's rules: of a reply, the report's own statement, and the recipient's domain.
Meaning = Callable[[Reply, bool | None, str], tuple[FeedbackOutcome, str]]


class Judged(msgspec.Struct, frozen=True):
    """The events of one received item. ``recognised``: it was about a letter of ours; ``reason``: why it was not."""

    events: tuple[FeedbackEvent, ...]
    recognised: bool
    reason: UnrecognisedReason | None = None


@dataclass(frozen=True, slots=True)
class Judge:
    """Makes events of the items of ``source``. ``ours``: all of them were sent to us, as in a mailbox.

    ``believed_as``, unless it is empty: an address in them counts, and is noted as found by this. ``explain`` says why
    an item was not recognised.
    """

    source: str
    meaning: Meaning = field(repr=False)
    find: Find = field(repr=False)
    clock: Callable[[], float]
    ours: bool
    believed_as: str = ""
    explain: Explain | None = field(default=None, repr=False)

    def judged(self, received: Received) -> Judged:
        """The events of one received item."""
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
        events = self._unrecognised(received, seen)
        reason = self.explain(received.notices) if self.explain and events else None
        return Judged(events, recognised=False, reason=reason)

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
        """The event of a notice, without its recipient."""
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
            self._evidence(name, one, 0.0, seen)._replace(address=one.addresses[0], matched_by=self._wished_by(one))
            for one in wishes
        ]
        return tuple(numbered(events))

    def _wished_by(self, notice: FeedbackNotice) -> str:
        """Why a wish about no letter of ours counts; one about other mail, which a webhook reports too, does not."""
        other = self.believed_as == WEBHOOK and (notice.message_ids or notice.reply_ids)
        return "" if other else self._matched_by("")

    def _matched_by(self, found: str) -> str:
        return self.believed_as or found if found in (ADDRESS, "") else found


def nameless(reply: Reply, addresses: Iterable[str]) -> Reply:
    """``reply`` with these addresses, as given and in lower case, replaced by `RECIPIENT`."""
    text = reply.text
    for address in addresses:
        if "@" in address:
            text = text.replace(address, RECIPIENT).replace(address.lower(), RECIPIENT)
    return reply._replace(text=text)


def milder(one: FeedbackEvent, other: FeedbackEvent) -> FeedbackEvent:
    """The milder of two events about the same letter."""
    worst = len(_GRAVITY)
    return min(one, other, key=lambda event: _GRAVITY.get(event.outcome, worst))


def numbered(events: list[FeedbackEvent]) -> list[FeedbackEvent]:
    """The same events with distinct ids: ``id``, ``id/2``, ``id/3``."""
    return [
        event if not number else event._replace(id=f"{event.id}/{number + 1}") for number, event in enumerate(events)
    ]


def sensible_time(at: float, earliest: float, seen: float) -> float:
    """The time of an event in POSIX seconds, between its letter and now, because foreign clocks may be wrong."""
    return at if earliest <= at <= seen and at > 0 else seen


def _one_line(text: str) -> str:
    return printable(" ".join(text[: 2 * LONGEST_EVIDENCE].split()))[:LONGEST_EVIDENCE]
