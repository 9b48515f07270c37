"""Follows a file that another program appends to and a third one rotates: each complete line is read once.

The position is saved in a progress file: an offset, and a digest of the file's first octets and of the last line
before the offset. That identifies a file better than its inode, which copies and compressed files do not share. If
the file does not match, it was rotated: then the matching rotated part (``mail.log.1``, ``mail.log-20261128.gz``)
is read to its end, then all newer ones, then the file itself.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import hashlib
import lzma
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from campaign.errors import InputError, StorageError
from campaign.system.atomic_file import make_folders, write_atomically
from campaign.system.disk_advice import look_at_folder
from campaign.system.user_name import user_name

#: Octets read at a time.
BLOCK = 1 << 20
#: Octets at the start of a file that are part of its fingerprint.
HEAD = 256
#: Maximum of rotated parts examined, the newest first.
MOST_PARTS = 50
#: Largest progress file, in octets; a larger one is not ours.
LARGEST_PROGRESS = 256 << 20

_ROTATED = re.compile(r"[.-][0-9][0-9.-]*(?:\.(?:gz|bz2|xz))?")
_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
#: What a compressed file is read to: its end.
ENDLESS = 1 << 62
_BROKEN = (EOFError, zlib.error, lzma.LZMAError)


class LineMark(NamedTuple):
    """The position of a line: its part, the offsets of its start and of its end, and its octets."""

    part: int
    start: int
    end: int
    line: bytes


class SavedPosition(msgspec.Struct, array_like=True):
    """The content of the progress file. ``state`` is for the reader's use."""

    start: int
    end: int
    length: int
    digest: str
    state: Any = None


class _Part(msgspec.Struct):
    """An open file: ``file`` returns the content of ``raw``, and ``size`` is how much of it to read."""

    path: Path
    raw: BinaryIO
    file: BinaryIO
    inode: int
    mtime: float
    size: int
    head: bytes
    offset: int = 0

    def close(self) -> None:
        for file in (self.file, self.raw):
            with suppress(OSError):
                file.close()


class FollowedFile:
    """Complete lines of ``path`` after the position in ``progress_file``, in constant memory.

    A line of more than ``longest`` octets is cut to ``longest + 1``. ``what`` is its name in messages, such as
    ``"The Postfix log"``.
    """

    def __init__(self, path: Path, progress_file: Path, *, what: str, longest: int) -> None:
        self._path, self._progress_file = path, progress_file
        self._what, self._limit = what, longest + 1
        self._parts: list[_Part] = []
        self._reading = 0

    def open(self) -> Any:
        """Open the parts after the saved position; returns the state saved with it, or ``None``. Raises InputError."""
        saved, since = _load(self._progress_file)
        try:
            self._open_parts(saved, since)
        except (OSError, *_BROKEN) as error:
            raise self._unreadable(error) from None
        return saved.state if saved else None

    def lines(self) -> Iterator[tuple[bytes, int, int]]:
        """Each line without its LF, with the offsets of its start and of its end.

        Lines appended after `open`, and a last line without LF, are left for next time. Raises InputError.
        """
        try:
            for number, part in enumerate(self._parts):
                self._reading = number
                yield from self._lines_of(part)
        except (OSError, *_BROKEN) as error:
            raise self._unreadable(error) from None

    def mark(self, line: bytes, start: int, end: int) -> LineMark:
        """The position of the line that `lines` yielded last. Marks compare by their order in the file."""
        return LineMark(self._reading, start, end, line)

    def where(self, start: int) -> str:
        """``PATH:LINE`` of the line that starts there in the current file, for messages. Raises OSError."""
        part = self._parts[self._reading]
        part.file.seek(0)
        line, left = 1, start
        while left > 0 and (block := part.file.read(min(BLOCK, left))):
            line += block.count(b"\n")
            left -= len(block)
        return f"{part.path}:{line}"

    def save(self, mark: LineMark, state: Any = None) -> None:
        """Save durably that everything up to and including ``mark`` is done. Raises StorageError."""
        digest = _fingerprint(self._parts[mark.part], mark.line, mark.end)
        saved = SavedPosition(mark.start, mark.end, len(mark.line), digest, state)
        try:
            make_folders(self._progress_file.parent)
            write_atomically(self._progress_file, msgspec.json.encode(saved))
        except OSError as error:
            raise StorageError(
                f"How far {self._path} has been read cannot be written down.",
                evidence=f"{self._progress_file}: {error.strerror or error}",
                next_step=f"{look_at_folder(self._progress_file.parent)}; then run the same command again",
            ) from None

    def close(self) -> None:
        """Close all files. Never raises."""
        for part in self._parts:
            part.close()

    def _lines_of(self, part: _Part) -> Iterator[tuple[bytes, int, int]]:
        limit, start, dropped, rest = self._limit, part.offset, 0, b""
        part.file.seek(start)
        left = part.size - start
        while left > 0 and (block := part.file.read(min(BLOCK, left))):
            left -= len(block)
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                end = start + len(line) + dropped + 1
                yield line[:limit], start, end
                start, dropped = end, 0
            if len(rest) > limit:
                dropped += len(rest) - limit
                rest = rest[:limit]

    def _open_parts(self, saved: SavedPosition | None, since: float) -> None:
        """Open the parts to read, oldest first, each with its start offset."""
        self.close()
        named = _open(self._path)
        self._parts = [named] if named else []
        if saved and not (named and _resumes(named, saved)):
            rotated = self._rotated(named.inode if named else 0, since)
            self._parts = [*_from_position(rotated, saved, since), *self._parts]
        if not self._parts:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if len(self._parts) > 1 and named and not named.size:
            # As long as it is empty, the last line of the previous part may still be completed.
            self._parts.pop().close()

    def _rotated(self, named: int, since: float) -> list[_Part]:
        """The rotated parts, oldest first, without the one whose inode is ``named``: that is the file itself.

        Raises PermissionError if a part written after ``since`` is not readable.
        """
        beside = [one for one in self._path.parent.iterdir() if one.name.startswith(self._path.name)]
        beside = [one for one in beside if _ROTATED.fullmatch(one.name[len(self._path.name) :])]
        found: list[_Part] = []
        for path in beside:
            try:
                part = _open(path)
            except PermissionError:
                if path.stat().st_mtime >= since:
                    raise
                continue
            except (OSError, *_BROKEN):  # no file, or only partly compressed
                continue
            if part and part.inode == named:
                part.close()
            elif part:
                found.append(part)
        found.sort(key=lambda part: (part.mtime, part.path.name))
        for part in found[:-MOST_PARTS]:
            part.close()
        return found[-MOST_PARTS:]

    def _unreadable(self, error: BaseException) -> InputError:
        path = Path(getattr(error, "filename", None) or self._path)
        if isinstance(error, PermissionError):
            step = f"sudo usermod -aG {_group(path)} {user_name(os.geteuid())}, then log in anew"
        else:
            step = f"see that {path} is the file you mean, then run the same command again"
        why = getattr(error, "strerror", None) or str(error) or "it is damaged"
        return InputError(f"{self._what} {path} cannot be read.", evidence=why, next_step=step)


def _open(path: Path) -> _Part | None:
    """The opened file; ``None`` if there is none. Raises OSError, also if it is not a regular file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except FileNotFoundError:
        return None
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file")
    raw = os.fdopen(descriptor, "rb")
    file: Any = raw
    try:
        size, opener = found.st_size, _OPENERS.get(path.suffix)
        if opener and size:
            file, size = opener(raw, "rb"), ENDLESS
        return _Part(path, raw, file, found.st_ino, found.st_mtime, size, file.read(HEAD))
    except (OSError, *_BROKEN):
        file.close()
        raw.close()
        raise


def _from_position(rotated: list[_Part], saved: SavedPosition, since: float) -> list[_Part]:
    """The parts from the one that matches the position on; if none does, those written after ``since``."""
    for number in reversed(range(len(rotated))):
        if _resumes(rotated[number], saved):
            chosen = rotated[number:]
            break
    else:
        chosen = [part for part in rotated if part.mtime >= since]
    for part in rotated:
        if part not in chosen:
            part.close()
    return chosen


def _resumes(part: _Part, saved: SavedPosition) -> bool:
    """Whether the position is in this part; if so, reading starts there."""
    try:
        fits = part.size >= saved.end and _matches(part, saved)
    except (OSError, *_BROKEN):
        return False
    part.offset = saved.end if fits else 0
    return fits


def _group(path: Path) -> str:
    """The group of a log file, which rotation keeps; ``adm`` if unknown."""
    try:
        return path.group()
    except (OSError, KeyError):
        return "adm"


def _fingerprint(part: _Part, line: bytes, end: int) -> str:
    return hashlib.sha256(part.head[:end] + b"\n" + line).hexdigest()


def _matches(part: _Part, saved: SavedPosition) -> bool:
    """Whether a file begins like the one that was read, and has the same line before the offset."""
    part.file.seek(saved.start)
    line = part.file.read(saved.length)
    part.file.seek(saved.end - 1)
    return part.file.read(1) == b"\n" and _fingerprint(part, line, saved.end) == saved.digest


def _load(path: Path) -> tuple[SavedPosition | None, float]:
    """The position and when it was saved; none if it is missing or not ours: then everything is read again."""
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            saved = msgspec.json.decode(file.read(LARGEST_PROGRESS), type=SavedPosition)
    except (OSError, msgspec.MsgspecError, RecursionError):
        return None, 0.0
    sound = 0 <= saved.start < saved.end and 0 <= saved.length < saved.end
    return (saved, found.st_mtime) if sound else (None, 0.0)
