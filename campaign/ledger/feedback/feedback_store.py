"""``feedback.jsonl``: the append-only store of feedback events for all campaigns of a ledger's directory.

Each line is one JSON object: the fields of `FeedbackEvent` that are not at their defaults, and last ``"crc"``, the
CRC-32 of everything before it as eight hex digits. Several processes may append, under a lock for each append. A torn
end, from a kill or a loss of power, is saved next to the file and cut off before the next append; damage anywhere else
is refused with its line number. `feedback/suppression_rules.py` decides what follows from the events.
"""

from __future__ import annotations

import errno
import fcntl
import os
from binascii import crc32
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self, TypeVar

import msgspec

from campaign.errors import DamageError, StorageError
from campaign.ledger.feedback.stored_event import (
    CRC_OCTETS,
    bounded,
    event_decoder,
    event_of,
    lean_decoder,
    lean_event_of,
    line_is_whole,
    line_of,
)
from campaign.ledger.journal.journal_file import lock, unwritable, write_whole
from campaign.model import FeedbackEvent
from campaign.system.atomic_file import atomic_file, make_folders, sync_folder
from campaign.system.own_files import open_own

T = TypeVar("T")

NAME = "feedback.jsonl"
#: Octets at the end of the file that are searched first for its last complete line.
_TAIL = 1 << 16
_CHUNK = 1 << 20


class FeedbackStore:
    """The file, open for appending. Close it, or use it with ``with``."""

    def __init__(self, directory: Path) -> None:
        """``directory`` is the ledger's; it and the file are created with the first event."""
        self.path = directory / NAME
        self._descriptor = -1
        self._unsyncable = False
        self._known: set[int] = set()
        self._known_up_to = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, events: Sequence[FeedbackEvent]) -> int:
        """Append the events whose id is not in the file yet, all or none; returns their number.

        The first call reads the whole file, and from then on about 100 octets per event are kept in memory.
        Raises StorageError, DamageError.
        """
        self._open()
        self._learn()  # most of the file, while others may append
        with self._locked() as end:
            self._learn()
            new = {event.id: event for event in map(bounded, events) if _mark(event.id) not in self._known}
            self._write([*new.values()], end)
            return len(new)

    def append(self, events: Sequence[FeedbackEvent]) -> None:
        """Append all of these, or none; the caller ensures that none is stored already. Raises the errors of `add`."""
        self._open()
        with self._locked() as end:
            self._write([*map(bounded, events)], end)

    def sync(self) -> None:
        """Sync everything that was added. After one failure it always refuses (fsyncgate)."""
        if self._unsyncable:
            raise StorageError(
                f"{self.path} could not be synced before and is not trusted again by this process.",
                next_step="see to the disk, then run the same command again",
            )
        self._open()
        try:
            os.fsync(self._descriptor)
            sync_folder(self.path.parent)
        except OSError as error:
            self._unsyncable = True
            raise unwritable(self.path, error) from error

    def close(self) -> None:
        """Close the file without syncing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        """Open the file with this name again, because it may have been replaced."""
        if self._descriptor >= 0:
            if self._is_current():
                return
            self.close()
            self._known, self._known_up_to = set(), 0
        try:
            make_folders(self.path.parent)
            self._descriptor = open_own(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        except OSError as error:
            raise unwritable(self.path, error) from error

    def _is_current(self) -> bool:
        """Whether the open file still has this name."""
        return self.path.exists() and os.path.samestat(os.fstat(self._descriptor), self.path.stat())

    def _learn(self) -> None:
        """Read the ids added since the last call."""
        end = sound_end(self._descriptor, self.path)
        for event in _events(self._descriptor, self.path, self._known_up_to, end):
            self._known.add(_mark(event.id))
        self._known_up_to = end

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Hold the lock; yields the end of the file, after its torn end is cut off."""
        try:
            if not lock(self._descriptor):
                raise BlockingIOError(errno.EAGAIN, "another process holds it")
            if not self._is_current():
                raise BlockingIOError(errno.EAGAIN, "another process replaced it")
            try:
                end = sound_end(self._descriptor, self.path)
                self._cut(end)
                yield end
            finally:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        except OSError as error:
            raise unwritable(self.path, error) from error

    def _cut(self, end: int) -> None:
        size = os.fstat(self._descriptor).st_size
        if size > end:
            torn = os.pread(self._descriptor, size - end, end)
            write_whole(self.path.with_name(f"{self.path.stem}-torn-tail-{end}"), torn)
            os.ftruncate(self._descriptor, end)

    def _write(self, events: Sequence[FeedbackEvent], end: int) -> None:
        if not events:
            return
        lacking = b"" if not end or os.pread(self._descriptor, 1, end - 1) == b"\n" else b"\n"
        data, written = lacking + b"".join(map(line_of, events)), 0
        try:
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
        except OSError:
            os.ftruncate(self._descriptor, end)
            raise
        if self._known_up_to == end:
            self._known.update(_mark(event.id) for event in events)
            self._known_up_to = end + len(data)


def rewrite_events(directory: Path, change: Callable[[FeedbackEvent], FeedbackEvent]) -> int:
    """Replace the file by one with each event changed, if any differs; returns how many do.

    A torn end is dropped. Raises StorageError, also if a process adds an event meanwhile, and DamageError.
    """
    path, count = directory / NAME, 0
    if not any(change(event) != event for event in read_events(directory)):
        return 0
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if not lock(descriptor):
            raise BlockingIOError(errno.EAGAIN, "another process holds it")
        with atomic_file(path) as file:
            for event in _events(descriptor, path, 0, sound_end(descriptor, path)):
                changed = bounded(change(event))
                count += changed != event
                file.write(line_of(changed))
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        os.close(descriptor)
    return count


def read_events(
    directory: Path, *, evidence: bool = True, start: int = 0, end: int | None = None
) -> Iterator[FeedbackEvent]:
    """All events, in the order in which they were added, in constant memory; none if there is no file.

    Events added meanwhile may be missing; a torn end is skipped. Without ``evidence`` reading takes less time and
    memory, and only the fields of `LeanEvent` are filled in. ``start`` and ``end``, from `stored_end`, choose a part of
    the file. Raises StorageError, DamageError with file and line.
    """
    path = directory / NAME
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        end = _sound_end_at_rest(descriptor, path) if end is None else end
        if start and os.pread(descriptor, 1, start) == b"\n":  # the line before it had lacked its line feed
            start += 1
        yield from _events(descriptor, path, start, end, lean=not evidence)
    except OSError as error:
        raise _unreadable(path, error) from error
    finally:
        os.close(descriptor)


def stored_end(directory: Path) -> int:
    """The octets that the complete lines of the file take now; 0 if there is no file. Raises as `read_events`."""
    path = directory / NAME
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        return _sound_end_at_rest(descriptor, path)
    finally:
        os.close(descriptor)


def _sound_end_at_rest(descriptor: int, path: Path) -> int:
    """`sound_end`, if possible under the lock, because a failing append removes complete lines again."""
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    try:
        return sound_end(descriptor, path)
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def sound_end(descriptor: int, path: Path) -> int:
    """The end of the file's last complete line, in octets. Its line feed may be missing.

    Raises DamageError if there are lines and none is complete, since then it is not our file, and if a line after it is
    an altered event: no kill leaves the end of a line without its middle.
    """
    size, window = os.fstat(descriptor).st_size, _TAIL
    while size:
        start = max(0, size - window)
        tail = os.pread(descriptor, size - start, start)
        if start:
            tail = tail[tail.find(b"\n") + 1 :]
        begin = size + 1  # as if a line feed followed the last octet
        for line in reversed(tail.split(b"\n")):
            end, begin = begin, begin - len(line) - 1
            if line_is_whole(line):
                return min(end, size)
            if line.startswith(b'{"id":"') and line[-CRC_OCTETS:].startswith(b',"crc":"') and b"\0" not in line:
                raise _damage(path, _line_number(descriptor, begin))
        if not start:
            if b"\n" in tail:
                raise _damage(path, 1)
            break
        window *= 16
    return 0


def _events(descriptor: int, path: Path, start: int, end: int, *, lean: bool = False) -> Iterator[FeedbackEvent]:
    """Events of the octets from ``start`` to ``end``. Hot loop: at every start, millions of lines are read here."""
    rest, fields = b"", msgspec.structs.astuple
    at = start
    while at < end:
        chunk = os.pread(descriptor, min(_CHUNK, end - at), at)
        if not chunk:
            break
        at += len(chunk)
        *lines, rest = (rest + chunk).split(b"\n")
        if rest and at >= end:
            lines, rest = [*lines, rest], b""
        if lean:
            yield from map(lean_event_of, _decoded(lines, descriptor, path, at - len(rest), lean_decoder))
        else:
            yield from (
                event_of(*fields(one)) for one in _decoded(lines, descriptor, path, at - len(rest), event_decoder)
            )


def _decoded(
    lines: Sequence[bytes], descriptor: int, path: Path, upto: int, decoder: msgspec.json.Decoder[T]
) -> list[T]:
    """These lines, which end at octet ``upto``, decoded. Raises DamageError."""
    if all(line[-CRC_OCTETS:] == b',"crc":"%08x"}' % crc32(line[:-CRC_OCTETS]) for line in lines):
        try:
            return decoder.decode_lines(b"\n".join(lines))
        except ValueError:  # not an event (msgspec's errors are ValueErrors)
            pass
    first = upto - sum(len(line) + 1 for line in lines)
    bad = next((at for at, line in enumerate(lines) if not _is_event(line)), 0)
    raise _damage(path, _line_number(descriptor, first) + bad)


def _line_number(descriptor: int, start: int) -> int:
    return 1 + sum(os.pread(descriptor, min(_CHUNK, start - at), at).count(b"\n") for at in range(0, start, _CHUNK))


def _is_event(line: bytes) -> bool:
    try:
        return line_is_whole(line) and event_decoder.decode(line) is not None
    except ValueError:
        return False


def _mark(event_id: str) -> int:
    """64 bits that represent an id in memory. Python's hash is keyed per process, so a collision cannot be forced."""
    return hash(event_id)


def _unreadable(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{path} cannot be read.",
        evidence=str(error),
        next_step="see whose file it is and that the disk is sound, then run the same command again",
    )


def _damage(path: Path, line: int) -> DamageError:
    return DamageError(
        "The record of bounces and complaints is damaged, so nobody can say who must not be written to.",
        evidence=f"{path}:{line}: the line's checksum does not fit its text, or it is no event of this release",
        next_step=f"restore the file from a backup, or do without that one event: sed -i.damaged {line}d {path}",
    )
