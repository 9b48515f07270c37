"""A POP3 connection (RFC 1939) by the standard library, with two additions.

A message is read in pieces, so a message of any size, with lines of any length, takes no more memory than `LARGEST`;
and login by an access token is possible (AUTH XOAUTH2).
"""

from __future__ import annotations

import base64
import poplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from campaign.errors import CampaignError, UnfinishedError
from campaign.feedback.mailboxes.incoming_message import LARGEST
from campaign.feedback.mailboxes.servers import server_faults as faults
from campaign.feedback.mailboxes.servers.server_faults import MailboxSecret
from campaign.feedback.mailboxes.servers.server_trust import no_encryption, not_trusted
from campaign.feedback.mailboxes.servers.server_url import ServerUrl

#: Seconds to wait for a connection, and for the server's next octets.
PATIENCE = 60.0
#: Octets of a line read at once.
PIECE = 1 << 16
#: Lines requested of a message larger than `LARGEST`: with the usual 78 octets a line, twice as much as is read.
LINES_OF_LARGE = 2 * LARGEST // 78
#: Response codes of a refused login (RFC 2449, RFC 3206) that say nothing about the password.
_PASSING = ("[IN-USE]", "[LOGIN-DELAY]", "[SYS/TEMP]")


class Pop3Session:
    """A connection, logged in, with exclusive access to the mailbox. Errors are raised as `CampaignError`."""

    def __init__(
        self, where: ServerUrl, trust: ssl.SSLContext, secret: MailboxSecret, *, patience: float = PATIENCE
    ) -> None:
        """Connect and log in. Raises UnfinishedError, LoginError, ConfigError."""
        self._where = where
        self._broken: UnfinishedError | None = None
        shown, token = secret.fetch(where.name)
        self._connection = self._connect(trust, patience)
        try:
            with self._told():
                self._encrypt(trust)
                self._log_in(shown, token)
        except CampaignError:
            self.close()
            raise

    def _connect(self, trust: ssl.SSLContext, patience: float) -> poplib.POP3:
        host, port = self._where.host, self._where.port
        try:
            if self._where.encrypted:
                return _Encrypted(host, port, timeout=patience, context=trust)
            return _Clear(host, port, timeout=patience)
        except ssl.SSLCertVerificationError as error:
            raise not_trusted(host, error) from None
        except (OSError, poplib.error_proto) as error:
            raise faults.cannot_reach(self._where.name, error) from None

    def _encrypt(self, trust: ssl.SSLContext) -> None:
        if self._where.encrypted:
            return
        if "STLS" not in self._offers():
            raise no_encryption(self._where.host, "pop3")
        try:
            self._connection.stls(trust)
        except ssl.SSLCertVerificationError as error:
            self._broken = faults.broke_off(self._where.name, error)
            raise not_trusted(self._where.host, error) from None

    def _offers(self) -> set[str]:
        try:
            return {one.upper() for one in self._connection.capa()}
        except poplib.error_proto as error:
            if _ends(error):
                raise
            return set()  # the command is optional

    def _log_in(self, secret: str, token: bool) -> None:
        try:
            if token:
                self._show_token(secret)
            else:
                self._connection.user(self._where.user)
                self._connection.pass_(secret)
        except poplib.error_proto as error:
            if _ends(error):
                raise
            words = _words(error)
            refusal = faults.not_now if any(code in words.upper() for code in _PASSING) else faults.login_refused
            raise refusal(self._where.name, words, secret) from None

    def _show_token(self, token: str) -> None:
        line = f"user={self._where.user}\1auth=Bearer {token}\1\1".encode()
        answer = self._ask(b"AUTH XOAUTH2")  # a token exceeds the longest command line (RFC 5034, 4)
        if answer.startswith(b"+"):
            answer = self._ask(base64.b64encode(line))
        if answer.startswith(b"+ "):  # the reason for a refusal, which requires an empty answer
            reason = base64.b64decode(answer[2:].strip() + b"==")
            raise poplib.error_proto(self._ask(b"") + b" " + reason)
        if not answer.startswith(b"+OK"):
            raise poplib.error_proto(answer)

    def uids(self) -> Iterator[tuple[int, str]]:
        """The number and the unique id of every message (UIDL), in order."""
        with self._told():
            for line in self._listing(b"UIDL"):
                number, _, uid = line.partition(b" ")
                yield int(number), uid.strip().decode("ascii", "backslashreplace")

    def sizes(self) -> dict[int, int]:
        """The octets of those messages that are larger than `LARGEST`."""
        with self._told():
            pairs = (line.split()[:2] for line in self._listing(b"LIST"))
            return {int(number): int(size) for number, size in pairs if int(size) > LARGEST}

    def message(self, number: int, *, large: bool = False) -> bytes | None:
        """The first `LARGEST` octets; ``None`` if it is gone. Of a ``large`` message only the beginning is sent."""
        with self._told():
            answer = self._ask(b"TOP %d %d" % (number, LINES_OF_LARGE)) if large else b""
            if not answer.startswith(b"+OK"):
                answer = self._ask(b"RETR %d" % number)
            return b"".join(self._content()) if answer.startswith(b"+OK") else None

    def _content(self) -> Iterator[bytes]:
        """The lines up to the final dot, without dot-stuffing; octets beyond `LARGEST` are read and dropped."""
        left = LARGEST
        starts = True
        while True:
            piece = self._connection.file.readline(PIECE)
            if not piece:
                raise poplib.error_proto("-ERR EOF")
            if starts and piece.rstrip(b"\r\n") == b".":
                return
            unstuffed = piece[1:] if starts and piece.startswith(b".") else piece
            starts = piece.endswith(b"\n")
            if left > 0:
                yield unstuffed[:left]
                left -= len(unstuffed)

    def _listing(self, command: bytes) -> Iterator[bytes]:
        answer = self._ask(command)
        if not answer.startswith(b"+OK"):
            raise poplib.error_proto(answer)
        while (line := self._line()) != b".":
            yield line

    def _ask(self, command: bytes) -> bytes:
        self._connection.sock.sendall(command + b"\r\n")
        return self._line()

    def _line(self) -> bytes:
        line = self._connection.file.readline(PIECE)
        if not line:
            raise poplib.error_proto("-ERR EOF")
        return line.rstrip(b"\r\n")

    def delete(self, number: int) -> None:
        """Mark a message for deletion; `close` deletes it. It stays if the connection breaks before."""
        with self._told():
            self._connection.dele(number)

    def close(self) -> bool:
        """Send QUIT, which performs deletions, and close the connection. Whether it was answered; never raises."""
        heard = False
        with suppress(OSError, poplib.error_proto, AttributeError):
            if self._broken is None:
                self._connection.quit()
                heard = True
        with suppress(OSError):
            self._connection.close()
        return heard

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Translate errors of the library and the system; after one that ends the connection nothing more is sent."""
        name = self._where.name
        if self._broken is not None:
            raise self._broken
        try:
            yield
        except poplib.error_proto as error:
            if not _ends(error):
                raise faults.misunderstood(name, error) from None
            self._broken = faults.broke_off(name, error)
            raise self._broken from None
        except OSError as error:
            self._broken = faults.broke_off(name, error)
            raise self._broken from None
        except ValueError as error:
            self._broken = faults.misunderstood(name, error)
            raise self._broken from None
        except UnfinishedError as error:
            self._broken = error
            raise


class _Clear(poplib.POP3):
    """The library's class, but it closes its socket if the greeting is invalid."""

    def __init__(self, *where: Any, **how: Any) -> None:
        with _closed_on_failure(self):
            super().__init__(*where, **how)


class _Encrypted(poplib.POP3_SSL):
    """The same with TLS from the start."""

    def __init__(self, *where: Any, **how: Any) -> None:
        with _closed_on_failure(self):
            super().__init__(*where, **how)


@contextmanager
def _closed_on_failure(connection: poplib.POP3) -> Iterator[None]:
    try:
        yield
    except (OSError, poplib.error_proto):
        with suppress(OSError, AttributeError):  # without a connection there is nothing to close
            connection.close()
        raise


def _ends(error: poplib.error_proto) -> bool:
    """Whether the connection ended; an error reported by the server has octets as its argument."""
    return not (error.args and isinstance(error.args[0], bytes))


def _words(error: poplib.error_proto) -> str:
    return error.args[0].decode("utf-8", "replace") if error.args else ""
