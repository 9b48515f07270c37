"""Opens source files safely: regular files only, no URLs, bounded decompression, unchanged during the read."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shlex
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from campaign.errors import ConfigError, InputError, install_extra

#: Bytes decompressed in one step: the densest zstd blocks (4 bytes for 128 kB) turn them into at most 32 MB.
PACKED = 1 << 10
#: A compressed file may unpack to this many bytes plus this many times its own size. Lists of people compress to a
#: third or a tenth; a decompression bomb of 3 MB makes 3 GB.
FREELY, TIMES = 1 << 30, 100
SUFFIX_OF = {"gzip": ".gz", "zstd": ".zst"}


def locate(text: str, base: Path, key: str = "audience.source") -> Path:
    """The regular file that ``text`` names, relative to ``base``. A URL is no file (threat D1)."""
    if "://" in text:
        raise ConfigError(
            f"{key} = {text.partition('?')[0]!r} is a URL; only files and databases are read.",
            next_step="download the file first, and name it by its path; a list may also have an https:// address",
        )
    path = base / text
    try:
        kind = path.stat().st_mode
    except OSError as error:
        raise InputError(
            f"{key} names {path}, which cannot be opened.",
            evidence=error.strerror or str(error),
            next_step=f"check the path; it is relative to the campaign file's folder {base}",
        ) from None
    if not stat.S_ISREG(kind):
        what = "a folder" if stat.S_ISDIR(kind) else "not a regular file (a pipe, socket or device)"
        raise InputError(f"{key} names {path}, which is {what}.", next_step="name a regular file")
    return path


@contextmanager
def open_source_file(path: Path, compression: str = "") -> Iterator[BinaryIO]:
    """The bytes of ``path``, decompressed on request. Raises InputError if the file changes during the read."""
    refuse_unasked_compression(path, compression)
    try:
        with path.open("rb") as raw:
            before = os.fstat(raw.fileno())
            bounded = io.BufferedReader(_Bounded(raw, before.st_size), 1 << 18)
            with _decompressed(cast("BinaryIO", bounded), compression) as stream:
                allowed = FREELY + TIMES * before.st_size
                yield _limited(stream, allowed, path) if compression else stream
            after = os.fstat(raw.fileno())
    except UnicodeError:
        raise  # a ValueError, explained where the text is decoded
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"{path} cannot be read.",
            evidence=str(error),
            next_step="give this user the right to read it"
            if isinstance(error, PermissionError)
            else "check that it is whole, and that audience.compression is what it was packed with",
        ) from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise InputError(
            f"{path} changed while it was read.",
            next_step=f"run the same command again; who writes it: fuser -v {shlex.quote(str(path))}",
        )


def refuse_unasked_compression(path: Path, compression: str) -> None:
    """Refuse a compressed file unless the setting asks for it; a name alone never does (threats D1, R4)."""
    for kind, suffix in SUFFIX_OF.items():
        if path.suffix == suffix and compression != kind:
            raise ConfigError(
                f"{path} looks compressed.", next_step=f'set compression = "{kind}" under [audience], or unpack it'
            )


def bare_suffix(path: Path) -> str:
    """``.csv`` for ``list.CSV`` and for ``list.csv.gz``."""
    return (Path(path.stem).suffix if path.suffix in SUFFIX_OF.values() else path.suffix).lower()


def identity(path: Path) -> dict[str, str | int]:
    """Size in bytes and SHA-256 of the file on disk."""
    with path.open("rb") as raw:
        found = hashlib.file_digest(raw, "sha256").hexdigest()
        return {"bytes": raw.tell(), "sha256": found}


class _Bounded(io.RawIOBase):
    """The first ``size`` bytes of a file, so that reading a growing file ends."""

    def __init__(self, raw: BinaryIO, size: int) -> None:
        self._raw, self._left = raw, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._raw.read(min(len(buffer), self._left))
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)


class _Unpacked(io.RawIOBase):
    """At most ``allowed`` bytes of ``stream``; a file that unpacks to more is refused during the read."""

    def __init__(self, stream: BinaryIO, allowed: int, path: Path) -> None:
        self._stream, self._left, self._path = stream, allowed, path

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        self._left -= len(data)
        if self._left < 0:
            raise InputError(
                f"{self._path} unpacks to far more than a list does.",
                evidence=f"more than {FREELY >> 30} GB and {TIMES} times its own size",
                next_step="look into it; if it is meant, unpack it and name the unpacked file in audience.source",
            )
        return len(data)


def _limited(stream: BinaryIO, allowed: int, path: Path) -> BinaryIO:
    return cast("BinaryIO", io.BufferedReader(_Unpacked(stream, allowed, path), 1 << 18))


@contextmanager
def _decompressed(raw: BinaryIO, compression: str) -> Iterator[BinaryIO]:
    if compression == "gzip":
        with gzip.GzipFile(fileobj=raw) as stream:
            yield cast("BinaryIO", stream)
    elif compression == "zstd":
        yield _zstd(raw)
    else:
        yield raw


def _zstd(raw: BinaryIO) -> BinaryIO:
    try:
        import zstandard
    except ImportError:
        raise ConfigError("zstd needs a library.", next_step=install_extra("zstd")) from None
    unpacked = io.BufferedReader(_Frames(raw, zstandard), 1 << 18)
    return cast("BinaryIO", unpacked)


class _Frames(io.RawIOBase):
    """Decompressed zstd frames. The library's own reader does not detect a truncated file."""

    def __init__(self, raw: BinaryIO, library: Any) -> None:
        self._raw, self._library = raw, library
        self._ready, self._packed, self._frame = b"", b"", None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready and self._more():
            pass
        data, self._ready = self._ready[: len(buffer)], self._ready[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)

    def _more(self) -> bool:
        """Decompress one step; False at the end. A frame with a window over 128 MB is refused."""
        packed = self._packed or self._raw.read(PACKED)
        if not packed:
            if self._frame is not None:
                raise EOFError("the last zstd frame is cut off")
            return False
        frame = self._frame or self._library.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
        try:
            self._ready = frame.decompress(packed)
        except self._library.ZstdError as error:
            raise EOFError(str(error)) from None
        self._packed, self._frame = frame.unused_data, None if frame.eof else frame
        return True
