"""A POP3 mailbox as a source of feedback: messages stay and are recorded as done, or are deleted."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from campaign.config.feedback import FeedbackSourceSection
from campaign.errors import CampaignError
from campaign.feedback.feedback_source import Handled, Received
from campaign.feedback.mailboxes.incoming_message import Reader, incoming
from campaign.feedback.mailboxes.mailbox_progress import read_mailbox_progress, write_mailbox_progress
from campaign.feedback.mailboxes.servers.pop3_session import PATIENCE, Pop3Session
from campaign.feedback.mailboxes.servers.server_faults import MailboxSecret
from campaign.feedback.mailboxes.servers.server_url import ServerUrl

#: Messages between two saves of the progress file, which is optional: it only saves time.
NOTED_AT_ONCE = 5_000


class Pop3Mailbox:
    """Every message whose unique id (UIDL) is not recorded as done in ``progress_file``.

    With ``delete``, messages about our letters are marked when acknowledged, and deleted when `close` ends the session
    (RFC 1939, 6). If the connection breaks before, they are read and marked again the next time.
    """

    def __init__(
        self,
        where: ServerUrl,
        settings: FeedbackSourceSection,
        trust: ssl.SSLContext,
        secret: MailboxSecret,
        *,
        progress_file: Path,
        read: Reader,
        patience: float = PATIENCE,
    ) -> None:
        """`size` or `receive` connects."""
        self.name = where.name
        self._where, self._delete, self._trust, self._secret = where, settings.delete, trust, secret
        self._progress_file, self._read, self._patience = progress_file, read, patience
        self._session: Pop3Session | None = None
        self._waiting: list[tuple[int, str]] = []  # the server's numbers, and their unique ids
        self._done: dict[str, None] = {}
        self._unnoted = 0

    def size(self) -> int | None:
        """The number of messages not yet acknowledged. Raises the errors of `receive`."""
        self._opened()
        return len(self._waiting)

    def receive(self) -> Iterator[Received]:
        """The messages present now, one in memory at a time. Raises UnfinishedError, LoginError, ConfigError."""
        session = self._opened()
        large = session.sizes()
        for number, uid in self._waiting:
            raw = session.message(number, large=number in large)
            if raw is not None:
                yield incoming(raw, self._read, (number, uid))

    def acknowledge(self, handled: Sequence[Handled]) -> None:
        """Mark for deletion, or record as done. Raises UnfinishedError, StorageError."""
        session = self._opened()
        for one in handled:
            number, uid = one.receipt
            if self._delete and one.recognised:
                session.delete(number)
            else:
                self._done[uid] = None
                self._unnoted += 1
        if self._unnoted >= NOTED_AT_ONCE:
            self._note()

    def _opened(self) -> Pop3Session:
        if self._session is None:
            session = Pop3Session(self._where, self._trust, self._secret, patience=self._patience)
            try:
                noted = read_mailbox_progress(self._progress_file).get("done")
                before = {one for one in noted if isinstance(one, str)} if isinstance(noted, list) else set()
                for number, uid in session.uids():
                    if uid in before:
                        self._done[uid] = None  # messages gone from the server are forgotten
                    else:
                        self._waiting.append((number, uid))
            except CampaignError:
                session.close()
                raise
            self._session = session
        return self._session

    def _note(self) -> None:
        if self._unnoted:
            write_mailbox_progress(self._progress_file, {"done": list(self._done)})
            self._unnoted = 0

    def close(self) -> None:
        """Save the progress and end the session, upon which the server deletes. Never raises."""
        if self._session is not None:
            with suppress(CampaignError):  # unrecorded messages are read again, but not counted again
                self._note()
            self._session.close()
            self._session = None
