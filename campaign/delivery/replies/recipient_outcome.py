"""What a decision about a reply means for the recipient: pure, one table.

`replies` says what a reply asks for; here it becomes an `Outcome`, or ``None`` where the recipient gets another
try in this pass without anything being recorded. What it means for the relay, the pace or the run is `stops`.
"""

from __future__ import annotations

from campaign.delivery.replies.classify import Action, Decision, Stage
from campaign.model import Outcome, Reply, Verdict


def outcome_of(number: int, stage: Stage, reply: Reply, decision: Decision, relay: str) -> Outcome | None:
    """The outcome of a letter that met ``reply`` at ``stage`` (MAIL, RCPT, DATA or DOT).

    After the dot there always is one: a letter whose intent is recorded must not lose its verdict. Before it, a
    relay that goes away or sends us elsewhere leaves the recipient as it was.
    """
    if stage is Stage.DOT and (200 <= reply.code < 300 or decision.action is Action.ACCEPT):
        return Outcome(number, Verdict.ACCEPTED, reply.text, reply.code, reply.enhanced, relay)
    if stage is Stage.DOT and decision.doubt:
        return Outcome(number, Verdict.IN_DOUBT, reply.text, reply.code, reply.enhanced, relay)
    if decision.action in (Action.REJECT, Action.SUPPRESS):
        return _refused(number, Verdict.REJECTED, reply, decision, relay)
    passing = reply.code == 421 or decision.action is Action.NEXT_RELAY
    if passing and stage is not Stage.DOT:
        return None
    return _refused(number, Verdict.DEFERRED, reply, decision, relay)


def _refused(number: int, verdict: Verdict, reply: Reply, decision: Decision, relay: str) -> Outcome:
    # A stop is corrected by the operator, who will not want to wait once it is.
    stops = decision.action is Action.STOP
    return Outcome(
        number=number,
        verdict=verdict,
        reason=reply.text or decision.reason,
        code=reply.code,
        enhanced=reply.enhanced,
        relay=relay,
        counted=decision.counted and not stops,
        suppress=decision.action is Action.SUPPRESS,
        retry_after=0.0 if stops and not decision.quota else decision.retry_after,
    )


def broken(number: int, why: str, relay: str) -> Outcome:
    """The dot was handed over and nothing well-formed came back."""
    return Outcome(number, Verdict.IN_DOUBT, why, relay=relay)


def held_back(number: int, why: str, relay: str) -> Outcome:
    """The intent was recorded, and then the dot did not leave: certainly not sent, nobody's fault."""
    return Outcome(number, Verdict.DEFERRED, why, relay=relay, counted=False, retry_after=0.0)


def set_aside(number: int, breaks: int, why: str, relay: str) -> Outcome:
    """Connections kept breaking under this letter before its dot; a later pass tries again."""
    return Outcome(
        number, Verdict.DEFERRED, f"{breaks} connections broke before the final dot: {why}", relay=relay, counted=False
    )
