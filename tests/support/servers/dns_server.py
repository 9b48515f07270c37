"""A name server of the tests' own, on a loopback port: it answers from a dictionary and keeps what it was asked."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Iterator

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

Zone = dict[tuple[str, str], list[str] | str]


class NameServer(socketserver.ThreadingUDPServer):
    """Answers from ``zone``: records by (name, type). ``"silent"`` gives no answer, ``"broken"`` SERVFAIL."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Question)
        self.zone: Zone = {}
        self.asked: list[tuple[str, str]] = []


class Question(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        octets, line = self.request
        question = dns.message.from_wire(octets)
        (asked,) = question.question
        name, kind = str(asked.name).rstrip(".").lower(), dns.rdatatype.to_text(asked.rdtype)
        self.server.asked.append((name, kind))
        answer = dns.message.make_response(question)
        answer.flags |= dns.flags.RA
        found = self.server.zone.get((name, kind))
        if found == "silent":
            return
        if found == "broken":
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif found:
            answer.answer.append(dns.rrset.from_text(asked.name, 60, "IN", kind, *found))
        elif not any(known == name for known, _ in self.server.zone):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        line.sendto(answer.to_wire(), self.client_address)


@contextlib.contextmanager
def name_server() -> Iterator[NameServer]:
    """A server at work."""
    with NameServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def text(*values: str) -> list[str]:
    """TXT records, each as strings of at most 200 characters."""
    return [" ".join(f'"{value[at : at + 200]}"' for at in range(0, len(value), 200)) for value in values]
