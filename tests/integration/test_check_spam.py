"""The part of `campaign check --spam` that asks a filter: rspamd and spamd, as small servers that speak as they do."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from campaign.check.findings import Findings
from campaign.check.letters.spam_filter import check_spam, parsed
from campaign.errors import ConfigError
from campaign.model import Letter

LETTERS = [
    Letter(
        number, f"<{number}@example.com>", "news@example.com", "用户@example.com", b"Subject: x\r\n\r\nhello\r\n", b""
    )
    for number in range(3)
]


class Filter:
    """Accepts connections, keeps what it is told, answers with ``answer(question)``."""

    def __init__(self) -> None:
        self.line = socket.create_server(("127.0.0.1", 0))
        self.port = self.line.getsockname()[1]
        self.told: list[bytes] = []
        self.answer: Callable[[bytes], bytes] = lambda _: b""
        self.thread = threading.Thread(target=self.serve)

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.line.accept()
            except OSError:
                return
            with connection:
                told = b""
                while not told.endswith(b"hello\r\n") and (more := connection.recv(65536)):
                    told += more
                if told:
                    self.told.append(told)
                    connection.sendall(self.answer(told))


@pytest.fixture
def program() -> Iterator[Filter]:
    program = Filter()
    program.thread.start()
    yield program
    program.line.shutdown(socket.SHUT_RDWR)
    program.line.close()
    program.thread.join()


def rspamd(score: float, required: float = 15, **symbols: float) -> Callable[[bytes], bytes]:
    said: dict[str, Any] = {
        "score": score,
        "required_score": required,
        "action": "no action",
        "symbols": {name: {"name": name, "score": points} for name, points in symbols.items()},
    }
    body = json.dumps(said).encode()
    return lambda _: (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )


def spamd(line: str, symbols: str = "") -> Callable[[bytes], bytes]:
    return lambda _: f"SPAMD/1.1 0 EX_OK\r\nContent-length: {len(symbols)}\r\n{line}\r\n\r\n{symbols}".encode()


def judged(place: str) -> list[tuple[str, str, str]]:
    findings = Findings()
    check_spam(place, LETTERS, findings)
    return [(one.severity, one.code, one.message) for one in findings]


def test_what_rspamd_likes_is_no_finding(program: Filter):
    program.answer = rspamd(1.5, R_DKIM_ALLOW=-0.2)
    assert judged(f"127.0.0.1:{program.port}") == []
    assert len(program.told) == 3
    assert program.told[0].startswith(b"POST /checkv2 HTTP/1.1\r\n")
    assert b"\r\nFrom: news@example.com\r\nRcpt: \xe7\x94\xa8\xe6\x88\xb7@example.com\r\n" in program.told[0]


def test_what_rspamd_takes_for_spam_is_an_error_with_the_rules_that_say_so(program: Filter):
    program.answer = rspamd(16, GTUBE=15.0, SMALL=1.0, GOOD=-2.0)
    ((severity, code, message),) = judged(f"127.0.0.1:{program.port}")
    assert (severity, code) == ("error", "spam")
    assert message.endswith("(16 of 15 points: GTUBE, SMALL)")


def test_half_way_to_spam_is_a_warning(program: Filter):
    program.answer = rspamd(8)
    assert [one[:2] for one in judged(f"127.0.0.1:{program.port}")] == [("warning", "spam")]


def test_spamassassin_is_asked_in_its_own_tongue(program: Filter):
    program.answer = spamd("Spam: True ; 6.1 / 5.0", "BAYES_99,HTML_IMAGE_ONLY\n")
    ((severity, code, message),) = judged(f"spamd://127.0.0.1:{program.port}")
    assert (severity, code) == ("error", "spam")
    assert "6.1 of 5 points: BAYES_99, HTML_IMAGE_ONLY" in message
    assert program.told[0].startswith(b"SYMBOLS SPAMC/1.2\r\nContent-length: 21\r\n\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x16\x03",
        b"HTTP/1.1 500 no\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{,}",
    ],
)
@pytest.mark.parametrize("scheme", ["rspamd", "spamd"])
def test_a_filter_that_cannot_be_understood_proves_nothing(scheme: str, answer: bytes, program: Filter):
    program.answer = lambda _: answer
    assert [one[:2] for one in judged(f"{scheme}://127.0.0.1:{program.port}")] == [("unverified", "spam-score")]


def test_a_filter_that_is_not_there_proves_nothing():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert [one[:2] for one in judged(f"127.0.0.1:{port}")] == [("unverified", "spam-score")]


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("127.0.0.1:11333", ("rspamd", "127.0.0.1", 11333)),
        ("filter.example", ("rspamd", "filter.example", 11333)),
        ("127.0.0.1:783", ("spamd", "127.0.0.1", 783)),
        ("spamd://127.0.0.1", ("spamd", "127.0.0.1", 783)),
        ("spamd://127.0.0.1:1783", ("spamd", "127.0.0.1", 1783)),
        ("rspamd://[::1]:783", ("rspamd", "::1", 783)),
    ],
)
def test_where_the_filter_is(place: str, found: tuple[str, str, int]):
    assert parsed(place) == found


@pytest.mark.parametrize("place", ["", "http://127.0.0.1:11333", "a b", "127.0.0.1:port"])
def test_a_place_that_is_none_is_refused(place: str):
    with pytest.raises(ConfigError):
        parsed(place)
