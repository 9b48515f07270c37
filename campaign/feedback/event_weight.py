"""Explains in words how each event about an address counts under the rules of `suppression_rules.py`."""

from __future__ import annotations

from collections.abc import Sequence

from campaign.config.feedback import FeedbackSection
from campaign.feedback.suppression_rules import DISABLED, SuppressedFor, SuppressionEntry, is_trusted
from campaign.model import FeedbackEvent, FeedbackOutcome

_WORDS = {
    FeedbackOutcome.COMPLAINT: "a complaint leaves an address out permanently",
    FeedbackOutcome.UNSUBSCRIBE: "an unsubscribe leaves an address out permanently",
    FeedbackOutcome.NOT_THEIR_FAULT: "refused for what or who we are; it says nothing about the address",
    FeedbackOutcome.DELIVERED: "a delivery ends a row of soft bounces",
    FeedbackOutcome.DELAYED: "still being tried; it counts for nothing",
    FeedbackOutcome.AUTOMATIC_REPLY: "an automatic reply counts for nothing",
    FeedbackOutcome.RELEASED: "a person released the address; what came before no longer counts",
    FeedbackOutcome.UNKNOWN: "its meaning is unknown, so it counts for nothing",
}


def weights_in_words(
    events: Sequence[FeedbackEvent], entry: SuppressionEntry | None, settings: FeedbackSection
) -> list[str]:
    """For each event of one address, in the order in which they were read: how it counts.

    ``entry`` is the resulting suppression, ``None`` if the address may be written to.
    """
    released = [at for at, one in enumerate(events) if one.outcome is FeedbackOutcome.RELEASED]
    last = max((at for at in released if is_trusted(events[at], settings)), default=-1)
    led = {id(one) for one in entry.events} if entry else set()
    return [_weight(one, settings, at < last, entry if id(one) in led else None) for at, one in enumerate(events)]


def _weight(event: FeedbackEvent, settings: FeedbackSection, released: bool, led_to: SuppressionEntry | None) -> str:
    if not is_trusted(event, settings):
        return "it names an address but no letter that was sent, so it does not count (feedback.trust_addresses)"
    if led_to and led_to.reason in (SuppressedFor.SOFT, SuppressedFor.FULL):
        return f"one of {len(led_to.events)} in a row, which leave the address out"
    if led_to:
        return "it leaves the address out permanently"
    if released:
        return "the address was released later, so it no longer counts"
    return _WORDS.get(event.outcome) or _bounce(event, settings)


def _bounce(event: FeedbackEvent, settings: FeedbackSection) -> str:
    if event.outcome is FeedbackOutcome.SOFT:
        days = f"{settings.soft_span / 86_400:g} days"
        return f"soft bounces leave an address out after {settings.soft_runs} runs in a row, over at least {days}"
    if event.reason == DISABLED:
        return "a disabled mailbox leaves the address out after two runs"
    return "a hard bounce leaves an address out permanently"
