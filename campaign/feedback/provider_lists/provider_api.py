"""How a provider's lists are described, and what several of them need to be read."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import inf
from typing import Any, Protocol

import msgspec

from campaign.feedback.event_feeds.event_object import EventError
from campaign.feedback.feedback_notice import FeedbackNotice
from campaign.feedback.providers.record_fields import Record

DAY = 86_400.0
HOUR = 3_600.0
#: How far back the first reading of a list goes that its provider keeps for good, in seconds.
EVERYTHING = 3650 * DAY

#: An entry's id, the same each time it is read, and what it says; or why it cannot be read.
Entry = tuple[str, FeedbackNotice] | EventError


class GetJson(Protocol):
    """`ListClient.get`."""

    def __call__(self, path: str, **query: str | float) -> Any:
        """The JSON of the answer to GET ``path``; a member of ``query`` is left out if it is empty."""


class ProviderApi(msgspec.Struct, frozen=True):
    """A provider's lists. ``title`` is its name in messages, ``variables`` where its key is in the environment.

    ``entries`` gives the entries between two POSIX times, and may give others. ``kept`` is how long the provider keeps
    them, or how far back the first reading goes; ``overlap`` is how far each reading goes back behind the last one;
    ``lag`` is how old an entry must be to be listed for certain; ``longest`` is the longest time asked for at once; all
    in seconds. ``pause`` is the time between two requests.
    """

    title: str
    host: str
    variables: tuple[str, ...]
    headers: Callable[[str], Mapping[str, str]]
    entries: Callable[[GetJson, float, float], Iterator[Entry]]
    kept: float
    overlap: float = HOUR
    lag: float = 0.0
    longest: float = inf
    pause: float = 0.0


def bearer(key: str) -> Mapping[str, str]:
    """The header of a bearer token."""
    return {"Authorization": f"Bearer {key}"}


def basic_login(user_and_key: str) -> Mapping[str, str]:
    """The header of ``USER:KEY``."""
    return {"Authorization": f"Basic {base64.b64encode(user_and_key.encode()).decode('ascii')}"}


def offset_pages(get: GetJson, path: str, member: str, size: int, **query: str | float) -> Iterator[Record]:
    """The records of all pages that are asked for by ``limit`` and ``offset``."""
    offset = 0
    while True:
        page = list_in(get(path, limit=size, offset=offset, **query), member)
        yield from page
        if len(page) < size:
            return
        offset += len(page)


def list_in(answer: Any, member: str) -> list[Record]:
    """The objects in the array under ``member``, or in the answer itself if it is an array."""
    found = answer.get(member) if isinstance(answer, dict) else answer
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def read_entries(
    read: Callable[[Record], tuple[str, FeedbackNotice] | None], records: Iterable[Record]
) -> Iterator[Entry]:
    """What the records say, without those that say nothing."""
    for record in records:
        try:
            found = read(record)
        except EventError as error:
            yield error
            continue
        if found is not None:
            yield found


def rfc3339(at: float) -> str:
    """A time in whole seconds, in UTC."""
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
