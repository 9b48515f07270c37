"""A Maildir as a source of feedback: one file per message, moved into its sub-folders when done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from campaign.config.feedback import FeedbackSourceSection
from campaign.errors import ConfigError, install_extra
from campaign.feedback.feedback_source import Handled, Received
from campaign.feedback.mailboxes.files.maildir_folders import MaildirFolders
from campaign.feedback.mailboxes.incoming_message import Reader, incoming


class MaildirMailbox:
    """The messages in ``new`` and ``cur``, read or unread. Acknowledged messages are moved or deleted."""

    def __init__(self, path: Path, settings: FeedbackSourceSection, read: Reader) -> None:
        """The disk is first accessed by `size` or `receive`. Raises ConfigError for an invalid folder name."""
        self.name = f"maildir:{path}"
        self._path, self._read, self._delete = path, read, settings.delete
        self._done, self._unknown = (sub_folder(name) for name in (settings.done, settings.unknown))
        self._folders: MaildirFolders | None = None

    def size(self) -> int | None:
        """The number of messages. Raises InputError."""
        return sum(1 for _ in self._opened().names())

    def receive(self) -> Iterator[Received]:
        """The messages, one in memory at a time; those removed meanwhile are skipped. Raises InputError."""
        folders = self._opened()
        for place, name in folders.names():
            raw = folders.read(place, name)
            if raw is not None:
                yield incoming(raw, self._read, (place, name))

    def acknowledge(self, handled: Sequence[Handled]) -> None:
        """Move or delete the files. Raises StorageError."""
        folders = self._opened()
        for one in handled:
            place, name = one.receipt
            if one.recognised and self._delete:
                folders.delete(place, name)
            else:
                folders.move(place, name, self._done if one.recognised else self._unknown)

    def _opened(self) -> MaildirFolders:
        if self._folders is None:
            self._folders = MaildirFolders(self._path)
        return self._folders

    def close(self) -> None:
        """Close the folders. Never raises."""
        if self._folders is not None:
            self._folders.close()
            self._folders = None


def sub_folder(name: str) -> str:
    """``a/b`` -> ``.a.b``, as in Maildir++; characters beyond ASCII in IMAP's UTF-7 (RFC 3501, 5.1.3).

    Raises ConfigError if a part is empty or contains control characters.
    """
    parts = name.replace(".", "/").split("/")
    if not all(parts) or not name.isprintable():
        raise ConfigError(
            f"{name!r} cannot be a folder of a Maildir.",
            next_step="write done and unknown of the [[feedback.source]] as words, such as collected or bounces/done",
        )
    dotted = f".{'.'.join(parts)}"
    return dotted if dotted.isascii() and "&" not in dotted else _utf_7(dotted)


def _utf_7(name: str) -> str:
    try:
        from imapclient import imap_utf7
    except ImportError:
        raise ConfigError(
            f"The folder name {name[1:]!r} needs a library that is not installed.", next_step=install_extra("imap")
        ) from None
    return str(imap_utf7.encode(name).decode("ascii"))
