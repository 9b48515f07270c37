"""`campaign listen` on loopback: durable before the 200, bounded, two at once, killed, and fetched over https."""

from __future__ import annotations

import asyncio
import base64
import errno
import json
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn

from campaign.check.findings import Findings
from campaign.check.letters.unsubscribe_probe import probe_unsubscribe
from campaign.config.listen.listen_file import load_listen
from campaign.errors import ConfigError, InputError, LoginError, UnfinishedError
from campaign.feedback.feedback_source import Handled
from campaign.feedback.listened.listened_files import ListenedFolder, ListenedWriter
from campaign.feedback.listened.listened_https import ListenedHost
from campaign.feedback.listened.listened_record import RESERVED_TOKEN
from campaign.feedback.listened.listened_source import ListenedSource
from campaign.listen import bounded_body
from campaign.listen.app import create_app
from campaign.listen.listen_state import ListenState, open_state
from campaign.model import Letter
from tests.support.servers.certificates import authority

TOKEN = "T" * 60
ONE_CLICK = b"List-Unsubscribe=One-Click"


def opened(folder: Path, text: str = "", **more: object) -> ListenState:
    file = folder / "listen.toml"
    file.write_text(f"[listen]\n{text}")
    return open_state(load_listen(file), **more)  # type: ignore[arg-type]


@contextmanager
def serving(state: ListenState, tls: tuple[str, str] | None = None) -> Iterator[int]:
    """The application on a free port, in a thread of its own."""
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listening:
        files = {"ssl_certfile": tls[0], "ssl_keyfile": tls[1]} if tls else {}
        server = uvicorn.Server(uvicorn.Config(create_app(state), log_config=None, access_log=False, **files))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


async def asked(port: int, request: bytes) -> tuple[int, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    found = await reader.read()
    writer.close()
    return int(found.split(b" ", 2)[1] or b"0"), found.decode()


def request(method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def post(token: str = TOKEN) -> bytes:
    return request("POST", f"/u/{token}", ONE_CLICK, "Content-Type: application/x-www-form-urlencoded")


def stored(folder: Path) -> list[str]:
    events = folder / "events"
    lines = [line for file in sorted(events.iterdir()) for line in file.read_text().splitlines()]
    return [json.loads(line).get("token", "") for line in lines]


async def test_a_thousand_posts_at_once_are_all_stored_before_their_answer(tmp_path: Path) -> None:
    syncs = []

    def sync(file: int) -> None:
        syncs.append(file)
        os.fsync(file)

    writer = ListenedWriter(tmp_path / "events", sync=sync)
    with serving(opened(tmp_path, writer=writer)) as port:
        found = await asyncio.gather(*(asked(port, post(f"{n:060d}")) for n in range(1000)))
        assert [status for status, _ in found] == [200] * 1000
        assert sorted(stored(tmp_path)) == [f"{n:060d}" for n in range(1000)]
    assert 0 < len(syncs) < 1000


async def test_looking_stores_nothing_and_the_answers_are_safe(tmp_path: Path) -> None:
    with serving(opened(tmp_path)) as port:
        for method in ("GET", "HEAD"):
            status, text = await asked(port, request(method, f"/u/{TOKEN}"))
            head = text.lower()
            assert status == 200
            assert "content-security-policy: default-src 'none'" in head
            assert "cache-control: no-store" in head
            assert "set-cookie" not in head
            assert "location:" not in head
            assert ("<button" in text) is (method == "GET")
        for method in ("PUT", "DELETE"):
            assert (await asked(port, request(method, f"/u/{TOKEN}")))[0] == 405
        assert (await asked(port, post(RESERVED_TOKEN)))[0] == 200
        assert (await asked(port, post("short")))[0] == 404
        assert (await asked(port, request("GET", "/health")))[0] == 200
        assert (await asked(port, request("GET", "/events")))[0] == 404
    assert stored(tmp_path) == []


def test_a_probe_from_home_finds_it_sound_and_leaves_nothing(tmp_path: Path) -> None:
    findings = Findings()
    with serving(opened(tmp_path)) as port:
        header = f"List-Unsubscribe: <http://127.0.0.1:{port}/u/{TOKEN}>\r\n\r\nHello\r\n"
        letter = Letter(0, "<1@x>", "n@example.com", "a@example.com", header.encode(), b"")
        probe_unsubscribe([letter], findings, public=lambda _: True)
    assert not list(findings)
    assert stored(tmp_path) == []


async def test_a_repeated_post_is_answered_200(tmp_path: Path) -> None:
    with serving(opened(tmp_path)) as port:
        assert [(await asked(port, post()))[0] for _ in range(3)] == [200] * 3


async def test_a_full_disk_is_answered_503_and_never_200(tmp_path: Path) -> None:
    def write(_file: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with serving(opened(tmp_path, writer=ListenedWriter(tmp_path / "events", write=write))) as port:
        status, text = await asked(port, post())
    assert status == 503
    assert "retry-after: 60" in text.lower()


async def test_a_body_without_end_is_refused_when_it_is_too_large(tmp_path: Path) -> None:
    head = f"POST /u/{TOKEN} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    with serving(opened(tmp_path)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head + b"1000\r\n" + b"a" * 4096 + b"\r\n")
        for _ in range(8):
            writer.write(b"1000\r\n" + b"a" * 4096 + b"\r\n")
        assert b" 413 " in await reader.readline()
        writer.close()
        huge = request("POST", f"/u/{TOKEN}", b"", "X: y").replace(b"Content-Length: 0", b"Content-Length: 99999999")
        assert (await asked(port, huge))[0] == 413


async def test_a_body_that_does_not_come_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_body.read_body, "__defaults__", (0.05,))
    with serving(opened(tmp_path)) as port:
        slow = request("POST", f"/u/{TOKEN}", b"").replace(b"Content-Length: 0", b"Content-Length: 26")
        assert (await asked(port, slow))[0] == 408


async def test_strangers_are_told_to_wait_and_posts_with_a_token_are_not(tmp_path: Path) -> None:
    with serving(opened(tmp_path)) as port:
        found = [(await asked(port, post("short")))[0] for _ in range(62)]
        assert found[0] == 404
        assert found[-1] == 429
        assert (await asked(port, post()))[0] == 200


async def test_invented_tokens_from_everywhere_fill_no_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = opened(tmp_path, "clicks_per_minute = 60\n")
    state.clock = lambda: 1000.0
    with serving(state) as port:
        found = [await asked(port, post(f"{n:060d}")) for n in range(70)]
        assert [status for status, _ in found] == [200] * 60 + [503] * 10
        assert "retry-after: 60" in found[-1][1].lower()
        assert (await asked(port, post(RESERVED_TOKEN)))[0] == 200
        assert (await asked(port, request("GET", f"/u/{TOKEN}")))[0] == 200
        state.clock = lambda: 1002.5
        assert [(await asked(port, post(TOKEN)))[0] for _ in range(3)] == [200, 200, 503]
    assert len(stored(tmp_path)) == 62
    (told,) = [one.getMessage() for one in caplog.records if one.name == "campaign.listen"]
    assert told.startswith("an unsubscribe was put off (1 times): ")


async def test_with_the_secret_here_a_link_of_somebody_else_is_answered_404(tmp_path: Path) -> None:
    with serving(opened(tmp_path, knows=lambda token: token == TOKEN)) as port:
        assert (await asked(port, post("U" * 60)))[0] == 404
        assert (await asked(port, post()))[0] == 200
    assert stored(tmp_path) == [TOKEN]


async def test_a_webhook_is_stored_only_if_it_is_verified(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hush-hush-hush-hush\n")
    (tmp_path / "secret").chmod(0o600)
    text = '[[listen.webhook]]\nprovider = "postmark"\nsecret_file = "secret"\n'
    body = b'{"RecordType":"SpamComplaint"}'
    with serving(opened(tmp_path, text)) as port:
        assert (await asked(port, request("POST", "/webhooks/postmark", body)))[0] == 401
        right = request("POST", "/webhooks/postmark", body, "Authorization: Bearer hush-hush-hush-hush")
        assert [(await asked(port, right))[0] for _ in range(2)] == [200, 200]
        assert (await asked(port, request("POST", "/webhooks/other", body)))[0] == 404
    assert stored(tmp_path) == [""]


async def test_a_webhook_is_not_looked_at_and_a_trial_of_sparkpost_is_answered(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hush-hush-hush-hush\n")
    (tmp_path / "secret").chmod(0o600)
    text = '[[listen.webhook]]\nprovider = "sparkpost"\nuser = "u"\npassword_file = "secret"\n'
    with serving(opened(tmp_path, text)) as port:
        for method in ("GET", "HEAD"):
            status, answer = await asked(port, request(method, "/webhooks/sparkpost"))
            assert status == 405
            assert "allow: post" in answer.lower()
        credentials = base64.b64encode(b"u:hush-hush-hush-hush").decode()
        trial = request("POST", "/webhooks/sparkpost", b'[{"msys":{}}]', f"Authorization: Basic {credentials}")
        assert (await asked(port, trial))[0] == 200
    one = ListenedSource(ListenedFolder(tmp_path / "events"), tmp_path / "progress.json")
    assert list(one.receive()) == []


@pytest.fixture
def tls(tmp_path: Path) -> tuple[tuple[str, str], ssl.SSLContext]:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued = authority().issue_cert("127.0.0.1")
    certificate.write_bytes(issued.cert_chain_pems[0].bytes())
    key.write_bytes(issued.private_key_pem.bytes())
    context = ssl.create_default_context()
    authority().configure_trust(context)
    return (str(certificate), str(key)), context


async def test_collect_fetches_each_click_once_over_https_and_closed_files_are_removed(
    tmp_path: Path, tls: tuple[tuple[str, str], ssl.SSLContext]
) -> None:
    files, context = tls
    (tmp_path / "token").write_text("fetch-token-fetch-token\n")
    (tmp_path / "token").chmod(0o600)
    state = opened(tmp_path, 'fetch_token_file = "token"\n')
    state.writer.append([b'{"v":1,"id":"1","at":1,"kind":"one-click","token":"%s"}\n' % TOKEN.encode()])

    def fetched(url: str, token: str = "fetch-token-fetch-token") -> list[str]:
        one = ListenedSource(ListenedHost(url, lambda: token, context), tmp_path / "progress.json")
        try:
            found = list(one.receive())
            one.acknowledge([Handled(item.receipt, recognised=True) for item in found])
        finally:
            one.close()
        return [item.notices[0].unsubscribe_tokens[0] for item in found]

    with serving(state, files) as port:
        url = f"https://127.0.0.1:{port}"
        assert await asyncio.to_thread(fetched, url) == [TOKEN]
        assert await asyncio.to_thread(fetched, url) == []
        assert len(list((tmp_path / "events").iterdir())) == 1
        state.writer.close()
        assert await asyncio.to_thread(fetched, url) == []
        assert not list((tmp_path / "events").iterdir())
        with pytest.raises(LoginError, match="refuses this token"):
            await asyncio.to_thread(fetched, url, "wrong")
        context = ssl.create_default_context()
        with pytest.raises(InputError, match="not to be trusted"):
            await asyncio.to_thread(fetched, url)
    with pytest.raises(UnfinishedError, match="cannot be asked now"):
        await asyncio.to_thread(fetched, url)


def test_a_source_over_https_needs_a_token_and_a_host() -> None:
    for url, token in (("https://example.com", None), ("https://example.com/path", str)):
        with pytest.raises(ConfigError, match="is not complete"):
            ListenedHost(url, token, ssl.create_default_context())
