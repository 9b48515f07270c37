"""The part of a run's report about what came back: figures held against the receivers' levels, classes, providers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from campaign.model import FeedbackOutcome
from campaign.report import formatting
from campaign.report.facts import RunFacts
from campaign.report.feedback.feedback_facts import (
    ALL_BOUNCED,
    BOUNCED,
    COMPLAINED,
    OUR_FAULT,
    BounceTally,
    FeedbackAlarm,
    FeedbackFacts,
    FeedbackLevel,
    ProviderTally,
    feedback_alarms,
)
from campaign.report.html.html_builder import Html, tag

MOST_CLASSES = 12  #: classes of bounces that are shown
#: Class of a bounce -> its meaning. Any other text, such as a relay rule's own reason, is shown unchanged.
CLASS_WORDS = {
    "accepted": "bounced although the text says accepted",
    "no_such_user": "no such address",
    "no_such_domain": "no such domain",
    "disabled": "mailbox disabled",
    "filtered": "refused by a filter of the recipient's",
    "full": "mailbox full",
    "deferred": "put off too often",
    "expired": "not delivered in time",
    "too_big": "letter too large",
    "spam": "taken for spam",
    "blocked": "our server or domain is on a block list",
    "policy": "against the receiver's policy",
    "authentication": "SPF, DKIM or DMARC failed",
    "relay_denied": "relaying denied",
    "content": "content refused",
    "rate": "too many letters at once",
    "configuration": "a server on the way is misconfigured",
    "other": "no reason that can be recognised",
}
#: Outcome -> how it is called, in the order in which outcomes are shown.
OUTCOME_WORDS = {
    FeedbackOutcome.DELIVERED: "delivered",
    FeedbackOutcome.HARD: "hard bounces",
    FeedbackOutcome.SOFT: "soft bounces",
    FeedbackOutcome.NOT_THEIR_FAULT: "our own fault",
    FeedbackOutcome.DELAYED: "still being tried",
    FeedbackOutcome.COMPLAINT: "complaints",
    FeedbackOutcome.UNSUBSCRIBE: "unsubscribes",
    FeedbackOutcome.AUTOMATIC_REPLY: "automatic replies",
    FeedbackOutcome.UNKNOWN: "not understood",
}
#: How a bounce is counted, for one and for several.
_COUNTED = {
    FeedbackOutcome.HARD: ("hard bounce", "hard bounces"),
    FeedbackOutcome.SOFT: ("soft bounce", "soft bounces"),
    FeedbackOutcome.NOT_THEIR_FAULT: ("for our own fault", "for our own fault"),
}
_KINDS = {COMPLAINED: "Complaints", ALL_BOUNCED: "Bounces", OUR_FAULT: "Our own fault"}
_LEVELS = {
    FeedbackLevel.QUIET: "fine",
    FeedbackLevel.TOO_FEW: "too few to judge",
    FeedbackLevel.WARNING: "warning",
    FeedbackLevel.ALARM: "alarm",
}
_WHAT_IT_IS = (
    "Shares are of the letters that a relay accepted. Each recipient counts once for each outcome. Not every receiver "
    "reports deliveries or complaints, so there may be more of both."
)
_NOT_RECOGNISED = (
    "Not recognised are messages of the first week that could be tied to no letter, or by an address alone, which "
    "anybody can name."
)


def feedback_section(run: RunFacts) -> Html | None:
    """What came back about the letters of ``run``; None where none of it is read."""
    facts = run.feedback
    if facts is None:
        return None
    if not facts.events:
        command = tag("code", run.command("collect"))
        return tag("p", "Nothing has come back so far. ", command, " reads what has.", cls="quiet")
    return tag(
        "div",
        tag("ul", (_gauge(one, facts) for one in feedback_alarms(facts)), cls="gauges"),
        _tally(facts),
        _classes(facts.bounces),
        _providers(facts),
        tag("p", _WHAT_IT_IS, f" {_NOT_RECOGNISED}" if facts.not_recognised else None, cls="quiet after"),
    )


def _gauge(one: FeedbackAlarm, facts: FeedbackFacts) -> Html:
    """A share on a scale with its levels marked, in a word and, where something is to be done, in a sentence."""
    end = max(one.alarm * 2, one.share * 1.1)
    marks = sorted({one.warning, one.alarm})
    scale = [tag("i", cls="reached", style=f"width:{100 * one.share / end:.1f}%")] if one.count else []
    scale += [tag("i", cls="mark", style=f"left:{100 * mark / end:.1f}%") for mark in marks]
    levels = f"alarm above {_level(one.alarm)}"
    levels = f"warning from {_level(one.warning)}, {levels}" if one.warning < one.alarm else levels
    return tag(
        "li",
        tag("span", _KINDS[one.kind], cls="name"),
        tag("span", _LEVELS[one.level], cls="level"),
        tag("b", formatting.share_text(one.share), cls="total"),
        tag("span", f"{one.count:,} of {facts.accepted:,}", cls="value"),
        tag("span", scale, cls="scale", aria_hidden="true"),
        tag("span", levels, cls="quiet"),
        tag("p", one.advice) if one.advice else None,
        cls=f"is-{one.level.value}",
    )


def _level(share: float) -> str:
    """``0.003`` -> ``"0.3 %"``, without zeros at its end."""
    return f"{100 * share:g}\N{NO-BREAK SPACE}%"


def _tally(facts: FeedbackFacts) -> Html:
    figures = [(one, words, facts.recipients(one)) for one, words in OUTCOME_WORDS.items() if facts.recipients(one)]
    shown = [
        _figure(words, count, formatting.share_text(facts.share(count)), outcome.value)
        for outcome, words, count in figures
    ]
    if facts.not_recognised:
        shown.append(_figure("not recognised", facts.not_recognised, "messages", "waiting"))
    return tag("dl", shown, cls="tally")


def _figure(words: str, count: int, besides: str, colour: str) -> Html:
    dot = tag("i", cls=f"dot {colour}")
    return tag("div", tag("dt", dot, words), tag("dd", tag("b", count), tag("span", besides)))


def _classes(bounces: Sequence[BounceTally]) -> list[Html] | None:
    if not bounces:
        return None
    shown = (
        tag(
            "li",
            tag("span", tag("i", cls=f"dot {one.outcome.value}"), CLASS_WORDS.get(one.reason, one.reason) or "other"),
            tag("b", one.count),
        )
        for one in bounces[:MOST_CLASSES]
    )
    rest = sum(one.count for one in bounces[MOST_CLASSES:])
    more = tag("li", tag("span", "of other classes"), tag("b", rest)) if rest else None
    return [tag("h3", "Bounces by class"), tag("ul", shown, more, cls="pairs classes")]


def _providers(facts: FeedbackFacts) -> list[Html] | None:
    if not facts.providers:
        return None
    left = facts.provider_count - len(facts.providers)
    more = tag("p", f"And {formatting.counted(left, 'provider')} more.", cls="more") if left else None
    return [
        tag("h3", "Bounces by provider"),
        tag("ul", (_provider(one) for one in facts.providers), cls="domains"),
        *([more] if more else []),
    ]


def _provider(one: ProviderTally) -> Html:
    complaints = one.outcomes.get(FeedbackOutcome.COMPLAINT, 0)
    share = min(1.0, one.bounced / one.accepted) if one.accepted else 0.0
    parts = [formatting.counted(one.outcomes[kind], *_COUNTED[kind]) for kind in BOUNCED if one.outcomes.get(kind)]
    parts += [formatting.counted(complaints, "complaint")] if complaints else []
    return tag(
        "li",
        tag("span", formatting.people_address(one.name), cls="name"),
        tag("span", tag("b", formatting.share_text(share)), f" of {one.accepted:,}", cls="value"),
        _bar(one, max(0, one.accepted - one.bounced)),
        tag("span", ", ".join(parts), cls="quiet"),
    )


def _bar(one: ProviderTally, rest: int) -> Html:
    counts: Iterable[tuple[str, int]] = [(kind.value, one.outcomes.get(kind, 0)) for kind in BOUNCED]
    parts = (tag("i", cls=name, style=f"flex-grow:{count}") for name, count in counts if count)
    left = tag("i", style=f"flex-grow:{rest}") if rest else None
    words = formatting.printable(f"{one.name}: {one.bounced:,} of {one.accepted:,} bounced")
    return tag("div", parts, left, cls="bar", role="img", aria_label=words)
