"""Whole campaigns by the command, over SMTP and over each gateway: the same file, the same octets, the same books."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
import trustme

from campaign.errors import RelayError
from campaign.model import Verdict
from tests.integration.test_delivery_gateways import KINDS, through
from tests.support.servers.gateway import TOKEN, FakeGateway
from tests.support.servers.sending import letter_for
from tests.support.servers.shelf import Shelf
from tests.support.stand import Stand

SECRET = "0123456789abcdef0123456789abcdef"
#: What differs from run to run: when it began, and its trace.
OF_THE_RUN = re.compile(rb"(?im)^(date|x-campaign-[a-z-]+|traceparent): [^\r\n]*\r\n")
HTML = "<html><head><style>p { color: #123456 }</style></head><body><p>{{ '{{' }} Dear {{ name }} é</p></body></html>"


def campaign_in(folder: Path, relay: str) -> Stand:
    folder.mkdir()
    stand = Stand(folder, 12)
    stand.write("letter.html", HTML)
    stand.write("letter.txt", "Dear {{ name }},\n\n.\n..dots, and {{ '{{name}}' }}\n")
    stand.write("token", TOKEN)
    (folder / "token").chmod(0o600)
    stand.set(delivery__relay=relay, delivery__connections=3, delivery__rate="1000/s", compose__html="letter.html")
    if "gmail" in relay or "graph" in relay:
        stand.set(delivery__token_file="token")
    stand.variables = {"CAMPAIGN_SECRET": SECRET}
    return stand


def same_for_all(letters: Mapping[str, bytes]) -> dict[str, bytes]:
    return {recipient: OF_THE_RUN.sub(b"", content) for recipient, content in letters.items()}


async def test_the_same_campaign_gives_every_gateway_the_octets_that_smtp_gets(tmp_path: Path) -> None:
    async with Shelf() as shelf:
        (await campaign_in(tmp_path / "smtp", shelf.url).send()).ends(0, "12 of 12 accepted")
    wanted = same_for_all({recipient: content for _, recipient, content in shelf.letters})
    assert len(wanted) == 12
    assert all(b"Message-ID: " in content for content in wanted.values())
    for kind in KINDS:
        async with FakeGateway(kind) as gateway:
            stand = campaign_in(tmp_path / kind, gateway.url)
            stand.variables |= gateway.environment
            (await stand.send()).ends(0, "12 of 12 accepted")
        assert not gateway.refused
        taken = {re.sub(r".*<(.*)>", r"\1", one.recipient): one.content for one in gateway.taken}
        assert same_for_all(taken) == wanted, kind


async def test_several_senders_share_a_gateway(tmp_path: Path) -> None:
    async with FakeGateway("mailgun-api", delay=0.02) as gateway:
        stand = campaign_in(tmp_path / "many", gateway.url)
        stand.set(delivery__processes=2, delivery__connections=6).people(range(450))
        stand.variables |= gateway.environment
        (await stand.send()).ends(0, "450 of 450 accepted")
    assert Counter(one.recipient for one in gateway.taken) == Counter(f"p{n}@example.com" for n in range(450))


async def test_the_report_shows_what_the_gateway_said_and_the_doubt_is_listed(tmp_path: Path) -> None:
    refusal = (400, {"x-amzn-errortype": "MessageRejected"}, '{"message": "Transaction failed"}')
    async with FakeGateway("ses-api", lambda number: {1: refusal, 2: "whole"}.get(number)) as gateway:
        stand = campaign_in(tmp_path / "refused", gateway.url).set(delivery__connections=1)
        stand.variables |= gateway.environment
        (await stand.send()).ends(4)
    assert stand.verdicts() == {"accepted": 10, "rejected": 1, "in_doubt": 1}
    failed = (stand.run / "failed.csv").read_text()
    assert "MessageRejected: Transaction failed" in failed
    assert ",400," in failed
    assert "p2@example.com" in (stand.run / "in-doubt.csv").read_text()
    assert "wJalr" not in "".join(path.read_text(errors="replace") for path in stand.run.iterdir() if path.is_file())


def certified(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


async def test_a_gateway_is_trusted_only_with_a_certificate_of_a_trusted_authority(tmp_path: Path) -> None:
    ours, theirs = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with FakeGateway("sparkpost-api", context=certified(ours)) as gateway:
        ledger = await through(gateway, 3, tmp_path, tls_ca_file="ca.pem")
    assert ledger.count(Verdict.ACCEPTED) == 3
    async with FakeGateway("sparkpost-api", context=certified(theirs)) as gateway:
        with pytest.raises(RelayError, match="cannot be used") as caught:
            await through(gateway, 3, tmp_path, tls_ca_file="ca.pem")
    assert "no trusted encryption" in str(caught.value)
    assert not gateway.requests


async def test_a_pinned_certificate_is_required_of_a_gateway_too(tmp_path: Path) -> None:
    async with FakeGateway("sparkpost-api", context=certified(trustme.CA())) as gateway:
        with pytest.raises(RelayError) as caught:
            await through(gateway, 1, tmp_path, tls_fingerprint="ab" * 32)
    assert "another fingerprint" in str(caught.value)
    assert not gateway.requests


async def test_a_large_letter_over_tls_whose_gateway_answers_early_is_refused_and_not_in_doubt(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    said = b'{"errors": [{"message": "too big", "code": "1"}]}'

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 X\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said))
        await writer.drain()
        while await reader.read(1 << 20):
            pass
        writer.close()

    server = await asyncio.start_server(early, "127.0.0.1", 0, ssl=certified(authority))
    gateway = FakeGateway("sparkpost-api", port=server.sockets[0].getsockname()[1], context=certified(authority))

    ledger = await through(
        gateway, 1, tmp_path, compose=lambda who: letter_for(who, b"x" * 5_000_000 + b"\r\n"), tls_ca_file="ca.pem"
    )
    server.close()
    await server.wait_closed()
    assert (ledger.last[0].verdict, ledger.last[0].code) == (Verdict.REJECTED, 413)
