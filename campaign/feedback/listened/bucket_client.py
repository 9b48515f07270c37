"""A client for one bucket of Amazon S3, or of any server that speaks its protocol: list, get, put, delete."""

from __future__ import annotations

import http.client
import random
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import quote

from campaign.errors import CampaignError, InputError, LoginError, UnfinishedError
from campaign.feedback.event_feeds.quoted_reply import plain_text
from campaign.feedback.listened.bucket_address import BucketAddress
from campaign.feedback.listened.bucket_answer import BucketError, BucketObject, read_bucket_error, read_page
from campaign.system.aws_signature import AwsCredentials, SigningScope, sign_request, signed_query
from campaign.system.https_client import HttpsClient, HttpsEndpoint, WholeAnswer

#: The pause before the second try in seconds, at most; it doubles.
FIRST_PAUSE = 1.0
_ELSEWHERE = (HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.PERMANENT_REDIRECT)
_OTHER_REGION = ("AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect")
_BAD_KEY = ("ExpiredToken", "InvalidToken", "TokenRefreshRequired")
#: Names of errors, by how they begin, after which the same request may succeed.
_LATER = ("SlowDown", "Throttl", "RequestTimeout", "InternalError", "ServiceUnavailable", "TooManyRequests")
_DONE = (HTTPStatus.OK, HTTPStatus.NO_CONTENT, HTTPStatus.PARTIAL_CONTENT)


class BucketPatience(NamedTuple):
    """Tries of one request, and seconds without an octet: those of a reader, which has time."""

    tries: int = 5
    step: float = 30.0


#: For a request that is itself waited for by somebody.
HASTE = BucketPatience(tries=2, step=10.0)
_PATIENCE = BucketPatience()


class BucketClient:
    """One bucket, over a persistent connection.

    ``credentials`` is called before each request. ``now`` and ``sleep`` are clocks; it sleeps between tries.
    """

    def __init__(
        self,
        address: BucketAddress,
        credentials: Callable[[], AwsCredentials],
        endpoint: HttpsEndpoint,
        *,
        patience: BucketPatience = _PATIENCE,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.address = address
        self._credentials, self._patience = credentials, patience
        self._now, self._sleep = now, sleep
        self._https = HttpsClient(endpoint, now, patience.step)

    def objects(self) -> Iterator[BucketObject]:
        """The objects right below the prefix, by name, without the prefix. Raises as `_asked`."""
        prefix, following = self.address.prefix, ""
        query = {"list-type": "2", "prefix": prefix, "delimiter": "/", "encoding-type": "url"}
        while True:
            asked = {**query, "continuation-token": following} if following else query
            answer = self._asked("GET", "", query=asked)
            try:
                page = read_page(answer.content)
            except ValueError as error:
                raise self._stranger(str(error)) from None
            for one in page.objects:
                yield one._replace(key=one.key.removeprefix(prefix))
            if not page.following or page.following == following:
                return
            following = page.following

    def get(self, name: str, offset: int, most: int) -> bytes:
        """At most ``most`` octets of an object from ``offset``; nothing if it is not there. Raises as `_asked`."""
        answer = self._asked("GET", name, headers={"Range": f"bytes={offset}-{offset + most - 1}"})
        if answer.status == HTTPStatus.PARTIAL_CONTENT:
            return answer.content[:most]
        return answer.content[offset : offset + most] if answer.status == HTTPStatus.OK else b""

    def put(self, name: str, content: bytes) -> None:
        """Store an object; it is durable when this returns. Raises as `_asked`."""
        self._asked("PUT", name, content, {"Content-Type": "application/x-ndjson"})

    def delete(self, name: str) -> bool:
        """Delete an object; whether the key may do that. Raises as `_asked`."""
        return self._asked("DELETE", name).status != HTTPStatus.FORBIDDEN

    def close(self) -> None:
        """Close the connection. Never raises."""
        self._https.close()

    def _asked(
        self,
        method: str,
        name: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> WholeAnswer:
        """The answer if it is a good one, or if an object is not there, or may not be deleted.

        Raises LoginError (the key is refused), InputError (no such bucket here, a certificate that is not trusted) and
        UnfinishedError (it cannot be reached, or asks to slow down for too long).
        """
        trouble = ""
        for number in range(self._patience.tries):
            if number:
                self._sleep(FIRST_PAUSE * 2 ** (number - 1) * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            try:
                answer = self._once(method, name, body, headers or {}, query or {})
            except ssl.SSLCertVerificationError as error:
                raise self._untrusted(error) from None
            except (OSError, http.client.HTTPException) as error:
                trouble = plain_text(str(error)) or type(error).__name__
                continue
            if answer.status in _DONE:
                return answer
            told = read_bucket_error(answer.content)
            if _is_answer(method, answer.status, told.code):
                return answer
            trouble = self._said(answer, told)
            if not _worth_another_try(answer.status, told.code):
                raise self._refused(answer, told)
        raise self._not_now(trouble)

    def _once(
        self, method: str, name: str, body: bytes, headers: Mapping[str, str], query: Mapping[str, str]
    ) -> WholeAnswer:
        key = quote(self.address.prefix + name, safe="/-_.~") if name else ""
        path, address = self.address.path + key, self.address
        signed = sign_request(
            {"Host": address.host, **headers},
            body,
            self._credentials(),
            SigningScope(address.region, "s3"),
            self._now(),
            method=method,
            path=path,
            query=query,
        )
        target = f"{path}?{signed_query(query)}" if query else path
        return self._https.ask(method, target, signed, body if method == "PUT" else None)

    def _said(self, answer: WholeAnswer, error: BucketError) -> str:
        said = f"{answer.status} {plain_text(error.code)[:100]}: {plain_text(error.message)[:300]}"
        key = self._credentials()
        for secret in filter(None, (key.secret, key.session_token)):
            said = said.replace(secret, "…")
        return said.rstrip(": ")

    def _refused(self, answer: WholeAnswer, error: BucketError) -> CampaignError:
        said = self._said(answer, error)
        region = plain_text(answer.headers.get("x-amz-bucket-region", "") or error.region)[:40]
        if answer.status in _ELSEWHERE or error.code in _OTHER_REGION:
            return self._elsewhere(region, said)
        if error.code == "RequestTimeTooSkewed":
            return LoginError(
                f"The clock of this machine differs from that of {self.address.host}.",
                evidence=said,
                next_step="set the clock, then run the same command again: timedatectl",
            )
        if answer.status in (HTTPStatus.FORBIDDEN, HTTPStatus.UNAUTHORIZED) or error.code in _BAD_KEY:
            return LoginError(
                f"The key is refused access to the bucket {self.address}.",
                evidence=said,
                next_step="see that the key is current; to collect, it needs s3:ListBucket, s3:GetObject and "
                "s3:DeleteObject there, and to store, s3:PutObject",
            )
        if answer.status == HTTPStatus.NOT_FOUND:
            return InputError(
                f"There is no bucket {self.address.bucket} at {self.address.host}.",
                evidence=said,
                next_step="correct the bucket, its region or its endpoint in the url",
            )
        return self._stranger(said)

    def _elsewhere(self, region: str, said: str) -> CampaignError:
        if region == self.address.region:  # a new bucket, whose name does not lead to its region yet
            return self._not_now(said)
        return InputError(
            f"The bucket {self.address} is not in the region {self.address.region}.",
            evidence=said,
            next_step=f"write ?region={region or 'REGION'} behind it in the url",
        )

    def _not_now(self, why: str) -> UnfinishedError:
        return UnfinishedError(
            f"The bucket {self.address} cannot be used now.",
            evidence=why,
            next_step="run the same command again later: what is stored already counts once",
        )

    def _stranger(self, why: str) -> InputError:
        return InputError(
            f"{self.address.host} does not answer as a bucket does.",
            evidence=why,
            next_step="see that endpoint= names a server that speaks the protocol of S3",
        )

    def _untrusted(self, error: ssl.SSLCertVerificationError) -> InputError:
        return InputError(
            f"{self.address.host} shows a certificate that is not to be trusted.",
            evidence=error.verify_message,
            next_step="name the authority that signed it, if it is one of your own, as tls_ca_file, or in a listen "
            "file as bucket_ca_file",
        )


def _is_answer(method: str, status: int, code: str) -> bool:
    """Whether an error says something about an object, and nothing about the bucket."""
    if status == HTTPStatus.NOT_FOUND:
        return code == "NoSuchKey"
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return method == "GET"
    return method == "DELETE" and status == HTTPStatus.FORBIDDEN and code == "AccessDenied"


def _worth_another_try(status: int, code: str) -> bool:
    busy = status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return busy or (code.startswith(_LATER) and code != "RequestTimeTooSkewed")
