"""A worker, which sends letters over one connection at a time, by SMTP or to an HTTP gateway.

For each letter: take a recipient, send envelope and content, record the intent, send the final dot, record the verdict.
If the connection breaks, a letter without an intent goes back to the queue; one with an intent is in doubt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from campaign.delivery.interfaces import OpenConnection
from campaign.delivery.queue.admission import TurnTooFar
from campaign.delivery.queue.backlog import QueueItem
from campaign.delivery.replies import recipient_outcome
from campaign.delivery.replies.classify import Stage
from campaign.delivery.send.connection_pool import ConnectionPool
from campaign.delivery.send.held_items import HeldItems
from campaign.delivery.send.open_transport import open_transport
from campaign.delivery.send.session import Session
from campaign.delivery.transport_errors import ConnectFailed, ConnectionLost, EnvelopeRefused
from campaign.errors import InternalError
from campaign.model import Outcome


class Worker:
    """``items`` are the recipients taken and not ended. ``awaiting_verdict`` is true from an intent to its verdict."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool, self._admission, self._settings = pool, pool.admission, pool.settings
        self._limits = pool.settings.timeouts
        self._time = asyncio.get_running_loop().time
        self.items = HeldItems(
            pool.admission, pool.compose, pool.recorder, pool.replies, pool.settings, self._is_dismissed
        )
        self.connection: OpenConnection | None = None
        self.awaiting_verdict = False

    async def run(self) -> None:
        """Send until nothing is left for this worker. Raises errors that end the run; holds nothing afterwards."""
        while (state := await self._pool.relay_for(self)) is not None:
            if not await self.items.are_needed(self._pool.account(state)) or not self._pool.may_dial(state):
                return
            try:
                first = state.told_limits is None
                connection, transaction = await open_transport(state.relay, self._settings, first=first)
            except ConnectFailed as failure:
                if self._pool.not_opened(state, failure):
                    continue
                return
            finally:
                self._pool.dialled(state)
            await self._use(Session(state, self._pool.account(state), connection, transaction, state.relay.name))

    async def _use(self, session: Session) -> None:
        connection, why = session.connection, ""
        self.connection = connection
        self._pool.opened(session.state, connection)
        try:
            await self._send_letters(session)
            await connection.stream.quit(self._limits.quit)
        except ConnectionLost as lost:
            why = str(lost)
            self.items.connection_broke(why, session.relay)
        except TurnTooFar:
            pass
        finally:
            connection.stream.abort()
            self.items.put_back_all()
            self.connection = None
            self._pool.closed(session.state, connection, why)

    async def _send_letters(self, session: Session) -> None:
        """Send one letter after the other, until nothing is left or this connection has carried enough."""
        items, connection, transaction = self.items, session.connection, session.transaction
        item = await items.next(session)
        offered = False
        while item is not None:
            if not offered:
                transaction.offer(item.letter)  # type: ignore[arg-type]  # an item that is next has its letter
            if not self._is_last(session):
                items.look_ahead(session.account)
            refused = None if transaction.agreed() else await self._envelope_answer(session)
            if refused is None:
                offered = await self._send_content(session, item)
            else:
                offered = False
                self._envelope_refused(session, item, refused)
            connection.letters += 1
            if connection.stream.broken:
                raise ConnectionLost(connection.stream.broken)
            if self._may_end(session) and self._is_last(session, ahead=0):
                return
            item = await items.next(session)

    async def _envelope_answer(self, session: Session) -> EnvelopeRefused | None:
        asked = self._time()
        refused = await session.transaction.answer()
        session.account.answered(self._time() - asked)
        return refused

    def _envelope_refused(self, session: Session, item: QueueItem, refused: EnvelopeRefused) -> None:
        outcome = self._pool.replies.handle_reply(session, item, refused.stage, refused.reply)
        if outcome is not None:
            self.items.end(item, outcome)
        else:
            self.items.again(item, f"{refused.reply.code} {refused.reply.text}", session.relay)

    async def _send_content(self, session: Session, item: QueueItem) -> bool:
        """Content, intent, dot, verdict. Returns whether the following letter's envelope went with the dot."""
        letter, data = item.letter, item.data
        if letter is None or data is None:
            raise InternalError("A letter was to be sent before it was rendered.")
        if not self._admission.take_turn(item):
            await self._admission.turn(item)
        unsent = session.transaction.content(data)
        if unsent is not None:
            await unsent
        following = self.items.ready(session) if session.transaction.pipelined else None
        self.awaiting_verdict = True
        try:
            durable = self._pool.recorder.intent(letter, session.relay)
            if durable is not None:
                await self._until_durable(durable, session, item)
            self.items.end(item, await self._send_dot(session, item, following))
        finally:
            self.awaiting_verdict = False
        return following is not None

    async def _until_durable(self, durable: Awaitable[None], session: Session, item: QueueItem) -> None:
        """Wait until the intent is on disk. If it cannot be written, no dot leaves: the letter is surely not sent."""
        try:
            await durable
        except Exception as error:
            outcome = recipient_outcome.held_back(item.recipient.number, f"not sent: {error}", session.relay)
            self.items.end(item, outcome)
            raise

    async def _send_dot(self, session: Session, item: QueueItem, following: QueueItem | None) -> Outcome:
        """Send the dot and read its reply. The caller notices a broken connection at its next step."""
        number, relay = item.recipient.number, session.relay
        try:
            session.transaction.dot(following.letter if following is not None else None)
        except ConnectionLost as lost:
            return recipient_outcome.held_back(number, f"not sent: {lost}", relay)
        left = self._time()
        try:
            reply = await session.transaction.verdict()
        except ConnectionLost as lost:
            return recipient_outcome.broken(number, str(lost), relay)
        self._pool.answered(session.state, self._time() - left)
        outcome = self._pool.replies.handle_reply(session, item, Stage.DOT, reply)
        return outcome or recipient_outcome.held_back(number, reply.text, relay)

    def _is_last(self, session: Session, ahead: int = 1) -> bool:
        """Whether the letter ``ahead`` of those sent so far is the last for this connection."""
        now, state, connection = self._time(), session.state, session.connection
        return (
            (connection.letters + ahead >= connection.budget and not self._pool.goes_on(state, connection))
            or now - connection.opened >= self._settings.connection_age
            or state.open_until > now
            or state.out
            or self in self._pool.leaving
            or (self._admission.closed and not session.transaction.pipelined)
        )

    def _may_end(self, session: Session) -> bool:
        """Whether no letter was taken ahead, or it may go back to the queue because it was not offered."""
        return self.items.following is None or not session.transaction.pipelined

    def _is_dismissed(self) -> bool:
        return self._pool.dismissed(self, self.items.idle)
