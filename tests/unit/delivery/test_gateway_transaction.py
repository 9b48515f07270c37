"""What leaves for a gateway, when, and what never does."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.config.delivery import DeliverySection
from campaign.delivery.credentials.login import Login
from campaign.delivery.http import gateway_connection
from campaign.delivery.http.exchange import GatewayAnswer, GatewayRequest
from campaign.delivery.http.gateway_transaction import GatewayTransaction
from campaign.delivery.http.gateways.mailgun_mime import MailgunApi
from campaign.delivery.http.http_stream import HttpStream
from campaign.delivery.relays.gateway_presets import find_gateway
from campaign.delivery.relays.relay import Relay
from campaign.delivery.transport_errors import ConnectionLost
from campaign.errors import LoginError
from campaign.model import Letter, Outcome, Verdict
from tests.support.servers.gateway import Request, _mailgun
from tests.unit.delivery.test_gateway_presets import EXAMPLES

CONTENT = b"From: n@example.com\r\nTo: Ann <u@example.com>\r\n\r\n.dot\r\n"
SECRET = "key-0123456789abcdef"


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.closing = False

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closing

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        pass

    def get_extra_info(self, _: str) -> None:
        return None

    def close(self) -> None:
        self.closing = True

    abort = close


def letter(content: bytes = CONTENT, **more: Any) -> Letter:
    facts = {"sender": "n@example.com", "recipient": "u@example.com", **more}
    return Letter(1, "<1@example.com>", content=content, digest=b"", **facts)


def connected(kind: str = "mailgun-api", fetch: Any = None) -> tuple[GatewayTransaction, Wire, HttpStream]:
    async def secret() -> str:
        return SECRET

    _, preset = find_gateway(EXAMPLES[kind]) or ("", None)
    assert preset is not None
    login = Login("you@example.com" if preset.login == "token" else "", "keys", fetch or secret)
    relay = Relay(preset.written, preset.host, preset.port, "none", login, gateway=preset)
    connection = gateway_connection.new_connection(relay, DeliverySection(relay=(EXAMPLES[kind],)))
    wire = Wire()
    connection.stream.connection_made(wire)  # type: ignore[arg-type]
    return GatewayTransaction(connection), wire, connection.stream


async def begun(talk: GatewayTransaction, one: Letter | None = None) -> None:
    prepared = talk.prepare(one or letter())
    assert isinstance(prepared, bytes)
    talk.offer(one or letter())
    assert talk.agreed()
    await talk.content(prepared)


async def test_nothing_leaves_before_the_dot() -> None:
    talk, wire, _ = connected()
    await begun(talk)
    assert wire.written == b""
    talk.dot()
    assert wire.written.startswith(b"POST /v3/example.com/messages.mime HTTP/1.1\r\nHost: api.mailgun.net\r\n")


async def test_an_answer_that_came_in_pieces_is_the_verdict() -> None:
    talk, _, stream = connected()
    await begun(talk)
    talk.dot()
    body = b'{"id": "<1@example.com>", "message": "Queued."}'
    for piece in (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Len", b"gth: %d\r\n\r\n" % len(body), body):
        stream.data_received(piece)
    assert (await talk.verdict()).text == "<1@example.com>"
    assert stream.reusable


async def test_a_connection_that_ended_before_the_dot_sends_nothing() -> None:
    talk, wire, stream = connected()
    await begun(talk)
    stream.eof_received()
    with pytest.raises(ConnectionLost):
        talk.dot()
    assert wire.written == b""


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"250 ok\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000,
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 300_000,
        b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_anything_but_a_complete_answer_leaves_doubt(said: bytes) -> None:
    talk, _, stream = connected()
    await begun(talk)
    talk.dot()
    stream.data_received(said)
    stream.eof_received()
    with pytest.raises(ConnectionLost):
        await talk.verdict()
    assert stream.broken


async def test_an_answer_that_has_come_counts_though_the_connection_is_reset_after_it() -> None:
    talk, _, stream = connected()
    await begun(talk)
    talk.dot()
    stream.data_received(b'HTTP/1.1 400 X\r\nContent-Length: 18\r\n\r\n{"message": "bad"}')
    stream.connection_lost(ConnectionResetError())
    assert (await talk.verdict()).code == 400


async def test_octets_that_nobody_asked_for_end_the_use_of_a_connection() -> None:
    _, _, stream = connected()
    stream.data_received(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
    assert not stream.reusable
    assert not stream.broken  # it is replaced, and nobody is to blame


async def test_a_connection_that_was_idle_for_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, stream = connected()
    assert stream.reusable
    now = asyncio.get_running_loop().time()
    monkeypatch.setattr(stream._loop, "time", lambda: now + 11.0)
    assert not stream.reusable


async def test_keys_that_cannot_be_renewed_now_send_nothing() -> None:
    async def away() -> str:
        raise ConnectionError("the machine gives no keys now")

    talk, wire, _ = connected(fetch=away)
    talk.offer(letter())
    with pytest.raises(ConnectionLost, match="no keys now"):
        await talk.content(CONTENT)
    assert wire.written == b""


async def test_a_refused_login_while_sending_ends_the_run_before_the_intent() -> None:
    async def refused() -> str:
        raise LoginError("no")

    talk, _, _ = connected(fetch=refused)
    talk.offer(letter())
    with pytest.raises(LoginError):
        await talk.content(CONTENT)


async def test_a_gateway_that_repeats_our_key_does_not_get_it_into_a_record(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for status in (400, 502):
        talk, _, stream = connected()
        await begun(talk)
        talk.dot()
        body = json.dumps({"message": f"you said {SECRET}"}).encode()
        stream.data_received(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
        try:
            said = (await talk.verdict()).text
        except ConnectionLost as lost:
            said = str(lost)
        assert "you said [secret]" in said
        assert SECRET not in said
    assert SECRET not in caplog.text
    assert SECRET not in repr(GatewayRequest("POST", "/", {"Authorization": SECRET}, b""))


@pytest.mark.parametrize(
    ("headers", "fits"),
    [
        (b"To: u@example.com", True),
        (b"To: =?utf-8?q?Ann?= <U@Example.com>", True),
        (b"To: v@example.com", False),
        (b"To: u@example.com, v@example.com", False),
        (b"To: u@example.com\r\nCc: v@example.com", False),
        (b"To: u@example.com\r\nBcc: v@example.com", False),
        (b"Subject: to nobody", False),
    ],
)
@pytest.mark.parametrize("kind", ["gmail-api", "graph-api"])
async def test_where_the_headers_are_the_envelope_they_name_the_recipient_alone(
    kind: str, headers: bytes, fits: bool
) -> None:
    talk, _, _ = connected(kind)
    found = talk.prepare(letter(headers + b"\r\n\r\nhello\r\n"))
    assert isinstance(found, bytes) == fits
    assert fits or (isinstance(found, Outcome) and found.verdict is Verdict.REJECTED)


@pytest.mark.parametrize("kind", ["ses-api", "mailgun-api", "sparkpost-api"])
async def test_where_there_is_an_envelope_the_headers_may_name_anyone(kind: str) -> None:
    talk, _, _ = connected(kind)
    assert isinstance(talk.prepare(letter(b"To: all@example.com\r\n\r\nhello\r\n")), bytes)


async def test_a_letter_that_could_end_early_at_the_next_server_goes_nowhere() -> None:
    talk, _, _ = connected()
    found = talk.prepare(letter(b"a: b\r\n\r\n\n.\n\r\n"))
    assert isinstance(found, Outcome)
    assert found.verdict is Verdict.UNRENDERABLE


async def test_a_letter_above_the_gateways_size_is_rejected_without_asking() -> None:
    talk, wire, _ = connected("graph-api")
    found = talk.prepare(letter(CONTENT + b"x" * 3_000_000 + b"\r\n"))
    assert isinstance(found, Outcome)
    assert (found.verdict, wire.written) == (Verdict.REJECTED, b"")


@given(st.binary(max_size=200), st.binary(max_size=50))
def test_a_letter_that_looks_like_the_border_of_the_form_stays_whole(start: bytes, end: bytes) -> None:
    import hashlib

    content = start + b"\r\n--" + hashlib.sha256(start).hexdigest().encode() + b"--\r\n" + end
    _, preset = find_gateway("mailgun-api:example.com") or ("", None)
    assert preset is not None
    request = MailgunApi(preset, "").letter_request(letter(content), "k", 0.0)
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert _mailgun(Request("POST", request.target, headers, request.body)).content == content


def test_a_wait_is_read_from_retry_after_only_if_it_is_a_number() -> None:
    waits = [
        GatewayAnswer(429, {"retry-after": text}, b"").wait() for text in ("30", "Wed, 21 Oct 2026", "9" * 9, "-1")
    ]
    assert waits == [30.0, None, 86400.0, None]


def test_a_run_without_a_gateway_does_not_load_what_gateways_need(tmp_path: Path) -> None:
    import subprocess
    import sys

    script = "import sys, campaign.delivery.send.dispatcher; print('h11' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
