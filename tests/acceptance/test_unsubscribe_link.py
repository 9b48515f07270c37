"""A letter is sent, its reader clicks the link, collect fetches the click, the next edition leaves them out."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from pathlib import Path

from tests.support.servers import certificates
from tests.support.servers.clicking_browser import clicking_browser
from tests.support.servers.s3 import ENVIRONMENT, FakeS3
from tests.support.servers.shelf import Shelf
from tests.support.stand import Running, Stand


async def begin_listening(stand: Stand, text: str = "") -> tuple[Running, int]:
    """`campaign listen` on a free port."""
    stand.write("listen.toml", f"[listen]\nport = 0\nname = 'Gazette'\n{text}")
    running = await stand.begin("listen", stand.folder / "listen.toml")
    async with asyncio.timeout(30):
        while "listening on" not in running.talk:  # noqa: ASYNC110 - the process tells it in a file
            await asyncio.sleep(0.05)
    return running, int(running.talk.partition("127.0.0.1:")[2].partition(",")[0])


@asynccontextmanager
async def web_server(port: Callable[[], int]) -> AsyncIterator[int]:
    """The web server with TLS that stands in front."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind, ahead = await asyncio.open_connection("127.0.0.1", port())

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                sink.write(data)
            sink.close()

        await asyncio.gather(copy(reader, ahead), copy(behind, writer), return_exceptions=True)

    server = await asyncio.start_server(pass_on, "127.0.0.1", 0, ssl=certificates.server())
    yield server.sockets[0].getsockname()[1]
    server.close()


async def asked(port: int, method: str, path: str, body: str = "") -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write((head + body).encode())
    status = int((await reader.read()).split(b" ", 2)[1])
    writer.close()
    return status


def one_click(port: int) -> Callable[[str], Awaitable[int]]:
    return lambda token: asked(port, "POST", f"/u/{token}", "List-Unsubscribe=One-Click")


def delivered(shelf: Shelf, recipient: str) -> str:
    """The HTML of the letter that this reader got."""
    content = next(content for _, to, content in shelf.letters if to == recipient)
    part = message_from_bytes(content, policy=policy.default).get_body(("html",))
    assert part is not None
    return str(part.get_content())


async def test_who_clicked_in_the_delivered_letter_gets_no_next_edition_and_who_only_looked_does(
    stand: Stand, shelf: Shelf, tmp_path: Path
) -> None:
    stand.write("letter.html", '<p>News.</p><p><a id="stop" href="{{ unsubscribe_url }}">no more</a></p>')
    listening, port = await begin_listening(stand)
    async with web_server(lambda: port) as outside:
        stand.set(
            campaign__edition="one",
            compose__html="letter.html",
            compose__unsubscribe=f"https://127.0.0.1:{outside}/u/{{{{ unsubscribe_token }}}}",
            feedback__source=[{"url": "listen:events"}],
        )
        (await stand.send()).ends(0)
        async with clicking_browser() as browser:
            for reader, sure in (("p1@example.com", True), ("p2@example.com", False)):
                letter = tmp_path / f"{reader}.html"
                letter.write_text(delivered(shelf, reader), encoding="utf-8")
                await browser.open(letter.as_uri())
                await browser.shows("no more")
                await browser.click("#stop")
                await browser.shows("stop receiving e-mail from Gazette")
                if sure:
                    await browser.click("button")
                    await browser.shows("You are unsubscribed.")
    (await stand.campaign("collect", stand.file)).ends(0, "1 new event")
    listening.signal(signal.SIGTERM)
    (await listening.end()).ends(0)
    shelf.letters.clear()
    (await stand.set(campaign__edition="two").send()).ends(0)
    assert sorted(shelf.recipients) == sorted(f"p{n}@example.com" for n in range(20) if n != 1)


async def test_a_token_that_is_none_is_fetched_and_counts_for_nobody(stand: Stand, shelf: Shelf) -> None:
    listening, port = await begin_listening(stand)
    stand.set(
        compose__unsubscribe="https://example.com/u/{{ unsubscribe_token }}",
        feedback__source=[{"url": "listen:events"}],
    )
    (await stand.send()).ends(0)
    found = (re.search(rb"List-Unsubscribe:\s+<https://example.com/u/([\w-]+)>", one[2]) for one in shelf.letters)
    (real,) = [one[1].decode() for one in found if one][:1]
    click = one_click(port)
    assert [await click("A" * 60), await click(real), await click(real)] == [200, 200, 200]
    (await stand.campaign("collect", stand.file)).ends(0, "collected 3 messages", "1 address left out")
    (await stand.campaign("collect", stand.file)).ends(0, "collected 0 messages")
    listening.signal(signal.SIGKILL)
    await listening.process.wait()
    (await stand.campaign("collect", stand.file)).ends(0, "collected 0 messages")
    assert not list((stand.folder / "events").iterdir())


async def test_a_click_in_a_bucket_counts_once_although_collect_is_killed_before_it_deletes(
    stand: Stand, shelf: Shelf
) -> None:
    stand.variables |= ENVIRONMENT
    authority = certificates.ca_file(stand.folder)
    with FakeS3() as s3:
        listening, port = await begin_listening(stand, f"events = '{s3.url('news')}'\nbucket_ca_file = '{authority}'\n")
        stand.set(
            campaign__edition="one",
            compose__unsubscribe="https://example.com/u/{{ unsubscribe_token }}",
            feedback__source=[{"url": f"listen:{s3.url('news')}", "tls_ca_file": str(authority)}],
        )
        (await stand.send()).ends(0)
        found = (re.search(rb"List-Unsubscribe:\s+<https://example.com/u/([\w-]+)>", one[2]) for one in shelf.letters)
        (real,) = [one[1].decode() for one in found if one][:1]
        assert await one_click(port)(real) == 200
        listening.signal(signal.SIGTERM)
        (await listening.end()).ends(0)
        assert len(s3.objects) == 2
        collecting = await stand.begin("collect", stand.file)

        def killed() -> None:
            collecting.process.kill()
            raise ConnectionAbortedError

        s3.before_delete = killed
        assert await collecting.process.wait() == -signal.SIGKILL
        s3.before_delete = lambda: None
        assert len(s3.objects) == 2
        (await stand.campaign("collect", stand.file)).ends(0, "collected 0 messages")
        assert [*s3.objects] == ["news/campaign-listen.txt"]
    shelf.letters.clear()
    (await stand.set(campaign__edition="two").send()).ends(0)
    assert len(shelf.recipients) == 19


async def test_with_the_campaign_file_a_link_of_another_campaign_is_answered_404(stand: Stand, shelf: Shelf) -> None:
    stand.set(compose__unsubscribe="https://example.com/u/{{ unsubscribe_token }}")
    (await stand.send()).ends(0)
    found = (re.search(rb"List-Unsubscribe:\s+<https://example.com/u/([\w-]+)>", one[2]) for one in shelf.letters)
    real = next(one[1].decode() for one in found if one)
    _, port = await begin_listening(stand, "campaign = 'gazette.toml'\n")
    click = one_click(port)
    assert [await click("A" * 60), await click(real)] == [404, 200]


async def test_what_was_answered_200_is_stored_when_the_process_is_killed(stand: Stand) -> None:
    token, answered = "T" * 60, 0
    for number in (signal.SIGKILL, signal.SIGTERM):
        running, port = await begin_listening(stand)
        found = await asyncio.gather(*(one_click(port)(token) for _ in range(50)))
        answered += found.count(200)
        running.signal(number)
        assert await running.process.wait() == (0 if number is signal.SIGTERM else -signal.SIGKILL)
        assert token not in running.talk
    stored = [line for file in (stand.folder / "events").iterdir() for line in file.read_text().splitlines()]
    assert (answered, len(stored)) == (100, 100)


async def test_two_programs_cannot_have_one_port(stand: Stand) -> None:
    _, port = await begin_listening(stand)
    ended = await stand.campaign("listen", stand.folder / "listen.toml", "--port", port)
    ended.tells(73, "cannot be listened on", step="choose another port")
