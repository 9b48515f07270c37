"""One conversation of the oracle: commands, letters, and the misdeeds of the script."""

from __future__ import annotations

import asyncio
import hashlib
import re
import ssl
from typing import TYPE_CHECKING, Any, cast

from torture import breaking
from torture.misdeeds import Misdeed

if TYPE_CHECKING:  # the oracle makes its sessions
    from torture.oracle import Oracle

_MESSAGE_ID = re.compile(rb"(?im)^message-id:\s*(<[^>\r\n]*>)")
_PATH = re.compile(rb"(?i)(?:from|to):\s*<([^>]*)>")


class Session(asyncio.Protocol):
    """One connection."""

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle
        self.buffer = bytearray()
        self.sender: str | None = None
        self.recipients: list[str] = []
        self.in_content = self.deaf = self.waiting = self.dotted = self.over = False
        self.secure = False
        self.searched = 0

    # -- what asyncio tells us

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet, unless this is TLS starting on a connection already greeted."""
        self.transport = cast("asyncio.Transport", transport)
        if self.secure:
            return
        self.oracle.sessions.add(self)
        self.oracle.connections += 1
        self.oracle.share()
        if not self._breaks("connect") and not self._breaks("banner", b"220 orac"):
            self.say(b"220 oracle.test ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        """Keep it and see what can be done."""
        if not self.deaf:
            self.buffer += data
            self.pump()

    def connection_lost(self, exc: Exception | None) -> None:
        """An envelope that was open now never ends here."""
        if self.over:
            return
        self.over = True
        if self.sender is not None:
            self.oracle.write("lost", to=self.recipients, stage=self._where(), octets=len(self.buffer))
        self._envelope_ends()
        self.oracle.sessions.discard(self)
        self.oracle.connections -= 1
        self.oracle.share()

    def reset(self) -> None:
        """End with RST, at once."""
        self.deaf = True
        breaking.rst(self.transport)

    # -- the conversation

    def pump(self) -> None:
        """Take as many commands or letters off the buffer as are whole."""
        while self.buffer and not (self.deaf or self.waiting):
            if self.in_content:
                if not self._content():
                    return
                continue
            end = self.buffer.find(b"\n")
            if end < 0:
                return
            line = bytes(self.buffer[: end + 1]).rstrip(b"\r\n")
            del self.buffer[: end + 1]
            self._command(line)

    def say(self, reply: bytes) -> None:
        """One answer, after the script's pause."""
        pause = self.oracle.script.pause
        if not pause:
            self.transport.write(reply)
            return
        self._later(pause, lambda: self.transport.write(reply))

    def _later(self, seconds: float, what: Any) -> None:
        self.waiting = True

        def then() -> None:
            self.waiting = False
            if not self.over:
                what()
                self.pump()

        asyncio.get_running_loop().call_later(seconds, then)

    def _command(self, line: bytes) -> None:
        verb = line[:4].upper().decode("ascii", "replace").strip()
        if verb in _COMMANDS:
            _COMMANDS[verb](self, line)
        else:
            self.say(b"500 5.5.2 what?\r\n")

    def _ehlo(self, _line: bytes) -> None:
        if self._breaks("ehlo", b"250-oracle.te"):
            return
        script, offers = self.oracle.script, ["8BITMIME", "SMTPUTF8", "SIZE 50000000", "ENHANCEDSTATUSCODES"]
        offers += ["PIPELINING"] * script.pipelining
        offers += ["STARTTLS"] * (script.starttls and not self.secure)
        offers += ["AUTH PLAIN LOGIN"] * script.auth
        lines = ["250-oracle.test", *(f"250-{one}" for one in offers[:-1]), f"250 {offers[-1]}"]
        self.say("\r\n".join(lines).encode() + b"\r\n")

    def _starttls(self, _line: bytes) -> None:
        if self._breaks("tls"):
            return
        # Kept, not answered, until the upgrade is over: the first command may come with the end of the handshake.
        self.waiting, self.secure = True, True
        self.buffer.clear()
        self.transport.pause_reading()  # what comes next is for TLS; `start_tls` reads again
        self.transport.write(b"220 2.0.0 go ahead\r\n")
        self.upgrading = asyncio.ensure_future(self._upgrade())

    async def _upgrade(self) -> None:
        loop, context = asyncio.get_running_loop(), self.oracle.context
        assert context is not None
        try:
            upgraded = await loop.start_tls(self.transport, self, context, server_side=True)
        except (OSError, ssl.SSLError):
            self.transport.abort()
            return
        self.transport, self.waiting = cast("asyncio.Transport", upgraded), False
        self.pump()

    def _auth(self, line: bytes) -> None:
        if not self._breaks("auth", b"235 2."):
            self.say(b"235 2.7.0 welcome\r\n" if len(line.split()) > 2 else b"501 5.5.4 say it in one line\r\n")

    def _mail(self, line: bytes) -> None:
        if self._breaks("mail", b"250 2.1"):
            return
        found = _PATH.search(line)
        if self.sender is not None or found is None:
            self.say(b"503 5.5.1 one at a time\r\n" if found else b"501 5.5.4 who?\r\n")
            return
        self.sender = found[1].decode("utf-8", "replace")
        self.oracle.open += 1
        self.oracle.share()
        self.say(b"250 2.1.0 sender ok\r\n")

    def _rcpt(self, line: bytes) -> None:
        if self._breaks("rcpt", b"250 2.1"):
            return
        found = _PATH.search(line)
        if self.sender is None or found is None:
            self.say(b"503 5.5.1 MAIL first\r\n")
            return
        address = found[1].decode("utf-8", "replace")
        scripted = self.oracle.script.answer("rcpt", [address])
        if scripted and not scripted.startswith("2"):
            self.say(scripted.encode() + b"\r\n")
            return
        self.recipients.append(address)
        self.say(b"250 2.1.5 recipient ok\r\n")

    def _data(self, _line: bytes) -> None:
        if self._breaks("data", b"35"):
            return
        if not self.recipients:
            self.say(b"554 5.5.1 no valid recipients\r\n")
            return
        self.in_content, self.searched = True, 0
        self.transport.write(b"354 go on\r\n")
        misdeed = self.oracle.script.at("354")
        if misdeed is not None:
            self._commit(misdeed, b"")

    def _content(self) -> bool:
        """A whole letter off the buffer; False while its end is not there."""
        if misdeed := self.oracle.script.at("content") if not self.searched else None:
            self._commit(misdeed, b"")
            return False
        if self.buffer.startswith(b".\r\n"):
            content, rest = b"", 3
        else:
            end = self.buffer.find(b"\r\n.\r\n", max(self.searched - 4, 0))
            if end < 0:
                self.searched = len(self.buffer)
                return False
            content, rest = bytes(self.buffer[: end + 2]), end + 5
        del self.buffer[:rest]
        self.in_content = False
        content = content[1:] if content.startswith(b"..") else content
        self._letter(content.replace(b"\r\n..", b"\r\n."))
        return True

    def _letter(self, content: bytes) -> None:
        """The dot is there: write down, then answer, or break as the script says."""
        script = self.oracle.script
        misdeed = script.at("dot") or script.at("reply")
        scripted = script.answer("dot", self.recipients)
        if self._keeps(misdeed, scripted):
            self._take(content)
        else:
            self.oracle.write("untaken", to=self.recipients, octets=len(content))
        self.dotted = True
        self.oracle.dotted += 1
        self.oracle.share()
        wait = script.patience()
        if wait:
            self._later(wait, lambda: self._answer(misdeed, scripted))
        else:
            self._answer(misdeed, scripted)

    def _keeps(self, misdeed: Misdeed | None, scripted: str) -> bool:
        """A letter refused in good order is not kept; one whose answer goes wrong may be."""
        if (scripted and not scripted.startswith("2")) or (misdeed and (misdeed.stage, misdeed.kind) == ("dot", "421")):
            return False
        return misdeed is None or self.oracle.script.kept(misdeed)

    def _take(self, content: bytes) -> None:
        head, _, _ = content.partition(b"\r\n\r\n")
        found = _MESSAGE_ID.search(head)
        self.oracle.write(
            "took",
            id=found[1].decode("ascii", "replace") if found else "",
            to=self.recipients,
            sha=hashlib.sha256(content).hexdigest(),
            size=len(content),
        )
        self.oracle.taken += 1

    def _answer(self, misdeed: Misdeed | None, scripted: str) -> None:
        if misdeed is not None:
            self._commit(misdeed, b"250-2.0.0 o" if misdeed.stage == "reply" else b"")
            return
        self.oracle.write("answered", to=self.recipients, reply=scripted[:3] or "250")
        self._envelope_ends()
        self.transport.write((scripted or "250 2.0.0 taken").encode() + b"\r\n")
        between = self.oracle.script.at("between")
        if between is not None:
            # Late enough for the reply to be read: a reset could take it out of the other side's hands.
            self.deaf = True
            asyncio.get_running_loop().call_later(0.05, self._commit, between, b"")

    def _rset(self, _line: bytes) -> None:
        self._envelope_ends()
        self.say(b"250 2.0.0 forgotten\r\n")

    def _noop(self, _line: bytes) -> None:
        self.say(b"250 2.0.0 still here\r\n")

    def _quit(self, _line: bytes) -> None:
        if not self._breaks("quit", b"221 2"):
            self.transport.write(b"221 2.0.0 bye\r\n")
            self.transport.close()

    # -- misdeeds

    def _breaks(self, stage: str, half: bytes = b"") -> bool:
        """Commit what the script has for this stage; whether there was anything."""
        misdeed = self.oracle.script.at(stage)
        if misdeed is not None:
            self._commit(misdeed, half)
        return misdeed is not None

    def _commit(self, misdeed: Misdeed, half: bytes) -> None:
        if self.over:
            return
        self.oracle.write("broke", to=self.recipients, stage=misdeed.stage, kind=misdeed.kind)
        self.deaf = True
        if misdeed.stage in {"354", "content"}:
            self.transport.pause_reading()
        breaking.commit(self.transport, misdeed, half)

    # -- envelopes

    def _where(self) -> str:
        return "dotted" if self.dotted else "content" if self.in_content else "envelope"

    def _envelope_ends(self) -> None:
        if self.sender is not None:
            self.oracle.open -= 1
        self.oracle.dotted -= self.dotted
        self.sender, self.recipients, self.dotted, self.in_content = None, [], False, False
        self.oracle.share()


_COMMANDS = {
    "EHLO": Session._ehlo, "HELO": Session._ehlo, "STAR": Session._starttls, "AUTH": Session._auth,
    "MAIL": Session._mail, "RCPT": Session._rcpt, "DATA": Session._data, "RSET": Session._rset,
    "NOOP": Session._noop, "QUIT": Session._quit,
}  # fmt: skip
