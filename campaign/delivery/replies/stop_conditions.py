"""Decides when the run must stop, by counting decisions about replies; pure, no clock.

There are three reasons: a refusal that would hit every recipient, a refused login, and too large a share of letters
refused by policy. Dead addresses do not stop a run: each is suppressed.
"""

from __future__ import annotations

from collections import deque

from campaign.delivery.replies.classify import Action, Decision
from campaign.errors import CampaignError, LoginError, RelayError, UnfinishedError
from campaign.model import Reply

#: What a gateway's refusal means if it is about the sender or the content.
BY_POLICY = frozenset({"spam", "blocked", "policy", "authentication", "content"})


class StopConditions:
    """Call ``look`` for each decided reply and ``accepted`` for each acceptance; a returned error ends the run."""

    def __init__(self, share: float, window: int) -> None:
        self._share = share
        self._window: deque[bool] = deque(maxlen=window)
        self._refused = 0
        self._row: tuple[str, int] = ("", 0)

    def accepted(self) -> None:
        """Count an accepted letter."""
        self._row = ("", 0)
        self._note(by_policy=False)

    def look(self, decision: Decision, reply: Reply, relay: str) -> CampaignError | None:
        """The error to end the run with, or ``None``."""
        if decision.action is Action.STOP:
            return self._strike(decision, reply, relay)
        if decision.action not in (Action.REJECT, Action.SUPPRESS):
            return None
        self._note(by_policy=decision.action is Action.REJECT and refused_by_policy(reply, decision))
        if len(self._window) == self._window.maxlen and self._refused > self._share * len(self._window):
            return RelayError(
                f"{self._refused} of the last {len(self._window)} letters were refused by policy.",
                evidence=f"{relay} answered {reply_text(reply)}",
                next_step="find out what the receivers object to; delivery.stop_share sets the limit",
            )
        return None

    def _strike(self, decision: Decision, reply: Reply, relay: str) -> CampaignError | None:
        rule, count = self._row
        count = count + 1 if rule == decision.rule else 1
        self._row = (decision.rule, count)
        return stop(decision, reply, relay) if decision.login or count >= decision.strikes else None

    def _note(self, *, by_policy: bool) -> None:
        if len(self._window) == self._window.maxlen:
            self._refused -= self._window[0]
        self._window.append(by_policy)
        self._refused += by_policy


def refused_by_policy(reply: Reply, decision: Decision) -> bool:
    """Whether a refusal is about the sender or the content, not about the recipient.

    From a relay that is X.7.x or a bare 554; from a gateway, which refuses with statuses of 4xx, what its rule means.
    """
    if reply.code < 500:
        return decision.means in BY_POLICY
    return reply.enhanced[1:3] == ".7" or (not reply.enhanced and reply.code == 554)


def stop(decision: Decision, reply: Reply, relay: str) -> CampaignError:
    """The error with which a stop decision ends the run."""
    kind = LoginError if decision.login else UnfinishedError if decision.quota else RelayError
    what = (
        "refused our login" if decision.login else "will not take letters now" if decision.quota else "turned us away"
    )
    return kind(
        f"{relay} {what}: {decision.reason}.",
        evidence=f"it answered {reply_text(reply)}",
        next_step=decision.advice or "correct that, then run the same command again",
    )


def reply_text(reply: Reply) -> str:
    """A reply as text for people."""
    return " ".join(part for part in (str(reply.code), reply.enhanced, reply.text) if part)
