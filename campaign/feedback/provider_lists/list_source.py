"""The lists of a provider as a source of feedback: read from where the last reading ended, and a little before it.

Entries that are read again have the same ids, by which the store knows them. The progress file is written only once
all entries up to a time are acknowledged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from campaign.errors import InputError, UnfinishedError
from campaign.feedback.event_feeds.event_object import EventError
from campaign.feedback.feedback_source import Handled, Received
from campaign.feedback.mailboxes.mailbox_progress import read_mailbox_progress, write_mailbox_progress
from campaign.feedback.provider_lists.list_client import ListClient
from campaign.feedback.provider_lists.provider_api import ProviderApi

#: Least time between two complete readings, in seconds.
LEAST_PAUSE = 300.0


class ProviderListSource:
    """A `FeedbackSource`: the lists of ``api``; ``url`` is its name."""

    def __init__(
        self, url: str, api: ProviderApi, client: ListClient, progress_file: Path, now: Callable[[], float]
    ) -> None:
        self.name = url
        self._api, self._client, self._progress_file, self._now = api, client, progress_file, now
        self._given = self._acknowledged = 0
        self._ends: list[tuple[int, float]] = []  # the number of entries up to the end of each span of time
        self._until = 0.0
        self._read_at: float | None = None
        self._unreadable: list[str] = []

    def size(self) -> int | None:
        """Always ``None``: most providers do not say how long a list is."""
        return None

    def receive(self) -> Iterator[Received]:
        """An item for each entry. Raises ConfigError, LoginError, InputError, UnfinishedError, StorageError."""
        noted, now = read_mailbox_progress(self._progress_file), self._now()
        self._not_too_early(_time(noted, "read_at"), now)
        end = now - self._api.lag
        first = end - self._api.kept
        self._until = min(_time(noted, "until"), end)
        for begin, until in spans(max(self._until - self._api.overlap, first), end, self._api.longest):
            for found in self._api.entries(self._client.get, begin, until):
                if isinstance(found, EventError):
                    self._unreadable.append(str(found))
                    continue
                self._given += 1
                yield Received(found[0], (found[1],))
            self._ends.append((self._given, until))
            self._save()
        self._read_at = now
        self._save()
        if self._unreadable:
            raise self._left_out()

    def acknowledge(self, handled: Sequence[Handled]) -> None:
        """Move the beginning of the next reading forward. Raises StorageError."""
        self._acknowledged += len(handled)
        self._save()

    def close(self) -> None:
        """Close the connection. Never raises."""
        self._client.close()

    def _not_too_early(self, read_at: float, now: float) -> None:
        left = read_at + LEAST_PAUSE - now
        if not 0 < left <= LEAST_PAUSE:
            return
        title = self._api.title
        raise UnfinishedError(
            f"{title} was asked less than {LEAST_PAUSE / 60:.0f} minutes ago, so it is not asked again yet.",
            evidence=f"{self.name} was read to its end {now - read_at:.0f} seconds ago",
            next_step=f"run the same command again in {math.ceil(left / 60)} min; other sources were read",
        )

    def _left_out(self) -> InputError:
        count, title = len(self._unreadable), self._api.title
        return InputError(
            f"{count} entries of {title} cannot be read, so what they say is not stored.",
            evidence=f"the first: {self._unreadable[0]}",
            next_step=f"look for bounces and unsubscribes in {title}'s own screens that `campaign suppression` lacks; "
            "all other entries were read",
        )

    def _save(self) -> None:
        """Note how far everything is acknowledged, if it is further than before."""
        done = [until for count, until in self._ends if count <= self._acknowledged]
        complete = self._read_at is not None and self._given == self._acknowledged
        if not done and not complete:
            return
        self._ends = self._ends[len(done) :]
        self._until = max([self._until, *done])
        noted = {"until": self._until, **({"read_at": self._read_at} if complete else {})}
        write_mailbox_progress(self._progress_file, noted)


def spans(begin: float, end: float, longest: float) -> Iterator[tuple[float, float]]:
    """The time from ``begin`` to ``end``, in pieces of at most ``longest`` seconds."""
    while end - begin > longest:
        yield begin, begin + longest
        begin += longest
    yield begin, end


def _time(noted: dict[str, Any], key: str) -> float:
    found = noted.get(key)
    return float(found) if isinstance(found, int | float) and math.isfinite(found) else 0.0
