"""An open IMAP folder: reads its messages in batches, moves and deletes them.

A message is read by BODY.PEEK, so that it is not marked as read, and only its beginning is fetched. Other messages are
never expunged: a message is removed by MOVE (RFC 6851) or UID EXPUNGE (RFC 4315), or it stays.
"""

from __future__ import annotations

import ssl
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

from campaign.errors import InputError
from campaign.feedback.mailboxes.incoming_message import LARGEST
from campaign.feedback.mailboxes.servers.imap_connection import PATIENCE, ImapConnection
from campaign.feedback.mailboxes.servers.server_faults import MailboxSecret, shown
from campaign.feedback.mailboxes.servers.server_url import INBOX, ServerUrl

#: Messages whose UIDs, or sizes, are requested at once: a line of UIDs stays far below the library's limit.
UIDS_AT_ONCE, SIZES_AT_ONCE = 20_000, 500
#: Messages, and their octets, fetched at once and held in memory.
MESSAGES_AT_ONCE, OCTETS_AT_ONCE = 50, 4 << 20


class ImapSession:
    """A connection with one folder selected. Errors are raised as `CampaignError`."""

    def __init__(
        self,
        where: ServerUrl,
        trust: ssl.SSLContext,
        secret: MailboxSecret,
        *,
        patience: tuple[float, float] = PATIENCE,
    ) -> None:
        """Connect and log in. Raises UnfinishedError, LoginError, ConfigError."""
        self._line = ImapConnection(where, trust, secret, patience=patience)
        self.name = where.name
        self.folder, self.writable, self.count = "", True, 0

    def select(self, folder: str) -> int:
        """Open the folder and return its UIDVALIDITY; sets ``folder``, ``count``, ``writable``. Raises InputError."""
        with self._line.told():
            self.folder = self._full_name(folder) if folder != INBOX else INBOX
            try:
                found = self._line.client.select_folder(self.folder)
            except self._line.library.exceptions.IMAPClientReadOnlyError:
                found = self._line.client.select_folder(self.folder, readonly=True)
                self.writable = False
            except self._line.library.exceptions.IMAPClientAbortError:
                raise
            except self._line.library.exceptions.IMAPClientError as error:
                raise InputError(
                    f"{self.name} has no folder {folder!r} that can be opened.",
                    evidence=shown(str(error)),
                    next_step="correct the folder in the source's url, such as imaps://user@host/Bounces",
                ) from None
            self.count = found[b"EXISTS"]
            return int(found.get(b"UIDVALIDITY", 0))

    def uids(self) -> array[int]:
        """The UIDs of all messages, ascending, four octets each.

        A UID that another session's expunging hides at the moment appears the next time.
        """
        found = array("I")
        with self._line.told():
            for first in range(1, self.count + 1, UIDS_AT_ONCE):
                last = min(self.count, first + UIDS_AT_ONCE - 1)
                found.extend(self._line.client.search([f"{first}:{last}"]))
            return array("I", sorted(set(found)))

    def messages(self, uids: Iterable[int]) -> Iterator[tuple[int, bytes]]:
        """Each message's UID and its first `LARGEST` octets; messages that are gone are skipped."""
        for batch in batches(self._sizes(uids)):
            with self._line.told():
                found = self._line.repeated(self._line.client.fetch, batch, [f"BODY.PEEK[]<0.{LARGEST}>"])
            for uid in batch:
                content = _body(found.pop(uid, {}))
                if content is not None:
                    yield uid, content

    def _sizes(self, uids: Iterable[int]) -> Iterator[tuple[int, int]]:
        rest = iter(uids)
        while some := list(islice(rest, SIZES_AT_ONCE)):
            with self._line.told():
                found = self._line.repeated(self._line.client.fetch, some, ["RFC822.SIZE"])
            for uid in some:
                size = found.get(uid, {}).get(b"RFC822.SIZE")
                if isinstance(size, int):
                    yield uid, size

    def can_move(self) -> bool:
        """Whether the server can move messages without expunging others."""
        with self._line.told():
            return self.writable and any(map(self._line.client.has_capability, ("MOVE", "UIDPLUS")))

    def can_delete(self) -> bool:
        """Whether the server can delete messages without expunging others."""
        with self._line.told():
            return self.writable and bool(self._line.client.has_capability("UIDPLUS"))

    def move(self, uids: Sequence[int], folder: str) -> None:
        """Move those messages that still exist. Requires `can_move`."""
        with self._line.told():
            if self._line.client.has_capability("MOVE"):
                self._line.repeated(self._line.client.move, uids, folder)
                return
            self._line.repeated(self._line.client.copy, uids, folder)
        self.delete(uids)

    def delete(self, uids: Sequence[int]) -> None:
        """Delete them permanently. Requires `can_delete`."""
        with self._line.told():
            self._line.client.add_flags(uids, [self._line.library.DELETED], silent=True)
            self._line.client.uid_expunge(uids)

    def find_or_make(self, name: str) -> str:
        """The folder's full name in the server's form; a missing folder is created and subscribed."""
        with self._line.told():
            folder = self._full_name(name)
            if not self._line.client.list_folders("", folder):
                self._line.client.create_folder(folder)
                with suppress(self._line.library.exceptions.IMAPClientError):
                    self._line.client.subscribe_folder(folder)
        return folder

    def _full_name(self, name: str) -> str:
        """``a/b`` in the server's form: ``INBOX.a.b`` if folders are below INBOX and separated by a dot.

        An existing folder of that name elsewhere, such as a shared one, takes precedence.
        """
        spaces = self._line.client.namespace().personal if self._line.client.has_capability("NAMESPACE") else None
        prefix, delimiter = spaces[0] if spaces else ("", self._delimiter())
        own = name.replace("/", delimiter) if delimiter else name
        if not prefix or own.startswith(prefix) or own.upper() == INBOX or self._line.client.list_folders("", own):
            return own
        return str(prefix + own)

    def _delimiter(self) -> str:
        for _, delimiter, _ in self._line.client.list_folders("", ""):
            return delimiter.decode("ascii", "replace") if isinstance(delimiter, bytes) else ""
        return "/"

    def close(self) -> None:
        """End the connection. Never raises."""
        self._line.close()


def batches(sizes: Iterable[tuple[int, int]]) -> Iterator[list[int]]:
    """Split ``(uid, octets)`` into batches of at most `MESSAGES_AT_ONCE` and `OCTETS_AT_ONCE`.

    A larger message gets its own batch, in case a server sends all of it.
    """
    batch: list[int] = []
    held = 0
    for uid, size in sizes:
        if batch and (len(batch) == MESSAGES_AT_ONCE or held + size > OCTETS_AT_ONCE):
            yield batch
            batch, held = [], 0
        batch.append(uid)
        held += size
    if batch:
        yield batch


def _body(found: dict[bytes, Any]) -> bytes | None:
    """The octets in an answer to FETCH: ``None`` if the message is gone, empty if the server gives none."""
    for item, value in found.items():
        if item.startswith(b"BODY[]"):
            return value[:LARGEST] if isinstance(value, bytes) else b""
    return None
