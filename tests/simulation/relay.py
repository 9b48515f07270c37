"""A simulated relay: an SMTP server as a pure state machine, whose answers follow the weather drawn for it.

What it took stays in the witness, whatever becomes of the connection. Weather is a period in which something goes wrong
with a certain share of what meets it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulation.network import Transport
    from tests.simulation.world import World

REFUSALS = {
    "4xx": ("451 4.3.0 try again later", "450 4.2.0 mailbox busy", "452 4.3.1 no room now"),
    "5xx": ("550 5.7.1 not wanted here", "552 5.2.2 mailbox full", "554 5.6.0 content refused"),
    "421": ("421 4.3.2 going down",),
}


@dataclass
class Weather:
    """``kind`` goes on from ``since`` to ``until`` (true seconds), and strikes with the chance ``share``."""

    kind: str
    since: float
    until: float
    share: float
    args: dict[str, Any] = field(default_factory=dict)


@dataclass
class Relay:
    """What lasts longer than a connection."""

    port: int
    world: World
    pipelining: bool = True
    sizes: bool = True
    think: float = 0.0
    forecast: list[Weather] = field(default_factory=list)
    letters: int = 0
    seen: dict[str, float] = field(default_factory=dict)
    recent: dict[str, list[float]] = field(default_factory=dict)

    def weather(self, kind: str, stage: str = "") -> Weather | None:
        """What strikes now, if anything of this kind does."""
        for one in self.forecast:
            if one.kind == kind and one.since <= self.world.clock.true < one.until:
                if stage and one.args["stage"] != stage:
                    continue
                if one.share >= 1 or self.dice.random() < one.share:
                    return one
        return None

    @property
    def dice(self) -> Any:
        """Chance for this relay alone."""
        return self.world.dice(f"relay {self.port}")

    def new_id(self) -> str:
        """The queue id of the next letter."""
        self.letters += 1
        return f"q{self.port}x{self.letters}"


class Session:
    """One connection, seen from the relay."""

    def __init__(self, relay: Relay, line: Transport) -> None:
        self.relay, self.line, self.world = relay, line, relay.world
        self._buffer = b""
        self._gone = False
        self._content: bytearray | None = None
        self._sender = self._recipient = False
        self._address = ""
        self._carried = 0

    def begin(self) -> None:
        """Greet, or not."""
        if not self._misbehaves("banner"):
            self._say(f"220 relay{self.relay.port} ESMTP")

    def eof(self) -> None:
        """The client is gone; an unfinished letter is thrown away (RFC 5321, 4.1.1.4)."""
        self._gone = True

    def feed(self, data: bytes) -> None:
        """Bytes of the client."""
        self._buffer += data
        while not self._gone:
            if self._content is not None:
                if not self._take_content():
                    return
            else:
                line, found, rest = self._buffer.partition(b"\r\n")
                if not found:
                    return
                self._buffer = rest
                self._command(line)

    def _take_content(self) -> bool:
        assert self._content is not None
        if self._buffer.startswith(b".\r\n") and (not self._content or self._content.endswith(b"\r\n")):
            self._buffer = self._buffer[3:]
            content, self._content = bytes(self._content), None
            self._end_of_letter(content.replace(b"\r\n..", b"\r\n."))
            return True
        end = self._buffer.find(b"\r\n.\r\n")
        keep = end + 2 if end >= 0 else max(0, len(self._buffer) - 4)
        if end < 0 and self._buffer.endswith(b"\r\n"):
            keep = len(self._buffer)
        self._content += self._buffer[:keep]
        self._buffer = self._buffer[keep:]
        return end >= 0

    def _command(self, line: bytes) -> None:
        verb = line[:4].upper()
        if verb in (b"EHLO", b"HELO"):
            if not self._misbehaves("ehlo"):
                self._say(*self._extensions())
        elif verb == b"MAIL":
            self._address = ""
            self._sender, self._recipient = not self._misbehaves("mail"), False
            if self._sender:
                self._say("250 2.1.0 sender ok")
        elif verb == b"RCPT":
            self._address = line.partition(b"<")[2].partition(b">")[0].decode()
            self._rcpt()
        elif verb == b"DATA":
            self._data()
        elif verb == b"RSET":
            self._sender = self._recipient = False
            self._say("250 2.0.0 reset")
        elif verb == b"QUIT":
            self._say("221 2.0.0 bye")
            self._hang_up()
        else:
            self.world.must(False, f"relay {self.relay.port} got {line!r}, which is no command")
            self._say("500 5.5.1 what?")

    def _extensions(self) -> tuple[str, ...]:
        sizes = ["SIZE 10485760"] if self.relay.sizes else []
        names = [f"relay{self.relay.port}", *(["PIPELINING"] if self.relay.pipelining else []), *sizes, "8BITMIME"]
        return tuple(f"250{'-' if one is not names[-1] else ' '}{one}" for one in names)

    def _rcpt(self) -> None:
        if not self._sender:
            self._say("503 5.5.1 MAIL first")
            return
        refusal = self._grey() or self._throttled()
        if self._address.startswith("dead"):
            refusal = "550 5.1.1 no such user here"
        if refusal:
            self._refuse(refusal)
        elif not self._misbehaves("rcpt"):
            self._recipient = True
            self._say("250 2.1.5 recipient ok")

    def _grey(self) -> str:
        if not self.relay.weather("greylist"):
            return ""
        since = self.relay.seen.setdefault(self._address, self.world.clock.true)
        return "" if self.world.clock.true - since >= 60 else "451 4.7.1 greylisted, try again in 60 seconds"

    def _throttled(self) -> str:
        found = self.relay.weather("throttle")
        domain = self._address.partition("@")[2]
        if not found or domain != found.args["domain"]:
            return ""
        now, recent = self.world.clock.true, self.relay.recent.setdefault(domain, [])
        recent[:] = [one for one in recent if now - one < 60] + [now]
        return "" if len(recent) <= found.args["most"] else "450 4.7.28 too many letters to this domain, slow down"

    def _data(self) -> None:
        if not (self._sender and self._recipient):
            self._say("503 5.5.1 no recipient")
        elif not self._misbehaves("data"):
            self._content = bytearray()
            self._say("354 go on")

    def _end_of_letter(self, content: bytes) -> None:
        self._sender = self._recipient = False
        self._carried += 1
        found = self.relay.weather("stage", "dot")
        if found is None:
            self._say(f"250 2.0.0 queued as {self._take(content)}")
        elif found.args["does"] in REFUSALS:
            self._refuse(self.relay.dice.choice(REFUSALS[found.args["does"]]))
        else:
            taken = found.args["taken"] or found.args["does"] == "slow"
            queued = self._take(content) if taken else self.relay.new_id()
            self._break(found, f"250 2.0.0 queued as {queued}")
        if self._carried >= self.world.scenario.letters_a_session and not self._gone:
            self._refuse("421 4.3.2 enough letters for one connection")

    def _take(self, content: bytes) -> str:
        queued = self.relay.new_id()
        self.world.witness.taken(self.relay, self._address, queued, content)
        return queued

    def _misbehaves(self, stage: str) -> bool:
        found = self.relay.weather("stage", stage)
        if found is None:
            return False
        does = found.args["does"]
        if does in REFUSALS:
            self._refuse(self.relay.dice.choice(REFUSALS[does]), stage)
            return True
        if does == "slow":
            self._say_later(self.relay.dice.random() * found.args["seconds"])
            return False
        self._break(found, "250 2.0.0 fine")
        return True

    def _break(self, found: Weather, right: str) -> None:
        match found.args["does"]:
            case "slow":
                self._say_later(self.relay.dice.random() * found.args["seconds"])
                self._say(right)
            case "garbage":
                self.line.deliver(b"\xff\xfe not a reply at all\r\n")
            case "half":
                self.line.deliver(right[: len(right) // 2].encode())
                self._hang_up()
            case "close":
                self._hang_up()
            case "reset":
                self.line.reset()
                self._gone = True
            case "silent":
                self.line.silent = True

    def _say_later(self, seconds: float) -> None:
        self._delay = seconds

    _delay = 0.0

    def _say(self, *lines: str) -> None:
        delay, self._delay = self._delay + self.relay.dice.random() * self.relay.think, 0.0
        self.line.deliver("".join(f"{one}\r\n" for one in lines).encode(), delay)
        if lines[0][0] in "45" or self._address:
            self.world.witness.said(self.relay, self._address, int(lines[0][:3]))

    def _refuse(self, reply: str, _stage: str = "") -> None:
        self._say(reply)
        if reply.startswith("421"):
            self._hang_up()

    def _hang_up(self) -> None:
        self._gone = True
        self.line.finish()
