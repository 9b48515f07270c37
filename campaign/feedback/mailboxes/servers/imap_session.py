"""One IMAP connection (RFC 3501), by the library ``imapclient``: the only module that uses it, and only when asked for.

A message is read by BODY.PEEK, so that nothing is marked as read, and only its beginning is fetched. Nobody else's
message is ever expunged: a message goes by MOVE (RFC 6851) or by UID EXPUNGE (RFC 4315), or it stays.
"""

from __future__ import annotations

import ssl
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any

from campaign.errors import CampaignError, ConfigError, InputError, UnfinishedError, install_extra
from campaign.feedback.mailboxes.incoming_message import LARGEST
from campaign.feedback.mailboxes.servers import server_faults as faults
from campaign.feedback.mailboxes.servers.server_faults import MailboxSecret
from campaign.feedback.mailboxes.servers.server_trust import no_encryption, not_trusted
from campaign.feedback.mailboxes.servers.server_url import INBOX, ServerUrl

#: Seconds to wait for a connection, and for a server's next octets.
PATIENCE = 30.0, 60.0
#: Seconds that saying goodbye may take.
FAREWELL = 3.0
#: Messages whose UIDs, or sizes, are asked for at once: a line of UIDs stays far below what the library takes.
UIDS_AT_ONCE, SIZES_AT_ONCE = 20_000, 500
#: Messages, and octets of them, fetched at once: what is held in memory.
MESSAGES_AT_ONCE, OCTETS_AT_ONCE = 50, 4 << 20
#: Response codes of a refused login (RFC 5530, 3) that say nothing about the password.
_PASSING = ("[UNAVAILABLE]", "[INUSE]", "[LIMIT]", "[SERVERBUG]")
#: What the library raises where an answer is no IMAP.
_NO_IMAP = (ValueError, TypeError, LookupError, ArithmeticError, AssertionError, AttributeError)


class ImapSession:
    """A connection, logged in, with one folder selected. Faults are raised as errors of ours."""

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
        self._library: Any = imapclient
        self._where, self._broken = where, False
        self._client = self._connect(trust, imapclient.SocketTimeout(*patience))
        try:
            with self._told():
                self._encrypt(trust)
                self._log_in(*secret.fetch(where.name))
        except CampaignError:
            self.close()
            raise
        self.writable = True
        self.count = 0

    def _connect(self, trust: ssl.SSLContext, patience: Any) -> Any:
        where = self._where
        try:
            return self._library.IMAPClient(
                where.host, where.port, ssl=where.encrypted, ssl_context=trust, timeout=patience
            )
        except ssl.SSLCertVerificationError as error:
            raise not_trusted(where.host, error) from None
        except (OSError, self._library.exceptions.IMAPClientError, *_NO_IMAP) as error:
            raise faults.cannot_reach(where.name, error) from None

    def _encrypt(self, trust: ssl.SSLContext) -> None:
        if self._where.encrypted:
            return
        if not self._client.has_capability("STARTTLS"):
            raise no_encryption(self._where.host, "imap")
        try:
            self._client.starttls(trust)
        except ssl.SSLCertVerificationError as error:
            self._broken = True
            raise not_trusted(self._where.host, error) from None

    def _log_in(self, secret: str, token: bool) -> None:
        name, user = self._where.name, self._where.user
        told: list[bytes] = []

        def bearer(challenge: bytes) -> str:
            told.append(challenge)  # a second one is the reason for a refusal, and wants an empty answer
            return f"user={user}\1auth=Bearer {secret}\1\1" if len(told) == 1 else ""

        try:
            if token:
                self._client.sasl_login("XOAUTH2", bearer)
            elif self._client.has_capability("AUTH=PLAIN"):
                self._client.plain_login(user, secret)
            elif (user + secret).isascii():
                self._client.login(user, secret)
            else:
                raise faults.login_refused(name, "the server takes only ASCII in user and password", secret)
        except self._library.exceptions.LoginError as error:
            if isinstance(error.__context__, self._library.exceptions.IMAPClientAbortError):
                raise faults.broke_off(name, error) from None
            words = " ".join([str(error), *(one.decode("utf-8", "replace") for one in told[1:])])
            refusal = faults.not_now if any(code in words.upper() for code in _PASSING) else faults.login_refused
            raise refusal(name, words, secret) from None

    def select(self, folder: str) -> int:
        """Open the folder and return its UIDVALIDITY; ``count`` and ``writable`` are then set. Raises InputError."""
        with self._told():
            try:
                found = self._client.select_folder(folder)
            except self._library.exceptions.IMAPClientReadOnlyError:
                found = self._client.select_folder(folder, readonly=True)
                self.writable = False
            except self._library.exceptions.IMAPClientAbortError:
                raise
            except self._library.exceptions.IMAPClientError as error:
                raise InputError(
                    f"{self._where.name} has no folder {folder!r} that can be opened.",
                    evidence=faults.shown(str(error)),
                    next_step="correct the folder in the source's url, such as imaps://user@host/Bounces",
                ) from None
            self.count = found[b"EXISTS"]
            return int(found.get(b"UIDVALIDITY", 0))

    def uids(self) -> array[int]:
        """The UIDs of all messages, ascending, four octets each.

        One that another session's expunging hides just now is there the next time.
        """
        found = array("I")
        with self._told():
            for first in range(1, self.count + 1, UIDS_AT_ONCE):
                last = min(self.count, first + UIDS_AT_ONCE - 1)
                found.extend(self._client.search([f"{first}:{last}"]))
            return array("I", sorted(set(found)))

    def messages(self, uids: Iterable[int]) -> Iterator[tuple[int, bytes]]:
        """Each message's UID and the first `LARGEST` octets of it; those that are gone are passed over."""
        for batch in batches(self._sizes(uids)):
            with self._told():
                found = self._client.fetch(batch, [f"BODY.PEEK[]<0.{LARGEST}>"])
            for uid in batch:
                content = _body(found.pop(uid, {}))
                if content is not None:
                    yield uid, content

    def _sizes(self, uids: Iterable[int]) -> Iterator[tuple[int, int]]:
        rest = iter(uids)
        while some := list(islice(rest, SIZES_AT_ONCE)):
            with self._told():
                found = self._client.fetch(some, ["RFC822.SIZE"])
            for uid in some:
                size = found.get(uid, {}).get(b"RFC822.SIZE")
                if isinstance(size, int):
                    yield uid, size

    def can_move(self) -> bool:
        """Whether the server has a way to move messages that leaves other people's alone."""
        with self._told():
            return self.writable and any(map(self._client.has_capability, ("MOVE", "UIDPLUS")))

    def can_delete(self) -> bool:
        """The same of deleting."""
        with self._told():
            return self.writable and bool(self._client.has_capability("UIDPLUS"))

    def move(self, uids: Sequence[int], folder: str) -> None:
        """Move those of them that are still there. Takes `can_move`."""
        with self._told():
            if self._client.has_capability("MOVE"):
                self._client.move(uids, folder)
                return
            self._client.copy(uids, folder)
        self.delete(uids)

    def delete(self, uids: Sequence[int]) -> None:
        """Remove them for good. Takes `can_delete`."""
        with self._told():
            self._client.add_flags(uids, [self._library.DELETED], silent=True)
            self._client.uid_expunge(uids)

    def find_or_make(self, name: str) -> str:
        """The folder's full name, in the server's own form; it is created and subscribed where it is missing."""
        with self._told():
            folder = self._full_name(name)
            if not self._client.list_folders("", folder):
                self._client.create_folder(folder)
                with suppress(self._library.exceptions.IMAPClientError):
                    self._client.subscribe_folder(folder)
        return folder

    def _full_name(self, name: str) -> str:
        """``a/b`` in the form of the server: ``INBOX.a.b`` where folders lie below INBOX and a dot parts them."""
        spaces = self._client.namespace().personal if self._client.has_capability("NAMESPACE") else None
        prefix, delimiter = spaces[0] if spaces else ("", self._delimiter())
        own = name.replace("/", delimiter) if delimiter else name
        return own if not prefix or own.startswith(prefix) or own.upper() == INBOX else prefix + own

    def _delimiter(self) -> str:
        for _, delimiter, _ in self._client.list_folders("", ""):
            return delimiter.decode("ascii", "replace") if isinstance(delimiter, bytes) else ""
        return "/"

    def close(self) -> None:
        """Say goodbye if anybody listens, and end the connection. Never raises."""
        with suppress(OSError, self._library.exceptions.IMAPClientError, *_NO_IMAP):
            if not self._broken:
                self._client.socket().settimeout(FAREWELL)
                self._client.logout()
        with suppress(OSError, self._library.exceptions.IMAPClientError, *_NO_IMAP):
            self._client.shutdown()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Errors of the library and of the system become ours; after one that ends the connection nothing is sent."""
        name, errors = self._where.name, self._library.exceptions
        try:
            yield
        except (OSError, errors.IMAPClientAbortError) as error:
            self._broken = True
            raise faults.broke_off(name, error) from None
        except UnfinishedError:
            self._broken = True
            raise
        except (errors.IMAPClientError, *_NO_IMAP) as error:
            raise faults.misunderstood(name, error) from None


def batches(sizes: Iterable[tuple[int, int]]) -> Iterator[list[int]]:
    """Cut ``(uid, octets)`` into what is fetched at once, at most `MESSAGES_AT_ONCE` and `OCTETS_AT_ONCE`."""
    batch: list[int] = []
    held = 0
    for uid, size in sizes:
        size = min(size, LARGEST)
        if batch and (len(batch) == MESSAGES_AT_ONCE or held + size > OCTETS_AT_ONCE):
            yield batch
            batch, held = [], 0
        batch.append(uid)
        held += size
    if batch:
        yield batch


def _body(found: dict[bytes, Any]) -> bytes | None:
    """The octets in an answer to FETCH: ``None`` where the message is gone, empty where the server gives none."""
    for item, value in found.items():
        if item.startswith(b"BODY[]"):
            return value[:LARGEST] if isinstance(value, bytes) else b""
    return None
