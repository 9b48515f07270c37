"""Gets JSON from a provider's API over HTTPS: certificates checked, no redirects, answers bounded, throttles obeyed."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import msgspec

from campaign.errors import CampaignError, InputError, LoginError, UnfinishedError
from campaign.feedback.event_feeds.quoted_reply import plain_text
from campaign.feedback.provider_lists.provider_api import ProviderApi
from campaign.system.https_client import HttpsClient, HttpsEndpoint

#: Tries of one request, and the pause before the second of them, in seconds; it doubles.
TRIES, FIRST_PAUSE = 5, 1.0
#: Longest time in seconds that a provider may ask to wait; whoever asks for more is asked at another time.
LONGEST_WAIT = 60.0
_AGAIN = "run the same command again later: what is stored already counts once"


class _ListAnswer(NamedTuple):
    status: int
    retry_after: str
    content: bytes

    def json(self) -> Any:
        """Raises HTTPException if it is no JSON."""
        try:
            return msgspec.json.decode(self.content)
        except (msgspec.DecodeError, RecursionError):
            raise http.client.HTTPException("its answer is no JSON: something else answers in its place") from None

    @property
    def said(self) -> str:
        return f"{self.status} {plain_text(self.content[:400].decode('utf-8', 'replace'))}".strip()[:300]


class ListClient:
    """The API of a provider, over a persistent connection.

    ``key`` is called once, before the first request. ``now`` and ``sleep`` are clocks.
    """

    def __init__(
        self,
        api: ProviderApi,
        key: Callable[[], str],
        endpoint: HttpsEndpoint,
        *,
        now: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._api, self._find_key, self._sleep = api, key, sleep
        self._https = HttpsClient(endpoint, now)
        self._key = ""
        self._asked = False

    def get(self, path: str, **query: str | float) -> Any:
        """The JSON that the provider answers to GET ``path``.

        Raises LoginError (the key is refused), InputError (there is no such list, or its certificate is not trusted),
        UnfinishedError (it cannot be reached, breaks off, or throttles for too long).
        """
        self._key = self._key or self._find_key()
        if self._asked and self._api.pause:
            self._sleep(self._api.pause)
        self._asked = True
        asked = urlencode({name: value for name, value in query.items() if value != ""}, quote_via=quote)
        return self._tried(f"{path}?{asked}" if asked else path)

    def close(self) -> None:
        """Close the connection. Never raises."""
        self._https.close()

    def _tried(self, target: str) -> Any:
        trouble, wait = "", 0.0
        for number in range(TRIES):
            if number:
                self._sleep(wait or FIRST_PAUSE * 2 ** (number - 1))
            wait = 0.0
            try:
                answer = self._answer(target)
                if answer.status == HTTPStatus.OK:
                    return answer.json()
            except ssl.SSLCertVerificationError as error:
                raise self._untrusted(error) from None
            except (OSError, http.client.HTTPException) as error:
                self.close()  # also if the answer was whole, but no JSON
                trouble = plain_text(str(error)) or type(error).__name__
                continue
            if answer.status != HTTPStatus.TOO_MANY_REQUESTS and answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                raise self._refused(answer)
            trouble, wait = self._without_key(answer.said), _seconds(answer.retry_after)
            if wait > LONGEST_WAIT:
                trouble += f"; it asks to wait {wait:.0f} seconds"
                break
        raise UnfinishedError(f"{self._api.title} cannot be asked now.", evidence=trouble, next_step=_AGAIN)

    def _answer(self, target: str) -> _ListAnswer:
        """One request and its answer. Raises OSError and HTTPException."""
        headers = {
            "Host": self._api.host,
            "Accept": "application/json",
            "User-Agent": "campaign",
            **self._api.headers(self._key),
        }
        found = self._https.ask("GET", target, headers)
        return _ListAnswer(found.status, found.headers.get("Retry-After", ""), found.content)

    def _refused(self, answer: _ListAnswer) -> CampaignError:
        title, said = self._api.title, self._without_key(answer.said)
        if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return LoginError(
                f"{title} refuses this key.",
                evidence=said,
                next_step=f"give a key of {title} that may read these lists; docs/feedback-providers.md has its rights",
            )
        return InputError(
            f"{title} does not give its list.",
            evidence=said,
            next_step="see that the url of this [[feedback.source]] names the right region, domain or stream; "
            "docs/feedback-providers.md",
        )

    def _untrusted(self, error: ssl.SSLCertVerificationError) -> InputError:
        return InputError(
            f"{self._api.host} shows a certificate that is not to be trusted.",
            evidence=error.verify_message,
            next_step="name the authority that signed it as tls_ca_file, if a proxy of yours stands between",
        )

    def _without_key(self, said: str) -> str:
        secrets: Mapping[str, str] = {**self._api.headers(self._key), "": self._key}
        words = [word for one in secrets.values() for word in (one, *one.split(" "), *one.split(":")) if len(word) > 7]
        for word in sorted(words, key=len, reverse=True):
            said = said.replace(word, "…")
        return said


def _seconds(retry_after: str) -> float:
    text = retry_after.strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0.0
