"""Amazon SQS on loopback: one queue with pages, hidden messages, late ones, faults, and signatures that are checked.

Speaks the JSON protocol over HTTPS with a certificate of `certificates`. Its clock is ``now``, which only tests move.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
import threading
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.support.servers import certificates

HOST, ACCOUNT, NAME, REGION = "sqs.eu-west-1.amazonaws.com", "123456789012", "ses-events", "eu-west-1"
URL = f"sqs://{HOST}/{ACCOUNT}/{NAME}"
KEY_ID, SECRET = "AKIDEXAMPLE000000", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET}
SKEW = 900.0

#: A fault that takes the place of an answer: a status, the error's name and its words; or octets, and then the end.
Fault = tuple[int, str, str] | bytes


@dataclass(eq=False)
class Message:
    """One message of the queue. ``hidden_until`` and ``receipt`` change with each time it is given out."""

    body: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    hidden_until: float = 0.0
    receipt: str = ""
    given: int = 0


@dataclass(eq=False)
class FakeSqs:
    """A queue. ``late`` messages come only to a request that waits; ``undeletable`` counts refusals by message id."""

    messages: list[Message] = field(default_factory=list)
    late: list[Message] = field(default_factory=list)
    page: int = 10
    faults: list[Fault] = field(default_factory=list)
    undeletable: dict[str, int] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    session_token: str = ""
    named: str = "127.0.0.1"  # in its certificate
    now: float = 1_795_000_000.0
    paused: list[float] = field(default_factory=list)

    def __enter__(self) -> Self:
        sqs = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                action = self.headers["X-Amz-Target"].removeprefix("AmazonSQS.")
                request = json.loads(body)
                sqs.asked.append((action, request))
                if sqs.faults:
                    fault = sqs.faults.pop(0)
                    if isinstance(fault, bytes):
                        self.wfile.write(fault)
                        self.close_connection = True
                        return
                    self.answer(fault[0], {"__type": f"com.amazonaws.sqs#{fault[1]}", "message": fault[2]})
                elif why := sqs.refusal(dict(self.headers.items()), body):
                    self.answer(403, {"__type": f"com.amazon.coral.service#{why}", "message": f"{why}: {SECRET}"})
                elif request["QueueUrl"] != f"https://{HOST}/{ACCOUNT}/{NAME}":
                    error = {"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "no such queue"}
                    self.answer(400, error)
                else:
                    self.answer(200, getattr(sqs, action)(request))

            def answer(self, status: int, value: dict[str, Any]) -> None:
                content = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.0")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                """Nothing on stderr."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                """A client that hangs up, as one does that trusts no certificate, is nothing to print."""
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

    def refusal(self, headers: dict[str, str], body: bytes) -> str:
        """Why a request is refused, by Amazon's own library; ``""`` if it is not."""
        given = {name.lower(): value for name, value in headers.items()}
        stamp = given.get("x-amz-date", "")
        if given.get("x-amz-security-token", "") != self.session_token:
            return "InvalidClientTokenId"
        at = dt.datetime.strptime(stamp, "%Y%m%dT%H%M%S%z").timestamp()
        if abs(at - self.now) > SKEW:
            return "SignatureDoesNotMatch"
        names = given["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
        needed = {"content-type", "host", "x-amz-date", "x-amz-target"}
        if needed - {*names} or given["host"] != HOST:
            return "IncompleteSignature"
        request = AWSRequest("POST", f"https://{HOST}/", headers={name: given[name] for name in names}, data=body)
        request.context["timestamp"] = stamp
        signer = SigV4Auth(Credentials(KEY_ID, SECRET), "sqs", REGION)
        expected = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
        sound = given["authorization"].endswith(f"Signature={expected}") and KEY_ID in given["authorization"]
        return "" if sound else "SignatureDoesNotMatch"

    def ReceiveMessage(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - Amazon's name
        """At most a page of what is visible; then nobody sees it until its time is over."""
        assert set(request) == {"QueueUrl", "MaxNumberOfMessages", "WaitTimeSeconds", "VisibilityTimeout"}
        assert 1 <= request["MaxNumberOfMessages"] <= 10
        assert 0 <= request["WaitTimeSeconds"] <= 20
        if request["WaitTimeSeconds"] and self.late:
            self.messages.append(self.late.pop(0))
        visible = [one for one in self.messages if one.hidden_until <= self.now]
        found = visible[: min(self.page, request["MaxNumberOfMessages"])]
        for one in found:
            one.given += 1
            one.hidden_until = self.now + request["VisibilityTimeout"]
            one.receipt = f"{one.id}#{one.given}"
        given = [{"MessageId": one.id, "ReceiptHandle": one.receipt, "Body": one.body} for one in found]
        return {"Messages": given} if given else {}

    def DeleteMessageBatch(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - Amazon's name
        """Deletes what was given out last by these receipts."""
        assert 1 <= len(request["Entries"]) <= 10
        done, failed = [], []
        for entry in request["Entries"]:
            name = entry["ReceiptHandle"].partition("#")[0]
            if self.undeletable.get(name, 0) > 0:
                self.undeletable[name] -= 1
                failed.append({"Id": entry["Id"], "SenderFault": False, "Code": "InternalError", "Message": "not now"})
                continue
            self.messages = [one for one in self.messages if one.receipt != entry["ReceiptHandle"]]
            done.append({"Id": entry["Id"]})
        return {"Successful": done, "Failed": failed}
