"""Stored requests in a bucket: each object is a file of records that nobody appends to, complete when it is there."""

from __future__ import annotations

import functools
import queue
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from campaign.errors import CampaignError
from campaign.feedback.event_feeds.amazon.aws_credentials import KeyPlace, find_aws_credentials
from campaign.feedback.listened.bucket_address import parse_bucket_url
from campaign.feedback.listened.bucket_client import HASTE, BucketClient
from campaign.feedback.listened.listened_store import CHUNK, StoredFile, is_file_name, new_file_name
from campaign.system.https_client import HttpsEndpoint

#: Connections by which collect fetches and deletes, and objects that are fetched before they are read.
CONNECTIONS, FETCHED_AHEAD = 8, 16
#: The object that shows at the start that requests can be stored; collect does not read it.
SIGN_OF_LIFE = "campaign-listen.txt"
_SOURCE_KEY = KeyPlace("the bucket", "password_file of this [[feedback.source]]")
_WRITER_KEY = KeyPlace("the bucket", "bucket_key_file of the listen file")


class ListenedBucket:
    """A `ListenedStore`: the objects right below a prefix, fetched and deleted over all ``clients`` at once.

    A key that may not delete leaves them where they are.
    """

    def __init__(self, clients: Sequence[BucketClient]) -> None:
        self.name = f"listen:{clients[0].address.url}"
        self._clients = clients
        self._idle: queue.SimpleQueue[BucketClient] = queue.SimpleQueue()
        for one in clients:
            self._idle.put(one)
        self._threads = ThreadPoolExecutor(len(clients), "bucket")
        self._expected: deque[str] = deque()
        self._ahead: dict[str, Future[bytes]] = {}
        self._may_delete = True

    def files(self) -> list[StoredFile]:
        """The objects, oldest first."""
        objects = self._clients[0].objects()
        return sorted(StoredFile(one.key, one.size, closed=True) for one in objects if is_file_name(one.key))

    def expect(self, names: Sequence[str]) -> None:
        """Fetch the first of these, and the others while they are read."""
        self._expected = deque(names)
        self._fetch_ahead()

    def read(self, name: str, offset: int) -> bytes:
        """A part of an object."""
        fetched = self._ahead.pop(name, None) if offset == 0 else None
        self._fetch_ahead()
        return fetched.result() if fetched else self._got(name, offset)

    def remove(self, files: Sequence[StoredFile]) -> set[str]:
        """Delete objects, unless the key may not delete: that is asked once."""
        if not files or not self._may_delete:
            return set()
        names = [one.name for one in files]
        self._may_delete = self._deleted(names[0])
        if not self._may_delete:
            return set()
        return {
            names[0],
            *(name for name, gone in zip(names[1:], self._threads.map(self._deleted, names[1:]), strict=True) if gone),
        }

    def close(self) -> None:
        """Close the connections. Never raises."""
        self._threads.shutdown(cancel_futures=True)
        for one in self._clients:
            one.close()

    def _fetch_ahead(self) -> None:
        while self._expected and len(self._ahead) < FETCHED_AHEAD:
            name = self._expected.popleft()
            self._ahead[name] = self._threads.submit(self._got, name, 0)

    def _got(self, name: str, offset: int) -> bytes:
        with self._client() as client:
            return client.get(name, offset, CHUNK)

    def _deleted(self, name: str) -> bool:
        with self._client() as client:
            return client.delete(name)

    @contextmanager
    def _client(self) -> Iterator[BucketClient]:
        client = self._idle.get()
        try:
            yield client
        finally:
            self._idle.put(client)


class BucketWriter:
    """A `RecordWriter`: puts an object for each call, under a key that no other has."""

    def __init__(self, client: BucketClient, clock: Callable[[], float] = time.time) -> None:
        self._client, self._clock = client, clock

    def show_sign_of_life(self) -> None:
        """See that objects can be put. Raises CampaignError."""
        self._client.put(SIGN_OF_LIFE, b"campaign listen stores requests here; campaign collect fetches them\n")

    def append(self, lines: Sequence[bytes]) -> None:
        """Put an object of these lines."""
        try:
            self._client.put(new_file_name(self._clock()), b"".join(lines))
        except CampaignError as error:
            raise OSError("; ".join((error.what.rstrip("."), *error.evidence))) from None

    def close(self) -> None:
        """Close the connection. Never raises."""
        self._client.close()


def open_listened_bucket(
    url: str,
    environment: Mapping[str, str],
    password: Callable[[], str] | None,
    context: ssl.SSLContext,
) -> ListenedBucket:
    """The bucket of a feedback source. Raises ConfigError."""
    address = parse_bucket_url(url, environment)
    key = functools.cache(lambda: find_aws_credentials(environment, password, _SOURCE_KEY))
    if password is None:
        key()
    endpoint = HttpsEndpoint(*address.name_and_port, context)
    return ListenedBucket([BucketClient(address, key, endpoint) for _ in range(CONNECTIONS)])


def open_bucket_writer(
    url: str,
    environment: Mapping[str, str],
    key_text: Callable[[], str] | None,
    context: ssl.SSLContext,
) -> BucketWriter:
    """What `campaign listen` stores by. A key in the environment may change while it runs. Raises ConfigError."""
    address = parse_bucket_url(url, environment)
    find_aws_credentials(environment, key_text, _WRITER_KEY)
    endpoint = HttpsEndpoint(*address.name_and_port, context)
    client = BucketClient(
        address, lambda: find_aws_credentials(environment, key_text, _WRITER_KEY), endpoint, patience=HASTE
    )
    return BucketWriter(client)
