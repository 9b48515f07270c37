"""The connections of a pass: which relay is dialled next, how many connections there may be, and which relays rest.

A worker asks the pool before it dials, and reports the result. `reply_handler.py` decides what replies mean.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from campaign.config.delivery import DeliverySection
from campaign.config.units import Rate
from campaign.delivery.interfaces import Compose, OpenConnection, OutcomeRecorder, Throttles
from campaign.delivery.queue.admission import NAP, Admission, RelayAccount
from campaign.delivery.relays.failover import LONGEST_PAUSE, RelaySelector, RelayState
from campaign.delivery.relays.relay import Relay
from campaign.delivery.replies.classify import Action, Rules
from campaign.delivery.send.outage import Outage
from campaign.delivery.send.reply_handler import ReplyHandler
from campaign.delivery.transport_errors import ConnectFailed
from campaign.errors import CampaignError

log = logging.getLogger(__name__)

#: Most connections being opened at once while the relay works, or the number open if larger. Before it has worked, and
#: after a failure, one.
OPENING_AT_ONCE = 4
#: Seconds during which no further connection is tried after a relay refused one more.
ENOUGH = 30.0


class Rest(NamedTuple):
    """A relay was too slow and was paused at ``at`` (POSIX seconds) for ``seconds``."""

    relay: str
    at: float
    seconds: float
    why: str


class ConnectionPool:
    """One per dispatcher; `begin` gives it the admission and the composer of each pass. Times are the loop's."""

    admission: Admission
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
        self.selector = RelaySelector(
            relays, settings.relay_patience, settings.stop_connections, settings.relay_slow_after
        )
        #: Workers asked to end after the items they hold.
        self.leaving: set[object] = set()
        #: When relays were paused because they were slow.
        self.rests: list[Rest] = []
        self.outage = Outage()
        self.accounts: dict[str, RelayAccount] = {}
        self.replies = ReplyHandler(settings, rules, self.selector, clock=clock, fail=fail, resent=resent)
        self._clock, self._throttles, self._grow = clock, throttles, grow
        self._standing: dict[OpenConnection, RelayState] = {}

    def begin(self, admission: Admission, compose: Compose) -> None:
        """Begin a pass."""
        self.admission, self.compose = admission, compose
        self.leaving.clear()
        self.selector.begin()

    # -- before a connection

    def account(self, state: RelayState) -> RelayAccount:
        """The account whose limits count at this relay."""
        key = state.relay.account
        if key not in self.accounts:
            account = self.accounts[key] = RelayAccount(self._throttles(state.relay))
            _hold_to(account, state.relay.limits)
            if self.selector.weighted:
                account.stuck = lambda seconds: self.selector.spent(state, seconds, _now())
        return self.accounts[key]

    async def relay_for(self, worker: object) -> RelayState | None:
        """The relay to dial next, after waiting for one to recover if need be; ``None``: this worker is not needed.

        Raises RelayError if no relay will ever work, UnfinishedError if none can be reached for too long.
        """
        while not self.admission.closed and self.admission.backlog.more() and worker not in self.leaving:
            found = self.selector.choose(_now())
            if isinstance(found, RelayState):
                return found
            if found > max(self.settings.limit_wait, LONGEST_PAUSE):  # no relay rests for so long, but limits do
                self.admission.stuck, self.admission.closed = found, True
            await asyncio.sleep(min(found, NAP))
        return None

    def may_dial(self, state: RelayState) -> bool:
        """Count one more connection being opened. False: others are being opened, and will call for more workers."""
        if state.dialling >= _at_once(state):
            return False
        state.dialling += 1
        state.charge(state.budget(self.settings.letters_per_connection))
        return True

    def dialled(self, state: RelayState) -> None:
        """Record that an attempt to open a connection is over."""
        state.dialling -= 1

    def opened(self, state: RelayState, connection: OpenConnection) -> None:
        """Record that a connection is open."""
        state.connections += 1
        self.outage.over()
        connection.budget = state.budget(self.settings.letters_per_connection)
        self._standing[connection] = state
        if state.told_limits is None:
            state.told_limits = connection.limits
            _hold_to(self.account(state), connection.limits)
        log.debug("%s: connection open after %.3f s", state.relay.name, connection.took)
        if median := state.slowness.greeted(connection.greeted, _now()):
            self._rest(state, "greets", median)
        self._grow()

    def answered(self, state: RelayState, seconds: float) -> None:
        """Record that a final dot was answered after ``seconds``."""
        if median := state.slowness.answered(seconds, _now()):
            self._rest(state, "answers the final dot", median)

    def goes_on(self, state: RelayState, connection: OpenConnection) -> bool:
        """Whether a connection whose budget is used up may carry more; if so, raise its budget."""
        own = self.settings.letters_per_connection
        most = state.letters(own)
        if connection.letters + 1 >= most or not self.selector.stays(state, _now()):
            return False
        more = min(most, max(connection.budget, connection.letters) + state.budget(own))
        state.charge(more - connection.budget)
        connection.budget = more
        return True

    def _rest(self, state: RelayState, does: str, median: float) -> None:
        if all(one is state or one.out for one in self.selector.states):
            return  # there is no other relay, so it goes on serving
        rest = Rest(state.relay.name, time.time(), state.slowness.until - _now(), f"{does} only after {median:.2f} s")
        self.rests.append(rest)
        log.warning(
            "%s %s (a median), so it is left alone for %.0f s while another relay can serve",
            rest.relay, rest.why, rest.seconds,
        )  # fmt: skip
        for connection, one in self._standing.items():
            if one is state:  # each asks before its next letter
                state.charge(connection.letters - connection.budget)
                connection.budget = connection.letters

    def not_opened(self, state: RelayState, failure: ConnectFailed) -> bool:
        """Whether the worker should try again: not if the relay already serves enough connections, or the run ends."""
        state.charge(-state.budget(self.settings.letters_per_connection))
        state.advice = failure.advice
        decision = self.replies.handle_refused_connection(state, failure)
        ends = decision is not None and (decision.login or decision.quota)
        level = logging.INFO if ends or self.selector.untried(state) else logging.WARNING
        log.log(level, "%s: not connected: %s", state.relay.name, failure.why)
        if ends:
            return False
        hopeless = failure.hopeless or (decision is not None and decision.action is Action.STOP)
        if state.connections and not hopeless:
            state.enough = (state.connections, _now() + ENOUGH)
            return False
        self.selector.failed(state, failure.why, _now(), hopeless=hopeless, unreachable=failure.unreachable)
        self.outage.look(self.selector, _now())
        return True

    def closed(self, state: RelayState, connection: OpenConnection, why: str) -> None:
        """Record that a connection has closed; ``why`` if it broke."""
        state.connections -= 1
        state.charge(connection.letters - connection.budget)
        self._standing.pop(connection, None)
        if why:
            log.info("%s: connection lost after %d letters: %s", state.relay.name, connection.letters, why)
        # A connection that we ended ourselves proves nothing against the relay: its few letters may all have been
        # deferred.
        used_up = connection.letters >= self.settings.letters_per_connection
        if not connection.accepted and (why or used_up) and not self.admission.closed:
            reason = why or "a connection was used up without one letter accepted"
            self.selector.barren(state, reason, connection.opened, _now())

    # -- how many

    def wants_worker(self, workers: int, starting: int) -> bool:
        """Whether there is work for which neither an idle worker nor one of the ``starting`` (connecting) is free."""
        admission = self.admission
        if admission.closed or admission.paused or not admission.backlog.more():
            return False
        serving = [one for one in self.selector.states if not one.out]
        found = self.selector.choose(_now()) if serving else None
        if isinstance(found, RelayState) and found.dialling >= _at_once(found):
            return False  # one more could not dial it, would end at once, and would be wanted again
        if self.selector.weighted:
            return self._wants_worker_by_weight(workers, starting, serving, found)
        if admission.idle:
            return False
        if workers and any(account.throttle.wait("", self._clock()) > 0 for account in self.accounts.values()):
            return False  # no turn is missed: the limits delay us, not the connections; one worker waits for them
        return starting < max(_at_once(state) for state in self.selector.states)

    def _wants_worker_by_weight(self, workers: int, starting: int, serving: list[RelayState], found: object) -> bool:
        """Each relay has its own limits: a worker is wanted if the next one would find work, or there is none."""
        if workers and isinstance(found, RelayState):
            account = self.account(found)
            if account.idle or account.throttle.wait("", self._clock()) > 0:
                return False
        return starting < max(1, sum(map(_at_once, serving)))

    def most(self, wanted: int) -> int:
        """The most workers: the wanted number, bounded by presets and by what relays were seen to accept."""
        return self.selector.most(wanted, _now())

    def limit(self, workers: int, most: int, candidates: Collection[object]) -> None:
        """Ask workers above the limit to end after the items they hold."""
        for worker in candidates:
            if workers - len(self.leaving) <= most:
                return
            self.leaving.add(worker)

    def dismissed(self, worker: object, idle: float) -> bool:
        """Whether this worker should end: it is one too many, or idle for long while others are idle too."""
        return worker in self.leaving or (idle > self.settings.connection_idle and self.admission.idle > 1)

    def set_rate(self, limits: Sequence[Rate]) -> None:
        """Set limits from outside for every account; a preset's own stay in force."""
        for state in self.selector.states:
            self.account(state).throttle.set_rate((*limits, *state.relay.limits, *(state.told_limits or ())))


def _now() -> float:
    return asyncio.get_running_loop().time()


def _hold_to(account: RelayAccount, limits: Sequence[Rate]) -> None:
    if missing := [limit for limit in limits if limit not in account.throttle.limits]:
        account.throttle.set_rate((*account.throttle.limits, *missing))


def _at_once(state: RelayState) -> int:
    # The first login goes alone: a wrong password tried twenty times at once locks the account.
    return max(OPENING_AT_ONCE, state.connections) if state.worked and not state.failures else 1
