"""`campaign` in a process of its own, started in milliseconds: forked from one that has imported it already.

Python and the imports take two thirds of a second of a short command, so a test process keeps an `Importer`, which has
done both. Each command is forked from it, and from there on is a process as any other: its own folder, environment,
files, signals and end. Whoever tests the start itself, or gives Python variables of its own, starts it from nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import importlib
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]
#: It imports pandas, whose libraries start threads, and nothing may be forked then. A command that needs it imports it.
NOT_IMPORTED = {"campaign.__main__", "campaign.pipeline.operate.edition_stats"}
#: What is imported only when a letter is sent to the mailbox, and when something is logged.
IMPORTED_LATE = ("aiosmtpd.smtp", "encodings.idna", "structlog")
#: How the names of variables begin that are read while a process starts: a fork comes too late for them.
READ_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC_", "GLIBC_", "OPENSSL_", "OMP_")
REQUEST = 1 << 18  #: bytes; longer ones are refused by the socket


class ForkedCommand:
    """A command under way, with the names of `asyncio.subprocess.Process`."""

    def __init__(self, pid: int, ending: socket.socket) -> None:
        self.pid, self._ending = pid, ending
        self._code: int | None = None

    @property
    def returncode(self) -> int | None:
        if self._code is None:
            with contextlib.suppress(BlockingIOError):
                self._ended(self._ending.recv(16))
        return self._code

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        while self.returncode is None:
            ready = asyncio.Event()
            loop = asyncio.get_running_loop()
            loop.add_reader(self._ending, ready.set)
            try:
                await ready.wait()
            finally:
                loop.remove_reader(self._ending)
        assert self._code is not None
        return self._code

    def _ended(self, message: bytes) -> None:
        assert message, "the importer has ended before the command"
        self._code = int(message)
        self._ending.close()


class Importer:
    """The process that has imported `campaign`; it ends with the process that began it."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._environment = at_start({**os.environ, "PYTHONPATH": os.fspath(ROOT)})
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.forked_command", str(theirs.fileno())],
                cwd=ROOT, env={**os.environ, "PYTHONPATH": os.fspath(ROOT)}, pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip

    def suits(self, environment: dict[str, str]) -> bool:
        return at_start(environment) == self._environment

    def fork(
        self, words: list[str], folder: Path, environment: dict[str, str], out: IO[bytes], err: IO[bytes]
    ) -> ForkedCommand:
        ending, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            request = json.dumps([words, os.fspath(folder), environment]).encode()
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, REQUEST)
            socket.send_fds(self._socket, [request], [out.fileno(), err.fileno(), theirs.fileno()])
        pid = ending.recv(16)  # the first time, as long as the imports take
        assert pid, "the importer has ended"
        ending.setblocking(False)
        return ForkedCommand(int(pid), ending)


@functools.cache
def importer() -> Importer:
    """That of this process."""
    return Importer()


def at_start(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(READ_AT_START)}


# -- in the process that has imported


def serve(requests: socket.socket) -> tuple[list[str], Path]:
    """Fork for each request; returns in each fork, with its words and its folder."""
    with selectors.DefaultSelector() as selector:
        selector.register(requests, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.data is not None:
                    selector.unregister(key.fd)
                    _tell_end(key.fd, *key.data)
                    continue
                message, files, _, _ = socket.recv_fds(requests, REQUEST, 3)
                if not message:
                    os._exit(0)
                pid = os.fork()
                if pid == 0:
                    requests.close()
                    return _become(message, files)
                ending = socket.socket(fileno=files.pop())
                ending.send(str(pid).encode())
                selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, ending))
                for file in files:
                    os.close(file)


def _tell_end(watched: int, pid: int, ending: socket.socket) -> None:
    os.close(watched)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with ending, contextlib.suppress(OSError):  # nobody may wait for it any more
        ending.send(str(code).encode())


def _become(message: bytes, files: list[int]) -> tuple[list[str], Path]:
    words, folder, environment = json.loads(message)
    for target, file in zip((1, 2), files, strict=False):
        os.dup2(file, target)
    for file in files:
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[0] = folder
    time.tzset()
    tempfile.tempdir = None
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return words, Path(folder)


def main() -> None:
    import campaign

    requests = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # typed at the terminal, it is for those who asked
    ours = {module.name for module in pkgutil.walk_packages(campaign.__path__, "campaign.")}
    for name in [*sorted(ours - NOT_IMPORTED), *IMPORTED_LATE]:
        importlib.import_module(name)
    assert len([*Path("/proc/self/task").iterdir()]) == 1, "an import has started a thread"
    gc.collect()
    gc.freeze()
    words, _ = serve(requests)
    sys.argv[1:] = words
    runpy.run_module("campaign", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
