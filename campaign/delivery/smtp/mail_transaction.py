"""The mail transaction: envelope, content, dot and reply, letter after letter, in as few flights as RFC 2920 allows.

    us    MAIL RCPT DATA | content |          dot MAIL RCPT DATA | content | ...
    relay                 250 250 354                 250 250 250 354

Between content and dot the caller records its intent. The module keeps the rules of the conversation: RSET after a
failed envelope, no dot while anything is unread, no flush once 354 has come. It makes no decisions about recipients.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections.abc import Awaitable, Callable
from functools import lru_cache

from campaign.config.delivery import Timeouts
from campaign.delivery.interfaces import OpenConnection
from campaign.delivery.replies.classify import Stage
from campaign.delivery.smtp.connection import Connection
from campaign.delivery.smtp.dsn import DsnParameters
from campaign.delivery.smtp.reply_parser import RawReply, reply
from campaign.delivery.smtp.reply_stream import BLOCK
from campaign.delivery.transport_errors import ConnectionLost, EnvelopeRefused
from campaign.errors import InternalError
from campaign.model import Letter, Outcome, Reply, Verdict

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_DOMAIN = r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@{_DOMAIN}")
# RFC 6531: characters of any script in the local part, but no blanks, controls, brackets or quotes.
_WIDE = re.compile(rf"[^\x00-\x20\x7f-\xa0()<>\[\]\\,;:@\"\u2028\u2029\u202a-\u202e\u2066-\u2069]+@{_DOMAIN}")
_LONGEST_ADDRESS = 254
_LEADING_DOT = re.compile(rb"\n\.")
_BARE_CR = re.compile(rb"\r[^\n]")

#: A command parameter is refused (RFC 5321 4.2.4): if it has DSN parameters, the envelope is tried again without.
_PARAMETERS_REFUSED = (501, 555)

log = logging.getLogger(__name__)

Ask = Callable[[Stage, float], Awaitable[RawReply]]


def for_the_wire(content: bytes) -> bytes | None:
    """``content`` with every leading dot doubled (RFC 5321 4.5.2), which nearly always is ``content`` itself.

    ``None`` if it could end early on a server that accepts a bare CR or LF as the end of a line. For letters that were
    not proved ``sound`` when they were composed: it searches the whole content twice.
    """
    if content[-2:] != b"\r\n" or b"\0" in content or _BARE_CR.search(content):
        return None
    if _LEADING_DOT.search(content):
        if content.count(b"\n.") != content.count(b"\r\n."):
            return None
        content = content.replace(b"\r\n.", b"\r\n..")
    return b"." + content if content.startswith(b".") else content


def unfit(letter: Letter, connection: OpenConnection) -> Outcome | None:
    """The outcome of a letter that must not be offered here; ``None`` for nearly all. Sends nothing.

    The relay's own limits lead to ``rejected``; an address that could inject a command is ``unrenderable``.
    """
    pattern = _WIDE if letter.smtputf8 else _ADDRESS
    if not (_fits(letter.recipient, pattern) and _fits_as_sender(letter.sender, pattern)):
        return Outcome(letter.number, Verdict.UNRENDERABLE, "an address holds characters that SMTP does not allow")
    if letter.smtputf8 and not connection.smtputf8:
        why = "the address needs SMTPUTF8, which the relay does not offer"
        return Outcome(letter.number, Verdict.REJECTED, why, relay=connection.relay.name)
    if connection.size and len(letter.content) > connection.size:
        why = f"the letter has {len(letter.content)} octets, the relay takes {connection.size}"
        return Outcome(letter.number, Verdict.REJECTED, why, relay=connection.relay.name)
    return None


def smuggles(letter: Letter) -> Outcome:
    """The outcome of a letter that `for_the_wire` refused."""
    return Outcome(letter.number, Verdict.UNRENDERABLE, "the letter holds a bare CR or LF, or a NUL")


@lru_cache(maxsize=64)  # few senders, many letters
def _fits_as_sender(address: str, pattern: re.Pattern[str]) -> bool:
    return not address or _fits(address, pattern)


def _fits(address: str, pattern: re.Pattern[str]) -> bool:
    # No character takes more than four octets, so most addresses need not be encoded to be measured.
    short = len(address) * 4 <= _LONGEST_ADDRESS or len(address.encode()) <= _LONGEST_ADDRESS
    return short and pattern.fullmatch(address) is not None


class MailTransaction:
    """The mail transactions of one connection. One coroutine at a time; unusable after ConnectionLost.

    For each letter, in this order: `prepare`, `offer`, `answer`, `content`, `dot`, `verdict`. The letter given to `dot`
    is offered with it. At most two writes a letter if the next one is ready in time and PIPELINING is offered.
    """

    pipelined = True

    def __init__(self, connection: Connection, limits: Timeouts, dsn: DsnParameters | None = None) -> None:
        self._connection = connection
        self._wire = connection.stream
        self._limits = limits
        self._clock = asyncio.get_running_loop().time
        self._pipelining = connection.pipelining
        self._sized = "size" in connection.extensions
        self._dsn = dsn
        self._unclean = False
        self._resetting = False
        self._offered: Letter | None = None
        self._until = 0.0

    def prepare(self, letter: Letter) -> bytes | Outcome:
        """The octets for `content`, or the outcome of a letter that must not be offered here. Sends nothing."""
        data = letter.content if letter.sound else for_the_wire(letter.content)
        return smuggles(letter) if data is None else unfit(letter, self._connection) or data

    def offer(self, letter: Letter) -> None:
        """Send the envelope of ``letter``, or keep it for `answer` if the relay wants one command at a time."""
        flight = self._envelope(letter)
        if self._pipelining:
            self._wire.write(flight)

    def agreed(self) -> bool:
        """Whether the relay has already accepted the envelope, so that there is no `answer` to wait for."""
        return self._pipelining and not self._resetting and self._wire.agreed()

    async def answer(self) -> EnvelopeRefused | None:
        """The relay's answer to the envelope offered last. ``None``: it waits for the content.

        After an EnvelopeRefused the connection is clean for the next `offer`, unless the reply was a 421. An envelope
        that may have been refused for its DSN parameters is offered once more without them; if that helps, so are all
        others.
        """
        refused = await self._heard()
        if refused is None or self._dsn is None or not _of_parameters(refused) or self._wire.broken:
            return refused
        asked, self._dsn = self._dsn, None
        self.offer(self._letter())
        again = await self._heard()
        if again is not None and _of_parameters(again):
            self._dsn = asked  # the parameters were not the cause
        else:
            log.info(
                "a relay refused DSN parameters: %s %s; letters go without", refused.reply.code, refused.reply.text
            )
        return again

    async def _heard(self) -> EnvelopeRefused | None:
        ask = self._read if self._pipelining else self._ask
        if self._resetting:
            self._resetting = False
            self._must(await ask(Stage.RSET, self._limits.mail), 2)
        mail = await ask(Stage.MAIL, self._limits.mail)
        if mail[0] == 421 or (mail[0] >= 400 and not self._pipelining):
            return self._refused(Stage.MAIL, mail)
        try:
            return await self._recipient(ask, mail)
        except ConnectionLost:
            if mail[0] < 400:
                raise
            return self._refused(Stage.MAIL, mail)  # it refused before it closed the connection; that is an answer

    def content(self, data: bytes) -> Awaitable[None] | None:
        """Send a letter (`for_the_wire`) without its dot. The result waits until the network has taken everything."""
        if not self._wire.quiet:
            self._silence()
        if len(data) > BLOCK:
            return self._wire.flow(data, self._limits.content)
        self._wire.write(data)
        return self._wire.drained(self._limits.content) if self._wire.full else None

    def dot(self, following: Letter | None = None) -> None:
        """End the letter, and offer the ``following`` one in the same write. ConnectionLost: nothing was sent."""
        if not self._wire.quiet:
            self._silence()
        flight = self._envelope(following) if following is not None else b""
        self._wire.write(b".\r\n" + flight if self._pipelining else b".\r\n")

    async def verdict(self) -> Reply:
        """The one well-formed reply that decides. Anything else raises ConnectionLost and closes the connection."""
        self._wire.until = math.inf  # a letter cut short now would be in doubt
        try:
            raw = await self._wire.read(self._limits.dot)
        except ConnectionLost as broken:
            self._wire.abort(str(broken))
            raise
        self._wire.until = self._until
        if raw[0] < 400:
            self._must(raw, 2)
        return reply(raw)

    # -- inside

    def _envelope(self, letter: Letter) -> bytes:
        self._offered = letter
        self._until = self._wire.until = self._clock() + self._limits.letter
        self._resetting, self._unclean = self._unclean, False
        rset = "RSET\r\n" if self._resetting else ""
        sender = f"MAIL FROM:<{letter.sender}>{self._parameters(letter)}\r\n"
        asked = self._dsn.rcpt(letter) if self._dsn is not None else ""
        return f"{rset}{sender}RCPT TO:<{letter.recipient}>{asked}\r\nDATA\r\n".encode()

    def _parameters(self, letter: Letter) -> str:
        size = f" SIZE={len(letter.content)}" if self._sized else ""
        if self._dsn is not None:
            size += self._dsn.mail(letter)
        return f"{size} SMTPUTF8" if letter.smtputf8 else size

    def _command(self, stage: Stage) -> bytes:
        letter = self._letter()
        if stage is Stage.MAIL:
            return f"MAIL FROM:<{letter.sender}>{self._parameters(letter)}\r\n".encode()
        if stage is Stage.RCPT:
            asked = self._dsn.rcpt(letter) if self._dsn is not None else ""
            return f"RCPT TO:<{letter.recipient}>{asked}\r\n".encode()
        return b"DATA\r\n" if stage is Stage.DATA else b"RSET\r\n"

    def _letter(self) -> Letter:
        if self._offered is None:
            raise InternalError("An answer was asked for before an envelope was offered.")
        return self._offered

    async def _read(self, _: Stage, limit: float) -> RawReply:
        return await self._wire.read(limit)

    async def _ask(self, stage: Stage, limit: float) -> RawReply:
        self._silence()
        self._wire.write(self._command(stage))
        return await self._wire.read(limit)

    async def _recipient(self, ask: Ask, mail: RawReply) -> EnvelopeRefused | None:
        rcpt = await ask(Stage.RCPT, self._limits.rcpt)
        if rcpt[0] == 421 or (rcpt[0] >= 400 and not self._pipelining):
            return self._refused(Stage.RCPT, rcpt)
        try:
            data = await ask(Stage.DATA, self._limits.data)
        except ConnectionLost:
            if rcpt[0] < 400 or mail[0] >= 400:
                raise
            return self._refused(Stage.RCPT, rcpt)
        return await self._weigh(mail, rcpt, data)

    async def _weigh(self, mail: RawReply, rcpt: RawReply, data: RawReply) -> EnvelopeRefused | None:
        if mail[0] >= 400:
            if data[0] == 354:
                self._wire.abort("the relay took DATA without a sender")
            return self._refused(Stage.MAIL, mail)
        self._must(mail, 2)
        if rcpt[0] >= 400:
            if data[0] == 354:
                await self._end_empty()
            return self._refused(Stage.RCPT, rcpt)
        self._must(rcpt, 2)
        if data[0] >= 400:
            return self._refused(Stage.DATA, data)
        if data[0] != 354:
            self._must(data, 3)
        return None

    async def _end_empty(self) -> None:
        # RFC 2920 3.1: sender accepted, recipient refused, and still 354: end the data; without a recipient nothing is
        # delivered.
        try:
            self._wire.write(b".\r\n")
            await self._wire.read(self._limits.dot)
        except ConnectionLost as broken:
            self._wire.abort(str(broken))

    def _refused(self, stage: Stage, raw: RawReply) -> EnvelopeRefused:
        self._unclean = True
        if raw[0] == 421:
            self._wire.abort("the relay is closing the connection")
        return EnvelopeRefused(stage, reply(raw))

    def _must(self, raw: RawReply, first: int) -> None:
        if raw[0] // 100 != first:
            answer = reply(raw)
            self._lose(f"the relay lost its place and answered {answer.code} {answer.text}")

    def _silence(self) -> None:
        """Require that nothing is unread: it would be read as the answer to the next command."""
        if not self._wire.quiet:
            self._lose(self._wire.broken or "the relay spoke out of turn")

    def _lose(self, why: str) -> None:
        self._wire.abort(why)
        raise ConnectionLost(why)


def _of_parameters(refused: EnvelopeRefused) -> bool:
    return refused.stage in (Stage.MAIL, Stage.RCPT) and refused.reply.code in _PARAMETERS_REFUSED
