"""What all lanes share in a sweep: the gate, the accounts, the relays' state, and what a reply means beyond its letter.

A lane asks here which relay to dial and tells what it met. How many lanes there are is the dispatcher's business.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import NamedTuple, Protocol

from campaign.config.delivery import DeliverySection
from campaign.config.units import Rate
from campaign.delivery.pacing.throttle import Throttle
from campaign.delivery.queue.admission import NAP, Admission, RelayAccount
from campaign.delivery.queue.backlog import QueueItem
from campaign.delivery.relays.failover import LONGEST_PAUSE, RelaySelector, RelayState
from campaign.delivery.relays.relay import Relay
from campaign.delivery.replies import recipient_outcome
from campaign.delivery.replies.classify import Action, Decision, Rules, Stage
from campaign.delivery.replies.stop_conditions import StopConditions, reply_text, stop
from campaign.delivery.smtp.connection import Connection
from campaign.delivery.smtp.dial import ConnectFailed
from campaign.errors import CampaignError
from campaign.model import Letter, Outcome, Recipient, Reply, Verdict

log = logging.getLogger(__name__)

Throttles = Callable[[Relay], Throttle]

#: Makes the letter of a recipient, at once or later; ``None``: there is none, and the caller has recorded why.
Compose = Callable[[Recipient], Letter | Awaitable[Letter | None] | None]

#: Connections being opened at once when the relay works, or as many as stand; before that, and after a failure, one.
OPENING_AT_ONCE = 4
#: Letters accepted before an account without limits has a pace worth halving.
KNOWN_PACE = 100
#: Seconds during which no further connection is tried after a relay took no more of them.
ENOUGH = 30.0


class OutcomeRecorder(Protocol):
    """Where intents and verdicts go. Raising StorageError stops the run before the next dot."""

    def intent(self, letter: Letter, relay: str) -> Awaitable[None] | None:
        """The dot of ``letter`` is about to leave; ``None`` when that is durable already."""

    def verdict(self, outcome: Outcome) -> None:
        """What became of an attempt; exactly one per attempt that ended."""


class Rest(NamedTuple):
    """A relay was too slow and was left alone from ``at`` (POSIX seconds) for so many ``seconds``."""

    relay: str
    at: float
    seconds: float
    why: str


class ConnectionPool:
    """One for a dispatcher; `begin` gives it the gate and the composer of each sweep. Times are the loop's."""

    gate: Admission
    compose: Compose

    def __init__(
        self,
        settings: DeliverySection,
        relays: Sequence[Relay],
        recorder: OutcomeRecorder,
        *,
        clock: Callable[[], float],
        rules: Rules,
        throttles: Throttles,
        fail: Callable[[CampaignError], None],
        grow: Callable[[], None],
        resent: Callable[[int], bool],
    ) -> None:
        self.settings = settings
        self.recorder = recorder
        self.board = RelaySelector(
            relays, settings.relay_patience, settings.stop_connections, settings.relay_slow_after
        )
        #: Lanes told to end after what they hold.
        self.leaving: set[object] = set()
        #: When relays were left alone because they were slow.
        self.rests: list[Rest] = []
        #: What was answered when a domain was held, by its group.
        self.held: dict[str, str] = {}
        self._accounts: dict[str, RelayAccount] = {}
        self._clock = clock
        self._rules = rules
        self._throttles = throttles
        self._fail = fail
        self._grow = grow
        self._resent = resent
        self._stops = StopConditions(settings.stop_share, settings.stop_window)
        self._accepted = 0
        self._standing: dict[Connection, RelayState] = {}

    def begin(self, gate: Admission, compose: Compose) -> None:
        """A new sweep."""
        self.gate, self.compose = gate, compose
        self.leaving.clear()
        self.board.begin()

    # -- before a connection

    def account(self, breaker: RelayState) -> RelayAccount:
        """The account whose limits count at this relay."""
        key = breaker.relay.account
        if key not in self._accounts:
            throttle = self._throttles(breaker.relay)
            if missing := [limit for limit in breaker.relay.limits if limit not in throttle.limits]:
                throttle.set_rate((*throttle.limits, *missing))
            account = self._accounts[key] = RelayAccount(throttle)
            if self.board.weighted:
                account.stuck = lambda seconds: self.board.spent(breaker, seconds, _now())
        return self._accounts[key]

    async def relay_for(self, lane: object) -> RelayState | None:
        """The relay to dial next, waiting for one to recover if need be; ``None``: this lane is not needed.

        Raises RelayError when no relay will ever do.
        """
        while not self.gate.closed and self.gate.backlog.more() and lane not in self.leaving:
            found = self.board.choose(_now())
            if isinstance(found, RelayState):
                return found
            if found > max(self.settings.limit_wait, LONGEST_PAUSE):  # no breaker rests for so long, limits do
                self.gate.stuck, self.gate.closed = found, True
            await asyncio.sleep(min(found, NAP))
        return None

    def may_dial(self, breaker: RelayState) -> bool:
        """Count one more connection being opened; no: somebody else dials already and will call for more lanes."""
        if breaker.dialling >= _at_once(breaker):
            return False
        breaker.dialling += 1
        breaker.give(breaker.budget(self.settings.letters_per_connection))
        return True

    def dialled(self, breaker: RelayState) -> None:
        """An attempt to open a connection is over."""
        breaker.dialling -= 1

    def opened(self, breaker: RelayState, connection: Connection) -> None:
        """A connection stands."""
        breaker.connections += 1
        connection.budget = breaker.budget(self.settings.letters_per_connection)
        self._standing[connection] = breaker
        log.debug("%s: connection open after %.3f s", breaker.relay.name, connection.took)
        if median := breaker.slowness.greeted(connection.greeted, _now()):
            self._rest(breaker, "greets", median)
        self._grow()

    def answered(self, breaker: RelayState, seconds: float) -> None:
        """A final dot was answered after ``seconds``."""
        if median := breaker.slowness.answered(seconds, _now()):
            self._rest(breaker, "answers the final dot", median)

    def goes_on(self, breaker: RelayState, connection: Connection) -> bool:
        """Whether a connection whose budget is used up may carry more: its budget is raised then."""
        own = self.settings.letters_per_connection
        most = breaker.letters(own)
        if connection.letters + 1 >= most or not self.board.stays(breaker, _now()):
            return False
        more = min(most, max(connection.budget, connection.letters) + breaker.budget(own))
        breaker.give(more - connection.budget)
        connection.budget = more
        return True

    def _rest(self, breaker: RelayState, does: str, median: float) -> None:
        if all(one is breaker or one.out for one in self.board.breakers):
            return  # there is no other, so it serves on
        rest = Rest(
            breaker.relay.name, time.time(), breaker.slowness.until - _now(), f"{does} only after {median:.2f} s"
        )
        self.rests.append(rest)
        log.warning(
            "%s %s (a median), so it is left alone for %.0f s while another relay can serve",
            rest.relay, rest.why, rest.seconds,
        )  # fmt: skip
        for connection, one in self._standing.items():
            if one is breaker:  # each asks before its next letter
                breaker.give(connection.letters - connection.budget)
                connection.budget = connection.letters

    def not_opened(self, breaker: RelayState, failure: ConnectFailed) -> bool:
        """Whether the lane should try again: not when the relay serves enough of us already, or the run ends."""
        breaker.give(-breaker.budget(self.settings.letters_per_connection))
        breaker.advice, decision, ends = failure.advice, None, False
        if failure.reply is not None:
            decision = self._rules.decide(failure.stage, failure.reply, relay=breaker.relay.host)
            if ends := decision.login or decision.quota:
                self._fail(stop(decision, failure.reply, breaker.relay.name))
        level = logging.INFO if ends or self.board.untried(breaker) else logging.WARNING
        log.log(level, "%s: not connected: %s", breaker.relay.name, failure.why)
        if ends:
            return False
        hopeless = failure.hopeless or (decision is not None and decision.action is Action.STOP)
        if breaker.connections and not hopeless:
            breaker.enough = (breaker.connections, _now() + ENOUGH)
            return False
        self.board.failed(breaker, failure.why, _now(), hopeless=hopeless)
        return True

    def closed(self, breaker: RelayState, connection: Connection, why: str) -> None:
        """A connection is gone; ``why`` when it broke."""
        breaker.connections -= 1
        breaker.give(connection.letters - connection.budget)
        self._standing.pop(connection, None)
        if why:
            log.info("%s: connection lost after %d letters: %s", breaker.relay.name, connection.letters, why)
        # One that we ended ourselves says nothing of the relay: its few letters may all have been put off.
        used_up = connection.letters >= self.settings.letters_per_connection
        if not connection.accepted and (why or used_up) and not self.gate.closed:
            reason = why or "a connection was used up without one letter accepted"
            self.board.barren(breaker, reason, connection.opened, _now())

    # -- how many

    def wants_lane(self, lanes: int, starting: int) -> bool:
        """Whether there is work that no idle lane would take, nor one of the ``starting`` ones without connection."""
        gate = self.gate
        if gate.closed or gate.paused or not gate.backlog.more():
            return False
        if self.board.weighted:
            return self._wants_lane_by_weight(starting)
        if gate.idle:
            return False
        if lanes and any(account.throttle.wait("", self._clock()) > 0 for account in self._accounts.values()):
            return False  # no turn is being missed: the limits hold us up, not the connections; one lane waits for them
        return starting < max(_at_once(breaker) for breaker in self.board.breakers)

    def _wants_lane_by_weight(self, starting: int) -> bool:
        """Each relay has its own limits: a lane is wanted where the next one would find something to do."""
        serving = [one for one in self.board.breakers if not one.out]
        if serving and isinstance(found := self.board.choose(_now()), RelayState):
            account = self.account(found)
            if account.idle or account.throttle.wait("", self._clock()) > 0:
                return False
        return starting < max(1, sum(map(_at_once, serving)))

    def most(self, wanted: int) -> int:
        """Lanes at most: what is wanted, what presets allow, and what relays were seen to take."""
        return self.board.most(wanted, _now())

    def limit(self, lanes: int, most: int, candidates: Collection[object]) -> None:
        """Tell lanes above the limit to end after what they hold."""
        for lane in candidates:
            if lanes - len(self.leaving) <= most:
                return
            self.leaving.add(lane)

    def dismissed(self, lane: object, idle: float) -> bool:
        """Whether this lane should end: one too many, or idle for long while others are idle too."""
        return lane in self.leaving or (idle > self.settings.connection_idle and self.gate.idle > 1)

    # -- what replies mean

    def judge(
        self, breaker: RelayState, connection: Connection, errand: QueueItem, stage: Stage, reply: Reply
    ) -> Outcome | None:
        """What a reply makes of a recipient; pace, relays and the run take their share of it."""
        number, relay = errand.recipient.number, breaker.relay.name
        if stage is Stage.DOT and reply.code < 300:
            connection.accepted += 1
            self._accepted += 1
            self.board.accepted(breaker)
            self._stops.accepted()
            return Outcome(number, Verdict.ACCEPTED, reply.text, reply.code, reply.enhanced, relay)
        decision = self._rules.decide(
            stage, reply, recipient_domain=errand.domain, relay=breaker.relay.host, resent=self._resent(number)
        )
        self._heed(breaker, connection, errand.domain, decision, reply)
        return recipient_outcome.outcome_of(number, stage, reply, decision, relay)

    def set_rate(self, limits: Sequence[Rate]) -> None:
        """Other limits for every account, from outside; a preset's own stay in force."""
        for breaker in self.board.breakers:
            self.account(breaker).throttle.set_rate((*limits, *breaker.relay.limits))

    def _heed(self, breaker: RelayState, connection: Connection, domain: str, decision: Decision, reply: Reply) -> None:
        error = self._stops.look(decision, reply, breaker.relay.name)
        if error is not None:
            self._fail(error)
        if decision.action is Action.NEXT_RELAY:
            self.board.failed(breaker, reply_text(reply), _now())
        if decision.action is Action.BACK_OFF and decision.scope in ("domain", "relay"):
            self._ease(breaker, connection, domain if decision.scope == "domain" else None, decision, reply)

    def _ease(
        self, breaker: RelayState, connection: Connection, domain: str | None, decision: Decision, reply: Reply
    ) -> None:
        """Less of it for a while: a hold where the reply says how long for a domain, half the pace otherwise."""
        account, now = self.account(breaker), self._clock()
        throttle = account.throttle
        if domain is not None and decision.retry_after:
            sentence = account.hold(domain, now, decision.retry_after)
            self.held[throttle.group(domain)] = reply_text(reply)
        elif domain is None and not (throttle.limits or self._accepted >= KNOWN_PACE):
            return  # nothing to halve yet; the breaker's pause before the next connection has to do
        elif reply.code == 421 and connection.accepted:
            return  # many relays end a connection so after some letters; a new one is all they ask for
        else:
            sentence = throttle.slow(domain, now)
        if sentence:
            log.warning("%s, because %s answered %s", sentence, breaker.relay.name, reply_text(reply))


def _now() -> float:
    return asyncio.get_running_loop().time()


def _at_once(breaker: RelayState) -> int:
    # The first login goes alone: a wrong password tried twenty times at once locks the account.
    return max(OPENING_AT_ONCE, breaker.connections) if breaker.worked and not breaker.failures else 1
