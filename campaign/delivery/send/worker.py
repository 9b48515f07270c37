"""One lane: a coroutine that keeps one connection at a time and carries letter after letter over it.

It strings the rooms together: an errand from the gate, a connection, the transaction, the recorder's intent
before the dot and the verdict after it. What it must never lose is which letters it holds and whether one of
them is past its dot: that decides between put back, recorded, and in doubt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from campaign.delivery.queue.admission import RelayAccount, TurnTooFar
from campaign.delivery.queue.backlog import QueueItem
from campaign.delivery.relays.failover import RelayState
from campaign.delivery.replies import recipient_outcome
from campaign.delivery.replies.classify import Stage
from campaign.delivery.send.connection_pool import ConnectionPool
from campaign.delivery.smtp import dsn
from campaign.delivery.smtp.connection import Connection, open_connection
from campaign.delivery.smtp.dial import ConnectFailed
from campaign.delivery.smtp.mail_transaction import EnvelopeRefused, MailTransaction, for_the_wire, smuggles, unfit
from campaign.delivery.smtp.reply_stream import ConnectionLost
from campaign.errors import InternalError
from campaign.model import Letter, Outcome, Verdict

#: Connections that may break under one recipient, in one sweep, before it is left for a later pass.
MOST_BREAKS = 3


class Worker:
    """``hand`` holds the errands drawn and not ended. ``delicate`` is true from an intent to its verdict."""

    def __init__(self, desk: ConnectionPool) -> None:
        self._desk = desk
        self._gate = desk.gate
        self._settings = desk.settings
        self._limits = desk.settings.timeouts
        self._time = asyncio.get_running_loop().time
        self._following: QueueItem | None = None
        self.hand: list[QueueItem] = []
        self.connection: Connection | None = None
        self.delicate = False
        self.idle_since = 0.0

    async def run(self) -> None:
        """Carry until the gate has no more for this lane. Errors of the run are raised; the hand is empty after."""
        while (breaker := await self._desk.relay_for(self)) is not None:
            if not await self._work_for(breaker) or not self._desk.may_dial(breaker):
                return
            try:
                connection = await open_connection(breaker.relay, self._limits)
            except ConnectFailed as failure:
                if self._desk.not_opened(breaker, failure):
                    continue
                return
            finally:
                self._desk.dialled(breaker)
            await self._use(breaker, connection)

    async def _work_for(self, breaker: RelayState) -> bool:
        """Whether there is somebody to write to: no connection is opened for nothing."""
        errand = await self._gate.draw(self._desk.account(breaker), self._dismissed)
        if errand is not None:
            self._gate.put_back(errand)
        return errand is not None

    async def _use(self, breaker: RelayState, connection: Connection) -> None:
        why = ""
        self.connection = connection
        self._desk.opened(breaker, connection)
        try:
            await self._serve(breaker, connection)
            await connection.wire.quit(self._limits.quit)
        except ConnectionLost as broken:
            why = str(broken)
            self._blame(why, breaker.relay.name)
        except TurnTooFar:
            pass
        finally:
            connection.wire.abort()
            self._empty_hand()
            self.connection = None
            self._desk.closed(breaker, connection, why)

    async def _serve(self, breaker: RelayState, connection: Connection) -> None:
        asked = dsn.wishes(self._settings.dsn, self._settings.dsn_return, connection.extensions)
        talk = MailTransaction(connection, self._limits, asked)
        account = self._desk.account(breaker)
        errand = await self._next(connection, account)
        offered = False
        while errand is not None:
            if not offered:
                talk.offer(errand.letter)  # type: ignore[arg-type]  # an errand in hand has its letter
            if not self._last(connection, breaker):
                self._look_ahead(account)
            refused = None if talk.agreed() else await self._answer(talk, account)
            if refused is None:
                offered = await self._carry(breaker, connection, errand, talk)
            else:
                offered = False
                self._turned_away(breaker, connection, errand, refused)
            connection.letters += 1
            if connection.wire.broken:
                raise ConnectionLost(connection.wire.broken)
            if self._following is None and self._last(connection, breaker, ahead=0):
                return
            errand = await self._next(connection, account)

    async def _carry(
        self, breaker: RelayState, connection: Connection, errand: QueueItem, talk: MailTransaction
    ) -> bool:
        """Content, intent, dot, verdict; whether the following letter's envelope went with the dot."""
        letter, data, relay = errand.letter, errand.data, breaker.relay.name
        if letter is None or data is None:
            raise InternalError("A letter was carried before it was composed.")
        if not self._gate.take_turn(errand):
            await self._gate.turn(errand)
        unsent = talk.content(data)
        if unsent is not None:
            await unsent
        following = self._ready(connection)
        self.delicate = True
        try:
            durable = self._desk.recorder.intent(letter, relay)
            if durable is not None:
                await self._made_durable(durable, errand, relay)
            self._end(errand, await self._last_word(breaker, connection, errand, talk, following))
        finally:
            self.delicate = False
        return following is not None

    async def _made_durable(self, durable: Awaitable[None], errand: QueueItem, relay: str) -> None:
        """Wait for the intent to be on disk. Where it cannot be, no dot leaves: the letter is certainly not sent."""
        try:
            await durable
        except Exception as error:
            self._end(errand, recipient_outcome.held_back(errand.recipient.number, f"not sent: {error}", relay))
            raise

    async def _last_word(
        self,
        breaker: RelayState,
        connection: Connection,
        errand: QueueItem,
        talk: MailTransaction,
        following: QueueItem | None,
    ) -> Outcome:
        """The dot and its reply. A broken connection is noticed by the caller at its next step."""
        number, relay = errand.recipient.number, breaker.relay.name
        try:
            talk.dot(following.letter if following is not None else None)
        except ConnectionLost as broken:
            return recipient_outcome.held_back(number, f"not sent: {broken}", relay)
        left = self._time()
        try:
            reply = await talk.verdict()
        except ConnectionLost as broken:
            return recipient_outcome.broken(number, str(broken), relay)
        self._desk.answered(breaker, self._time() - left)
        outcome = self._desk.judge(breaker, connection, errand, Stage.DOT, reply)
        return outcome or recipient_outcome.held_back(number, reply.text, relay)

    async def _answer(self, talk: MailTransaction, account: RelayAccount) -> EnvelopeRefused | None:
        asked = self._time()
        refused = await talk.answer()
        account.answered(self._time() - asked)
        return refused

    # -- drawing and composing

    async def _next(self, connection: Connection, account: RelayAccount) -> QueueItem | None:
        """The errand looked ahead at, or the next the gate gives, with a letter fit for this connection."""
        while True:
            errand, self._following = self._following, None
            if errand is None:
                errand = await self._draw(connection, account)
                if errand is None:
                    return None
                self._begin(errand)
            if errand.composing is not None:
                errand.letter, errand.composing = await errand.composing, None
            if errand.data is not None or self._fit(errand, connection):
                return errand

    async def _draw(self, connection: Connection, account: RelayAccount) -> QueueItem | None:
        self.idle_since = self._time()
        errand = await self._gate.draw(account, self._dismissed)
        idle, self.idle_since = self._time() - self.idle_since, 0.0
        if errand is not None and (not connection.wire.quiet or idle > self._settings.connection_idle):
            # It went quiet, or said goodbye while we had nothing for it: a new one, and nobody is to blame.
            self._gate.put_back(errand)
            return None
        return errand

    def _look_ahead(self, account: RelayAccount) -> None:
        if self._following is None:
            errand = self._gate.draw_now(account)
            if isinstance(errand, QueueItem):
                self._begin(errand)
                self._following = errand

    def _begin(self, errand: QueueItem) -> None:
        self.hand.append(errand)
        if errand.postponed:
            return
        composed = self._desk.compose(errand.recipient)
        if composed is None or isinstance(composed, Letter):
            errand.letter = composed
        else:
            errand.composing = asyncio.ensure_future(composed)

    def _ready(self, connection: Connection) -> QueueItem | None:
        """The following errand if its letter is there; one that turned out to have none is dropped."""
        errand = self._following
        if errand is None or (errand.composing is not None and not errand.composing.done()):
            return None
        if errand.composing is not None:
            errand.letter, errand.composing = errand.composing.result(), None
        if errand.data is not None or self._fit(errand, connection):
            return errand
        self._following = None
        return None

    def _fit(self, errand: QueueItem, connection: Connection) -> bool:
        if errand.postponed:
            answered = self._desk.held.get(errand.group)
            why = f"its domain is held: {answered}" if answered else "the limits for its domain hold it"
            self._end(
                errand,
                Outcome(errand.recipient.number, Verdict.DEFERRED, why, counted=False, retry_after=errand.postponed),
            )
            return False
        if errand.letter is None:
            self._drop(errand)
            return False
        letter = errand.letter
        data = letter.content if letter.sound else for_the_wire(letter.content)
        outcome = smuggles(letter) if data is None else unfit(letter, connection)
        if outcome is not None:
            self._end(errand, outcome)
            return False
        errand.data = data
        return True

    def _last(self, connection: Connection, breaker: RelayState, ahead: int = 1) -> bool:
        """Whether the letter ``ahead`` of the ones carried so far is the last for this connection."""
        now = self._time()
        return (
            (connection.letters + ahead >= connection.budget and not self._desk.goes_on(breaker, connection))
            or now - connection.opened >= self._settings.connection_age
            or breaker.open_until > now
            or breaker.out
            or self in self._desk.leaving
        )

    def _dismissed(self) -> bool:
        idle = self._time() - self.idle_since if self.idle_since else 0.0
        return self._desk.dismissed(self, idle)

    # -- ends

    def _turned_away(
        self, breaker: RelayState, connection: Connection, errand: QueueItem, refused: EnvelopeRefused
    ) -> None:
        outcome = self._desk.judge(breaker, connection, errand, refused.stage, refused.reply)
        if outcome is not None:
            self._end(errand, outcome)
        else:
            self._again(errand, f"{refused.reply.code} {refused.reply.text}", breaker.relay.name)

    def _blame(self, why: str, relay: str) -> None:
        """The connection broke under the letter that was under way, if one was."""
        current = next((one for one in self.hand if one is not self._following and one.letter is not None), None)
        if current is not None:
            self._again(current, why, relay)

    def _again(self, errand: QueueItem, why: str, relay: str) -> None:
        errand.breaks += 1
        if errand.breaks >= MOST_BREAKS:
            self._end(errand, recipient_outcome.set_aside(errand.recipient.number, errand.breaks, why, relay))
        else:
            self._drop(errand)
            self._gate.put_back(errand)

    def _end(self, errand: QueueItem, outcome: Outcome) -> None:
        self._drop(errand)
        self._desk.recorder.verdict(outcome)

    def _drop(self, errand: QueueItem) -> None:
        self.hand.remove(errand)
        self._gate.end(errand)

    def _empty_hand(self) -> None:
        self._following = None
        for errand in reversed(self.hand):
            if errand.composing is not None:
                errand.composing.cancel()
            self._gate.put_back(errand)
        self.hand.clear()
