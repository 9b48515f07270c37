"""An mbox file as a source of feedback: it is only read; the position is saved in a progress file."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from campaign.errors import CampaignError, InputError
from campaign.feedback.feedback_source import Handled, Received
from campaign.feedback.mailboxes.files.mbox_format import SEPARATOR, split_mbox
from campaign.feedback.mailboxes.incoming_message import Reader, incoming
from campaign.feedback.mailboxes.mailbox_progress import read_mailbox_progress, write_mailbox_progress

#: Octets before the saved offset by which the file is recognised.
KNOWN_BY = 1 << 16
#: Seconds without a change after which a last message without an empty line at its end counts as complete.
SETTLED = 60.0


class MboxMailbox:
    """The messages after the offset saved in ``progress_file``.

    If the octets before that offset differ from those that were read, the file was rotated, cut or rewritten. Then it
    is read from its beginning, and ids show what was counted before. The file is never changed, so no mail is lost by
    two programs writing it at once.
    """

    def __init__(self, path: Path, *, progress_file: Path, read: Reader, now: Callable[[], float] = time.time) -> None:
        """The disk is first accessed by `size` or `receive`."""
        self.name = f"mbox:{path}"
        self._path, self._progress_file, self._read, self._now = path, progress_file, read, now
        self._file: BinaryIO | None = None
        self._done = self._end = 0
        self._locked = self._settled = False
        self._first = True
        self._acknowledged: dict[int, int] = {}

    def size(self) -> int | None:
        """Always ``None``: counting would take as long as reading."""
        return None

    def receive(self) -> Iterator[Received]:
        """The messages, one in memory at a time. A last one that is still being written is left for next time.

        Raises InputError, StorageError.
        """
        file = self._opened()
        try:
            for one in split_mbox(file, self._done, self._end):
                if self._first:  # text appended to a message that was read before belongs to no message
                    self._done, self._first = one.start, False
                whole = is_whole(closed=one.closed, locked=self._locked, settled=self._settled)
                if one.end < self._end or whole:
                    yield incoming(one.content, self._read, (one.start, one.end), known_by=one.known_by)
        except OSError as error:
            raise self._unreadable(error) from None

    def acknowledge(self, handled: Sequence[Handled]) -> None:
        """Save the offset up to the first message not acknowledged. Raises InputError, StorageError."""
        file = self._opened()
        self._acknowledged.update(one.receipt for one in handled)
        before = self._done
        while self._done in self._acknowledged:
            self._done = self._acknowledged.pop(self._done)
        if self._done > before:
            digest = _digest_before(file.fileno(), self._done)
            write_mailbox_progress(self._progress_file, {"offset": self._done, "sha256": digest})

    def _opened(self) -> BinaryIO:
        if self._file is None:
            try:
                descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
                try:
                    self._look(descriptor)
                except (OSError, CampaignError):
                    os.close(descriptor)
                    raise
            except OSError as error:
                raise self._unreadable(error) from None
            self._file = open(descriptor, "rb")  # noqa: PTH123, SIM115  a descriptor with its own flags
        return self._file

    def _look(self, descriptor: int) -> None:
        """Determine from where and how far to read."""
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise InputError(f"{self._path} is no file.", next_step="write maildir:PATH for a Maildir")
        self._locked = _lock(descriptor)
        found = os.fstat(descriptor)
        self._end = found.st_size
        self._settled = self._now() - found.st_mtime > SETTLED
        if self._locked:
            fcntl.lockf(descriptor, fcntl.LOCK_UN)  # anything appended from now on is after the end
        if self._end and os.pread(descriptor, len(SEPARATOR), 0) != SEPARATOR:
            raise InputError(
                f"{self._path} is no mbox.",
                evidence='its first line does not begin with "From "',
                next_step="name the mbox itself, or write maildir:PATH for a Maildir",
            )
        noted = read_mailbox_progress(self._progress_file)
        offset = noted.get("offset")
        if isinstance(offset, int) and 0 < offset <= self._end:
            self._done = offset if _digest_before(descriptor, offset) == noted.get("sha256") else 0

    def _unreadable(self, error: OSError) -> InputError:
        missing = isinstance(error, FileNotFoundError)
        return InputError(
            f"{self._path} cannot be read.",
            evidence=error.strerror or str(error),
            next_step=f"correct the path behind mbox:, or touch {self._path} if no mail has come yet"
            if missing
            else f"see to the rights of {self._path}",
        )

    def close(self) -> None:
        """Close the file. Never raises."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None


def is_whole(*, closed: bool, locked: bool, settled: bool) -> bool:
    """Whether the last message of a file is complete.

    A program that appends under a lock is excluded if we hold it (``locked``). One that uses no lock shows completeness
    by an empty line at the end (``closed``), or by some time without a change (``settled``).
    """
    return settled or (locked and closed)


def _lock(descriptor: int) -> bool:
    with suppress(OSError):
        fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return True
    return False


def _digest_before(descriptor: int, offset: int) -> str:
    start = max(0, offset - KNOWN_BY)
    return hashlib.sha256(os.pread(descriptor, offset - start, start)).hexdigest()
