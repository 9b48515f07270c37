"""Tracks messages that are still in Postfix's queue: Message-IDs by queue id, limited in number."""

from __future__ import annotations

from collections import deque
from typing import Any

#: Maximum of queue ids; the one unused for longest is dropped first.
MOST_OPEN = 200_000


class OpenMessage:
    """One queue id. ``told`` and ``removed``: the number of notices yielded by then; 0 and ``None`` if not yet."""

    __slots__ = ("delayed", "message_id", "queued_at", "removed", "told")

    def __init__(self, message_id: str, queued_at: float = 0.0, told: int = 0) -> None:
        self.message_id, self.queued_at, self.told = message_id, queued_at, told
        self.removed: int | None = None
        self.delayed = False

    @property
    def untold(self) -> bool:
        """Whether Postfix accepted it and no notice about it was yielded yet."""
        return bool(self.queued_at and self.message_id and not self.told)


class OpenQueue:
    """Open messages by queue id. Ended ones are kept until the notices before their end are acknowledged.

    A reading that restarts at the last acknowledged line then finds the same state.
    """

    def __init__(self, state: Any = None, most: int = MOST_OPEN) -> None:
        self._most = most
        self._open: dict[str, OpenMessage] = {}
        self._ended: deque[tuple[int, str]] = deque()
        for one in state if isinstance(state, list) else ():
            match one:
                case [str() as queue_id, str() as message_id, int() | float() as queued_at, bool() as told]:
                    self._open[queue_id] = OpenMessage(message_id, float(queued_at), int(told))
                case _:
                    continue

    def __len__(self) -> int:
        return len(self._open)

    def name(self, queue_id: str, message_id: str) -> None:
        """Record a new message with this Message-ID. An earlier one with the same queue id is dropped."""
        self._open.pop(queue_id, None)
        self._open[queue_id] = OpenMessage(message_id)
        if len(self._open) > self._most:
            del self._open[next(iter(self._open))]

    def find(self, queue_id: str) -> OpenMessage:
        """The message of a queue id, moved to the end; a new one without a Message-ID if it is unknown."""
        found = self._open.pop(queue_id, None)
        if found is None:
            self.name(queue_id, "")
            return self._open[queue_id]
        self._open[queue_id] = found
        return found

    def get(self, queue_id: str) -> OpenMessage | None:
        """The message of a queue id, if it is known."""
        return self._open.get(queue_id)

    def end(self, queue_id: str, given: int) -> None:
        """Record that the message was removed, after ``given`` notices."""
        if found := self._open.get(queue_id):
            found.removed = given
            self._ended.append((given, queue_id))

    def forget(self, acknowledged: int) -> None:
        """Drop messages that ended before the last acknowledged notice."""
        while self._ended and self._ended[0][0] < acknowledged:
            given, queue_id = self._ended.popleft()
            found = self._open.get(queue_id)
            if found and found.removed == given:
                del self._open[queue_id]

    def untold(self) -> list[tuple[str, OpenMessage]]:
        """Messages that Postfix accepted and about which no notice was yielded yet."""
        return [(queue_id, one) for queue_id, one in self._open.items() if one.untold]

    def state(self, acknowledged: int) -> list[list[Any]]:
        """The state for `__init__`, as it was when notice number ``acknowledged`` was yielded."""
        return [
            [queue_id, one.message_id, one.queued_at, 0 < one.told <= acknowledged]
            for queue_id, one in self._open.items()
            if one.message_id and (one.removed is None or one.removed >= acknowledged)
        ]
