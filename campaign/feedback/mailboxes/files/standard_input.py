"""One message on standard input, as a mail server pipes it to a command."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO

from campaign.errors import InputError
from campaign.feedback.feedback_source import Handled, Received
from campaign.feedback.mailboxes.incoming_message import LARGEST, Reader, incoming

_PIECE = 1 << 16


class StandardInput:
    """The message, without the ``From `` line that Postfix and others put before it.

    There is nothing to acknowledge: the mail server acts on the exit code, and tries again after 75 (sysexits(3)).
    """

    name = "stdin"

    def __init__(self, stream: BinaryIO, read: Reader) -> None:
        """``stream`` is read by `receive`, and stays open."""
        self._stream, self._read = stream, read

    def size(self) -> int | None:
        """One."""
        return 1

    def receive(self) -> Iterator[Received]:
        """The message. Octets beyond 1 MB are read and dropped, so that the pipe does not break. Raises InputError."""
        try:
            raw = self._stream.read(LARGEST)
            while self._stream.read(_PIECE):
                pass
        except OSError as error:
            raise InputError(
                "Standard input cannot be read.",
                evidence=error.strerror or str(error),
                next_step="hand it a message, as in: campaign collect FILE < message.eml",
            ) from None
        if raw.startswith(b"From "):
            raw = raw.partition(b"\n")[2]
        if not raw.strip():
            raise InputError(
                "There is no message on standard input.",
                next_step="hand it one, as in: campaign collect FILE < message.eml",
            )
        yield incoming(raw, self._read, None)

    def acknowledge(self, handled: Sequence[Handled]) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do: the stream is the caller's."""
