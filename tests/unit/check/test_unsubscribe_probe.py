"""Whether the server of the unsubscribe links would unsubscribe."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from campaign.check.findings import Findings
from campaign.check.letters.unsubscribe_probe import probe_link, probe_unsubscribe
from campaign.feedback.listened.listened_record import RESERVED_TOKEN
from campaign.model import Letter

TOKEN = "pWxnQ3-_" * 8
Answers = dict[str, tuple[int, dict[str, str]]]
LISTEN = {"X-Campaign": "listen"}
SOUND: Answers = {"HEAD": (200, LISTEN), "GET": (200, LISTEN), "POST": (200, LISTEN)}


def letter(header: str) -> Letter:
    return Letter(0, "<1@x>", "n@example.com", "a@example.com", f"{header}\r\n\r\nHello\r\n".encode(), b"")


@contextmanager
def server(answers: Answers) -> Iterator[tuple[str, list[str]]]:
    """A web server on loopback; what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            asked.append(f"{self.command} {self.path} {body}".strip())
            status, headers = answers[self.command]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_POST = do_GET  # noqa: N815 - as the library calls them

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as web:
        thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{web.server_port}/u", asked
        finally:
            web.shutdown()
            thread.join()


def kinds(findings: Findings) -> list[tuple[str, str, str]]:
    return [(one.severity, one.code, one.message) for one in findings]


def found(answers: Answers) -> tuple[list[tuple[str, str, str]], list[str]]:
    findings = Findings()
    with server(answers) as (link, asked):
        probe_unsubscribe([letter(f"List-Unsubscribe: <{link}/{TOKEN}>")], findings, public=lambda _: True)
    return kinds(findings), asked


def test_a_server_that_would_unsubscribe_is_asked_with_a_token_of_nobody() -> None:
    faults, asked = found(SOUND)
    assert not faults
    path = f"/u/{RESERVED_TOKEN}"
    assert asked == [f"HEAD {path}", f"GET {path}", f"POST {path} List-Unsubscribe=One-Click"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"HEAD": (301, {"Location": "/"})}, "redirects HEAD, which one-click requests do not follow"),
        ({"GET": (302, LISTEN)}, "redirects GET, which one-click requests do not follow"),
        ({"GET": (404, LISTEN)}, "answers GET with 404"),
        ({"HEAD": (502, {})}, "answers HEAD with 502"),
        ({"POST": (503, LISTEN)}, "answers a one-click POST with 503"),
        ({"POST": (302, LISTEN)}, "answers a one-click POST with 302"),
    ],
)
def test_what_would_not_unsubscribe_is_an_error(change: Answers, said: str) -> None:
    [(severity, code, message)], _ = found({**SOUND, **change})
    assert (severity, code) == ("error", "unsubscribe-broken")
    assert message.endswith(f" {said}, so readers cannot unsubscribe there")


def test_nothing_is_posted_to_another_program() -> None:
    faults, asked = found({"HEAD": (405, {}), "GET": (404, {})})
    assert [fault[:2] for fault in faults] == [("unverified", "unsubscribe-link")]
    assert [one.split()[0] for one in asked] == ["HEAD", "GET"]


def test_a_private_address_is_not_asked() -> None:
    findings = Findings()
    probe_unsubscribe([letter(f"List-Unsubscribe: <https://127.0.0.1:1/u/{TOKEN}>")], findings)
    [(severity, _, message)] = kinds(findings)
    assert severity == "error"
    assert "private network" in message


def test_letters_without_a_token_leave_it_unverified() -> None:
    findings = Findings()
    probe_unsubscribe([letter("Subject: x")], findings)
    assert [kind[:2] for kind in kinds(findings)] == [("unverified", "unsubscribe-link")]


@pytest.mark.parametrize(
    ("header", "link"),
    [
        (f"List-Unsubscribe: <mailto:u@x>,\r\n <https://x/u/{TOKEN}>", f"https://x/u/{RESERVED_TOKEN}"),
        (f"List-Unsubscribe: <https://x/u?id=7&t={TOKEN}>", f"https://x/u?id=7&t={RESERVED_TOKEN}"),
        ("List-Unsubscribe: <https://x/u?id=7>", ""),
        ("List-Unsubscribe: <mailto:u@x>", ""),
    ],
)
def test_the_token_of_the_letter_gives_way_to_the_reserved_one(header: str, link: str) -> None:
    assert probe_link([letter(header)]) == link
