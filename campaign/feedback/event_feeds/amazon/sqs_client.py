"""A client for one queue of Amazon SQS, by its JSON protocol over HTTPS: receive and delete, with retries."""

from __future__ import annotations

import http.client
import random
import ssl
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from campaign.errors import CampaignError, InputError, LoginError, UnfinishedError
from campaign.feedback.event_feeds.quoted_reply import plain_text
from campaign.system.aws_signature import AwsCredentials, SigningScope, sign_request
from campaign.system.https_client import HttpsClient, HttpsEndpoint

#: Tries of one call, and the longest pause before the second of them, in seconds; it doubles.
TRIES, FIRST_PAUSE = 5, 1.0

_REFUSED = (
    "AccessDenied",
    "ExpiredToken",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSecurity",
    "KmsAccessDenied",
    "MissingAuthenticationToken",
    "NotAuthorized",
    "OptInRequired",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClient",
)
_LATER = (
    "InternalError",
    "InternalFailure",
    "OverLimit",
    "RequestThrottled",
    "ServiceUnavailable",
    "Throttl",
    "TooMany",
)


class QueueAddress(NamedTuple):
    """A queue's host, its region, and its URL in requests."""

    host: str
    region: str
    url: str


class _Answer(msgspec.Struct, frozen=True):
    status: int
    content: bytes

    def json(self) -> dict[str, Any] | None:
        """The JSON object in the answer; ``None`` if there is none."""
        try:
            found = msgspec.json.decode(self.content)
        except (msgspec.DecodeError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    @property
    def error(self) -> str:
        """The error's name, without its namespace."""
        kind = (self.json() or {}).get("__type")
        return plain_text(kind.rpartition("#")[2])[:100] if isinstance(kind, str) else ""

    @property
    def said(self) -> str:
        found = self.json() or {}
        text = found.get("message") or found.get("Message")
        words = text if isinstance(text, str) else self.content[:200].decode("utf-8", "replace")
        return f"{self.status} {self.error}: {plain_text(words)[:300]}"


class SqsClient:
    """One queue, over a persistent connection.

    ``credentials`` is called before each request. ``now`` and ``sleep`` are clocks; it sleeps between tries.
    """

    def __init__(
        self,
        address: QueueAddress,
        credentials: Callable[[], AwsCredentials],
        endpoint: HttpsEndpoint,
        *,
        now: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._address, self._credentials = address, credentials
        self._now, self._sleep = now, sleep
        self._https = HttpsClient(endpoint, now)

    def call(self, action: str, request: Mapping[str, Any], wait: float = 0.0) -> dict[str, Any]:
        """The answer to ``AmazonSQS.ACTION``, for which the queue may take ``wait`` seconds.

        Raises LoginError (the key is refused), InputError (there is no such queue, or its certificate is not
        trusted), UnfinishedError (it cannot be reached, or throttles for too long).
        """
        body = msgspec.json.encode({"QueueUrl": self._address.url, **request})
        trouble = ""
        for number in range(TRIES):
            if number:
                self._sleep(FIRST_PAUSE * 2 ** (number - 1) * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            try:
                answer = self._post(action, body, wait)
            except ssl.SSLCertVerificationError as error:
                raise self._untrusted(error) from None
            except (OSError, http.client.HTTPException) as error:
                self.close()  # also if the answer was whole, but no JSON
                trouble = plain_text(str(error)) or type(error).__name__
                continue
            if answer.status == http.HTTPStatus.OK:
                return answer.json() or {}
            trouble = answer.said
            if not _worth_another_try(answer):
                raise self._refused(answer)
        raise UnfinishedError(
            f"The queue {self._address.url} cannot be used now.",
            evidence=trouble,
            next_step="run the same command again later; what was not acknowledged is still in the queue",
        )

    def close(self) -> None:
        """Close the connection. Never raises."""
        self._https.close()

    def _post(self, action: str, body: bytes, wait: float) -> _Answer:
        """One request and its answer. Raises OSError and HTTPException."""
        headers = {
            "Host": self._address.host,
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"AmazonSQS.{action}",
        }
        scope = SigningScope(self._address.region, "sqs")
        signed = sign_request(headers, body, self._credentials(), scope, self._now())
        found = self._https.ask("POST", "/", signed, body, wait=wait)
        answer = _Answer(found.status, found.content)
        if answer.status == http.HTTPStatus.OK and answer.json() is None:
            raise http.client.HTTPException("its answer is not JSON: something else answers in its place")
        return answer

    def _refused(self, answer: _Answer) -> CampaignError:
        said, key = answer.said, self._credentials()
        for secret in filter(None, (key.secret, key.session_token)):
            said = said.replace(secret, "…")
        if answer.status == http.HTTPStatus.FORBIDDEN or answer.error.startswith(_REFUSED):
            return LoginError(
                f"Amazon refuses access to the queue {self._address.url}.",
                evidence=said,
                next_step="see that the key is current, that it may sqs:ReceiveMessage and sqs:DeleteMessage there, "
                "and that this machine's clock is right: timedatectl",
            )
        return InputError(
            f"The queue {self._address.url} cannot be read.",
            evidence=said,
            next_step="see that account, name and region in the URL of [[feedback.source]] are those of the queue",
        )

    def _untrusted(self, error: ssl.SSLCertVerificationError) -> InputError:
        return InputError(
            f"{self._address.host} shows a certificate that is not to be trusted.",
            evidence=error.verify_message,
            next_step="name the authority that signed it as tls_ca_file, if a proxy of yours stands between",
        )


def _worth_another_try(answer: _Answer) -> bool:
    busy = answer.status == http.HTTPStatus.TOO_MANY_REQUESTS or answer.status >= http.HTTPStatus.INTERNAL_SERVER_ERROR
    return busy or answer.error.startswith(_LATER)
