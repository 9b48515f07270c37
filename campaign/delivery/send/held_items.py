"""The recipients that one worker holds: taken from the queue, their letters rendered and checked, not ended yet.

Each of them ends in one of three ways: with a verdict, without one because its letter was settled elsewhere, or back in
the queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from campaign.config.delivery import DeliverySection
from campaign.delivery.interfaces import Compose, OutcomeRecorder
from campaign.delivery.queue.admission import Admission, RelayAccount
from campaign.delivery.queue.backlog import QueueItem
from campaign.delivery.replies import recipient_outcome
from campaign.delivery.send.reply_handler import ReplyHandler
from campaign.delivery.send.session import Session
from campaign.model import Letter, Outcome

#: Connections that may break during a recipient's attempts, in one pass, before it is left for a later pass.
MOST_BREAKS = 3


class HeldItems:
    """``following`` is the item taken ahead, whose envelope may go with the dot of the present one.

    ``dismissed`` returns whether the worker should end instead of waiting on; ``idle`` is how long it has waited.
    """

    def __init__(
        self,
        admission: Admission,
        compose: Compose,
        recorder: OutcomeRecorder,
        replies: ReplyHandler,
        settings: DeliverySection,
        dismissed: Callable[[], bool],
    ) -> None:
        self._admission, self._compose, self._recorder = admission, compose, recorder
        self._replies, self._settings, self._dismissed = replies, settings, dismissed
        self._time = asyncio.get_running_loop().time
        self._idle_since = 0.0
        self._items: list[QueueItem] = []
        self.following: QueueItem | None = None

    def __len__(self) -> int:
        return len(self._items)

    @property
    def idle(self) -> float:
        """Seconds that the worker has waited for an item."""
        return self._time() - self._idle_since if self._idle_since else 0.0

    async def are_needed(self, account: RelayAccount) -> bool:
        """Wait until a recipient may be served; False if none is left. Holds nothing afterwards."""
        item = await self._admission.draw(account, self._dismissed)
        if item is not None:
            self._admission.put_back(item)
        return item is not None

    async def next(self, session: Session) -> QueueItem | None:
        """The item taken ahead, or the next that may be taken, with a letter fit for this connection."""
        while True:
            item, self.following = self.following, None
            if item is None:
                item = await self._take(session)
                if item is None:
                    return None
                self._begin(item)
            if item.composing is not None:
                item.letter, item.composing = await item.composing, None
            if item.data is not None or self._fits(item, session):
                return item

    def look_ahead(self, account: RelayAccount) -> None:
        """Take one more item if it may be taken now, and have its letter rendered meanwhile."""
        if self.following is None:
            item = self._admission.draw_now(account)
            if isinstance(item, QueueItem):
                self._begin(item)
                self.following = item

    def ready(self, session: Session) -> QueueItem | None:
        """The following item if its letter is ready; an item that turns out to have no letter is dropped."""
        item = self.following
        if item is None or (item.composing is not None and not item.composing.done()):
            return None
        if item.composing is not None:
            item.letter, item.composing = item.composing.result(), None
        if item.data is not None or self._fits(item, session):
            return item
        self.following = None
        return None

    def end(self, item: QueueItem, outcome: Outcome) -> None:
        """Record the item's verdict, and drop it."""
        self._drop(item)
        self._recorder.verdict(outcome)

    def again(self, item: QueueItem, why: str, relay: str) -> None:
        """Return the item to the queue after a break before its dot, or end it if that has happened too often."""
        item.breaks += 1
        if item.breaks >= MOST_BREAKS:
            self.end(item, recipient_outcome.set_aside(item.recipient.number, item.breaks, why, relay))
        else:
            self._drop(item)
            self._admission.put_back(item)

    def connection_broke(self, why: str, relay: str) -> None:
        """Try the item again whose letter was under way, if there was one."""
        current = next((one for one in self._items if one is not self.following and one.letter is not None), None)
        if current is not None:
            self.again(current, why, relay)

    def put_back_all(self) -> None:
        """Return all held items to the queue, in their order; those settled elsewhere end."""
        self.following = None
        for item in reversed(self._items):
            if _is_settled(item):
                self._admission.end(item)
                continue
            if item.composing is not None:
                item.composing.cancel()
            self._admission.put_back(item)
        self._items.clear()

    async def _take(self, session: Session) -> QueueItem | None:
        self._idle_since = self._time()
        item = await self._admission.draw(session.account, self._dismissed)
        idle, self._idle_since = self._time() - self._idle_since, 0.0
        if item is not None and (not session.connection.stream.quiet or idle > self._settings.connection_idle):
            # The relay closed an idle connection, or may have. Open a new one; do not count it as a failure.
            self._admission.put_back(item)
            return None
        return item

    def _begin(self, item: QueueItem) -> None:
        self._items.append(item)
        if item.postponed:
            return
        composed = self._compose(item.recipient)
        if composed is None or isinstance(composed, Letter):
            item.letter = composed
        else:
            item.composing = asyncio.ensure_future(composed)

    def _fits(self, item: QueueItem, session: Session) -> bool:
        """Whether the item has a letter that may go over this connection; if not, the item ends."""
        if item.postponed:
            self.end(item, self._replies.postponed(item))
            return False
        letter = item.letter
        if letter is None:
            self._drop(item)
            return False
        data = session.transaction.prepare(letter)
        if isinstance(data, Outcome):
            self.end(item, data)
            return False
        item.data = data
        return True

    def _drop(self, item: QueueItem) -> None:
        self._items.remove(item)
        self._admission.end(item)


def _is_settled(item: QueueItem) -> bool:
    """Whether composing an item that was begun led to a verdict instead of a letter; sending it would give it two."""
    if item.composing is None:
        return item.letter is None and not item.postponed
    done = item.composing.done() and not item.composing.cancelled()
    return done and item.composing.exception() is None and item.composing.result() is None
