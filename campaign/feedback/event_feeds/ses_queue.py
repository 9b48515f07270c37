"""An SQS queue as a source of feedback: events of Amazon SES, directly or through SNS."""

from __future__ import annotations

import functools
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from campaign.errors import ConfigError, InputError, UnfinishedError
from campaign.feedback.event_feeds.amazon.aws_credentials import find_aws_credentials
from campaign.feedback.event_feeds.amazon.ses_event import read_ses_event
from campaign.feedback.event_feeds.amazon.sqs_client import QueueAddress, SqsClient
from campaign.feedback.feedback_source import Handled, Received
from campaign.system.https_client import HttpsEndpoint

#: Messages per answer and per delete request; Amazon's maximum.
BATCH = 10
#: Seconds during which a received message is hidden from other readers.
HIDDEN = 300
#: Seconds that an empty queue waits for a message: only then does Amazon ask all of its servers.
LAST_WAIT = 5
#: Further attempts for messages of a batch that the queue could not delete.
DELETE_TRIES = 3
#: Maximum of remembered ids of messages left in the queue.
MOST_LEFT = 10_000

_URL = re.compile(
    r"sqs://((?:[a-z0-9-]+\.)?sqs(?:-fips)?\.([a-z]{2,}-[a-z0-9-]+)\.(?:vpce\.)?(?:amazonaws\.com(?:\.cn)?|api\.aws))"
    r"/([0-9]{12})/([A-Za-z0-9_-]{1,80}(?:\.fifo)?)"
)


class SesQueue:
    """A `FeedbackSource`: the queue of ``url`` (``sqs://HOST/ACCOUNT/QUEUE``).

    The access key is in ``environment``, else ``password`` returns it, which is called just before it is needed.
    ``tls_ca_file`` may be relative to ``base``. Messages that are not events of SES stay in the queue, for its
    dead-letter rule. Raises ConfigError.
    """

    def __init__(
        self,
        url: str,
        base: Path,
        environment: Mapping[str, str],
        *,
        password: Callable[[], str] | None = None,
        tls_ca_file: Path | None = None,
        wait: int = LAST_WAIT,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        endpoint: HttpsEndpoint | None = None,
    ) -> None:
        address = _address(url)
        credentials = functools.cache(lambda: find_aws_credentials(environment, password))
        if password is None:
            credentials()
        if endpoint is None:
            endpoint = HttpsEndpoint(address.host, 443, _trust(base / tls_ca_file if tls_ca_file else None))
        self.name = url
        self._wait = wait
        self._client = SqsClient(address, credentials, endpoint, now=now, sleep=sleep)
        self._left: set[str] = set()

    def size(self) -> int | None:
        """Always ``None``: a queue reports only an approximate number."""
        return None

    def receive(self) -> Iterator[Received]:
        """An item for each event. Raises ConfigError, LoginError, InputError, UnfinishedError."""
        empty = 0
        while empty < 2:
            wait = self._wait if empty else 0
            found = [one for one in self._ask(wait) if one.get("MessageId") not in self._left]
            empty = 0 if found else empty + 1
            for message in found:
                yield self._received(message)

    def acknowledge(self, handled: Sequence[Handled]) -> None:
        """Delete these, except messages that are not events of SES. Raises LoginError, InputError, UnfinishedError."""
        receipts = [one.receipt for one in handled if one.receipt]
        for start in range(0, len(receipts), BATCH):
            self._delete(receipts[start : start + BATCH])

    def close(self) -> None:
        """Close the connection. Never raises."""
        self._client.close()

    def _ask(self, wait: int) -> list[dict[str, Any]]:
        request = {"MaxNumberOfMessages": BATCH, "WaitTimeSeconds": wait, "VisibilityTimeout": HIDDEN}
        return _objects(self._client.call("ReceiveMessage", request, wait).get("Messages"))

    def _received(self, message: dict[str, Any]) -> Received:
        body, receipt, identity = (message.get(key) for key in ("Body", "ReceiptHandle", "MessageId"))
        event = read_ses_event(body) if isinstance(body, str) else None
        if event and isinstance(receipt, str):
            return Received(event.id, event.notices, receipt)
        if len(self._left) < MOST_LEFT:
            self._left.add(str(identity))
        return Received(str(identity), ())

    def _delete(self, receipts: list[str]) -> None:
        why = ""
        for _ in range(DELETE_TRIES):
            entries = [{"Id": str(number), "ReceiptHandle": one} for number, one in enumerate(receipts)]
            failed = _objects(self._client.call("DeleteMessageBatch", {"Entries": entries}).get("Failed"))
            if not failed:
                return
            why = f"{failed[0].get('Code')}: {failed[0].get('Message')}"[:300]
            names = {one.get("Id") for one in failed}
            receipts = [one for number, one in enumerate(receipts) if str(number) in names] or receipts
        raise UnfinishedError(
            f"{len(receipts)} events could not be deleted from {self.name}.",
            evidence=why,
            next_step="run the same command again later: they are counted already and count once",
        )


def _address(url: str) -> QueueAddress:
    found = _URL.fullmatch(url)
    if found is None:
        raise ConfigError(
            f"{url} is no queue of Amazon SQS.",
            next_step="write it as sqs://sqs.REGION.amazonaws.com/ACCOUNT/QUEUE: the console's URL, sqs: for https:",
        )
    host, region, account, queue = found.groups()
    return QueueAddress(host, region, f"https://{host}/{account}/{queue}")


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise InputError(
            f"The certificates in {ca_file} cannot be read.",
            evidence=error.strerror or str(error),
            next_step="name a PEM file of the authority as tls_ca_file",
        ) from None


def _objects(found: Any) -> list[dict[str, Any]]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
