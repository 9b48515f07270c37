"""The embedded relay keeps every letter, octet for octet, before it says so."""

from __future__ import annotations

import asyncio
import stat
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from campaign.delivery.embedded_mailbox import CALLER, EmbeddedMailbox
from campaign.delivery.relays.relay import open_relays
from campaign.delivery.send.dispatcher import Dispatcher
from campaign.errors import StorageError
from campaign.model import Recipient, Verdict
from tests.support.servers.sending import Ledger, letter_for, make_letter, recipients, send, settings
from tests.support.servers.shelf import EXTENSIONS, Shelf

LINES = st.lists(st.sampled_from([b"", b".", b"..", b".a", b"a.", b"x" * 998, b"=2E", b"MAIL FROM:<x@y.example>"]))


async def serve(folder: Path, who: list[Recipient], compose=letter_for, **keys) -> tuple[Ledger, EmbeddedMailbox]:
    ledger, chosen = Ledger(), settings("mailbox", **keys)
    async with EmbeddedMailbox(folder) as box:
        relays = await open_relays(chosen, folder, {}, box.url)
        await Dispatcher(chosen, relays, ledger).serve_pass(iter(who), compose)
    return ledger, box


async def test_every_letter_is_a_file_of_its_own(tmp_path) -> None:
    ledger, box = await serve(tmp_path / "mailbox", recipients(200), connections=5)
    kept = sorted(path.read_bytes() for path in (tmp_path / "mailbox" / "new").iterdir())
    assert kept == sorted(letter_for(one).content for one in recipients(200))
    assert ledger.count(Verdict.ACCEPTED) == box.kept == 200
    assert not list((tmp_path / "mailbox" / "tmp").iterdir())


async def test_nobody_else_can_read_it(tmp_path) -> None:
    await serve(tmp_path / "mailbox", recipients(1))
    for path in (tmp_path / "mailbox").rglob("*"):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077


@pytest.mark.parametrize("greeting", ["EHLO localhost", "EHLO mailbox.invalid", "HELO localhost", "HELO é", "EHLO é"])
async def test_another_process_cannot_put_a_letter_into_it(tmp_path, greeting) -> None:
    async with EmbeddedMailbox(tmp_path / "mailbox") as box:
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(box.url).port)
        await reader.readline()
        said = []
        for line in (greeting, "MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>", "DATA"):
            writer.write(f"{line}\r\n".encode())
            said.append((await reader.readline()).decode())
        writer.close()
        await writer.wait_closed()
    assert all(line[0] == "5" for line in said), said
    assert box.kept == 0
    assert not list((tmp_path / "mailbox" / "new").iterdir())


async def test_a_caller_who_greets_anew_with_another_name_is_no_longer_let_in(tmp_path) -> None:
    async with EmbeddedMailbox(tmp_path / "mailbox") as box:
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(box.url).port)
        writer.write(f"EHLO {CALLER}\r\nEHLO other\r\nMAIL FROM:<a@example.com>\r\nQUIT\r\n".encode())
        lines = (await reader.read()).decode().splitlines()
        writer.close()
        await writer.wait_closed()
    assert [line[:3] for line in lines[-3:]] == ["550", "503", "221"]


async def test_the_name_by_which_we_are_known_is_in_nothing_printed(tmp_path, caplog) -> None:
    caplog.set_level(1)
    async with EmbeddedMailbox(tmp_path) as box:
        relays = await open_relays(settings("mailbox"), tmp_path, {}, box.url)
    ledger, _ = await serve(tmp_path, recipients(2))
    assert CALLER not in repr((relays, ledger.last, box.url)) + caplog.text


async def test_it_takes_large_letters_and_addresses_of_every_script(tmp_path) -> None:
    who = [Recipient(0, "josé@example.com", "k", "", 1, {})]
    content = b"a: b\r\n\r\n" + (b"." * 998 + b"\r\n") * 20_000
    ledger, _ = await serve(tmp_path, who, lambda one: make_letter(one, content, smtputf8=True))
    assert ledger.count(Verdict.ACCEPTED) == 1
    assert next((tmp_path / "new").iterdir()).read_bytes() == content


async def test_it_manages_several_hundred_letters_a_second(tmp_path) -> None:
    began = time.perf_counter()
    await serve(tmp_path, recipients(500), lambda one: letter_for(one, (b"x" * 76 + b"\r\n") * 80), connections=10)
    assert 500 / (time.perf_counter() - began) > 200


async def test_a_folder_that_cannot_be_made_is_said_plainly(tmp_path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be made"):
        await serve(tmp_path / "file" / "mailbox", recipients(1))


async def test_a_disk_that_takes_no_more_defers_the_letter(tmp_path, monkeypatch) -> None:
    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(EmbeddedMailbox, "_file", full)
    ledger, box = await serve(tmp_path, recipients(1))
    assert ledger.last[0].verdict is Verdict.DEFERRED
    assert "No space left" in ledger.last[0].reason
    assert box.kept == 0


@pytest.mark.parametrize("extensions", [EXTENSIONS, EXTENSIONS[1:]], ids=["pipelined", "step by step"])
@hypothesis_settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bodies=st.lists(LINES, min_size=1, max_size=8))
async def test_random_letters_arrive_as_they_were_planned_and_nothing_else_does(extensions, bodies) -> None:
    planned = {
        one.address: b"a: b\r\n\r\n" + b"".join(line + b"\r\n" for line in body)
        for one, body in zip(recipients(len(bodies)), bodies, strict=True)
    }
    async with Shelf(extensions, greedy=True) as shelf:
        await send(
            shelf.url, recipients(len(bodies)), lambda one: make_letter(one, planned[one.address]), connections=2
        )
    assert {recipient: content for _, recipient, content in shelf.letters} == planned
    assert len(shelf.letters) == len(bodies)
    for raw in shelf.raw:
        assert b"\n" not in bytes(raw).replace(b"\r\n", b"")
        assert b"\r" not in bytes(raw).replace(b"\r\n", b"")
