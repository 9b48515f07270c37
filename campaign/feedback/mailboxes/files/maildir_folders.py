"""A Maildir and its sub-folders on disk (Maildir++), accessed through open folders so that links are not followed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from campaign.errors import InputError, StorageError
from campaign.feedback.mailboxes.incoming_message import LARGEST
from campaign.system.disk_advice import look_at_folder

#: The folders of messages: unseen by mail readers, then the others.
PLACES = ("new", "cur")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_MESSAGE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MARKER = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
ROOT = 0


class MaildirFolders:
    """An open Maildir: its messages by folder and name, and sub-folders to which they are moved."""

    def __init__(self, path: Path) -> None:
        """Raises InputError if ``path`` is not a Maildir, or not readable."""
        self._path = path
        self._open: list[int] = []
        try:
            self._base = self._opened(path)
            self._places = {place: self._opened(place, self._base) for place in PLACES}
        except OSError as error:
            self.close()
            raise InputError(
                f"{path} is no Maildir that can be read.",
                evidence=f"{error.filename or path}: {error.strerror or error}",
                next_step="correct the path behind maildir: in [[feedback.source]]; it holds folders new, cur and tmp",
            ) from None

    def _opened(self, name: str | Path, above: int | None = None) -> int:
        descriptor = os.open(name, _FOLDER | (0 if above is None else os.O_NOFOLLOW), dir_fd=above)
        self._open.append(descriptor)
        return descriptor

    def names(self) -> Iterator[tuple[str, str]]:
        """Folder and name of each message, in the order of the disk. Links and other entries are ignored.

        Messages may be moved meanwhile. Raises InputError.
        """
        for place in PLACES:
            # A separate descriptor: two iterations over the same one would share their position.
            descriptor = os.open(place, _FOLDER | os.O_NOFOLLOW, dir_fd=self._base)
            try:
                with self._told(place), os.scandir(descriptor) as entries:
                    for entry in entries:
                        if not entry.name.startswith(".") and entry.is_file(follow_symlinks=False):
                            yield place, entry.name
            finally:
                os.close(descriptor)

    def read(self, place: str, name: str) -> bytes | None:
        """The first `LARGEST` octets; ``None`` if it is gone, or no longer a file. Raises InputError."""
        with self._told(f"{place}/{name}"):
            try:
                descriptor = os.open(name, _MESSAGE, dir_fd=self._places[place])
            except FileNotFoundError:
                return None
            except OSError:
                if self._is_file(self._places[place], name):
                    raise
                return None
            try:
                return _beginning(descriptor) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
            finally:
                os.close(descriptor)

    def move(self, place: str, name: str, folder: str) -> None:
        """Move a message into the same place of the sub-folder, created if missing. Does nothing if it is gone.

        Raises StorageError.
        """
        with self._put_away(place, name):
            target = self._target(folder, place)
            with suppress(FileNotFoundError):
                os.rename(name, _free(target, name), src_dir_fd=self._places[place], dst_dir_fd=target)

    def delete(self, place: str, name: str) -> None:
        """Delete a message; does nothing if it is gone. Raises StorageError."""
        with self._put_away(place, name), suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._places[place])

    def _target(self, folder: str, place: str) -> int:
        key = f"{folder}/{place}"
        if key not in self._places:
            self._make(folder)
            with _folder(folder, self._base) as above:
                self._places[key] = self._opened(place, above)
        return self._places[key]

    def _make(self, folder: str) -> None:
        """Create missing parts of a sub-folder, with the permissions and, as root, the owner of the Maildir."""
        like = os.fstat(self._base)
        _make_folder(folder, self._base, like)
        with _folder(folder, self._base) as above:
            for place in ("tmp", *PLACES):
                _make_folder(place, above, like)
            marker = os.open("maildirfolder", _MARKER, 0o600, dir_fd=above)
            _own_as(marker, like, 0o666)
            os.close(marker)

    @staticmethod
    def _is_file(folder: int, name: str) -> bool:
        with suppress(FileNotFoundError):
            return stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
        return False

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(
                f"{self._path / what} cannot be read.",
                evidence=error.strerror or str(error),
                next_step=f"see to the rights of {self._path}, then run the same command again",
            ) from None

    @contextmanager
    def _put_away(self, place: str, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"{self._path / place / name} cannot be put away.",
                evidence=error.strerror or str(error),
                next_step=f"{look_at_folder(self._path)}; then run the same command again",
            ) from None

    def close(self) -> None:
        """Close the folders. Never raises."""
        while self._open:
            with suppress(OSError):
                os.close(self._open.pop())


@contextmanager
def _folder(name: str, above: int) -> Iterator[int]:
    descriptor = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=above)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _make_folder(name: str, above: int, like: os.stat_result) -> None:
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=above)
        with _folder(name, above) as made:
            _own_as(made, like, 0o7777)


def _own_as(descriptor: int, like: os.stat_result, most: int) -> None:
    os.fchmod(descriptor, stat.S_IMODE(like.st_mode) & most)
    if os.geteuid() == ROOT:
        os.fchown(descriptor, like.st_uid, like.st_gid)


def _beginning(descriptor: int) -> bytes:
    left = min(os.fstat(descriptor).st_size, LARGEST)
    pieces = []
    while left > 0 and (piece := os.read(descriptor, left)):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _free(folder: int, name: str) -> str:
    """``name``, or a variant of it that is unused in ``folder``."""
    unique, colon, flags = name.partition(":")
    for number in count(1):
        try:
            os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return name
        name = f"{unique}-{number}{colon}{flags}"
    raise AssertionError
