"""A file that holds one window's cells, mapped by several processes, and survives a kill, a reboot or a power cut.

A kill loses nothing: data written to the map belongs to the kernel. For a loss of power the file carries a promise,
synced in advance: how many letters may have been sent by now. Letters promised but not recorded count as sent. Times
are seconds since boot; after a reboot the wall clock converts them. This module keeps cells; it has no notion of limits
or accounts.

    [magic, boot identity, wall clock minus boot clock, zeros: 4096 octets] [cells of sliding_window.py]
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from campaign.delivery.pacing.sliding_window import CELLS, FLUSHED, LAST, PROMISED, SENT, Cells, SlidingWindow
from campaign.errors import StorageError
from campaign.system.atomic_file import write_atomically
from campaign.system.boot import boot_clock, boot_identity
from campaign.system.disk_advice import look_at_folder
from campaign.system.own_files import open_own

MAGIC = b"campaign pacing 1\n"
_HEAD = struct.Struct("<18s40sd")
_HEAD_SIZE = 4096
SIZE = _HEAD_SIZE + CELLS * 8


class Machine(msgspec.Struct, frozen=True):
    """The clocks needed to carry state from one boot to another: since boot, wall, and the identity of this boot."""

    clock: Callable[[], float] = boot_clock
    wall: Callable[[], float] = time.time
    boot: str = msgspec.field(default_factory=boot_identity)

    def head(self) -> bytes:
        """The header of a file written now."""
        return _HEAD.pack(MAGIC, self.boot.encode()[:40], self.wall() - self.clock()).ljust(_HEAD_SIZE, b"\0")


class PacingFile:
    """The mapped cells of one window. Open and promise only while holding the account's lock."""

    def __init__(self, path: Path, machine: Machine) -> None:
        self._path = path
        try:
            if not _begun(path):
                # Allocate every page on disk first: writing to a mapped hole on a full disk would kill the process.
                write_atomically(path, machine.head() + bytes(CELLS * 8))
            else:
                _bring_over(path, machine)
            handle = open_own(path, os.O_RDWR)
            self._map = mmap.mmap(handle, SIZE)
            os.close(handle)
        except OSError as error:
            raise _cannot(path, error) from None
        self._view = memoryview(self._map)
        self.cells: Cells = self._view[_HEAD_SIZE:].cast("d")

    @property
    def spent(self) -> bool:
        """True when the next letter needs a new promise first."""
        return self.cells[SENT] >= self.cells[PROMISED]

    def promise(self, letters: int) -> None:
        """Sync a promise that up to ``letters`` more may be sent from now on. Raises StorageError."""
        try:
            self._map.flush()
            self.cells[FLUSHED] = self.cells[SENT]
            self.cells[PROMISED] = self.cells[SENT] + letters
            self._map.flush()
        except OSError as error:
            raise _cannot(self._path, error) from None

    def close(self) -> None:
        """Withdraw the promise and close the file. Another process that still sends makes its own promise."""
        try:
            self.promise(0)
        finally:
            self.cells.release()
            self._view.release()
            self._map.close()


def _begun(path: Path) -> bool:
    """Whether a complete file exists. Raises StorageError for a foreign one."""
    try:
        with path.open("rb") as file:
            head, size = file.read(len(MAGIC)), os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        return False
    if head != MAGIC or size != SIZE:
        raise StorageError(
            f"{path} is not a pacing file of this version.",
            evidence=f"{size} octets, beginning {head!r}",
            next_step=f"remove {path}; limits of a day then begin anew, so wait a day or set a lower rate",
        )
    return True


def _bring_over(path: Path, machine: Machine) -> None:
    """Convert a file from another boot to this one, atomically."""
    content = bytearray(path.read_bytes())
    _, boot, epoch = _HEAD.unpack_from(content)
    cells = memoryview(content)[_HEAD_SIZE:].cast("d")
    now = machine.clock()
    if boot.rstrip(b"\0") == machine.boot.encode()[:40] and cells[LAST] <= now + 1:
        return
    window = SlidingWindow(cells, ())
    window.shift(min(epoch - (machine.wall() - now), now - cells[LAST]))
    missing = int(max(cells[PROMISED], cells[SENT]) - cells[FLUSHED])
    cells[SENT] = cells[FLUSHED]
    for _ in range(missing):
        window.spend(now)
    cells[FLUSHED] = cells[PROMISED] = cells[SENT]
    content[:_HEAD_SIZE] = machine.head()
    write_atomically(path, bytes(content))


def _cannot(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"The pacing state {path} cannot be kept: {error.strerror}.",
        next_step=look_at_folder(path.parent),
    )
