"""Relays that know us by a certificate, and the address that connections come from: what goes, and what is refused."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from campaign.check.relay.relay_probe import probe
from campaign.delivery.relays.relay import open_relays
from campaign.delivery.send.dispatcher import Dispatcher
from campaign.errors import ConfigError, RelayError
from campaign.model import Verdict
from tests.support.servers import certificates
from tests.support.servers.mutual import refusing
from tests.support.servers.sending import Ledger, letter_for, recipients, settings
from tests.support.servers.shelf import Shelf

WAYS = pytest.mark.parametrize("way", ["implicit", "starttls"])


def asking(newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    """A server that takes nobody without a certificate of its own authority."""
    context = certificates.server()
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = newest
    certificates.authority().configure_trust(context)
    return context


def our_certificate(folder: Path, authority: trustme.CA | None = None, ends: dt.timedelta = dt.timedelta(90)) -> None:
    """``own.pem`` and ``own.key`` in ``folder``."""
    issuer = authority or certificates.authority()
    found = issuer.issue_cert("news.example.com", not_after=dt.datetime.now(dt.UTC) + ends)
    found.cert_chain_pems[0].write_to_path(str(folder / "own.pem"))
    key = folder / "own.key"
    key.touch(0o600)
    found.private_key_pem.write_to_path(str(key))


OURS = {"tls_client_certificate": "own.pem", "tls_client_key": "own.key"}


async def send_over(url: str, folder: Path, **keys: object) -> Ledger:
    chosen = settings(url, **{"tls_ca_file": certificates.ca_file(folder), **keys})
    ledger = Ledger()
    await Dispatcher(chosen, await open_relays(chosen, folder, {}), ledger).serve_pass(iter(recipients(3)), letter_for)
    return ledger


async def refused(folder: Path, **keys: object) -> str:
    """What is said before anything is dialled."""
    with pytest.raises(ConfigError) as caught:
        await open_relays(settings("smtps://mx.example", **{**OURS, **keys}), folder, {})
    assert caught.value.next_step
    return str(caught.value)


@WAYS
async def test_a_relay_that_wants_our_certificate_gets_it(way: str, tmp_path: Path) -> None:
    our_certificate(tmp_path)
    async with Shelf(**{way: asking()}) as shelf:
        ledger = await send_over(shelf.url, tmp_path, **OURS)
    assert ledger.count(Verdict.ACCEPTED) == 3


async def test_the_key_may_stand_in_the_certificates_file_and_each_host_may_have_its_own(tmp_path: Path) -> None:
    our_certificate(tmp_path)
    both = tmp_path / "both.pem"
    both.touch(0o600)
    both.write_bytes((tmp_path / "own.key").read_bytes() + (tmp_path / "own.pem").read_bytes())
    async with Shelf(implicit=asking()) as shelf:
        ledger = await send_over(
            shelf.url, tmp_path, tls_client_certificate="none.pem", tls_client_certificates={"127.0.0.1": "both.pem"}
        )
        apart = {"tls_client_certificates": {"127.0.0.1": "own.pem"}, "tls_client_keys": {"127.0.0.1": "own.key"}}
        again = await send_over(shelf.url, tmp_path, **apart)
    assert ledger.count(Verdict.ACCEPTED) == again.count(Verdict.ACCEPTED) == 3


@WAYS
@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_certificate_of_an_authority_that_the_relay_does_not_know_ends_the_run(
    way: str, newest: ssl.TLSVersion, tmp_path: Path
) -> None:
    our_certificate(tmp_path, trustme.CA())
    with refusing(asking(newest), starttls=way == "starttls") as relay:
        with pytest.raises(RelayError, match="does not take our certificate: unknown ca") as caught:
            await send_over(relay.url, tmp_path, **OURS)
        assert (relay.connections, relay.greeted) == (1, 0)
    assert "tls_client_certificate" in caught.value.next_step


@WAYS
@pytest.mark.parametrize(
    ("newest", "said"),
    [
        (ssl.TLSVersion.TLSv1_2, "HANDSHAKE_FAILURE"),
        (ssl.TLSVersion.TLSv1_3, "the relay requires a client certificate: certificate required"),
    ],
)
async def test_a_relay_that_wants_a_certificate_and_gets_none_names_the_setting(
    way: str, newest: ssl.TLSVersion, said: str, tmp_path: Path
) -> None:
    with refusing(asking(newest), starttls=way == "starttls") as relay:
        with pytest.raises(RelayError, match=said) as caught:
            await send_over(relay.url, tmp_path)
        assert (relay.connections, relay.greeted) == (1, 0)
    assert "tls_client_certificate" in caught.value.next_step


async def test_a_probe_says_when_our_certificate_ends(tmp_path: Path) -> None:
    our_certificate(tmp_path, ends=dt.timedelta(days=3))
    async with Shelf(implicit=asking()) as shelf:
        chosen = settings(shelf.url, tls_ca_file=certificates.ca_file(tmp_path), **OURS)
        greeting = await probe((await open_relays(chosen, tmp_path, {}))[0], chosen)
    assert 2.9 * 86400 < greeting.own_expires - dt.datetime.now(dt.UTC).timestamp() < 3.1 * 86400


async def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    our_certificate(tmp_path)
    (tmp_path / "own.pem").rename(tmp_path / "first.pem")
    our_certificate(tmp_path)
    assert "does not belong to the certificate" in await refused(tmp_path, tls_client_certificate="first.pem")


async def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    our_certificate(tmp_path)
    (tmp_path / "own.key").chmod(0o640)
    assert "own.key can be read by others" in await refused(tmp_path)


async def test_a_certificate_out_of_its_time_is_refused(tmp_path: Path) -> None:
    our_certificate(tmp_path, ends=dt.timedelta(days=-1))
    said = await refused(tmp_path)
    assert "own.pem is not valid today" in said
    assert f"{dt.datetime.now(dt.UTC) - dt.timedelta(days=1):%Y-%m-%d}" in said


@pytest.mark.parametrize("missing", ["own.pem", "own.key"])
async def test_a_file_that_is_not_there_is_named(missing: str, tmp_path: Path) -> None:
    our_certificate(tmp_path)
    (tmp_path / missing).unlink()
    said = await refused(tmp_path)
    assert missing in said
    assert "No such file" in said


@pytest.mark.parametrize(
    ("file", "said"), [("own.pem", "holds no client certificate"), ("own.key", "own.key cannot be used")]
)
async def test_a_file_that_holds_something_else_is_named(file: str, said: str, tmp_path: Path) -> None:
    our_certificate(tmp_path)
    (tmp_path / file).write_text("-----BEGIN NOTHING-----\n")
    assert said in await refused(tmp_path)


async def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked_for_it(tmp_path: Path) -> None:
    our_certificate(tmp_path)
    key = serialization.load_pem_private_key((tmp_path / "own.key").read_bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"a passphrase"),
    )
    (tmp_path / "own.key").write_bytes(locked)
    assert "has a passphrase" in await refused(tmp_path)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"tls_client_key": "own.key"}, "needs tls_client_certificate"),
        ({"tls_client_keys": {"a.example": "a.key"}}, "a.example"),
        ({"source_address": "smtp.example.com"}, "no IPv4 or IPv6 address"),
    ],
)
def test_settings_that_make_no_sense_are_refused(keys: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        settings("smtps://mx.example", **keys)


# ---------------------------------------------------------------- the address we come from


class Noting(Shelf):
    """Keeps the addresses that connections came from."""

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.commands.append(f"from {writer.get_extra_info('peername')[0]}")
        super()._accept(reader, writer)


async def test_connections_come_from_the_address_that_is_named() -> None:
    async with Noting() as shelf:
        chosen = settings(shelf.url, source_address="127.0.0.9", connections=3)
        await Dispatcher(chosen, await open_relays(chosen, Path(), {}), Ledger()).serve_pass(
            iter(recipients(9)), letter_for
        )
    assert {told for told in shelf.commands if told.startswith("from ")} == {"from 127.0.0.9"}
    assert len(shelf.letters) == 9


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7"])
async def test_an_address_that_is_not_ours_is_told_before_anything_is_dialled(address: str) -> None:
    with pytest.raises(ConfigError, match=f"source_address {address} is not an address of this machine") as caught:
        await open_relays(settings("smtps://mx.example", source_address=address), Path(), {})
    assert "ip address" in caught.value.next_step


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="this machine has no IPv6")
async def test_a_relay_that_has_no_address_of_that_kind_is_told_so() -> None:
    async with Shelf() as shelf:
        chosen = settings(shelf.url, source_address="::1")
        relays = await open_relays(chosen, Path(), {})
        with pytest.raises(RelayError, match="no address of the same kind") as caught:
            await Dispatcher(chosen, relays, Ledger()).serve_pass(iter(recipients(1)), letter_for)
    assert "source_address" in caught.value.next_step


async def test_the_embedded_mailbox_heeds_neither(tmp_path: Path) -> None:
    chosen = settings("mailbox", source_address="192.0.2.7", tls_client_certificate="none.pem")
    (relay,) = await open_relays(chosen, tmp_path, {}, "smtp://127.0.0.1:2525")
    assert (relay.source, relay.own_certificate, relay.tls) == (None, None, "none")
