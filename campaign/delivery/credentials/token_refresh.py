"""An access-token cache shared by all connections: it renews a token before it expires, with one request at a time.

`TokenCache` decides when to ask for a token; `google`, `microsoft` or a command fetches it. A refusal by the provider
ends the run, as a wrong password does. A provider that cannot be reached is a `ConnectionError`: a token that is still
valid serves meanwhile; without one the connection counts as not opened and is tried again.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field

from campaign.delivery.smtp.reply_parser import printable_reply
from campaign.errors import LoginError

log = logging.getLogger(__name__)

#: Replaces a secret in quoted text.
WITHHELD = "[secret]"
#: Seconds a token of unknown lifetime is used, such as one that a command prints.
REUSE = 60.0
#: Seconds before its expiry that a token is replaced; at most half the life of a short-lived one.
MARGIN = 300.0
#: Seconds until a provider that could not be reached is asked again, while the old token is still good.
ASK_AGAIN = 30.0
#: Seconds a provider may take for one answer.
ANSWER_LIMIT = 20.0
#: Longest excerpt of a provider's answer that is shown, in characters.
LONGEST_WORDS = 200
#: Could be a token, a key or an assertion: no word of prose is as long, and a GUID has 36 characters.
_LONG_WORD = re.compile(r"[A-Za-z0-9+/=_.~-]{40,}")


@dataclass(frozen=True, slots=True)
class Token:
    """An access token; ``lasts`` is its lifetime in seconds from when it was fetched, 0 if unknown."""

    text: str = field(repr=False)
    lasts: float


Fetch = Callable[[], Awaitable[Token]]


def in_thread(fetch: Callable[[], Token]) -> Fetch:
    """Run a blocking ``fetch`` in a thread."""
    return lambda: asyncio.to_thread(fetch)


class TokenCache:
    """Returns the token, and fetches another when it is about to expire. Times are on ``clock``."""

    def __init__(self, fetch: Fetch, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._token = ""
        self._fresh_until = self._good_until = float("-inf")
        self._asking = asyncio.Lock()

    async def __call__(self) -> str:
        """The token. Raises LoginError or ConfigError, and ConnectionError when a later try may succeed."""
        if self._clock() >= self._fresh_until:
            async with self._asking:  # those who waited find the token renewed
                if self._clock() >= self._fresh_until:
                    await self._renew()
        return self._token

    async def _renew(self) -> None:
        asked = self._clock()
        try:
            token = await self._fetch()
        except ConnectionError as error:
            if self._clock() >= self._good_until:
                raise
            log.warning("the access token is not renewed yet: %s", error)
            self._fresh_until = self._clock() + ASK_AGAIN
            return
        self._token = token.text
        self._good_until = asked + (token.lasts or REUSE)
        self._fresh_until = self._good_until - min(MARGIN, token.lasts / 2)


def refused(provider: str, user: str, words: str, secrets: Collection[str], next_step: str) -> LoginError:
    """The error for a provider that refuses a token, with its ``words`` but without our ``secrets``."""
    return LoginError(
        f"{provider} gives no access token for {user}.",
        evidence=without_secrets(words, secrets),
        next_step=f"{next_step}, then run the same command again",
    )


def unreachable(provider: str, error: BaseException) -> ConnectionError:
    """The error for a provider that may answer later, from an exception of the HTTP library."""
    cause: BaseException | None = error
    while cause is not None and getattr(cause, "response", None) is None and "Timeout" not in type(cause).__name__:
        cause = cause.__cause__
    status = getattr(getattr(cause, "response", None), "status_code", 0)
    why = f"it answered {status}" if status else "no answer in time" if cause is not None else "no connection"
    return ConnectionError(f"{provider} cannot be asked for an access token: {why}")


def without_secrets(words: str, secrets: Collection[str]) -> str:
    """A provider's text, safe to print: cleaned, cut, and without anything that is or could be a secret."""
    for secret in filter(None, secrets):
        words = words.replace(secret, WITHHELD)
    text = _LONG_WORD.sub(WITHHELD, printable_reply(words))
    return text if len(text) <= LONGEST_WORDS else text[:LONGEST_WORDS].rpartition(" ")[0] + " ..."
