"""`campaign listen` behind nginx and Caddy, as deploy/listen/ sets them up, and in AWS Lambda, by events of its own."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import importlib.util
import json
import logging
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from campaign.feedback.listened.listened_record import LONGEST_BODY
from campaign.listen.app import VARIABLE
from tests.support.servers import certificates
from tests.support.servers.s3 import ENVIRONMENT, FakeS3
from tests.support.servers.web_proxies import caddy, nginx

ROOT = Path(__file__).parents[2]
TOKEN = "T" * 60
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SECRET = "hush-hush-hush-hush"
FORM_OF_A_PAGE = {"Content_Type": FORM["Content-Type"]}
Proxy = Callable[[int], AbstractAsyncContextManager[int]]


@contextlib.asynccontextmanager
async def service(folder: Path) -> AsyncIterator[int]:
    """The command itself, with one webhook; gives its port."""
    for name in ("fetch.token", "secret"):
        (folder / name).write_text(SECRET + "\n")
        (folder / name).chmod(0o600)
    (folder / "listen.toml").write_text(
        '[listen]\nport = 0\nfetch_token_file = "fetch.token"\n'
        '[[listen.webhook]]\nprovider = "postmark"\nsecret_file = "secret"\n'
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "campaign", "listen", str(folder / "listen.toml"), "--json"),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        assert process.stdout is not None
        yield int(json.loads(await process.stdout.readline())["port"])
    finally:
        process.terminate()
        assert await process.wait() == 0


class Browser:
    """Asks over TLS, from an address of this machine's choice."""

    def __init__(self, port: int, folder: Path) -> None:
        self._port, self._context = port, ssl.create_default_context(cafile=certificates.ca_file(folder))

    async def ask(self, method: str, path: str, body: bytes = b"", source: str = "127.0.0.1", **more: str) -> Any:
        return await asyncio.to_thread(self._ask, method, path, body, source, more)

    def _ask(self, method: str, path: str, body: bytes, source: str, more: dict[str, str]) -> Any:
        given = {name.replace("_", "-"): value for name, value in more.items()}
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self._port, timeout=20, context=self._context, source_address=(source, 0)
        )
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):  # refused while it sends
                connection.request(method, path, body, given)
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return response.status, headers, response.read()
        finally:
            connection.close()

    async def click(self, token: str, source: str = "127.0.0.1", **more: str) -> int:
        body = b"List-Unsubscribe=One-Click"
        return int((await self.ask("POST", f"/u/{token}", body, source, Content_Type=FORM["Content-Type"], **more))[0])


def stored(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in (folder / "events").iterdir() for line in file.read_text().splitlines()]


@pytest.mark.parametrize("proxy", [nginx, caddy])
async def test_a_click_passes_the_web_server_and_a_look_stores_nothing(proxy: Proxy, tmp_path: Path) -> None:
    async with service(tmp_path) as behind, proxy(behind) as port:
        browser = Browser(port, tmp_path)
        status, headers, page = await browser.ask("GET", f"/u/{TOKEN}")
        assert status == 200
        assert b"<button" in page
        assert headers["x-campaign"] == "listen"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert (await browser.ask("HEAD", f"/u/{TOKEN}"))[0] == 200
        assert stored(tmp_path) == []
        assert await browser.click(TOKEN) == 200
        assert [one["token"] for one in stored(tmp_path)] == [TOKEN]
        status, _, listed = await browser.ask("GET", "/events", Authorization=f"Bearer {SECRET}")
        assert (status, len(json.loads(listed))) == (200, 1)
        assert "x-campaign" not in (await browser.ask("GET", "/health"))[1]


@pytest.mark.parametrize("proxy", [nginx, caddy])
async def test_a_body_above_the_bound_is_refused_and_one_of_its_size_is_not(proxy: Proxy, tmp_path: Path) -> None:
    allowed = {"Authorization": f"Bearer {SECRET}"}
    async with service(tmp_path) as behind, proxy(behind) as port:
        browser = Browser(port, tmp_path)
        largest = b'{"RecordType":"Open","x":"' + b"x" * LONGEST_BODY
        whole = largest[: LONGEST_BODY - 2] + b'"}'
        assert (await browser.ask("POST", "/webhooks/postmark", whole, **allowed))[0] == 200
        assert (await browser.ask("POST", "/webhooks/postmark", whole + b" ", **allowed))[0] == 413
        assert (await browser.ask("POST", "/webhooks/postmark", whole * 3, **allowed))[0] == 413
        assert (await browser.ask("POST", f"/u/{TOKEN}", b"x" * 20_000, **FORM_OF_A_PAGE))[0] == 413
    assert len(stored(tmp_path)) == 1


@pytest.mark.parametrize("proxy", [nginx, caddy])
async def test_refused_requests_are_counted_by_the_network_of_who_asks_and_no_header_hides_it(
    proxy: Proxy, tmp_path: Path
) -> None:
    async with service(tmp_path) as behind, proxy(behind) as port:
        browser = Browser(port, tmp_path)
        assert await browser.click("short", "127.0.1.1") == 404
        for number in range(600):  # the limit is 60 a minute, however long these take
            if await browser.click("short", "127.0.1.1", X_Forwarded_For=f"192.0.{number % 256}.1") == 429:
                break
        else:
            pytest.fail("a network may send any number of refused requests")
        assert await browser.click("short", "127.0.2.1") == 404
        assert await browser.click(TOKEN, "127.0.1.1") == 200


# -- AWS Lambda


@pytest.fixture
def handler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The example's handler with a bucket on loopback; gives it and the bucket."""
    pytest.importorskip("mangum", reason="Mangum is not installed")
    with FakeS3(session_token="role-role") as s3:
        authority = certificates.ca_file(tmp_path).name
        file = tmp_path / "listen.toml"
        file.write_text(f'[listen]\nevents = "{s3.url("events")}"\nbucket_ca_file = "{authority}"\n')
        for name, value in {**ENVIRONMENT, "AWS_SESSION_TOKEN": "role-role", VARIABLE: str(file)}.items():
            monkeypatch.setenv(name, value)
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        module = loaded(ROOT / "deploy/listen/lambda/handler.py")
        yield module.handler, s3
        loop.run_until_complete(ended(module.app))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        asyncio.set_event_loop(None)


async def ended(app: Any) -> None:
    async with app.router.lifespan_context(app):
        """Its end closes the connection to the bucket."""


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("lambda_handler", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def event(method: str, path: str, body: bytes = b"", address: str = "203.0.113.9") -> dict[str, Any]:
    """What a function URL or an HTTP API gives, format 2.0."""
    about = {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": address, "userAgent": "x"}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"host": "x.lambda-url.eu-west-1.on.aws", "content-length": str(len(body)), **FORM},
        "requestContext": {"http": about, "domainName": "x", "requestId": "1", "stage": "$default", "timeEpoch": 1},
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }


def test_in_lambda_a_click_is_in_the_bucket_before_its_answer_and_no_token_is_logged(
    handler: Any, caplog: pytest.LogCaptureFixture
) -> None:
    call, s3 = handler
    caplog.set_level(logging.INFO)
    before = len(s3.objects)
    for count in (1, 2, 3):
        answer = call(event("POST", f"/u/{count:060d}", b"List-Unsubscribe=One-Click"), None)
        assert answer["statusCode"] == 200
        assert len(s3.objects) == before + count
    assert "<button" in call(event("GET", f"/u/{TOKEN}"), None)["body"]
    assert len(s3.objects) == before + 3
    s3.faults = [(403, "AccessDenied", {})]
    answer = call(event("POST", f"/u/{TOKEN}", b"List-Unsubscribe=One-Click"), None)
    assert (answer["statusCode"], answer["headers"]["retry-after"]) == (503, "60")
    assert f"{1:060d}" not in caplog.text


def test_in_lambda_refused_requests_are_counted_by_the_address_in_the_event(handler: Any) -> None:
    call, _ = handler
    found = [call(event("POST", "/u/short"), None)["statusCode"] for _ in range(62)]
    assert (found[0], found[-1]) == (404, 429)
    assert call(event("POST", "/u/short", address="198.51.100.1"), None)["statusCode"] == 404
