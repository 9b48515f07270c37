"""APIs of mail providers on loopback: lists in pages, keys that are checked, and faults that a test puts in.

Speaks HTTPS with a certificate of `certificates`. It shares no code with the reader. Its clock is ``now``, which only
tests and a client's ``sleep`` move.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from tests.support.servers import certificates

KEY, SECRET = "key-0123456789abcdef", "secret-fedcba9876543210"
NOW = 1_795_000_000.0
HEADERS = {
    "api.sendgrid.com": ("authorization", f"Bearer {KEY}"),
    "api.eu.sendgrid.com": ("authorization", f"Bearer {KEY}"),
    "api.mailgun.net": ("authorization", "Basic " + base64.b64encode(f"api:{KEY}".encode()).decode()),
    "api.eu.mailgun.net": ("authorization", "Basic " + base64.b64encode(f"api:{KEY}".encode()).decode()),
    "api.postmarkapp.com": ("x-postmark-server-token", KEY),
    "api.brevo.com": ("api-key", KEY),
    "api.sparkpost.com": ("authorization", KEY),
    "api.eu.sparkpost.com": ("authorization", KEY),
    "api.mailjet.com": ("authorization", "Basic " + base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()),
    "api.resend.com": ("authorization", f"Bearer {KEY}"),
}

Json = dict[str, Any]
#: What takes the place of an answer: status, headers and body; octets, and then the end; or a body without an end.
Fault = tuple[int, dict[str, str], str] | bytes | str
ENDLESS = "endless"


@dataclass(eq=False)
class FakeProvider:
    """Whatever provider is asked by name. ``records`` are its entries, by list."""

    records: dict[str, list[Json]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    most: int = 10_000  # entries of a list that have an offset
    now: float = NOW
    paused: list[float] = field(default_factory=list)
    named: str = "127.0.0.1"  # in its certificate

    def __enter__(self) -> Self:  # noqa: C901 - what it has is a server
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else each answer waits 40 ms for the client

            def do_GET(self) -> None:
                self.reply(provider.answered(self.path, self.headers))

            def reply(self, fault: Fault) -> None:
                if isinstance(fault, tuple):
                    self.answer(*fault)
                elif isinstance(fault, bytes):
                    self.wfile.write(fault)
                    self.close_connection = True
                else:
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[")
                    self.close_connection = True
                    while True:  # until the client hangs up, which is an OSError
                        self.wfile.write(b"0," * 65_536)

            def answer(self, status: int, headers: dict[str, str], text: str) -> None:
                content = text.encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                """Nothing on stderr."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                """A client that hangs up is nothing to print."""
                if not isinstance(sys.exc_info()[1], OSError):
                    super().handle_error(*_)

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.socket = certificates.server(self.named).wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return int(self._server.server_port)

    def sleep(self, seconds: float) -> None:
        """What a client sleeps by: notes it, and moves the clock."""
        self.paused.append(seconds)
        self.now += seconds

    def answered(self, target: str, headers: Mapping[str, str]) -> Fault:
        """The answer to a question, or the fault in its place."""
        self.asked.append(target)
        self.hosts.append(headers["Host"])
        if self.faults:
            return self.faults.pop(0)
        name, value = HEADERS[headers["Host"]]
        if headers.get(name) != value:
            return 401, {}, json.dumps({"message": f"no such key: {headers.get(name)}"})
        parts = urlsplit(target)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        found = self.answer(headers["Host"], parts.path, query)
        return 200 if found is not None else 404, {}, json.dumps(found)

    def answer(self, host: str, path: str, query: dict[str, str]) -> Any:
        """What the provider with this host answers; None if it has no such list."""
        return getattr(self, "_" + host.removeprefix("api.").removeprefix("eu.").partition(".")[0])(path, query)

    def _sendgrid(self, path: str, query: dict[str, str]) -> Any:
        name = path.rpartition("/")[2]
        if path == "/v3/asm/suppressions":
            return self.records.get("groups", [])
        assert path == f"/v3/suppression/{name}"
        first, last = int(query["start_time"]), int(query["end_time"])
        found = [one for one in self.records.get(name, []) if first <= one["created"] <= last]
        return cut(found, int(query["limit"]), int(query["offset"]), 500)

    def _mailgun(self, path: str, query: dict[str, str]) -> Any:
        if not path.startswith("/v3/example.com/events"):
            return None
        if token := path.removeprefix("/v3/example.com/events").strip("/"):
            asked = json.loads(base64.urlsafe_b64decode(token))
        else:
            assert query["ascending"] == "yes"
            kinds = query["event"].split(" OR ")
            asked = [float(query["begin"]), float(query["end"]), int(query["limit"]), 0, kinds]
        begin, end, limit, offset, kinds = asked or [0.0, 0.0, 300, 0, []]
        found = [one for one in self.records.get("events", []) if begin <= one["timestamp"] <= end]
        found = [one for one in found if one["event"] in kinds and one.get("stored", 0) <= self.now]
        page = cut(sorted(found, key=lambda one: one["timestamp"]), limit, offset, 300)
        further = [begin, end, limit, offset + len(page), kinds]
        following = base64.urlsafe_b64encode(json.dumps(further).encode()).decode()
        return {"items": page, "paging": {"next": f"https://api.mailgun.net/v3/example.com/events/{following}"}}

    def _postmarkapp(self, path: str, query: dict[str, str]) -> Any:
        if path == "/message-streams":
            kinds = {"outbound": "Transactional", "broadcast": "Broadcasts", "inbound": "Inbound"}
            return {"MessageStreams": [{"ID": name, "MessageStreamType": kind} for name, kind in kinds.items()]}
        first, last = query["fromdate"], query["todate"]
        if path == "/bounces":
            found = [one for one in self.records.get("bounces", []) if first <= one["BouncedAt"][:19] <= last]
            if stream := query.get("messagestream"):
                found = [one for one in found if one["MessageStream"] == stream]
            count, offset = int(query["count"]), int(query["offset"])
            assert count + offset <= self.most
            return {"TotalCount": len(found), "Bounces": cut(found, count, offset, 500)}
        stream = path.removeprefix("/message-streams/").removesuffix("/suppressions/dump")
        assert query["SuppressionReason"] == "ManualSuppression"
        found = [one for one in self.records.get(stream, []) if first <= one["CreatedAt"][:10] <= last]
        return {"Suppressions": found}

    def _brevo(self, path: str, query: dict[str, str]) -> Any:
        first, last = query["startDate"], query["endDate"]
        assert first <= last
        size, offset = int(query["limit"]), int(query["offset"])
        if path == "/v3/smtp/blockedContacts":
            found = [one for one in self.records.get("contacts", []) if first <= one["blockedAt"][:10] <= last]
            return {"contacts": cut(found, size, offset, 100), "count": len(found)}
        assert path == "/v3/smtp/statistics/events"
        found = [one for one in self.records.get("events", []) if first <= one["date"][:10] <= last]
        page = cut([one for one in found if one["event"] == query["event"]], size, offset, 2500)
        return {"events": page} if page else {}

    def _sparkpost(self, path: str, query: dict[str, str]) -> Any:
        assert path == "/api/v1/events/message"
        kinds, size = query["events"].split(","), int(query["per_page"])
        offset = 0 if query["cursor"] == "initial" else int(query["cursor"])
        found = [
            one
            for one in self.records.get("events", [])
            if query["from"] <= one["timestamp"].replace(".000", "") <= query["to"] and one["type"] in kinds
        ]
        page, links = cut(found, size, offset, 10_000), {}
        if offset + len(page) < len(found):
            further = "&".join(f"{key}={value}" for key, value in {**query, "cursor": offset + len(page)}.items())
            links = {"next": f"{path}?{further}"}
        return {"results": page, "total_count": len(found), "links": links}

    def _mailjet(self, path: str, query: dict[str, str]) -> Any:
        assert (path, query["ShowContactAlt"]) == ("/v3/REST/message", "true")
        names = {"5": "bounce", "6": "spam", "7": "unsub", "8": "blocked", "9": "softbounced", "10": "hardbounced"}
        found = [
            one
            for one in self.records.get("messages", [])
            if one["Status"] == names[query["MessageStatus"]] and query["FromTS"] <= one["ArrivedAt"] <= query["ToTS"]
        ]
        page = cut(found, int(query["Limit"]), int(query["Offset"]), 1000)
        return {"Count": len(page), "Data": page, "Total": len(page)}

    def _resend(self, path: str, query: dict[str, str]) -> Any:
        assert path == "/suppressions"
        found = self.records.get("suppressions", [])
        ids = [one["id"] for one in found]
        offset = ids.index(query["after"]) + 1 if "after" in query else 0
        page = cut(found, int(query["limit"]), offset, 100)
        return {"object": "list", "has_more": offset + len(page) < len(found), "data": page}


def cut(found: list[Json], size: int, offset: int, most: int) -> list[Json]:
    """A page, of at most as many entries as the provider gives."""
    assert 0 < size <= most
    return found[offset : offset + size]


def utc(at: float) -> str:
    """A time as most of them write it."""
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def eastern(at: float) -> str:
    """A time as Postmark writes it, in winter."""
    return dt.datetime.fromtimestamp(at - 5 * 3600, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.1234567-05:00")


def bounces_of(kind: str, number: int, at: float) -> tuple[str, Json]:
    """The list and the record of a dead address ``NUMBER@example.org``, as a provider's API gives it."""
    address, said = f"{number}@example.org", "550 5.1.1 no such user"
    records: dict[str, tuple[str, Json]] = {
        "sendgrid": ("bounces", {"created": int(at), "email": address, "reason": said, "status": "5.1.1"}),
        "mailgun": (
            "events",
            {
                "event": "failed",
                "severity": "permanent",
                "id": f"ev-{number}",
                "timestamp": at,
                "recipient": address,
                "delivery-status": {"code": 550, "enhanced-code": "5.1.1", "message": "no such user"},
                "message": {"headers": {"message-id": f"{number:040x}@example.com"}},
            },
        ),
        "postmark": (
            "bounces",
            {
                "ID": 4_000_000_000 + number,
                "Type": "HardBounce",
                "MessageID": f"00000000-0000-0000-0000-{number:012d}",
                "MessageStream": "outbound",
                "Email": address,
                "Details": f"smtp;{said}",
                "BouncedAt": eastern(at),
            },
        ),
        "brevo": (
            "events",
            {
                "event": "hardBounces",
                "email": address,
                "date": utc(at),
                "messageId": f"<2026.{number}@smtp-relay.mailin.fr>",
                "reason": said,
            },
        ),
        "sparkpost": (
            "events",
            {
                "type": "bounce",
                "event_id": f"{92_356_927_693_813_856 + number}",
                "bounce_class": "10",
                "error_code": "550",
                "raw_reason": said,
                "raw_rcpt_to": address,
                "timestamp": utc(at).replace("Z", ".000Z"),
                "message_id": f"0e0d94b7-{number}",
                "transmission_id": f"{65_832_150_921_904_138 + number}",
            },
        ),
        "mailjet": (
            "messages",
            {
                "ID": 576_460_752_303_423_488 + number,
                "UUID": f"uuid-{number}",
                "Status": "hardbounced",
                "StateID": 1,
                "StatePermanent": True,
                "ContactAlt": address,
                "ArrivedAt": utc(at),
            },
        ),
        "resend": (
            "suppressions",
            {
                "object": "suppression",
                "id": f"e169aa45-{number}",
                "email": address,
                "origin": "bounce",
                "source_id": f"4ef9a417-{number}",
                "created_at": utc(at).replace("Z", ".412Z"),
            },
        ),
    }
    return records[kind]
