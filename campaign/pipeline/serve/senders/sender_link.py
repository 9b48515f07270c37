"""The parent's end of a sender process: start it, send to it, receive from it, notice its end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.connection import Pipe

from campaign.pipeline.serve.senders import sender_messages as messages
from campaign.pipeline.serve.senders.sender_process import NOT_FOR_SENDERS

#: What a sender process runs. Its arguments are the descriptor of its end of the pipe, and the paths of our imports.
PROGRAM = """\
import sys
sys.path[:] = sys.argv[2:]
from campaign.pipeline.serve.senders.sender_process import begin_sender
begin_sender(int(sys.argv[1]))
"""


class SenderLink:
    """A running sender process. ``take`` gets each of its messages, ``ended`` is called once, after the last.

    The process begins anew instead of being forked, so it inherits no lock, no socket and no thread.
    """

    def __init__(
        self, start: messages.Start, take: Callable[[messages.FromSender], None], ended: Callable[[], None]
    ) -> None:
        self._take, self._ended = take, ended
        self._pipe, theirs = Pipe()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, NOT_FOR_SENDERS)  # which it inherits until it ignores them
        try:
            self._process = subprocess.Popen(  # noqa: S603 - ourselves
                [sys.executable, "-c", PROGRAM, str(theirs.fileno()), *sys.path],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
        self.send(start)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._pipe.fileno(), self._read)
        self.closed = False

    @property
    def end(self) -> str:
        """How it ended, in words: ``signal 9`` or ``exit code 1``."""
        code = self._process.returncode or 0
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def send(self, message: messages.ToSender | messages.Start) -> None:
        """Send a message; to a process that has ended it is lost."""
        with contextlib.suppress(OSError):
            self._pipe.send(message)

    def kill(self) -> None:
        """Kill the process."""
        self._process.kill()

    def _read(self) -> None:
        try:
            while self._pipe.poll():
                self._take(self._pipe.recv())
        except (EOFError, OSError):
            self._close()

    def _close(self) -> None:
        self._loop.remove_reader(self._pipe.fileno())
        self._pipe.close()
        self._process.wait()
        self.closed = True
        self._ended()
