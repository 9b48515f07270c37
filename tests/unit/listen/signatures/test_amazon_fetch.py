"""A document is fetched without redirects, within a size and a time."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from typing import Any

import pytest

from campaign.listen.signatures import amazon_fetch
from campaign.listen.signatures.amazon_fetch import LARGEST, LONGEST_FETCH, FetchError, fetch_document

URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem?a=b"


class Connection:
    """What `http.client` would be, with one answer of ``blocks``."""

    status, blocks, fails = 200, [b"one", b"two"], None

    def __init__(self, host: str, port: int | None, **_: object) -> None:
        self.host, self.asked, self.left = host, "", list(self.blocks)

    def request(self, method: str, target: str) -> None:
        if self.fails:
            raise self.fails
        type(self).asked = (self.host, method, target)

    def getresponse(self) -> Connection:
        return self

    def read1(self, _: int) -> bytes:
        return self.left.pop(0) if self.left else b""

    def close(self) -> None: ...


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Callable[..., type[Connection]]:
    def serve(**answer: Any) -> type[Connection]:
        kind = type("Served", (Connection,), answer)
        monkeypatch.setattr(amazon_fetch.http.client, "HTTPSConnection", kind)
        return kind

    return serve


def test_the_document_is_fetched_with_its_query(served: Callable[..., Any]) -> None:
    kind = served()
    assert fetch_document(URL) == b"onetwo"
    assert kind.asked == ("sns.eu-west-1.amazonaws.com", "GET", "/SimpleNotificationService-1.pem?a=b")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"status": 302}, "answers 302"),
        ({"status": 404}, "answers 404"),
        ({"blocks": [b"x" * (LARGEST + 1)]}, "larger than 64 KiB"),
        ({"fails": OSError("no route to host")}, "no route to host"),
        ({"fails": http.client.BadStatusLine("x")}, "x"),
        ({"fails": TimeoutError()}, "TimeoutError"),
    ],
)
def test_anything_else_is_an_error_with_its_reason(
    served: Callable[..., Any], answer: dict[str, Any], why: str
) -> None:
    served(**answer)
    with pytest.raises(FetchError, match=why):
        fetch_document(URL)


def test_a_document_that_trickles_is_given_up(served: Callable[..., Any]) -> None:
    served(blocks=[b"x"] * 100)
    times = iter([0.0, *(LONGEST_FETCH / 2 * step for step in range(100))])
    with pytest.raises(FetchError, match="takes longer than 10 seconds"):
        fetch_document(URL, clock=lambda: next(times))
