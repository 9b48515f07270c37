"""The embedded relay: an SMTP server on a loopback port that stores every letter in a Maildir and forwards none.

It serves ``relay = "mailbox"``, for trying out a campaign without a mail server, and the tests. A letter is a file in
``new/`` before its 250 leaves, byte for byte as it was sent. The only module that uses aiosmtpd.

Any user of the machine can connect to a loopback port, so a client whose EHLO name is not `CALLER` is refused.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import time
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from campaign.errors import StorageError

if TYPE_CHECKING:  # aiosmtpd costs a tenth of a second; only runs that use the mailbox pay it
    from aiosmtpd.smtp import SMTP, Envelope, Session

#: Our process's EHLO name at the mailbox: random, new in every process, kept in memory only, never logged.
CALLER = f"{secrets.token_hex(16)}.invalid"
STRANGER = "550 5.7.1 this mailbox takes letters from the campaign that opened it alone"

#: Largest letter accepted, in octets; announced as SIZE.
LARGEST = 64 * 1024 * 1024


class EmbeddedMailbox:
    """``async with EmbeddedMailbox(folder) as box: box.url``. ``kept`` counts the letters stored since the start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept = 0
        self.url = ""
        self._numbers = count()
        self._host = socket.gethostname().replace("/", "_").replace(":", "_")
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Make the Maildir and listen. Raises StorageError when the folder cannot be made."""
        from aiosmtpd.smtp import SMTP

        logging.getLogger("mail.log").setLevel(logging.WARNING)
        try:
            for part in (self.folder, *(self.folder / name for name in ("tmp", "new", "cur"))):
                part.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"The mailbox {self.folder} cannot be made.",
                evidence=str(error),
                next_step="see to the disk (space, rights), then run the same command again",
            ) from error

        def serve() -> SMTP:
            return SMTP(
                self, hostname="mailbox.invalid", ident="mailbox", enable_SMTPUTF8=True, data_size_limit=LARGEST
            )

        self._server = await asyncio.get_running_loop().create_server(serve, "127.0.0.1", 0)
        self.url = f"smtp://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            await asyncio.sleep(0)
            self._server = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    # -- callbacks of aiosmtpd: it prescribes their names and the order of their arguments

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """Also offer PIPELINING, which aiosmtpd supports: it reads buffered commands one after another."""
        if not secrets.compare_digest(hostname.encode(), CALLER.encode()):
            session.host_name = None  # without one, every MAIL is refused
            return [STRANGER]
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", "250-8BITMIME", "250-ENHANCEDSTATUSCODES", responses[-1]]

    async def handle_HELO(self, _server: SMTP, session: Session, _envelope: Envelope, _hostname: str) -> str:  # noqa: N802
        """Refuse HELO, which our own client never sends."""
        session.host_name = None
        return STRANGER

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - likewise
        """Store the letter, then answer."""
        content: Any = envelope.original_content
        try:
            name = self._file(content or b"")
        except OSError as error:
            return f"452 4.3.1 the mailbox cannot keep it: {error.strerror}"
        self.kept += 1
        return f"250 2.0.0 kept as {name}"

    def _file(self, content: bytes) -> str:
        # Maildir names are unique on this machine, and a letter is complete before it is visible. It is not synced: the
        # mailbox is for trials.
        now = time.time_ns()
        name = f"{now // 10**9}.M{now % 10**9 // 1000}P{os.getpid()}Q{next(self._numbers)}.{self._host}"
        temporary = self.folder / "tmp" / name
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        temporary.rename(self.folder / "new" / name)
        return name
