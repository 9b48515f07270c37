"""One worker: a coroutine that keeps one connection at a time and carries letter after letter over it.

It strings the rooms together: an item from the admission, a connection, the transaction, the recorder's intent
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
    """``held`` holds the items drawn and not ended. ``awaiting_verdict`` is true from an intent to its verdict."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._admission = pool.admission
        self._settings = pool.settings
        self._limits = pool.settings.timeouts
        self._time = asyncio.get_running_loop().time
        self._following: QueueItem | None = None
        self.held: list[QueueItem] = []
        self.connection: Connection | None = None
        self.awaiting_verdict = False
        self.idle_since = 0.0

    async def run(self) -> None:
        """Send until admission has no more for this worker. Errors of the run are raised; nothing is held after."""
        while (state := await self._pool.relay_for(self)) is not None:
            if not await self._work_for(state) or not self._pool.may_dial(state):
                return
            try:
                connection = await open_connection(state.relay, self._limits)
            except ConnectFailed as failure:
                if self._pool.not_opened(state, failure):
                    continue
                return
            finally:
                self._pool.dialled(state)
            await self._use(state, connection)

    async def _work_for(self, state: RelayState) -> bool:
        """Whether there is somebody to write to: no connection is opened for nothing."""
        item = await self._admission.draw(self._pool.account(state), self._dismissed)
        if item is not None:
            self._admission.put_back(item)
        return item is not None

    async def _use(self, state: RelayState, connection: Connection) -> None:
        why = ""
        self.connection = connection
        self._pool.opened(state, connection)
        try:
            await self._serve(state, connection)
            await connection.stream.quit(self._limits.quit)
        except ConnectionLost as broken:
            why = str(broken)
            self._blame(why, state.relay.name)
        except TurnTooFar:
            pass
        finally:
            connection.stream.abort()
            self._empty_hand()
            self.connection = None
            self._pool.closed(state, connection, why)

    async def _serve(self, state: RelayState, connection: Connection) -> None:
        asked = dsn.wishes(self._settings.dsn, self._settings.dsn_return, connection.extensions)
        transaction = MailTransaction(connection, self._limits, asked)
        account = self._pool.account(state)
        item = await self._next(connection, account)
        offered = False
        while item is not None:
            if not offered:
                transaction.offer(item.letter)  # type: ignore[arg-type]  # an item in held has its letter
            if not self._last(connection, state):
                self._look_ahead(account)
            refused = None if transaction.agreed() else await self._answer(transaction, account)
            if refused is None:
                offered = await self._carry(state, connection, item, transaction)
            else:
                offered = False
                self._turned_away(state, connection, item, refused)
            connection.letters += 1
            if connection.stream.broken:
                raise ConnectionLost(connection.stream.broken)
            if self._following is None and self._last(connection, state, ahead=0):
                return
            item = await self._next(connection, account)

    async def _carry(
        self, state: RelayState, connection: Connection, item: QueueItem, transaction: MailTransaction
    ) -> bool:
        """Content, intent, dot, verdict; whether the following letter's envelope went with the dot."""
        letter, data, relay = item.letter, item.data, state.relay.name
        if letter is None or data is None:
            raise InternalError("A letter was carried before it was composed.")
        if not self._admission.take_turn(item):
            await self._admission.turn(item)
        unsent = transaction.content(data)
        if unsent is not None:
            await unsent
        following = self._ready(connection)
        self.awaiting_verdict = True
        try:
            durable = self._pool.recorder.intent(letter, relay)
            if durable is not None:
                await self._made_durable(durable, item, relay)
            self._end(item, await self._last_word(state, connection, item, transaction, following))
        finally:
            self.awaiting_verdict = False
        return following is not None

    async def _made_durable(self, durable: Awaitable[None], item: QueueItem, relay: str) -> None:
        """Wait for the intent to be on disk. Where it cannot be, no dot leaves: the letter is certainly not sent."""
        try:
            await durable
        except Exception as error:
            self._end(item, recipient_outcome.held_back(item.recipient.number, f"not sent: {error}", relay))
            raise

    async def _last_word(
        self,
        state: RelayState,
        connection: Connection,
        item: QueueItem,
        transaction: MailTransaction,
        following: QueueItem | None,
    ) -> Outcome:
        """The dot and its reply. A broken connection is noticed by the caller at its next step."""
        number, relay = item.recipient.number, state.relay.name
        try:
            transaction.dot(following.letter if following is not None else None)
        except ConnectionLost as broken:
            return recipient_outcome.held_back(number, f"not sent: {broken}", relay)
        left = self._time()
        try:
            reply = await transaction.verdict()
        except ConnectionLost as broken:
            return recipient_outcome.broken(number, str(broken), relay)
        self._pool.answered(state, self._time() - left)
        outcome = self._pool.judge(state, connection, item, Stage.DOT, reply)
        return outcome or recipient_outcome.held_back(number, reply.text, relay)

    async def _answer(self, transaction: MailTransaction, account: RelayAccount) -> EnvelopeRefused | None:
        asked = self._time()
        refused = await transaction.answer()
        account.answered(self._time() - asked)
        return refused

    # -- drawing and composing

    async def _next(self, connection: Connection, account: RelayAccount) -> QueueItem | None:
        """The item looked ahead at, or the next the admission gives, with a letter fit for this connection."""
        while True:
            item, self._following = self._following, None
            if item is None:
                item = await self._draw(connection, account)
                if item is None:
                    return None
                self._begin(item)
            if item.composing is not None:
                item.letter, item.composing = await item.composing, None
            if item.data is not None or self._fit(item, connection):
                return item

    async def _draw(self, connection: Connection, account: RelayAccount) -> QueueItem | None:
        self.idle_since = self._time()
        item = await self._admission.draw(account, self._dismissed)
        idle, self.idle_since = self._time() - self.idle_since, 0.0
        if item is not None and (not connection.stream.quiet or idle > self._settings.connection_idle):
            # It went quiet, or said goodbye while we had nothing for it: a new one, and nobody is to blame.
            self._admission.put_back(item)
            return None
        return item

    def _look_ahead(self, account: RelayAccount) -> None:
        if self._following is None:
            item = self._admission.draw_now(account)
            if isinstance(item, QueueItem):
                self._begin(item)
                self._following = item

    def _begin(self, item: QueueItem) -> None:
        self.held.append(item)
        if item.postponed:
            return
        composed = self._pool.compose(item.recipient)
        if composed is None or isinstance(composed, Letter):
            item.letter = composed
        else:
            item.composing = asyncio.ensure_future(composed)

    def _ready(self, connection: Connection) -> QueueItem | None:
        """The following item if its letter is there; one that turned out to have none is dropped."""
        item = self._following
        if item is None or (item.composing is not None and not item.composing.done()):
            return None
        if item.composing is not None:
            item.letter, item.composing = item.composing.result(), None
        if item.data is not None or self._fit(item, connection):
            return item
        self._following = None
        return None

    def _fit(self, item: QueueItem, connection: Connection) -> bool:
        if item.postponed:
            answered = self._pool.held.get(item.group)
            why = f"its domain is held: {answered}" if answered else "the limits for its domain hold it"
            self._end(
                item,
                Outcome(item.recipient.number, Verdict.DEFERRED, why, counted=False, retry_after=item.postponed),
            )
            return False
        if item.letter is None:
            self._drop(item)
            return False
        letter = item.letter
        data = letter.content if letter.sound else for_the_wire(letter.content)
        outcome = smuggles(letter) if data is None else unfit(letter, connection)
        if outcome is not None:
            self._end(item, outcome)
            return False
        item.data = data
        return True

    def _last(self, connection: Connection, state: RelayState, ahead: int = 1) -> bool:
        """Whether the letter ``ahead`` of the ones carried so far is the last for this connection."""
        now = self._time()
        return (
            (connection.letters + ahead >= connection.budget and not self._pool.goes_on(state, connection))
            or now - connection.opened >= self._settings.connection_age
            or state.open_until > now
            or state.out
            or self in self._pool.leaving
        )

    def _dismissed(self) -> bool:
        idle = self._time() - self.idle_since if self.idle_since else 0.0
        return self._pool.dismissed(self, idle)

    # -- ends

    def _turned_away(
        self, state: RelayState, connection: Connection, item: QueueItem, refused: EnvelopeRefused
    ) -> None:
        outcome = self._pool.judge(state, connection, item, refused.stage, refused.reply)
        if outcome is not None:
            self._end(item, outcome)
        else:
            self._again(item, f"{refused.reply.code} {refused.reply.text}", state.relay.name)

    def _blame(self, why: str, relay: str) -> None:
        """The connection broke under the letter that was under way, if one was."""
        current = next((one for one in self.held if one is not self._following and one.letter is not None), None)
        if current is not None:
            self._again(current, why, relay)

    def _again(self, item: QueueItem, why: str, relay: str) -> None:
        item.breaks += 1
        if item.breaks >= MOST_BREAKS:
            self._end(item, recipient_outcome.set_aside(item.recipient.number, item.breaks, why, relay))
        else:
            self._drop(item)
            self._admission.put_back(item)

    def _end(self, item: QueueItem, outcome: Outcome) -> None:
        self._drop(item)
        self._pool.recorder.verdict(outcome)

    def _drop(self, item: QueueItem) -> None:
        self.held.remove(item)
        self._admission.end(item)

    def _empty_hand(self) -> None:
        self._following = None
        for item in reversed(self.held):
            if item.composing is not None:
                item.composing.cancel()
            self._admission.put_back(item)
        self.held.clear()
