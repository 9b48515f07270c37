"""Keys and secrets are read at the start, and a file that holds none is named."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from campaign.errors import ConfigError
from campaign.listen.signatures.webhook_keys import MOST_SECRETS, signing_keys, verification_key, webhook_secrets


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "secret"
    made.touch(mode=0o600)
    return made


def public(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, encoding: serialization.Encoding) -> bytes:
    return key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)


def test_a_file_has_a_secret_a_line_while_secrets_are_exchanged(file: Path) -> None:
    file.write_text("new\r\n\n  old \n")
    assert webhook_secrets(file) == ("new", "old")


@pytest.mark.parametrize("content", ["", "\n \n", "x\n" * (MOST_SECRETS + 1)])
def test_a_file_without_a_secret_or_with_too_many_is_named(file: Path, content: str) -> None:
    file.write_text(content)
    with pytest.raises(ConfigError, match="webhook secret"):
        webhook_secrets(file)


def test_a_secret_that_others_can_read_is_refused(file: Path) -> None:
    file.write_text("secret")
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="can be read by others"):
        webhook_secrets(file)


@pytest.mark.parametrize("secret", ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
def test_a_signing_secret_is_base64_with_or_without_its_prefix(file: Path, secret: str) -> None:
    file.write_text(secret)
    assert signing_keys(file) == (base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),)


def test_a_signing_secret_may_lack_its_padding(file: Path) -> None:
    file.write_text("whsec_" + base64.b64encode(b"k" * 32).decode().rstrip("="))
    assert signing_keys(file) == (b"k" * 32,)


@pytest.mark.parametrize("secret", ["whsec_", "whsec_AAAA", "re_123456", "whsec_ü"])
def test_what_is_no_signing_secret_is_named_with_its_line(file: Path, secret: str) -> None:
    file.write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n" + secret)
    with pytest.raises(ConfigError) as raised:
        signing_keys(file)
    assert raised.value.evidence[0].startswith("line 2 ")


@pytest.mark.parametrize("encoding", [serialization.Encoding.DER, serialization.Encoding.PEM])
def test_a_verification_key_is_base64_as_it_is_shown_or_pem(file: Path, encoding: serialization.Encoding) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    shown = public(key, encoding)
    file.write_bytes(base64.b64encode(shown) if encoding is serialization.Encoding.DER else shown)
    assert verification_key(file).public_numbers() == key.public_key().public_numbers()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "neither the base64 text"),
        (b"SG.an-api-key", "neither the base64 text"),
        (b"-----BEGIN PUBLIC KEY-----\n", "neither the base64 text"),
        (base64.b64encode(public(ec.generate_private_key(ec.SECP384R1()), serialization.Encoding.DER)), "another kind"),
        (base64.b64encode(public(ed25519.Ed25519PrivateKey.generate(), serialization.Encoding.DER)), "another kind"),
    ],
    ids=["nothing", "an API key", "a cut PEM", "another curve", "another algorithm"],
)
def test_what_is_no_verification_key_is_named(file: Path, content: bytes, why: str) -> None:
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="holds no verification key") as raised:
        verification_key(file)
    assert why in raised.value.evidence[0]


def test_a_verification_key_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        verification_key(tmp_path / "none")
    assert raised.value.evidence == ("No such file or directory",)
