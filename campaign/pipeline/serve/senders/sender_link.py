"""The parent's end of a sender process: start it, send to it, receive from it, notice its end."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import signal
from collections.abc import Callable

from campaign.pipeline.serve.senders import sender_messages as messages
from campaign.pipeline.serve.senders.sender_process import NOT_FOR_SENDERS, run_sender


class SenderLink:
    """A running sender process. ``take`` gets each of its messages, ``ended`` is called once, after the last.

    Processes are spawned, not forked: they inherit no lock, no socket and no thread.
    """

    def __init__(
        self, start: messages.Start, take: Callable[[messages.FromSender], None], ended: Callable[[], None]
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._take, self._ended = take, ended
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=run_sender, args=(theirs, start), name="campaign sender", daemon=True)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, NOT_FOR_SENDERS)  # which it inherits until it ignores them
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._pipe.fileno(), self._read)
        self.closed = False

    @property
    def end(self) -> str:
        """How it ended, in words: ``signal 9`` or ``exit code 1``."""
        code = self._process.exitcode or 0
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def send(self, message: messages.ToSender) -> None:
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
        self._process.join()
        self.closed = True
        self._ended()
