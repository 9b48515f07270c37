"""Every call of this process on files under one folder, seen before it is made: to fail, to kill or to record.

Patches ``os`` and ``io`` of the running interpreter; the product knows nothing of it. Buffered files are opened over a
raw file of ours, so that writes made inside the C library of Python are seen as well.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import signal
from collections.abc import Callable
from typing import Any

#: (kind of call, path, octets to be written) -> what to do: "" go on, "short", "die", "tear", or the name of an errno.
Judge = Callable[[str, str, bytes], str]
SHORT, DIE, TEAR = "short", "die", "tear"


#: How this process ends at a point. SIGSTOP: not at all, but it stands still there, once, until SIGCONT.
END = [signal.SIGKILL]


def die() -> None:
    """As any kill: now, without a word."""
    if END:
        os.kill(os.getpid(), END.pop())


class Calls:
    """The patches. ``under``: only paths below it are shown to ``judge``; all others pass."""

    def __init__(self, under: str, judge: Judge) -> None:
        self._under = os.path.realpath(under) + os.sep
        self._judge = judge
        self._write, self._open, self._io_open = os.write, os.open, io.open

    def install(self) -> None:
        """Put the patches in place, for the rest of this process."""
        os.write = self._patched_write
        os.open = self._patched_open
        io.open = builtins.open = self._patched_io_open
        for name in ("fsync", "fdatasync"):
            self._wrap(name, "sync", lambda descriptor, *_: self._path(descriptor))
        for name in ("replace", "rename", "link"):
            self._wrap(name, "rename", lambda _source, target, *_: os.fspath(target))
        self._wrap("mkdir", "rename", lambda path, *_: os.fspath(path))
        self._wrap("ftruncate", "truncate", lambda descriptor, *_: self._path(descriptor))
        self._wrap("posix_fallocate", "fallocate", lambda descriptor, *_: self._path(descriptor))

    def judged(self, kind: str, path: str, data: bytes = b"") -> str:
        """Ask, and do what is the same for all calls: die, or raise the errno."""
        verdict = self._judge(kind, path, data) if os.path.abspath(path).startswith(self._under) else ""
        if verdict == DIE:
            die()
        if verdict in {"", SHORT, TEAR}:
            return verdict
        number = getattr(errno, verdict)
        raise OSError(number, os.strerror(number), path)

    def _wrap(self, name: str, kind: str, path_of: Callable[..., str]) -> None:
        original = getattr(os, name)

        def patched(*args: Any, **more: Any) -> Any:
            path = path_of(*args)
            verdict = self.judged(kind, path, str(args[1]).encode() if kind in {"truncate", "rename"} else b"")
            result = original(*args, **more)
            if verdict == TEAR:
                die()
            return result

        setattr(os, name, patched)

    def _path(self, descriptor: int) -> str:
        try:
            return os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:
            return ""

    def _patched_write(self, descriptor: int, data: Any) -> int:
        path = self._path(descriptor)
        verdict = self.judged("write", path, bytes(data)) if path.startswith(self._under) else ""
        if verdict in {SHORT, TEAR}:
            written = self._write(descriptor, bytes(data)[: max(len(data) // 2, 1)])
            if verdict == TEAR:
                die()
            return written
        return self._write(descriptor, data)

    def _patched_open(self, path: Any, flags: int, *args: Any, **more: Any) -> int:
        verdict = self.judged("open", os.fspath(path)) if isinstance(path, str | os.PathLike) else ""
        descriptor = self._open(path, flags, *args, **more)
        if verdict == TEAR:
            die()
        return descriptor

    def _patched_io_open(self, file: Any, mode: str = "r", buffering: int = -1, *args: Any, **more: Any) -> Any:
        named = not isinstance(file, int)
        path = os.path.abspath(os.fspath(file)) if named else self._path(file)
        if not isinstance(path, str) or not path.startswith(self._under):
            return self._io_open(file, mode, buffering, *args, **more)
        if named and self.judged("open", path) == TEAR:
            self._io_open(file, mode, buffering, *args, **more)
            die()
        if not set(mode) & set("wax") or "+" in mode:
            return self._io_open(file, mode, buffering, *args, **more)
        return self._over_raw(file, mode, buffering, path, *args, **more)

    def _over_raw(
        self, file: Any, mode: str, buffering: int, path: str, encoding: str | None = None, errors: str | None = None,
        newline: str | None = None, closefd: bool = True, opener: Any = None,
    ) -> Any:  # fmt: skip
        raw = _Raw(file, mode.replace("b", "").replace("t", ""), closefd=closefd, opener=opener)
        raw.calls, raw.path = self, path
        if buffering == 0:
            return raw
        buffered = io.BufferedWriter(raw, buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE)
        if "b" in mode:
            return buffered
        return io.TextIOWrapper(buffered, encoding or "utf-8", errors, newline, line_buffering=buffering == 1)


class _Raw(io.FileIO):
    """A raw file whose writes are judged."""

    calls: Calls
    path: str

    def write(self, data: Any) -> int:
        octets = bytes(data)
        verdict = self.calls.judged("write", self.path, octets)
        if verdict in {SHORT, TEAR}:
            written = super().write(octets[: max(len(octets) // 2, 1)])
            if verdict == TEAR:
                die()
            return written
        return super().write(octets)
