"""Judges what a bounce means for the address, by applying the rules for SMTP replies to the reply it quotes. Pure."""

from __future__ import annotations

import re

from campaign.delivery.replies.classify import Action, Rules, Stage
from campaign.model import FeedbackOutcome, Reply

#: Classes that say nothing about the address: the content or the sender was refused.
OUR_FAULT = frozenset(
    {
        "too_big", "spam", "blocked", "policy", "authentication", "relay_denied", "content", "rate", "configuration",
    }
)  # fmt: skip

#: The refused command, if the report names it.
_COMMANDS = (
    (Stage.DOT, re.compile(r"(?i)end of data|reply to data|\(DATA\)|final DATA|SMTP command DATA|after DATA")),
    (
        Stage.MAIL,
        re.compile(r"(?i)after (pipelined )?MAIL FROM|in reply to MAIL FROM|initial connection|sender was rejected"),
    ),
)
#: Addresses and host names may contain any words; those are not part of the server's message.
_NAMES = re.compile(
    r"<?[^\s<>@]{1,64}@[^\s<>@]{1,255}>?|(?i:\bhost )[^\s.\[]{1,63}\.[^\s\[]{1,255} ?\[[0-9a-fA-F.:]{3,45}\]"
)


def bounce_meaning(rules: Rules, reply: Reply, permanent: bool | None, domain: str = "") -> tuple[FeedbackOutcome, str]:
    """HARD, SOFT or NOT_THEIR_FAULT, and the class, one of `MEANINGS`, of a permanent delivery failure.

    ``reply`` may have no code (0). Then its enhanced code or ``permanent``, the report's own statement, replaces it,
    and a report that states neither counts as a permanent refusal. ``domain`` is the recipient's, in lower case.
    """
    code = _code(reply, permanent)
    said = reply._replace(code=code, text=_NAMES.sub("", reply.text))
    decision = rules.decide_bounced(_stage(reply.text), said, domain)
    means = decision.means
    if decision.action is Action.SUPPRESS:
        return FeedbackOutcome.HARD, means
    if code < 500 and means == "deferred":
        return FeedbackOutcome.SOFT, "expired"
    return (FeedbackOutcome.NOT_THEIR_FAULT if means in OUR_FAULT else FeedbackOutcome.SOFT), means


def _code(reply: Reply, permanent: bool | None) -> int:
    if 400 <= reply.code < 600:
        return reply.code
    passing = reply.enhanced[:1] == "4" if reply.enhanced else permanent is False
    return 450 if passing else 550


def _stage(text: str) -> Stage:
    return next((stage for stage, pattern in _COMMANDS if pattern.search(text)), Stage.RCPT)
