"""Stored requests in a bucket: each object is a file of records that nobody appends to, complete when it is there."""

from __future__ import annotations

import functools
import ssl
import time
from collections.abc import Callable, Mapping, Sequence

from campaign.errors import CampaignError
from campaign.feedback.event_feeds.amazon.aws_credentials import KeyPlace, find_aws_credentials
from campaign.feedback.listened.bucket_address import parse_bucket_url
from campaign.feedback.listened.bucket_client import HASTE, BucketClient
from campaign.feedback.listened.listened_store import CHUNK, StoredFile, is_file_name, new_file_name
from campaign.system.https_client import HttpsEndpoint

#: The object that shows at the start that requests can be stored; collect does not read it.
SIGN_OF_LIFE = "campaign-listen.txt"
_SOURCE_KEY = KeyPlace("the bucket", "password_file of this [[feedback.source]]")
_WRITER_KEY = KeyPlace("the bucket", "bucket_key_file of the listen file")


class ListenedBucket:
    """A `ListenedStore`: the objects right below a prefix. A key that may not delete leaves them where they are."""

    def __init__(self, client: BucketClient) -> None:
        self.name = f"listen:{client.address.url}"
        self._client = client
        self._may_delete = True

    def files(self) -> list[StoredFile]:
        """The objects, oldest first."""
        found = [StoredFile(one.key, one.size, closed=True) for one in self._client.objects() if is_file_name(one.key)]
        return sorted(found)

    def read(self, name: str, offset: int) -> bytes:
        """A part of an object."""
        return self._client.get(name, offset, CHUNK)

    def remove(self, name: str, size: int) -> bool:  # noqa: ARG002 - an object does not grow
        """Delete an object, unless the key may not delete: that is asked once."""
        self._may_delete = self._may_delete and self._client.delete(name)
        return self._may_delete

    def close(self) -> None:
        """Close the connection. Never raises."""
        self._client.close()


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
    connect_to: tuple[str, int] | None = None,
) -> ListenedBucket:
    """The bucket of a feedback source; only tests say what to ``connect_to``. Raises ConfigError."""
    address = parse_bucket_url(url, environment)
    key = functools.cache(lambda: find_aws_credentials(environment, password, _SOURCE_KEY))
    if password is None:
        key()
    return ListenedBucket(BucketClient(address, key, HttpsEndpoint(*(connect_to or address.name_and_port), context)))


def open_bucket_writer(
    url: str,
    environment: Mapping[str, str],
    key_text: Callable[[], str] | None,
    context: ssl.SSLContext,
    connect_to: tuple[str, int] | None = None,
) -> BucketWriter:
    """What `campaign listen` stores by. A key in the environment may change while it runs. Raises ConfigError."""
    address = parse_bucket_url(url, environment)
    find_aws_credentials(environment, key_text, _WRITER_KEY)
    endpoint = HttpsEndpoint(*(connect_to or address.name_and_port), context)
    client = BucketClient(
        address, lambda: find_aws_credentials(environment, key_text, _WRITER_KEY), endpoint, patience=HASTE
    )
    return BucketWriter(client)
