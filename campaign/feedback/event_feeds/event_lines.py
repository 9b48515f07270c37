"""A file of JSON lines as a source of feedback: another program appends one event per line."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from campaign.errors import InputError
from campaign.feedback.event_feeds.event_object import EventError, parse_event
from campaign.feedback.event_feeds.followed_file import FollowedFile
from campaign.feedback.feedback_source import Handled, Received

#: Longest line, in octets.
LONGEST_LINE = 64 << 10


class EventLines:
    """A `FeedbackSource`: the lines of ``path`` since the last reading, as recorded in ``progress_file``.

    An event without an ``id`` is identified by its line: the same line twice is one event. An invalid line ends the
    reading with InputError, because its event, perhaps an unsubscribe, would be lost; the lines before it count.
    """

    def __init__(self, path: Path, progress_file: Path) -> None:
        self.name = f"events:{path}"
        self._path = path
        self._file = FollowedFile(path, progress_file, what="The file of events", longest=LONGEST_LINE)

    def size(self) -> int | None:
        """Always ``None``: lines are not counted in advance."""
        return None

    def receive(self) -> Iterator[Received]:
        """An item for each line that is not blank. Raises InputError naming file and line."""
        self._file.open()
        for line, start, end in self._file.lines():
            if not line.strip():
                continue
            if len(line) > LONGEST_LINE:
                raise self._bad_line(start, f"it is longer than {LONGEST_LINE >> 10} KiB")
            try:
                known_by, notice = parse_event(line)
            except EventError as error:
                raise self._bad_line(start, str(error)) from None
            identity = hashlib.sha256(known_by.encode() or line).hexdigest()[:32]
            yield Received(identity, (notice,), self._file.mark(line, start, end))

    def acknowledge(self, handled: Sequence[Handled]) -> None:
        """Advance the saved position past these lines. Raises StorageError."""
        if handled:
            self._file.save(max(one.receipt for one in handled))

    def close(self) -> None:
        """Close the file. Never raises."""
        self._file.close()

    def _bad_line(self, start: int, why: str) -> InputError:
        return InputError(
            f"{self._file.where(start)} is no event.",
            evidence=why,
            next_step="correct or remove that line, then run the same command again: it goes on there",
        )
