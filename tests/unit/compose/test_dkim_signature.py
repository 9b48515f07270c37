"""DKIM: the canonical forms, what is covered, which keys are taken, and that nothing depends on the hour."""

import hashlib
import re
from base64 import b64decode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from campaign.compose.mime import dkim_signature
from campaign.compose.mime.dkim_signature import COVERED, Signer, relaxed_body
from campaign.config.compose import DkimSection
from campaign.errors import ConfigError

BLOCK = (
    b"From: Ada <ada@example.com>\r\nReply-To: desk@example.com\r\nTo: x@example.com\r\nSubject: A\r\n b\r\n"
    b"Date: Tue, 24 Nov 2026 08:00:00 +0000\r\nMessage-ID: <1@example.com>\r\nMIME-Version: 1.0\r\nX-Own: 1\r\n"
    b"Feedback-ID: 12:gazette:example\r\nList-ID: <gazette.example.com>\r\n"
    b"List-Unsubscribe: <https://example.com/u>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n"
)
SECONDS = 1_795_507_200.5


def pem(key, encryption=None):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    made = {
        "rsa": pem(rsa.generate_private_key(65537, 2048)),
        "short": pem(rsa.generate_private_key(65537, 1024)),
        "ed": pem(ed25519.Ed25519PrivateKey.generate()),
        "ec": pem(ec.generate_private_key(ec.SECP256R1())),
        "locked": pem(ed25519.Ed25519PrivateKey.generate(), BestAvailableEncryption(b"x")),
        "junk": b"-----BEGIN PRIVATE KEY-----\nnothing\n-----END PRIVATE KEY-----\n",
        "empty": b"",
    }
    for name, content in made.items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)
    return folder


def signer(folder, *names):
    return Signer([DkimSection(domain="example.com", selector=name, key_file=Path(name)) for name in names], folder)


def by_the_book(body):
    """RFC 6376, section 3.4.4, word by word."""
    lines = body.split(b"\r\n")
    lines = [re.sub(rb"[ \t]+", b" ", line) for line in lines]
    lines = [line[:-1] if line.endswith(b" ") else line for line in lines]
    while lines and lines[-1] == b"":
        lines.pop()
    return b"".join(line + b"\r\n" for line in lines)


@pytest.mark.parametrize(
    ("body", "relaxed"),
    [
        (b" C \r\nD \t E\r\n\r\n\r\n", b" C\r\nD E\r\n"),  # RFC 6376, section 3.4.5
        (b"", b""),
        (b"\r\n", b""),
        (b"\r\n\r\n \r\n\t\r\n", b""),
        (b"a", b"a\r\n"),
        (b"a  ", b"a\r\n"),
        (b"a\r\n", b"a\r\n"),
        (b"a\r\n\r", b"a\r\n\r\r\n"),
        (b"  a\t\t  b\r\n", b" a b\r\n"),
        (b"a\n\n", b"a\n\n\r\n"),
    ],
)
def test_a_body_is_relaxed_as_the_standard_says(body, relaxed):
    assert relaxed_body(body) == relaxed == by_the_book(body)


@given(
    st.lists(st.sampled_from([b" ", b"  ", b"\t", b"\r\n", b"\r", b"\n", b"a", b"=20", b"\xff"]), max_size=60).map(
        b"".join
    )
)
def test_any_body_is_relaxed_as_by_the_book(body):
    assert relaxed_body(body) == by_the_book(body)


def test_long_bodies_and_forgotten_lines_are_relaxed_alike(monkeypatch):
    body = b"".join(b"  line  %d \t end \r\n" % number for number in range(6_000))
    assert len(body) > dkim_signature.LONG
    assert relaxed_body(body) == by_the_book(body)
    monkeypatch.setattr(dkim_signature, "LONG", 10**9)
    monkeypatch.setattr(dkim_signature, "MOST_LINES", 100)
    assert relaxed_body(body) == by_the_book(body)
    assert len(dkim_signature._LINES) <= 100


def test_header_fields_are_relaxed_as_the_standard_says():
    fields = dkim_signature._relaxed_fields(b"A: X\r\nB : Y\t\r\n\tZ  \r\nFrom:  a  b \r\nEmpty:\r\n")
    assert fields == {"a": "a:X\r\n", "b": "b:Y Z\r\n", "from": "from:a b\r\n", "empty": "empty:\r\n"}


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"From: a",
        b"From: a\r\n\r\n",
        b"From: a\r\nFrom: b\r\n",
        b"To: a\r\n",
        b"From: a\nTo: b\r\n",
        b" From: a\r\n",
        b"From a\r\n",
    ],
)
def test_what_is_no_header_block_is_not_signed(keys, block):
    with pytest.raises(ValueError, match="cannot be signed"):
        signer(keys, "ed").sign(block, b"", 0)


def tags(field):
    value = re.sub(rb"\s+", b"", field.partition(b":")[2]).decode("ascii")
    return dict(tag.split("=", 1) for tag in value.split(";"))


def test_a_signature_says_what_it_covers(keys):
    found = tags(signer(keys, "rsa").sign(BLOCK, b"hello \r\n", SECONDS))
    assert {name: found[name] for name in "vacdst"} == {
        "v": "1", "a": "rsa-sha256", "c": "relaxed/relaxed", "d": "example.com", "s": "rsa", "t": "1795507200",
    }  # fmt: skip
    assert found["h"].split(":") == ["from", *COVERED]
    assert b64decode(found["bh"]) == hashlib.sha256(b"hello\r\n").digest()
    assert len(b64decode(found["b"])) == 256


def test_only_fields_that_are_there_are_covered_and_from_twice(keys):
    found = tags(signer(keys, "ed").sign(b"Subject: x\r\nFrom: a@example.com\r\nX-Own: y\r\n", b"", 0))
    assert found["h"] == "from:from:subject"


def test_what_a_relay_rewrites_is_not_covered_but_from_always_is(keys):
    ours = DkimSection(domain="example.com", selector="ed", key_file=Path("ed"))
    one = Signer([ours], keys, rewritten=("Date", "Message-ID", "From"))
    before = one.sign(BLOCK, b"hello\r\n", SECONDS)
    assert tags(before)["h"].split(":") == ["from", *(name for name in COVERED if name not in {"date", "message-id"})]
    on_its_way = BLOCK.replace(b"24 Nov", b"25 Nov").replace(b"<1@example.com>", b"<0102@eu-west-1.amazonses.com>")
    assert one.sign(on_its_way, b"hello\r\n", SECONDS) == before


def test_several_keys_give_several_fields_in_order_over_one_body_hash(keys):
    signed = signer(keys, "rsa", "ed").sign(BLOCK, b"body\r\n", SECONDS)
    fields = [tags(part) for part in signed.split(b"DKIM-Signature:")[1:] for part in [b"x:" + part]]
    assert [one["a"] for one in fields] == ["rsa-sha256", "ed25519-sha256"]
    assert fields[0]["bh"] == fields[1]["bh"]
    lines = signed.split(b"\r\n")
    assert lines.pop() == b""
    assert max(map(len, lines)) <= 78
    assert all(line.startswith((b"DKIM-Signature: v=1; ", b" ")) for line in lines)


def test_the_same_letter_is_signed_the_same(keys):
    one, other = signer(keys, "rsa", "ed"), signer(keys, "rsa", "ed")
    assert one.sign(BLOCK, b"x\r\n", SECONDS) == other.sign(BLOCK, b"x\r\n", SECONDS)
    assert one.sign(BLOCK, b"x\r\n", SECONDS) != one.sign(BLOCK, b"x\r\n", SECONDS + 1)


def test_a_fingerprint_is_of_the_public_key(keys, tmp_path):
    found = signer(keys, "rsa", "ed").fingerprints()
    assert list(found) == ["compose.dkim.rsa", "compose.dkim.ed"]
    assert found == signer(keys, "rsa", "ed").fingerprints()
    (tmp_path / "ed").write_bytes(pem(ed25519.Ed25519PrivateKey.generate()))
    (tmp_path / "ed").chmod(0o600)
    assert signer(tmp_path, "ed").fingerprints() != signer(keys, "ed").fingerprints()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing", "cannot be read"),
        (".", "cannot be read"),
        ("ec", "neither RSA nor Ed25519"),
        ("locked", "encrypted with a passphrase"),
        ("junk", "not a private key in PEM"),
        ("empty", "not a private key in PEM"),
    ],
)
def test_a_key_that_cannot_sign_is_a_mistake_with_a_next_step(keys, name, reason):
    with pytest.raises(ConfigError, match=reason) as raised:
        Signer([DkimSection(domain="example.com", selector="s1", key_file=Path(name))], keys)
    assert str(keys) in raised.value.what
    assert "openssl genrsa" in raised.value.next_step


def test_an_rsa_key_of_less_than_1024_bits_is_refused(keys, monkeypatch):
    monkeypatch.setattr(dkim_signature, "LEAST_BITS", 1025)
    with pytest.raises(ConfigError, match="has 1024 bits"):
        signer(keys, "short")


def test_short_keys_are_warned_of(keys):
    assert signer(keys, "rsa", "ed").warnings == []
    assert "1024 bits; 2048 are expected" in signer(keys, "short").warnings[0]


def test_a_key_that_others_can_read_signs_nothing(keys, tmp_path):
    (tmp_path / "ed").write_bytes((keys / "ed").read_bytes())
    (tmp_path / "ed").chmod(0o640)
    with pytest.raises(ConfigError, match="can be read by others") as raised:
        signer(tmp_path, "ed")
    assert raised.value.next_step == f"chmod 600 {tmp_path / 'ed'}"


@pytest.mark.parametrize(
    ("domain", "selector"),
    [("exam ple.com", "s"), ("example.com;", "s"), ("example.com", "s\r\n"), ("", "s"), ("a..b", "s")],
)
def test_domain_and_selector_are_names_of_the_dns(keys, domain, selector):
    with pytest.raises(ConfigError, match=r"compose\.dkim\."):
        Signer([DkimSection(domain=domain, selector=selector, key_file=Path("ed"))], keys)
