"""DKIM signatures (RFC 6376, Ed25519 by RFC 8463), relaxed/relaxed, for relays that do not sign letters themselves.

The input is a finished header block and body, the output the DKIM-Signature fields to put before them; equal letters
get equal signatures. Keys are read here and never leave this module. There is no verifier; the tests use two from other
projects.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from functools import lru_cache
from math import floor
from pathlib import Path
from typing import TYPE_CHECKING

from campaign.config.compose import DkimSection
from campaign.errors import ConfigError
from campaign.system.private_file import private_octets

if TYPE_CHECKING:  # cryptography costs 60 ms of start, and only a signer needs it
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

#: The fields that a signature covers if they are present, in this order.
COVERED = (
    "from", "reply-to", "to", "subject", "date", "message-id", "mime-version", "content-type",
    "content-transfer-encoding", "list-unsubscribe", "list-unsubscribe-post", "list-id", "feedback-id",
)  # fmt: skip
LEAST_BITS = 1024  #: verifiers must not accept less (RFC 8301, section 3.2)
GOOD_BITS = 2048
LONG = 100_000  #: octets of a body whose lines are not cached: most are from an individual attachment
MOST_LINES = 4_096
_FIELD = re.compile(r"([!-9;-~]+)[ \t]*:([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)\r\n")
_BLANKS = re.compile(r"[ \t]+")
_NAMES = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9])?)*")


class Signer:
    """Signs letters with one key or with several. ``warnings`` are sentences for the operator.

    ``base`` is the folder to which key files are relative. ``rewritten`` are fields that a relay replaces, so that a
    signature over them would fail. Raises ConfigError, with the next step, for a key that is missing, unreadable,
    encrypted, of another kind, or too short.
    """

    def __init__(self, settings: Sequence[DkimSection], base: Path, rewritten: Sequence[str] = ()) -> None:
        self.warnings: list[str] = []
        left_out = {name.lower() for name in rewritten} - {"from"}
        self._covered = tuple(name for name in COVERED if name not in left_out)
        self._keys = [_Key(one, base, self.warnings) for one in settings]

    def fingerprints(self) -> dict[str, str]:
        """SHA-256 of each public key, by its key file; another key would sign the same letter differently."""
        return {f"compose.dkim.{key.name}": key.fingerprint for key in self._keys}

    def sign(self, header_block: bytes, body: bytes, seconds: float) -> bytes:
        """The DKIM-Signature fields, each ending in CRLF, to put before ``header_block``.

        ``header_block`` ends in CRLF without an empty line after it. ``seconds`` (POSIX) is the time of signing; pass
        the letter's Date, so that the same letter gets the same signature. Raises ValueError for an invalid block.
        """
        fields = _relaxed_fields(header_block)
        covered = tuple(name for name in self._covered if name in fields)
        signed = "".join([fields[name] for name in covered])
        digest = b64encode(hashlib.sha256(relaxed_body(body)).digest()).decode("ascii")
        common = f"t={floor(seconds)};\r\n h={_list(covered)};\r\n bh={digest};\r\n b="
        return b"".join([key.field(signed, common) for key in self._keys])


class _Key:
    """One private key, and the part of its signatures that never changes."""

    def __init__(self, settings: DkimSection, base: Path, warnings: list[str]) -> None:
        for what, name in (("domain", settings.domain), ("selector", settings.selector)):
            if not _NAMES.fullmatch(name):
                raise ConfigError(
                    f"compose.dkim.{what}: {name!r} is not one.", next_step="write it as it is in the DNS"
                )
        file = base / settings.key_file
        key = _private_key(file)
        self.name, self.fingerprint = str(settings.key_file), _fingerprint(key)
        self._sign, algorithm = _signing_function(key, file, warnings)
        self._start = f"v=1; a={algorithm}; c=relaxed/relaxed; d={settings.domain}; s={settings.selector};\r\n "

    def field(self, signed: str, common: str) -> bytes:
        value = self._start + common
        # Signed in its relaxed form: each of our folds becomes one space (RFC 6376, section 3.7).
        own = "dkim-signature:" + value.replace("\r\n ", " ")
        signature = b64encode(self._sign((signed + own).encode("utf-8"))).decode("ascii")
        lines = "\r\n ".join([signature[start : start + 72] for start in range(0, len(signature), 72)])
        return f"DKIM-Signature: {value}{lines}\r\n".encode("ascii")


def relaxed_body(body: bytes) -> bytes:
    """``body`` in the relaxed form of RFC 6376, section 3.4.4."""
    if body and not body.endswith(b"\r\n"):
        body += b"\r\n"
    if b"  " in body or b"\t" in body or b" \r\n" in body:
        body = _collapsed(body) if len(body) > LONG else b"\r\n".join(map(_LINES.__getitem__, body.split(b"\r\n")))
    end = len(body)
    while body.endswith(b"\r\n", 0, end):
        end -= 2
    return body[:end] + b"\r\n" if end else b""


class _Lines(dict[bytes, bytes]):
    """A cache of relaxed lines. A campaign's letters share most lines, and a look-up costs a tenth of the work."""

    def __missing__(self, line: bytes) -> bytes:
        if len(self) >= MOST_LINES:
            self.clear()
        relaxed = self[line] = _collapsed(line + b"\r\n")[:-2]
        return relaxed


_LINES = _Lines()


def _collapsed(text: bytes) -> bytes:
    """Whole lines with each run of spaces and tabs as one space, and none before CRLF."""
    if b"\t" in text:
        text = text.replace(b"\t", b" ")
    while b"  " in text:
        text = text.replace(b"  ", b" ")
    return text.replace(b" \r\n", b"\r\n")


def _relaxed_fields(header_block: bytes) -> dict[str, str]:
    """Each field by its name in lower case, in the relaxed form of RFC 6376, section 3.4.2."""
    text = header_block.decode("utf-8")
    fields: dict[str, str] = {}
    end = 0
    for match in _FIELD.finditer(text):
        name, value = match[1].lower(), match[2]
        if match.start() != end or name in fields:
            raise ValueError(f"the header block cannot be signed: {name} stands where it may not")
        if "\r" in value or "  " in value or "\t" in value:
            value = _BLANKS.sub(" ", value.replace("\r\n", ""))
        fields[name], end = f"{name}:{value.strip(' ')}\r\n", match.end()
    if end != len(text) or "from" not in fields:
        raise ValueError("the header block cannot be signed: it is not a list of fields with a From")
    return fields


@lru_cache(maxsize=16)
def _list(covered: tuple[str, ...]) -> str:
    """The h= list. It has From twice, so that adding a second From breaks the signature (RFC 6376, section 8.15)."""
    lines = [""]
    for name in ("from", *covered):
        if len(lines[-1]) + len(name) > 70:
            lines.append("")
        lines[-1] += f"{name}:"
    return "\r\n ".join(lines).removesuffix(":")


def _private_key(file: Path) -> RSAPrivateKey | Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(private_octets(file), password=None)
    except OSError as error:
        raise _refused(file, "cannot be read", error.strerror or str(error)) from None
    except TypeError:
        raise _refused(file, "is encrypted with a passphrase", "nobody is there to type it in a run") from None
    except ValueError:
        raise _refused(file, "is not a private key in PEM", "it begins with -----BEGIN PRIVATE KEY-----") from None
    if not isinstance(key, RSAPrivateKey | Ed25519PrivateKey):
        raise _refused(file, "is neither RSA nor Ed25519", "DKIM knows no others")
    return key


def _signing_function(
    key: RSAPrivateKey | Ed25519PrivateKey, file: Path, warnings: list[str]
) -> tuple[Callable[[bytes], bytes], str]:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    if isinstance(key, Ed25519PrivateKey):  # the hash is what gets signed (RFC 8463, section 3)
        return lambda text: key.sign(hashlib.sha256(text).digest()), "ed25519-sha256"
    if key.key_size < LEAST_BITS:
        raise _refused(file, f"has {key.key_size} bits", f"verifiers refuse RSA keys of less than {LEAST_BITS}")
    if key.key_size < GOOD_BITS:
        warnings.append(f"The DKIM key {file} has {key.key_size} bits; {GOOD_BITS} are expected today.")
    padding, algorithm = PKCS1v15(), SHA256()
    return lambda text: key.sign(text, padding, algorithm), "rsa-sha256"


def _fingerprint(key: RSAPrivateKey | Ed25519PrivateKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(public).hexdigest()


def _refused(file: Path, what: str, evidence: str) -> ConfigError:
    return ConfigError(
        f"The DKIM key {file} {what}.",
        evidence=evidence,
        next_step=f"make one with `openssl genrsa -out {file} 2048` and publish its public half in the DNS",
    )
