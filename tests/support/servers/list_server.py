"""A web server for lists on loopback, with TLS, and the network by which only a test reaches it."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from campaign.audience.sources.kept_lists.public_https import Network
from tests.support.servers import certificates

Answer = tuple[int, Mapping[str, str], bytes]


@dataclass(eq=False)
class ListServer:
    """``answers`` maps ``host/path`` to status, headers and body; 304 for a known ETag. ``asked`` is what came."""

    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    names: tuple[str, ...] = ("lists.example.com", "docs.google.com", "other.example.com")

    def __enter__(self) -> Self:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                place = f"{self.headers['Host'].partition(':')[0]}{self.path}"
                etag = self.headers.get("If-None-Match", "")
                server.asked.append((place, etag))
                status, headers, body = server.answers.get(place, (404, {}, b"not here"))
                if etag and headers.get("ETag") == etag:
                    status, body = 304, b""
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if status != 304 and "Transfer-Encoding" not in headers and "X-No-Length" not in headers:
                    self.send_header("Content-Length", headers.get("X-Length", str(len(body))))
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                """Nothing is logged."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = certificates.server(*self.names).wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that refuse the certificate
        self._server.daemon_threads = False  # all are over when the server is
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def network(
        self, *, trusted: bool = True, permitted: Callable[[str], bool] = lambda _: True, whole: float = 60.0
    ) -> Network:
        """Every name leads here."""

        def context() -> ssl.SSLContext:
            made = ssl.create_default_context()
            if trusted:
                certificates.authority().configure_trust(made)
            return made

        here = ("127.0.0.1", self._server.server_address[1])
        return Network(lambda _host, _port: [(str(here[0]), int(here[1]))], permitted, context, whole=whole)
