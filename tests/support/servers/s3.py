"""A bucket of S3 on loopback: pages, ranges, faults, and signatures that Amazon's own library checks.

Speaks over HTTPS with a certificate of `certificates`. Its clock is ``now``, which only tests move.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, quote, unquote
from xml.sax.saxutils import escape

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.support.servers import certificates

BUCKET, REGION = "events", "eu-west-1"
KEY_ID, SECRET = "GK31c2f218a2e44f485b94239e", "b892c0665f0ada8a4755dae98baa3b133590e11dae3bcc1f9d769d67f16c3835"
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET}
SKEW = 900.0

#: A fault that takes the place of an answer: a status, the error's name and further headers; or octets, and the end.
Fault = tuple[int, str, dict[str, str]] | bytes


@dataclass(eq=False)
class FakeS3:
    """``objects`` are those of the bucket by key. ``keeps``: nobody may delete. ``asked`` is what came."""

    objects: dict[str, bytes] = field(default_factory=dict)
    page: int = 2
    keeps: bool = False
    ranges: bool = True
    faults: list[Fault] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    session_token: str = ""
    now: float | None = None
    paused: list[float] = field(default_factory=list)
    faults_of: dict[str, tuple[int, str, dict[str, str]]] = field(default_factory=dict)
    before_get: Callable[[], None] = lambda: None
    before_delete: Callable[[], None] = lambda: None

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Requests", (BucketRequests,), {"s3": self}))
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that hang up
        self._server.socket = certificates.server("127.0.0.1").wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def host(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._server.server_port}"

    def url(self, prefix: str = "", region: str = REGION, bucket: str = BUCKET) -> str:
        """How the bucket is named."""
        return f"s3://{bucket}/{prefix}?region={region}&endpoint=https://{self.host}"

    def refusal(self, method: str, target: str, headers: dict[str, str], body: bytes) -> str:
        """Why a request is refused, by Amazon's own library; ``""`` if it is not."""
        given = {name.lower(): value for name, value in headers.items()}
        stamp = given.get("x-amz-date", "")
        at = dt.datetime.strptime(stamp, "%Y%m%dT%H%M%S%z").timestamp()
        if abs(at - (dt.datetime.now(dt.UTC).timestamp() if self.now is None else self.now)) > SKEW:
            return "RequestTimeTooSkewed"
        if given.get("x-amz-content-sha256") != hashlib.sha256(body).hexdigest():
            return "XAmzContentSHA256Mismatch"
        if given.get("x-amz-security-token", "") != self.session_token:
            return "InvalidToken"
        names = given["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
        if {"host", "x-amz-content-sha256", "x-amz-date"} - {*names} or given["host"] != self.host:
            return "AccessDenied"
        request = AWSRequest(method, f"https://{self.host}{target}", {name: given[name] for name in names}, body)
        request.context["timestamp"] = stamp
        signer = S3SigV4Auth(Credentials(KEY_ID, SECRET), "s3", REGION)
        expected = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
        sound = given["authorization"].endswith(f"Signature={expected}") and KEY_ID in given["authorization"]
        return "" if sound else "SignatureDoesNotMatch"

    def listed(self, query: dict[str, str]) -> bytes:
        """A page of the list, as ListObjectsV2 has it."""
        assert set(query) <= {"list-type", "prefix", "delimiter", "encoding-type", "continuation-token"}
        assert (query["list-type"], query["delimiter"], query["encoding-type"]) == ("2", "/", "url")
        prefix = query.get("prefix", "")
        found = [key for key in sorted(self.objects) if key.startswith(prefix) and "/" not in key[len(prefix) :]]
        start = int(query.get("continuation-token", "+/=0")[3:])
        page, more = found[start : start + self.page], len(found) > start + self.page
        contents = "".join(
            f"<Contents><Key>{quote(key, safe='/')}</Key><Size>{len(self.objects[key])}</Size>"
            "<Owner><ID>1</ID></Owner></Contents>"
            for key in page
        )
        token = f"<NextContinuationToken>{escape(f'+/={start + self.page}')}</NextContinuationToken>" if more else ""
        head = (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        )
        text = f"{head}<IsTruncated>{str(more).lower()}</IsTruncated>{token}{contents}</ListBucketResult>"
        return text.encode()


class BucketRequests(BaseHTTPRequestHandler):
    """Requests to the bucket of ``s3``, which a subclass has."""

    protocol_version = "HTTP/1.1"
    s3: FakeS3

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path, _, query = self.path.partition("?")
        key = unquote(path.removeprefix(f"/{BUCKET}/"))
        self.s3.asked.append((self.command, key or "?" + query))
        if self.s3.faults:
            fault = self.s3.faults.pop(0)
            if isinstance(fault, bytes):
                self.wfile.write(fault)
                self.close_connection = True
            else:
                self.error(*fault)
        elif why := self.s3.refusal(self.command, self.path, dict(self.headers.items()), body):
            self.error(403, why)
        elif key in self.s3.faults_of:
            self.error(*self.s3.faults_of[key])
        elif not path.startswith(f"/{BUCKET}/"):
            self.error(404, "NoSuchBucket")
        else:
            getattr(self, f"{self.command.lower()}_object")(key, query, body)

    do_PUT = do_DELETE = do_GET  # noqa: N815 - names of the library

    def get_object(self, key: str, query: str, _: bytes) -> None:
        if not key:
            self.answer(200, self.s3.listed({name: values[0] for name, values in parse_qs(query).items()}))
            return
        self.s3.before_get()
        if key not in self.s3.objects:
            self.error(404, "NoSuchKey")
        elif self.s3.ranges and (found := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))):
            self.answer(206, self.s3.objects[key][int(found[1]) : int(found[2]) + 1])
        else:
            self.answer(200, self.s3.objects[key])

    def put_object(self, key: str, _: str, body: bytes) -> None:
        self.s3.objects[key] = body
        self.answer(200, b"")

    def delete_object(self, key: str, *_: Any) -> None:
        self.s3.before_delete()
        if self.s3.keeps:
            self.error(403, "AccessDenied")
        else:
            self.s3.objects.pop(key, None)
            self.answer(204, b"")

    def error(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        text = f"<Error><Code>{code}</Code><Message>it is {code}, {SECRET}</Message></Error>"
        self.answer(status, text.encode(), headers)

    def answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing on stderr."""
