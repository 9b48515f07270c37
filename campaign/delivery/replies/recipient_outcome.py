"""Maps a decision about a reply to the recipient's outcome: pure, one table.

`classify.py` decides what a reply requires; this module makes it an `Outcome`, or ``None`` if the recipient is tried
again in this pass without a record. Effects on the run are decided in `stop_conditions.py`.
"""

from __future__ import annotations

from campaign.delivery.replies.classify import Action, Decision, Stage
from campaign.model import Outcome, Reply, Verdict


def outcome_of(number: int, stage: Stage, reply: Reply, decision: Decision, relay: str) -> Outcome | None:
    """The outcome of a letter that got ``reply`` at ``stage`` (MAIL, RCPT, DATA or DOT).

    After the dot there always is an outcome: a letter whose intent is recorded must get a verdict. Before the dot, a
    relay that closes the connection or refers us to another one leaves the recipient unchanged.
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
    # The operator resolves the cause of a stop, and should not have to wait afterwards.
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
    """In doubt: the dot was sent and no well-formed reply arrived."""
    return Outcome(number, Verdict.IN_DOUBT, why, relay=relay)


def held_back(number: int, why: str, relay: str) -> Outcome:
    """Deferred: the intent was recorded, but the dot was not sent. The attempt does not count."""
    return Outcome(number, Verdict.DEFERRED, why, relay=relay, counted=False, retry_after=0.0)


def set_aside(number: int, breaks: int, why: str, relay: str) -> Outcome:
    """Deferred: connections kept breaking before this letter's dot; a later pass tries again."""
    return Outcome(
        number, Verdict.DEFERRED, f"{breaks} connections broke before the final dot: {why}", relay=relay, counted=False
    )
