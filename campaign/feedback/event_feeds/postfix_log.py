"""A Postfix log as a source of feedback: what our own server, or one whose log we may read, did with each letter.

The Message-ID is in one line and the result in others; queue ids connect them, also over several readings. `sent`
is a delivery, `bounced` and `expired` are bounces, `deferred` is a delay. For letters without any of these, the end of
a reading reports that Postfix accepted them, which settles letters in doubt.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from campaign.errors import CampaignError
from campaign.feedback.event_feeds.followed_file import FollowedFile, LineMark
from campaign.feedback.event_feeds.log_time import LogTime
from campaign.feedback.event_feeds.open_queue import OpenMessage, OpenQueue
from campaign.feedback.event_feeds.postfix_line import (
    LONGEST_LINE,
    DeliveryAttempted,
    MessageExpired,
    MessageNamed,
    MessageQueued,
    PostfixEvent,
    parse_postfix_line,
)
from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.feedback_source import Handled, Received
from campaign.model import FeedbackOutcome, Reply

#: The progress file is rewritten after this share of its entries was acknowledged: at most four entries for each.
SAVE_SHARE = 4

_EXPIRED = Reply(0, "4.4.7", "the message stayed in the queue for too long")
_OUTCOMES = {
    "sent": FeedbackOutcome.DELIVERED,
    "deferred": FeedbackOutcome.DELAYED,
    "softbounce": FeedbackOutcome.DELAYED,
    "bounced": None,
    "expired": None,
}


class PostfixLog:
    """A `FeedbackSource`: the lines of ``path`` since the last reading, as recorded in ``progress_file``."""

    def __init__(self, path: Path, progress_file: Path, now: Callable[[], float] = time.time) -> None:
        self.name = f"postfix-log:{path}"
        self._file = FollowedFile(path, progress_file, what="The Postfix log", longest=LONGEST_LINE)
        self._time = LogTime(now)
        self._queue = OpenQueue()
        self._given = self._acknowledged = self._unsaved = 0
        self._at: LineMark | None = None  # the last line read
        self._done: LineMark | None = None  # the last line acknowledged
        self._ended = False

    def size(self) -> int | None:
        """Always ``None``: the number of relevant lines is unknown before they are read."""
        return None

    def receive(self) -> Iterator[Received]:
        """An item for each delivery, bounce and expiry, and for the first delay of a message. Raises InputError."""
        self._queue = OpenQueue(self._file.open())
        self._given = self._acknowledged = self._unsaved = 0
        self._at = self._done = None
        self._ended = False
        place = (b"", 0, 0)
        mark = self._file.mark
        for place in self._file.lines():
            event = parse_postfix_line(place[0])
            if event is not None and (notice := self._notice(event)):
                yield self._received(place[0], notice, mark(*place))
        self._at = mark(*place) if place[2] else None
        if self._at:
            yield from self._accepted(self._at)
        self._ended = True

    def acknowledge(self, handled: Sequence[Handled]) -> None:
        """Advance the saved position past these lines. Raises StorageError."""
        for one in handled:
            mark, number = one.receipt
            self._acknowledged = max(self._acknowledged, number)
            self._done = mark if self._done is None else max(self._done, mark)
        self._queue.forget(self._acknowledged)
        self._unsaved += len(handled)
        if self._unsaved * SAVE_SHARE >= len(self._queue):
            self._save()

    def close(self) -> None:
        """Save the position and close the log. Never raises: lines that are read again have the same ids."""
        with suppress(CampaignError, OSError):
            self._save()
        self._file.close()

    def _save(self) -> None:
        acknowledged, mark = self._acknowledged, self._done
        if self._ended and acknowledged == self._given:
            acknowledged, mark = acknowledged + 1, self._at  # lines without an event are done too
        if mark:
            self._file.save(mark, self._queue.state(acknowledged))
            self._unsaved = 0

    def _notice(self, event: PostfixEvent) -> FeedbackNotice | None:
        """The notice of the event, if any; also updates the queue."""
        if isinstance(event, MessageNamed):
            self._queue.name(event.queue_id, event.message_id)
            return None
        if isinstance(event, DeliveryAttempted):
            return self._attempted(event)
        at = self._time.seconds(event.time)
        if isinstance(event, MessageExpired):
            found = self._queue.find(event.queue_id)
            found.told = self._given + 1
            return _about(event.queue_id, found, None, at, _EXPIRED, permanent=False)
        message = self._queue.get(event.queue_id)
        if message is None:
            return None
        if isinstance(event, MessageQueued):
            message.queued_at = message.queued_at or at
            return None
        self._queue.end(event.queue_id, self._given)
        return self._acceptance(event.queue_id, message) if message.untold else None

    def _attempted(self, event: DeliveryAttempted) -> FeedbackNotice | None:
        outcome = _OUTCOMES.get(event.status, FeedbackOutcome.UNKNOWN)
        if outcome is FeedbackOutcome.UNKNOWN:
            return None  # the answer to a probe: "deliverable", "undeliverable"
        message = self._queue.find(event.queue_id)
        if outcome is FeedbackOutcome.DELAYED:
            if message.delayed:
                return None
            message.delayed = True
        message.told = self._given + 1
        permanent = event.status == "bounced" if outcome is None else None
        at = self._time.seconds(event.time)
        return _about(event.queue_id, message, outcome, at, event.reply, event.addresses, event.host, permanent)

    def _accepted(self, mark: LineMark) -> Iterator[Received]:
        """An item for each accepted message without any other notice."""
        for queue_id, message in self._queue.untold():
            known_by = f"queued {queue_id} {message.message_id}".encode()
            yield self._received(known_by, self._acceptance(queue_id, message), mark)

    def _acceptance(self, queue_id: str, message: OpenMessage) -> FeedbackNotice:
        message.told = self._given + 1
        reply = Reply(250, "", f"queued as {queue_id}")
        return _about(queue_id, message, FeedbackOutcome.DELAYED, message.queued_at, reply)

    def _received(self, known_by: bytes, notice: FeedbackNotice, mark: LineMark) -> Received:
        self._given += 1
        return Received(hashlib.sha256(known_by).hexdigest()[:32], (notice,), (mark, self._given))


def _about(
    queue_id: str,
    message: OpenMessage,
    outcome: FeedbackOutcome | None,
    at: float,
    reply: Reply,
    addresses: tuple[str, ...] = (),
    host: str = "",
    permanent: bool | None = None,
) -> FeedbackNotice:
    return FeedbackNotice(
        outcome,
        reply,
        permanent,
        at,
        host,
        message_ids=(message.message_id,) if message.message_id else (),
        reply_ids=(queue_id,),
        addresses=addresses,
    )
