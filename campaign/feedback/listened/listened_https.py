"""Stored requests of a `campaign listen` on another host, fetched over https with a bearer token."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from urllib.parse import urlsplit

import msgspec

from campaign.errors import ConfigError, InputError, LoginError, UnfinishedError
from campaign.feedback.event_feeds.quoted_reply import plain_text
from campaign.feedback.listened.listened_store import StoredFile, is_file_name
from campaign.system.https_client import HttpsClient, HttpsEndpoint

_AGAIN = "run the same command again later: what is stored already counts once"


class ListenedHost:
    """A `ListenedStore` behind ``https://HOST[:PORT]``. ``token`` is called before the first request."""

    def __init__(self, url: str, token: Callable[[], str] | None, context: ssl.SSLContext) -> None:
        self.name = f"listen:{url}"
        parts = urlsplit(url)
        if token is None or not parts.hostname or parts.path.strip("/") or parts.query or parts.username:
            raise ConfigError(
                f"The feedback source listen:{url} is not complete.",
                evidence="it needs password_file with the token" if token is None else "it is no https://HOST",
                next_step='write url = "listen:https://HOST"; password_file is a copy of that fetch_token_file',
            )
        self._host = parts.hostname
        self._https = HttpsClient(HttpsEndpoint(parts.hostname, parts.port or 443, context), time.monotonic)
        self._find_token, self._token = token, ""

    def files(self) -> list[StoredFile]:
        """The files, oldest first."""
        try:
            found = msgspec.json.decode(self._asked("GET", "/events"), type=list[StoredFile])
        except (msgspec.MsgspecError, RecursionError):
            raise self._stranger("its answer is no list of files") from None
        return [one for one in found if is_file_name(one.name)]

    def expect(self, names: Sequence[str]) -> None:
        """Nothing is fetched ahead."""

    def read(self, name: str, offset: int) -> bytes:
        """A part of a file."""
        return self._asked("GET", f"/events/{name}?from={offset}")

    def remove(self, files: Sequence[StoredFile]) -> set[str]:
        """Remove files that are closed and have these sizes."""
        for one in files:
            self._asked("DELETE", f"/events/{one.name}?size={one.size}")
        return {one.name for one in files}

    def close(self) -> None:
        """Close the connection. Never raises."""
        self._https.close()

    def _asked(self, method: str, target: str) -> bytes:
        self._token = self._token or self._find_token().strip()
        for again in (True, False):
            try:
                headers = {"Authorization": f"Bearer {self._token}", "User-Agent": "campaign"}
                status, _, content = self._https.ask(method, target, headers)
                break
            except ssl.SSLCertVerificationError as error:
                raise InputError(
                    f"{self._host} shows a certificate that is not to be trusted.",
                    evidence=error.verify_message,
                    next_step="name the authority that signed it as tls_ca_file, if it is one of your own",
                ) from None
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.close()  # also after a token that cannot be sent
                if not again:
                    said = plain_text(str(error)) or type(error).__name__
                    raise UnfinishedError(
                        f"{self._host} cannot be asked now.", evidence=said, next_step=_AGAIN
                    ) from None
        if status == HTTPStatus.OK:
            return content
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise LoginError(
                f"{self._host} refuses this token.",
                evidence=f"it answers {status}",
                next_step="put the first line of that host's fetch_token_file into password_file",
            )
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise UnfinishedError(
                f"{self._host} cannot be asked now.", evidence=f"it answers {status}", next_step=_AGAIN
            )
        raise self._stranger(f"it answers {status} to {method} {target.partition('?')[0]}")

    def _stranger(self, why: str) -> InputError:
        return InputError(
            f"{self._host} does not answer as campaign listen does.",
            evidence=why,
            next_step="see that it passes /events on to campaign listen, and that fetch_token_file is set there",
        )
