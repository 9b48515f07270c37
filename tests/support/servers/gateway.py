"""A gateway on loopback that checks logins and signatures, keeps what it took, and breaks where a test wants it to.

It shares no code with the sender: requests are read by hand, signatures are made by Amazon's own library, letters are
taken out by Python's `email` and `json`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from typing import Any, Self
from urllib.parse import unquote

KEY_ID, SECRET, KEY, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "key-0123456789", "ya29.token"
PAGE = "<html><body><h1>{} Bad Gateway</h1></body></html>"
#: What a gateway may be told to do with a request, besides answering with a tuple (status, headers, body).
#: ``head``: close once the head has come; ``half``: in the middle of the body; ``whole``: after the body, without an
#: answer; ``answer``: in the middle of the answer; ``silent``: never answer; ``close``: answer, and close politely.
BREAKS = ("head", "half", "whole", "answer", "silent")
Behaviour = str | tuple[int, dict[str, str], str]


@dataclass(frozen=True)
class Taken:
    """A letter as the gateway has it: the envelope, where there is one, and the octets."""

    recipient: str
    sender: str
    content: bytes


@dataclass
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class FakeGateway:
    """``behave`` gives the behaviour for each letter's request, by its number from 0; ``None``: take it."""

    kind: str
    behave: Callable[[int], Behaviour | None] = lambda _: None
    account: tuple[int, str] = (404, "{}")
    delay: float = 0.0
    checks: bool = True
    context: ssl.SSLContext | None = None
    taken: list[Taken] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    connections: int = 0
    letters: int = 0
    port: int = 0
    on_taken: Callable[[Taken], None] = lambda _: None
    on_answered: Callable[[Taken], None] = lambda _: None
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=1 << 22, ssl=self.context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        place = {"ses-api": "/eu-west-1", "mailgun-api": "/example.com"}.get(self.kind, "")
        user = "news%40example.com@" if self.kind in ("gmail-api", "graph-api") else ""
        scheme = "https" if self.context else "http"
        return f"{self.kind}+{scheme}://{user}127.0.0.1:{self.port}{place}"

    @property
    def environment(self) -> dict[str, str]:
        if self.kind == "ses-api":
            return {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET}
        return {"CAMPAIGN_RELAY_PASSWORD": KEY}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if method == "GET":
            request = Request(method, target, headers, b"")
            self.requests.append(request)
            wrong = login_fault(self.kind, request, self.port)
            status, body = (403, json.dumps({"message": wrong})) if wrong else self.account
            if wrong and self.kind == "ses-api":
                writer.write(answer(*REFUSALS["ses-api"](wrong)))
                return True
            writer.write(answer(status, {}, body))
            return True
        number, self.letters = self.letters, self.letters + 1
        behaviour = self.behave(number)
        if behaviour == "head":
            return False
        length = int(headers["content-length"])
        if behaviour == "half":
            await reader.readexactly(length // 2)
            return False
        request = Request(method, target, headers, await reader.readexactly(length))
        self.requests.append(request)
        return await self._respond(request, behaviour, writer)

    async def _respond(self, request: Request, behaviour: Behaviour | None, writer: asyncio.StreamWriter) -> bool:
        if isinstance(behaviour, tuple):
            status, headers, body = behaviour
            writer.write(answer(status, headers, body))
            return True
        if self.checks and (wrong := login_fault(self.kind, request, self.port)):
            self.refused.append(wrong)
            writer.write(answer(*REFUSALS[self.kind](wrong)))
            return True
        letter = LETTERS[self.kind](request)
        self.taken.append(letter)
        self.on_taken(letter)
        if self.delay:
            await asyncio.sleep(self.delay)
        if behaviour == "silent":
            await asyncio.sleep(3600)
        whole = ACCEPTED[self.kind](len(self.taken))
        if behaviour == "whole":
            return False
        if behaviour == "answer":
            writer.write(whole[: len(whole) - 5])
            await writer.drain()
            writer.close()
            return False
        if behaviour == "close":
            writer.write(whole.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            await writer.drain()
            writer.close()
            await asyncio.sleep(0)
            return False
        self.on_answered(letter)
        writer.write(whole)
        return True


def answer(status: int, headers: dict[str, str], body: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join([*lines, f"Content-Length: {len(body.encode())}"]) + "\r\n\r\n" + body).encode()


ACCEPTED: dict[str, Callable[[int], bytes]] = {
    "ses-api": lambda n: answer(200, {}, json.dumps({"MessageId": f"0100-{n}"})),
    "mailgun-api": lambda n: answer(200, {}, json.dumps({"id": f"<{n}@example.com>", "message": "Queued. Thank you."})),
    "sparkpost-api": lambda n: answer(
        200, {}, json.dumps({"results": {"total_rejected_recipients": 0, "total_accepted_recipients": 1, "id": f"{n}"}})
    ),
    "gmail-api": lambda n: answer(200, {}, json.dumps({"id": f"g{n}", "threadId": f"t{n}", "labelIds": ["SENT"]})),
    "graph-api": lambda n: answer(202, {"request-id": f"r{n}"}, ""),
}
REFUSALS: dict[str, Callable[[str], tuple[int, dict[str, str], str]]] = {
    "ses-api": lambda why: (403, {"x-amzn-errortype": "SignatureDoesNotMatch"}, json.dumps({"message": why})),
    "mailgun-api": lambda _: (401, {}, "Forbidden"),
    "sparkpost-api": lambda _: (401, {}, json.dumps({"errors": [{"message": "Unauthorized."}]})),
    "gmail-api": lambda _: (
        401,
        {},
        json.dumps({"error": {"code": 401, "message": "Invalid Credentials", "errors": [{"reason": "authError"}]}}),
    ),
    "graph-api": lambda _: (401, {}, json.dumps({"error": {"code": "InvalidAuthenticationToken", "message": "no"}})),
}


def refusal(kind: str, status: int, said: str) -> tuple[int, dict[str, str], str]:
    """A refusal in the provider's own form, from ``CODE: message``, or a message alone for Mailgun."""
    code, _, message = said.partition(": ")
    match kind:
        case "ses-api":
            return status, {"x-amzn-errortype": code}, json.dumps({"message": message})
        case "mailgun-api":
            return status, {}, said if status == 401 else json.dumps({"message": said})
        case "sparkpost-api":
            return status, {}, json.dumps({"errors": [{"message": message, "code": code.removeprefix("0")}]})
        case "gmail-api":
            error = {"code": status, "message": message, "errors": [{"reason": code, "domain": "global"}]}
            return status, {}, json.dumps({"error": error})
        case _:
            return status, {}, json.dumps({"error": {"code": code, "message": message}})


def login_fault(kind: str, request: Request, port: int) -> str:
    """What is wrong with the login of a request; empty if nothing is."""
    given = request.headers.get("authorization", "")
    if kind == "ses-api":
        return "" if given == amazons_own(request, port) else "The request signature we calculated does not match"
    basic = base64.b64encode(f"api:{KEY}".encode()).decode()
    wanted = {"mailgun-api": f"Basic {basic}", "sparkpost-api": KEY}.get(kind, f"Bearer {TOKEN}")
    return "" if given == wanted else "wrong login"


def amazons_own(request: Request, port: int) -> str:
    """The Authorization that Amazon's own library makes for this request, at the time that it names."""
    from botocore import auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    signed = request.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    kept = {name: request.headers[name] for name in signed if name != "x-amz-date"}
    ours = AWSRequest(request.method, f"http://127.0.0.1:{port}{request.target}", headers=kept, data=request.body)
    ours.context["timestamp"] = request.headers["x-amz-date"]
    ours.headers["X-Amz-Date"] = request.headers["x-amz-date"]
    signer = auth.SigV4Auth(Credentials(KEY_ID, SECRET), "ses", "eu-west-1")
    text = signer.string_to_sign(ours, signer.canonical_request(ours))
    signer._inject_signature_to_request(ours, signer.signature(text, ours))
    return str(ours.headers["Authorization"])


def _ses(request: Request) -> Taken:
    assert request.target == "/v2/email/outbound-emails"
    assert request.headers["content-type"] == "application/json"
    message: dict[str, Any] = json.loads(request.body)
    (recipient,) = message["Destination"]["ToAddresses"]
    raw = base64.b64decode(message["Content"]["Raw"]["Data"], validate=True)
    return Taken(recipient, message.get("FeedbackForwardingEmailAddress", ""), raw)


def _mailgun(request: Request) -> Taken:
    assert request.target == "/v3/example.com/messages.mime"
    parts = dict(_form(request))
    assert parts["o:tracking"] == b"no"
    return Taken(parts["to"].decode(), "", parts["message"])


def _form(request: Request) -> Iterator[tuple[str, bytes]]:
    border = request.headers["content-type"].partition("boundary=")[2].encode()
    first, *parts, last = request.body.split(b"--" + border)
    assert (first, last) == (b"", b"--\r\n")
    for part in parts:
        head, _, value = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        name = message_from_bytes(head + b"\r\n\r\n").get_param("name", header="content-disposition")
        yield str(name), value.removesuffix(b"\r\n")


def _sparkpost(request: Request) -> Taken:
    assert request.target == "/api/v1/transmissions"
    sent = json.loads(request.body)
    assert sent["options"] == {"perform_substitutions": False, "open_tracking": False, "click_tracking": False}
    (recipient,) = sent["recipients"]
    return Taken(recipient["address"]["email"], sent.get("return_path", ""), sent["content"]["email_rfc822"].encode())


def _gmail(request: Request) -> Taken:
    assert request.target == "/upload/gmail/v1/users/me/messages/send?uploadType=media"
    assert request.headers["content-type"] == "message/rfc822"
    return Taken(str(message_from_bytes(request.body)["To"]), "", request.body)


def _graph(request: Request) -> Taken:
    assert unquote(request.target) == "/v1.0/users/news@example.com/sendMail"
    assert request.headers["content-type"] == "text/plain"
    content = base64.b64decode(request.body, validate=True)
    return Taken(str(message_from_bytes(content)["To"]), "", content)


LETTERS: dict[str, Callable[[Request], Taken]] = {
    "ses-api": _ses,
    "mailgun-api": _mailgun,
    "sparkpost-api": _sparkpost,
    "gmail-api": _gmail,
    "graph-api": _graph,
}
