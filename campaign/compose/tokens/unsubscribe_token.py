"""Opaque tokens for unsubscribe links, which identify a recipient without revealing anything about them.

A token is the JSON list [subject, campaign, edition, test], padded with spaces to a multiple of sixteen octets and
encrypted with AES-SIV (RFC 5297). That is authenticated, and equal for equal input, so letters stay reproducible. The
number of the key precedes it, so a secret can be replaced while old links still work. `docs/unsubscribe.md` shows how
another program opens a token.
"""

from __future__ import annotations

import hmac
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import msgspec

from campaign.errors import ConfigError
from campaign.model import Identity

PURPOSE = b"campaign unsubscribe token 1"
NUMBER = 3  #: octets that name the key
LEAST = 16  #: octets of a secret, at least
TAG, BLOCK = 16, 16  #: octets of AES-SIV's tag (RFC 5297, section 2.4), and the multiple to which the list is padded
LONGEST = 2_000  #: characters of a token, at most
SHORTEST = -(-(NUMBER + TAG + BLOCK) * 8 // 6)  #: one block in base64 without padding: 47 characters
_TOKEN = re.compile(rf"[A-Za-z0-9_-]{{{SHORTEST},}}")


class OpenedToken(msgspec.Struct, frozen=True):
    """The content of a token; a ``test`` token identifies no recipient and its ``subject`` is empty."""

    subject: str
    campaign: str
    edition: str
    test: bool


class UnsubscribeTokens:
    """Makes and opens tokens. ``secret`` holds one secret a line: the first makes tokens, all open them.

    Raises ConfigError if there is no secret, or one of less than 16 octets.
    """

    def __init__(self, secret: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV

        keys = [hmac.digest(line, PURPOSE, "sha512") for line in secret_lines(secret)]
        numbers = [hmac.digest(key, b"number", "sha256")[:NUMBER] for key in keys]
        self._ciphers = {number: AESSIV(key) for number, key in reversed(list(zip(numbers, keys, strict=True)))}
        self._number, self._cipher = numbers[0], self._ciphers[numbers[0]]
        self._framed: Identity | None = None
        self._frame = ("", "")

    def token(self, identity: Identity, subject: str) -> str:
        """The token of ``subject`` (an address, or the column the user chose) in this campaign and edition."""
        if identity is not self._framed:
            self._framed, self._frame = identity, _frame(identity)
        head, tail = self._frame
        clear = (head + json.encoder.encode_basestring_ascii("" if identity.test else subject) + tail).encode("ascii")
        sealed = self._cipher.encrypt(clear + b" " * (-len(clear) % BLOCK), None)
        return urlsafe_b64encode(self._number + sealed).rstrip(b"=").decode("ascii")

    def open(self, token: str) -> OpenedToken:
        """The content of ``token``. Raises ValueError for anything that was not made with one of the secrets."""
        from cryptography.exceptions import InvalidTag

        try:
            sealed = _octets(token)
            clear = self._ciphers[sealed[:NUMBER]].decrypt(sealed[NUMBER:], None)
            return OpenedToken(*_fields(clear))
        except (KeyError, InvalidTag):
            raise ValueError("this is not one of our unsubscribe tokens") from None


def secret_lines(secret: bytes) -> list[bytes]:
    """The secrets of a secret, one a line: the first makes tokens, all open them. Raises ConfigError."""
    secrets = [line.strip() for line in secret.splitlines() if line.strip()]
    if not secrets or min(map(len, secrets)) < LEAST:
        raise ConfigError(
            f"The campaign's secret needs one line of at least {LEAST} octets, and no shorter one.",
            next_step="make one with `python3 -c 'import secrets; print(secrets.token_urlsafe(32))'`",
        )
    return secrets


def _octets(token: str) -> bytes:
    """Decode strict base64, which has one spelling for each token. Raises KeyError for anything else."""
    padded = token + "=" * (-len(token) % 4)
    if len(token) > LONGEST or not _TOKEN.fullmatch(token) or len(token) % 4 == 1:
        raise KeyError(token)
    octets = urlsafe_b64decode(padded)
    if urlsafe_b64encode(octets) != padded.encode("ascii"):
        raise KeyError(token)
    return octets


def _fields(clear: bytes) -> tuple[str, str, str, bool]:
    fields: list[Any] = json.loads(clear)
    subject, campaign, edition, test = fields
    return str(subject), str(campaign), str(edition), bool(test)


def _frame(identity: Identity) -> tuple[str, str]:
    rest = json.dumps([identity.campaign, identity.edition, int(identity.test)], separators=(",", ":"))
    return "[", "," + rest[1:]
