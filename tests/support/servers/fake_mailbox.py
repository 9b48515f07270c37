"""Mail servers that lack, refuse or break off what is asked of them: IMAP and POP3, in memory, on loopback."""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from tests.support.servers import certificates

SECRET = "s3cret"
TOKEN = "ya29.token"
CAPABILITIES = "IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2"


class BreakOffError(Exception):
    """The server goes away in the middle of it."""


@dataclass
class Box:
    """What a fake server holds and how it behaves; tests look at it afterwards."""

    messages: dict[int, bytes] = field(default_factory=dict)
    capabilities: str = CAPABILITIES
    validity: int = 7
    read_only: bool = False
    refusal: str = ""  # of a login, after NO or -ERR
    delimiter: str = "/"
    prefix: str = ""
    fetches: int = 1 << 30  # bodies given before it goes away
    starttls: bool = True
    silent_after: str = ""  # a command that gets no answer
    garble: Callable[[bytes], bytes] = bytes  # what becomes of an answer on its way
    lines: list[str] = field(default_factory=list)
    deleted: set[int] = field(default_factory=set)
    folders: dict[str, list[bytes]] = field(default_factory=dict)
    subscribed: list[str] = field(default_factory=list)
    expunged: list[int] = field(default_factory=list)


@dataclass
class Line:
    """One connection, as the server sees it."""

    box: Box
    sock: socket.socket
    trust: ssl.SSLContext
    hold: threading.Event
    file: BinaryIO = field(init=False)

    def __post_init__(self) -> None:
        self.file = self.sock.makefile("rb")

    def say(self, line: str | bytes) -> None:
        self.sock.sendall(self.box.garble((line.encode() if isinstance(line, str) else line) + b"\r\n"))

    def hear(self) -> str:
        line = self.file.readline()
        if not line:
            raise BreakOffError
        self.box.lines.append(line.decode("utf-8", "replace").rstrip("\r\n"))
        if self.box.silent_after and self.box.silent_after in self.box.lines[-1]:
            self.hold.wait(20)
            raise BreakOffError
        return self.box.lines[-1]

    def encrypt(self) -> None:
        self.file.close()
        self.sock = self.trust.wrap_socket(self.sock, server_side=True)
        self.file = self.sock.makefile("rb")

    def close(self) -> None:
        self.file.close()
        self.sock.close()


@contextlib.contextmanager
def serving(box: Box, talk: Callable[[Line], None], *, encrypted: bool = True) -> Iterator[int]:
    """A server that talks on each connection in a thread of its own; gives its port."""
    trust, hold, threads = certificates.server(), threading.Event(), []

    def meet(sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(BreakOffError, OSError, ValueError):  # a garbled dialogue ends somehow
            line = Line(box, trust.wrap_socket(sock, server_side=True) if encrypted else sock, trust, hold)
            try:
                talk(line)
            finally:
                line.close()
        sock.close()

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threads.append(threading.Thread(target=meet, args=(door.accept()[0],)))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as door:
        threads.append(threading.Thread(target=accept))
        threads[0].start()
        try:
            yield door.getsockname()[1]
        finally:
            hold.set()
            door.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(20)


def imap(line: Line) -> None:
    """IMAP, as far as we speak it."""
    line.say(f"* OK [CAPABILITY {_capabilities(line)}] ready")
    while True:
        tag, _, command = line.hear().partition(" ")
        word = command.split()[0].upper() if command else ""
        if word == "UID":
            word += " " + command.split()[1].upper()
        answer = _IMAP[word](line, command, tag) if word in _IMAP else "BAD what?"
        line.say(f"{tag} {answer} done")
        if word == "LOGOUT":
            return
        if word == "STARTTLS":
            line.encrypt()


def _capabilities(line: Line) -> str:
    clear = line.box.starttls and not isinstance(line.sock, ssl.SSLSocket)
    return line.box.capabilities + (" STARTTLS" if clear else "")


def _capability(line: Line, command: str, tag: str) -> str:
    line.say(f"* CAPABILITY {_capabilities(line)}")
    return "OK"


def _authenticate(line: Line, command: str, tag: str) -> str:
    line.say("+ ")
    given = base64.b64decode(line.hear()).decode()
    token = "XOAUTH2" in command.upper()
    if line.box.refusal and token:
        line.say("+ " + base64.b64encode(b'{"status":"400"}').decode())
        line.hear()
    right = given.endswith(f"Bearer {TOKEN}\1\1") if token else given.endswith(f"\0{SECRET}")
    if line.box.refusal or not right:
        return f"NO {line.box.refusal or 'wrong'} {given.encode()!r}"
    return "OK"


def _login(line: Line, command: str, tag: str) -> str:
    return "OK" if command.endswith(f'"{SECRET}"') and not line.box.refusal else f"NO {line.box.refusal}"


def _select(line: Line, command: str, tag: str) -> str:
    box = line.box
    if _name(command) not in ("INBOX", *box.folders):
        return "NO [NONEXISTENT] no such folder"
    line.say(f"* {len(box.messages)} EXISTS")
    line.say(f"* OK [UIDVALIDITY {box.validity}] valid")
    return "OK [READ-ONLY]" if box.read_only or command.upper().startswith("EXAMINE") else "OK [READ-WRITE]"


def _search(line: Line, command: str, tag: str) -> str:
    first, last = map(int, command.split()[2].split(":"))
    uids = sorted(line.box.messages)[first - 1 : last]
    line.say("* SEARCH" + "".join(f" {uid}" for uid in uids))
    return "OK"


def _fetch(line: Line, command: str, tag: str) -> str:
    box = line.box
    for uid in _uids(command):
        if uid not in box.messages:
            continue
        message, number = box.messages[uid], sorted(box.messages).index(uid) + 1
        partial = re.search(r"BODY\.PEEK\[\]<0\.(\d+)>", command)
        if partial is None:
            line.say(f"* {number} FETCH (UID {uid} RFC822.SIZE {len(message)})")
            continue
        if box.fetches == 0:
            line.say(f"* {number} FETCH (UID {uid} BODY[]<0> {{{len(message)}}}")
            line.sock.sendall(message[: len(message) // 2])
            raise BreakOffError
        box.fetches -= 1
        cut = message[: int(partial[1])]
        line.say(f"* {number} FETCH (UID {uid} BODY[]<0> {{{len(cut)}}}".encode() + b"\r\n" + cut + b")")
    return "OK"


def _store(line: Line, command: str, tag: str) -> str:
    line.box.deleted |= {*_uids(command)} & {*line.box.messages}
    return "OK"


def _copy(line: Line, command: str, tag: str) -> str:
    folder = _name(command)
    if folder not in line.box.folders:
        return "NO [TRYCREATE] no such folder"
    line.box.folders[folder] += [line.box.messages[uid] for uid in _uids(command) if uid in line.box.messages]
    return "OK"


def _move(line: Line, command: str, tag: str) -> str:
    answer = _copy(line, command, tag)
    for uid in _uids(command) if answer == "OK" else ():
        line.box.messages.pop(uid, None)
    return answer


def _expunge(line: Line, command: str, tag: str) -> str:
    for uid in _uids(command):
        if uid in line.box.deleted:
            line.box.messages.pop(uid, None)
            line.box.expunged.append(uid)
    return "OK"


def _list(line: Line, command: str, tag: str) -> str:
    name = re.findall(r'"([^"]*)"', command)[1]
    if not name:
        line.say(f'* LIST (\\Noselect) "{line.box.delimiter}" ""')
    elif name in line.box.folders:
        line.say(f'* LIST () "{line.box.delimiter}" "{name}"')
    return "OK"


def _namespace(line: Line, command: str, tag: str) -> str:
    line.say(f'* NAMESPACE (("{line.box.prefix}" "{line.box.delimiter}")) NIL NIL')
    return "OK"


def _create(line: Line, command: str, tag: str) -> str:
    line.box.folders[_name(command)] = []
    return "OK"


def _subscribe(line: Line, command: str, tag: str) -> str:
    line.box.subscribed.append(_name(command))
    return "OK"


def _logout(line: Line, command: str, tag: str) -> str:
    line.say("* BYE")
    return "OK"


def _starttls(line: Line, command: str, tag: str) -> str:
    return "OK"


_IMAP: dict[str, Callable[[Line, str, str], str]] = {
    "CAPABILITY": _capability,
    "AUTHENTICATE": _authenticate,
    "LOGIN": _login,
    "SELECT": _select,
    "EXAMINE": _select,
    "UID SEARCH": _search,
    "UID FETCH": _fetch,
    "UID STORE": _store,
    "UID COPY": _copy,
    "UID MOVE": _move,
    "UID EXPUNGE": _expunge,
    "LIST": _list,
    "NAMESPACE": _namespace,
    "CREATE": _create,
    "SUBSCRIBE": _subscribe,
    "LOGOUT": _logout,
    "STARTTLS": _starttls,
}


def _uids(command: str) -> list[int]:
    return [int(one) for one in command.split()[2].split(",")]


def _name(command: str) -> str:
    return re.findall(r'"([^"]*)"', command)[-1] if '"' in command else command.split()[-1]


def pop3(line: Line) -> None:
    """POP3, as far as we speak it."""
    session = _Pop3(line)
    line.say("+OK ready")
    while True:
        word, _, rest = line.hear().partition(" ")
        getattr(session, f"do_{word.lower()}", session.unknown)(rest)
        if word == "QUIT":
            return


@dataclass
class _Pop3:
    line: Line
    marked: set[int] = field(default_factory=set)

    def unknown(self, rest: str) -> None:
        self.line.say("-ERR what?")

    def do_capa(self, rest: str) -> None:
        clear = self.line.box.starttls and not isinstance(self.line.sock, ssl.SSLSocket)
        self.line.say("+OK\r\nUIDL\r\n" + ("STLS\r\n" if clear else "") + ".")

    def do_stls(self, rest: str) -> None:
        self.line.say("+OK")
        self.line.encrypt()

    def do_user(self, rest: str) -> None:
        self.line.say("+OK")

    def do_pass(self, rest: str) -> None:
        refusal = self.line.box.refusal
        self.line.say("+OK" if rest == SECRET and not refusal else f"-ERR {refusal} {rest}")

    def do_auth(self, rest: str) -> None:
        self.line.say("+ ")
        given = base64.b64decode(self.line.hear()).decode()
        if not self.line.box.refusal and given.endswith(f"auth=Bearer {TOKEN}\1\1"):
            self.line.say("+OK")
            return
        self.line.say("+ " + base64.b64encode(b'{"status":"400"}').decode())
        self.line.hear()
        self.line.say("-ERR refused")

    def do_uidl(self, rest: str) -> None:
        self.line.say("".join(["+OK\r\n", *(f"{number} id{number}\r\n" for number in self.line.box.messages), "."]))

    def do_list(self, rest: str) -> None:
        sizes = (f"{number} {len(message)}\r\n" for number, message in self.line.box.messages.items())
        self.line.say("".join(["+OK\r\n", *sizes, "."]))

    def do_retr(self, rest: str) -> None:
        box = self.line.box
        message = box.messages.get(int(rest))
        if message is None:
            self.line.say("-ERR gone")
            return
        if box.fetches == 0:
            self.line.sock.sendall(b"+OK\r\n" + message[: len(message) // 2])
            raise BreakOffError
        box.fetches -= 1
        self.line.say(b"+OK\r\n" + re.sub(rb"(?m)^\.", b"..", message) + b"\r\n.")

    def do_dele(self, rest: str) -> None:
        self.marked.add(int(rest))
        self.line.say("+OK")

    def do_quit(self, rest: str) -> None:
        box = self.line.box
        box.messages = {number: one for number, one in box.messages.items() if number not in self.marked}
        self.line.say("+OK")
