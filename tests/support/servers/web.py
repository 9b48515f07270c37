"""The web on loopback: a proxy that is every HTTPS server itself. Libraries reach it by their own HTTPS_PROXY.

Stands for the token endpoints of Google and Microsoft. ``answers`` maps ``host/path`` to what is answered: a status and
a JSON value, or a callable that makes them from the form it was sent. What came is in ``asked``.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.support.servers import certificates

Form = dict[str, str]
Answer = tuple[int, Any]
AUTHORITY = "login.microsoftonline.com"


@dataclass(eq=False)
class Web:
    """Answers 404 to what it has no answer for; ``delays`` waits for this event before each answer."""

    answers: dict[str, Answer | Callable[[Form], Answer]] = field(default_factory=dict)
    asked: list[tuple[str, Form]] = field(default_factory=list)
    delays: threading.Event | None = None

    def __enter__(self) -> Self:
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_CONNECT(self) -> None:
                self.send_response(200, "go ahead")
                self.end_headers()
                self.host = self.path.partition(":")[0]
                self.close_connection = True
                try:
                    self.request = context(self.host).wrap_socket(self.request, server_side=True)
                    self.setup()
                    self.close_connection = False
                    while not self.close_connection:
                        self.handle_one_request()
                except (OSError, ValueError):
                    self.close_connection = True
                finally:
                    self.request.close()

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                form = dict(parse_qsl(body))
                place = self.host + urlsplit(self.path).path
                web.asked.append((place, form))
                if web.delays is not None:
                    web.delays.wait(10)
                found = web.answers.get(place, (404, {"error": "not_found"}))
                status, value = found(form) if callable(found) else found
                content = value.encode() if isinstance(value, str) else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = answer  # noqa: N815 - http.server's names

            def log_message(self, *_: Any) -> None:
                """Nothing on stderr."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def times(self, place: str) -> int:
        """How often a place was asked."""
        return sum(one == place for one, _ in self.asked)

    def environment(self, folder: Path) -> dict[str, str]:
        """What leads a program's requests here."""
        proxy = f"http://127.0.0.1:{self._server.server_port}"
        authority = str(certificates.ca_file(folder))
        return {
            "HTTPS_PROXY": proxy,
            "https_proxy": proxy,
            "REQUESTS_CA_BUNDLE": authority,
            "NO_PROXY": "",
            "no_proxy": "",
        }

    def lead_here(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        """Requests of this process come here from now on."""
        for name, value in self.environment(folder).items():
            monkeypatch.setenv(name, value)

    def google(self, answer: Answer | Callable[[Form], Answer]) -> None:
        """What Google's token endpoint says."""
        self.answers["oauth2.googleapis.com/token"] = answer

    def microsoft(self, tenant: str, answer: Answer | Callable[[Form], Answer]) -> None:
        """What Microsoft's says, and the directory that leads to it."""
        base = f"https://{AUTHORITY}/{tenant}"
        self.answers[f"{AUTHORITY}/{tenant}/v2.0/.well-known/openid-configuration"] = (
            200,
            {
                "issuer": f"{base}/v2.0",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
            },
        )
        self.answers[f"{AUTHORITY}/common/discovery/instance"] = (
            200,
            {"metadata": [{"aliases": [AUTHORITY, "login.windows.net"], "preferred_network": AUTHORITY}]},
        )
        self.answers[f"{AUTHORITY}/{tenant}/oauth2/v2.0/token"] = answer


_contexts: dict[str, ssl.SSLContext] = {}


def context(host: str) -> ssl.SSLContext:
    return _contexts.setdefault(host, certificates.server(host))
