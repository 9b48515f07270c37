"""Documents of Amazon, from a real TLS server on loopback that may redirect, never end, or be somebody else."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from campaign.listen.signatures.amazon_fetch import LARGEST, FetchError, fetch_document
from tests.support.servers import certificates


class Documents(BaseHTTPRequestHandler):
    """``/document`` is one, ``/moved`` redirects to it, ``/endless`` never ends."""

    def do_GET(self) -> None:
        self.send_response(302 if self.path == "/moved" else 200)
        self.send_header("Location", "/document")
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(b"-----BEGIN")
            while self.path == "/endless":
                self.wfile.write(b"x" * LARGEST)

    def log_message(self, *_: object) -> None: ...


@contextmanager
def amazon(context: ssl.SSLContext) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Documents)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # a client that goes away is expected
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def trust(tmp_path: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificates.ca_file(tmp_path))


def test_a_document_is_fetched_and_a_redirect_or_one_without_end_is_not(trust: ssl.SSLContext) -> None:
    with amazon(certificates.server()) as url:
        assert fetch_document(f"{url}/document", trust) == b"-----BEGIN"
        with pytest.raises(FetchError, match="answers 302"):
            fetch_document(f"{url}/moved", trust)
        with pytest.raises(FetchError, match="larger than 64 KiB"):
            fetch_document(f"{url}/endless", trust)


@pytest.mark.parametrize("server", [certificates.self_signed, lambda: certificates.server("other.example")])
def test_a_server_that_cannot_prove_its_name_gives_nothing(trust: ssl.SSLContext, server: object) -> None:
    assert callable(server)
    with amazon(server()) as url, pytest.raises(FetchError, match="certificate verify failed"):
        fetch_document(f"{url}/document", trust)


def test_nobody_at_the_address_is_an_error_with_its_reason() -> None:
    with pytest.raises(FetchError, match="refused"):
        fetch_document("https://127.0.0.1:9/document")
