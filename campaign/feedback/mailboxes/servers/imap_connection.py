"""An IMAP connection (RFC 3501) up to its login. The only module that uses the library ``imapclient``.

The library is loaded when a mailbox is opened. The connection is encrypted before anything else is sent.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from campaign.errors import CampaignError, ConfigError, UnfinishedError, install_extra
from campaign.feedback.mailboxes.servers import server_faults as faults
from campaign.feedback.mailboxes.servers.server_faults import MailboxSecret
from campaign.feedback.mailboxes.servers.server_trust import no_encryption, not_trusted
from campaign.feedback.mailboxes.servers.server_url import ServerUrl

#: Seconds to wait for a connection, and for the server's next octets.
PATIENCE = 30.0, 60.0
#: Seconds that LOGOUT may take.
FAREWELL = 3.0
#: Response codes of a refused login (RFC 5530, 3) that say nothing about the password.
_PASSING = ("[UNAVAILABLE]", "[INUSE]", "[LIMIT]", "[SERVERBUG]")
#: Errors that the library raises if an answer is not IMAP.
_NO_IMAP = (ValueError, TypeError, LookupError, ArithmeticError, AssertionError, AttributeError, MemoryError)


class ImapConnection:
    """Connected, encrypted and logged in. ``client`` is the library's; errors within `told` are translated."""

    def __init__(
        self,
        where: ServerUrl,
        trust: ssl.SSLContext,
        secret: MailboxSecret,
        *,
        patience: tuple[float, float] = PATIENCE,
    ) -> None:
        """Connect and log in. Raises UnfinishedError, LoginError, ConfigError."""
        try:
            import imapclient
        except ImportError:
            raise ConfigError(
                "Reading a mailbox over IMAP needs a library that is not installed.", next_step=install_extra("imap")
            ) from None
        self.library: Any = imapclient
        self.where = where
        self._broken: UnfinishedError | None = None
        shown, token = secret.fetch(where.name)
        self.client = self._connect(trust, imapclient.SocketTimeout(*patience))
        try:
            with self.told():
                self._encrypt(trust)
                self._log_in(shown, token)
        except CampaignError:
            self.close()
            raise

    def _connect(self, trust: ssl.SSLContext, patience: Any) -> Any:
        where = self.where
        try:
            return self.library.IMAPClient(
                where.host, where.port, ssl=where.encrypted, ssl_context=trust, timeout=patience
            )
        except ssl.SSLCertVerificationError as error:
            raise not_trusted(where.host, error) from None
        except (OSError, self.library.exceptions.IMAPClientError, *_NO_IMAP) as error:
            raise faults.cannot_reach(where.name, error) from None

    def _encrypt(self, trust: ssl.SSLContext) -> None:
        if self.where.encrypted:
            return
        if not self.client.has_capability("STARTTLS"):
            raise no_encryption(self.where.host, "imap")
        try:
            self.client.starttls(trust)
        except ssl.SSLCertVerificationError as error:
            self._broken = faults.broke_off(self.where.name, error)
            raise not_trusted(self.where.host, error) from None

    def _log_in(self, secret: str, token: bool) -> None:
        name, user = self.where.name, self.where.user
        told: list[bytes] = []

        def bearer(challenge: bytes) -> str:
            told.append(challenge)  # a second one is the reason for a refusal, and requires an empty answer
            return f"user={user}\1auth=Bearer {secret}\1\1" if len(told) == 1 else ""

        try:
            if token:
                self.client.sasl_login("XOAUTH2", bearer)
            elif self.client.has_capability("AUTH=PLAIN"):
                self.client.plain_login(user, secret)
            elif (user + secret).isascii():
                self.client.login(user, secret)
            else:
                raise faults.login_refused(name, "the server takes only ASCII in user and password", secret)
        except self.library.exceptions.LoginError as error:
            if isinstance(error.__context__, self.library.exceptions.IMAPClientAbortError):
                raise faults.broke_off(name, error) from None
            words = " ".join([str(error), *(one.decode("utf-8", "replace") for one in told[1:])])
            refusal = faults.not_now if any(code in words.upper() for code in _PASSING) else faults.login_refused
            raise refusal(name, words, secret) from None

    def repeated(self, command: Callable[..., Any], *words: Any) -> Any:
        """Repeat a command that failed because messages were removed meanwhile (RFC 5530, 3)."""
        try:
            return command(*words)
        except self.library.exceptions.IMAPClientError as error:
            if "[EXPUNGEISSUED]" not in str(error):
                raise
            self.client.noop()  # the server's answer lists the removed ones
            return command(*words)

    def close(self) -> None:
        """Send LOGOUT if the connection still works, and close it. Never raises."""
        with suppress(OSError, self.library.exceptions.IMAPClientError, *_NO_IMAP):
            if self._broken is None:
                self.client.socket().settimeout(FAREWELL)
                self.client.logout()
        with suppress(OSError, self.library.exceptions.IMAPClientError, *_NO_IMAP):
            self.client.shutdown()

    @contextmanager
    def told(self) -> Iterator[None]:
        """Translate errors of the library and the system; after one that ends the connection nothing more is sent."""
        name, errors = self.where.name, self.library.exceptions
        if self._broken is not None:
            raise self._broken
        try:
            yield
        except (OSError, errors.IMAPClientAbortError) as error:
            self._broken = faults.broke_off(name, error)
            raise self._broken from None
        except UnfinishedError as error:
            self._broken = error
            raise
        except (errors.IMAPClientError, *_NO_IMAP) as error:
            raise faults.misunderstood(name, error) from None
