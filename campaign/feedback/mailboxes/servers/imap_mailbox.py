"""An IMAP folder as a source of feedback: messages are read and then moved into another folder."""

from __future__ import annotations

import ssl
from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from campaign.config.feedback import FeedbackSourceSection
from campaign.errors import CampaignError, ConfigError
from campaign.feedback.feedback_source import Handled, Received
from campaign.feedback.mailboxes.incoming_message import Reader, incoming
from campaign.feedback.mailboxes.mailbox_progress import read_mailbox_progress, write_mailbox_progress
from campaign.feedback.mailboxes.servers.handled_uids import HandledUids
from campaign.feedback.mailboxes.servers.imap_connection import PATIENCE
from campaign.feedback.mailboxes.servers.imap_session import ImapSession
from campaign.feedback.mailboxes.servers.server_faults import MailboxSecret
from campaign.feedback.mailboxes.servers.server_url import ServerUrl

#: UIDs in one command, so that its line is short enough for any server.
MOVED_AT_ONCE = 200
#: Messages between two saves of the progress file, which is optional: it only saves time.
NOTED_AT_ONCE = 5_000


class ImapMailbox:
    r"""Every message of a folder, read or unread, so messages that a person has opened count too.

    Acknowledged messages leave the folder. If the server cannot move a message without expunging others, or the folder
    is read-only, the message stays and its UID is recorded in ``progress_file``.
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
        patience: tuple[float, float] = PATIENCE,
    ) -> None:
        """`size` or `receive` connects. Raises ConfigError if messages would be moved to the folder they are in."""
        self.name = where.name
        self._where, self._settings, self._trust, self._secret = where, settings, trust, secret
        self._progress_file, self._read, self._patience = progress_file, read, patience
        self._open: tuple[ImapSession, HandledUids, array[int]] | None = None
        self._folders: dict[str, str] = {}
        self._noted = 0
        for target in (settings.done, settings.unknown):
            if not target or target.lower() == where.folder.lower():
                raise self._same_folder(target)

    def size(self) -> int | None:
        """The number of messages not yet acknowledged. Raises the errors of `receive`."""
        _, handled, present = self._opened()
        return sum(uid not in handled for uid in present)

    def receive(self) -> Iterator[Received]:
        """The messages present now, 4 MB in memory at a time. Raises UnfinishedError, LoginError, InputError."""
        session, handled, present = self._opened()
        for uid, raw in session.messages(uid for uid in present if uid not in handled):
            yield incoming(raw, self._read, uid)

    def acknowledge(self, handled: Sequence[Handled]) -> None:
        """Move or delete them, or record them as done. Raises UnfinishedError, StorageError."""
        settings = self._settings
        groups: dict[str, list[int]] = {}
        for one in handled:
            target = settings.unknown if not one.recognised else "" if settings.delete else settings.done
            groups.setdefault(target, []).append(one.receipt)
        for target, uids in groups.items():
            for start in range(0, len(uids), MOVED_AT_ONCE):
                self._put_away(uids[start : start + MOVED_AT_ONCE], target)

    def _put_away(self, uids: list[int], target: str) -> None:
        session, done, _ = self._opened()
        if target and session.can_move():
            if target not in self._folders:
                self._folders[target] = session.find_or_make(target)
            if self._folders[target] == session.folder:
                raise self._same_folder(target)
            session.move(uids, self._folders[target])
        elif not target and session.can_delete():
            session.delete(uids)
        else:
            done.update(uids)
            if len(done) - self._noted >= NOTED_AT_ONCE:
                self._note()

    def _same_folder(self, target: str) -> ConfigError:
        return ConfigError(
            f"{self.name}: messages cannot be moved to the folder {target!r} that they are read from.",
            next_step="name other folders as done and unknown in its [[feedback.source]]",
        )

    def _opened(self) -> tuple[ImapSession, HandledUids, array[int]]:
        if self._open is None:
            session = ImapSession(self._where, self._trust, self._secret, patience=self._patience)
            try:
                validity = session.select(self._where.folder)
                handled = HandledUids(validity, read_mailbox_progress(self._progress_file))
                self._open = session, handled, session.uids()
            except CampaignError:
                session.close()
                raise
        return self._open

    def _note(self) -> None:
        _, handled, present = self._opened()
        if len(handled) > self._noted:
            write_mailbox_progress(self._progress_file, handled.noted(present))
            self._noted = len(handled)

    def close(self) -> None:
        """Save the progress and close the connection. Never raises."""
        if self._open is not None:
            with suppress(CampaignError):  # unrecorded messages are read again, but not counted again
                self._note()
            self._open[0].close()
            self._open = None
