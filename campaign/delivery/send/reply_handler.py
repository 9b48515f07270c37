"""The consequences of a reply: for its recipient, the pace, the relay and the run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from campaign.config.delivery import DeliverySection
from campaign.delivery.queue.admission import RelayAccount
from campaign.delivery.queue.backlog import QueueItem
from campaign.delivery.relays.failover import RelaySelector, RelayState
from campaign.delivery.replies import recipient_outcome
from campaign.delivery.replies.classify import Action, Decision, Rules, Stage
from campaign.delivery.replies.stop_conditions import StopConditions, reply_text, stop
from campaign.delivery.send.session import Session
from campaign.delivery.transport_errors import ConnectFailed
from campaign.errors import CampaignError
from campaign.model import Outcome, Reply, Verdict

log = logging.getLogger(__name__)

#: Letters accepted before the pace of an account without limits is known well enough to be halved.
KNOWN_PACE = 100


class ReplyHandler:
    """One per dispatcher. ``fail`` ends the run; ``resent`` tells whether the relay may have a recipient's letter."""

    def __init__(
        self,
        settings: DeliverySection,
        rules: Rules,
        selector: RelaySelector,
        *,
        clock: Callable[[], float],
        fail: Callable[[CampaignError], None],
        resent: Callable[[int], bool],
    ) -> None:
        self._rules, self._selector = rules, selector
        self._clock, self._fail, self._resent = clock, fail, resent
        self._stops = StopConditions(settings.stop_share, settings.stop_window)
        self._accepted = 0
        #: The reply for which a domain was held, by its group.
        self._held: dict[str, str] = {}

    def handle_reply(self, session: Session, item: QueueItem, stage: Stage, reply: Reply) -> Outcome | None:
        """The recipient's outcome, or ``None`` if it goes back into the queue. Also applied to pace, relay and run."""
        number, state = item.recipient.number, session.state
        if stage is Stage.DOT and reply.code < 300:
            session.connection.accepted += 1
            self._accepted += 1
            self._selector.accepted(state)
            self._stops.accepted()
            return Outcome(number, Verdict.ACCEPTED, reply.text, reply.code, reply.enhanced, session.relay)
        decision = self._rules.decide(
            stage,
            reply,
            recipient_domain=item.domain,
            relay=state.relay.host,
            gateway=state.relay.gateway.name if state.relay.gateway else "",
            resent=self._resent(number),
        )
        self._heed(session, item.domain, decision, reply)
        return recipient_outcome.outcome_of(number, stage, reply, decision, session.relay)

    def handle_refused_connection(self, state: RelayState, failure: ConnectFailed) -> Decision | None:
        """The decision about a reply to greeting, TLS or login; ``None`` if there was no reply. It may end the run."""
        if failure.reply is None:
            return None
        decision = self._rules.decide(
            failure.stage,
            failure.reply,
            relay=state.relay.host,
            gateway=state.relay.gateway.name if state.relay.gateway else "",
        )
        if decision.login or decision.quota:
            self._fail(stop(decision, failure.reply, state.relay.name))
        return decision

    def postponed(self, item: QueueItem) -> Outcome:
        """The outcome of an item whose domain has to wait too long for this pass."""
        answered = self._held.get(item.group)
        why = f"its domain has to wait: {answered}" if answered else "its domain's limits allow it only later"
        number = item.recipient.number
        return Outcome(number, Verdict.DEFERRED, why, counted=False, retry_after=item.postponed)

    def _heed(self, session: Session, domain: str, decision: Decision, reply: Reply) -> None:
        error = self._stops.look(decision, reply, session.relay)
        if error is not None:
            self._fail(error)
        if decision.action is Action.NEXT_RELAY:
            self._selector.failed(session.state, reply_text(reply), asyncio.get_running_loop().time())
        if decision.retry_after and decision.scope == "relay" and session.state.relay.gateway:
            now = asyncio.get_running_loop().time()
            self._selector.asked_to_wait(session.state, decision.retry_after, now)
        if decision.action is Action.BACK_OFF and decision.scope in ("domain", "relay"):
            self._slow_down(session, domain if decision.scope == "domain" else None, decision, reply)

    def _slow_down(self, session: Session, domain: str | None, decision: Decision, reply: Reply) -> None:
        """Hold a domain if the reply says for how long; otherwise halve the pace for a while."""
        account: RelayAccount = session.account
        throttle, now = account.throttle, self._clock()
        if domain is not None and decision.retry_after:
            sentence = account.hold(domain, now, decision.retry_after)
            self._held[throttle.group(domain)] = reply_text(reply)
        elif domain is None and not (throttle.limits or self._accepted >= KNOWN_PACE):
            return  # no pace to halve yet; the relay's pause before the next connection has to suffice
        elif reply.code == 421 and session.connection.accepted:
            return  # many relays end a connection after some letters; they only ask for a new one
        else:
            sentence = throttle.slow(domain, now)
        if sentence:
            log.warning("%s, because %s answered %s", sentence, session.relay, reply_text(reply))
