"""Appends records durably, to files in a folder. Each process writes a file of its own, and holds its lock.

A file that failed to take a record is cut back to its last whole record and given up; the next record begins a new one.
So a line without its line feed can only be the last one of a file whose process was killed, and was never answered.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from campaign.feedback.listened.listened_store import CHUNK, StoredFile, is_file_name, new_file_name
from campaign.system.atomic_file import make_folders, sync_folder

#: A file of this size in octets, or of this age in seconds, is closed, so that it can be removed once it is collected.
LARGEST_FILE, OLDEST_FILE = 16 << 20, 900.0

Write = Callable[[int, bytes], int]


class ListenedWriter:
    """Appends to files in ``folder``. Used by one thread at a time. ``write`` and ``sync`` are those of `os`."""

    def __init__(
        self,
        folder: Path,
        *,
        write: Write = os.write,
        sync: Callable[[int], None] = os.fsync,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder, self._write, self._sync, self._clock = folder, write, sync, clock
        self._file, self._size, self._begun = -1, 0, 0.0

    def append(self, lines: Sequence[bytes]) -> None:
        """Append these lines, and sync them once. None of them counts if it raises OSError."""
        self.close_old()
        if self._file < 0:
            self._open()
        data = b"".join(lines)
        try:
            self._write_all(data)
            self._sync(self._file)
        except OSError:
            self._give_up()
            raise
        self._size += len(data)

    def close_old(self) -> None:
        """Close the file if it is large or old."""
        if self._file >= 0 and (self._size >= LARGEST_FILE or self._clock() - self._begun >= OLDEST_FILE):
            self.close()

    def close(self) -> None:
        """Close the file: all that was appended is durable already."""
        if self._file >= 0:
            os.close(self._file)
        self._file, self._size = -1, 0

    def _open(self) -> None:
        make_folders(self._folder)
        while True:
            now = self._clock()
            path = self._folder / new_file_name(now)
            file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file).st_nlink:
                break
            os.close(file)  # a reader took it for an empty file of a killed process, and removed it
        sync_folder(self._folder)
        self._file, self._size, self._begun = file, 0, now

    def _write_all(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._write(self._file, bytes(rest)) :]

    def _give_up(self) -> None:
        """Take back what was written of lines that do not count, and begin a new file next time."""
        with suppress(OSError):
            os.ftruncate(self._file, self._size)
        with suppress(OSError):
            os.fsync(self._file)
        self.close()


class ListenedFolder:
    """A `ListenedStore`: the files in a folder of this machine, or of a copy of it. Raises OSError."""

    def __init__(self, folder: Path) -> None:
        self.name = f"listen:{folder}"
        self._folder = folder

    def files(self) -> list[StoredFile]:
        """The files, oldest first. A file is closed if no process holds its lock."""
        found = []
        for path in sorted(self._folder.iterdir()):
            if is_file_name(path.name):
                with suppress(FileNotFoundError):
                    found.append(self._looked_at(path))
        return found

    def expect(self, names: Sequence[str]) -> None:
        """Nothing is fetched ahead."""

    def read(self, name: str, offset: int) -> bytes:
        """At most `CHUNK` octets from ``offset``."""
        with (self._folder / name).open("rb") as file:
            file.seek(offset)
            return file.read(CHUNK)

    def remove(self, files: Sequence[StoredFile]) -> set[str]:
        """Remove those that still have these sizes, unless a process holds their lock; the names of those gone."""
        return {one.name for one in files if self._removed(self._folder / one.name, one.size)}

    def _removed(self, path: Path, size: int) -> bool:
        with suppress(FileNotFoundError, BlockingIOError):
            file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:  # with the lock, so that a writer that has just made the file sees that it is gone
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(file).st_size == size:
                    path.unlink(missing_ok=True)
            finally:
                os.close(file)
        return not path.exists()

    def close(self) -> None:
        """Nothing is kept open."""

    def _looked_at(self, path: Path) -> StoredFile:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            closed = True
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                closed = False
            return StoredFile(path.name, os.fstat(file).st_size, closed)
        finally:
            os.close(file)
