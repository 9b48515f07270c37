"""Tokens that identify one recipient of one run, in return paths and in addresses for unsubscribing.

A token is fifteen octets in base32 (RFC 4648), which survives servers that change the case of an address: three that
identify the run, four with the recipient's number, masked, and eight that prove that we made it. Without the secret a
token reveals nothing, not even whether two recipients are next to each other in the plan. Each purpose has separate
keys, so the token of a return path, which bounces show to strangers, cannot unsubscribe anyone.
"""

from __future__ import annotations

import hmac
import re
from base64 import b32decode, b32encode
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import msgspec

from campaign.compose.tokens.unsubscribe_token import secret_lines
from campaign.config.units import TOKEN, TOKEN_LENGTH
from campaign.model import Identity

Purpose = Literal["return path", "unsubscribe by mail"]

#: The trace id of letters that stand for no recipient: no run has it.
NOBODY = "0" * 32
_DOMAIN = "campaign recipient token 1"
_USES = ("run", "seal", "mask")
_RUN, _NUMBER, _SEAL = 3, 4, 8  #: octets of the run's tag, of the number and of the proof
_START = 4  #: characters that the run's tag alone decides: by them, most of a hostile text is passed over
_TOKEN = re.compile(rf"[a-z2-7]{{{TOKEN_LENGTH}}}")
_WITHIN = re.compile(rf"(?=({_TOKEN.pattern}))")  # every possible start of a token
LONGEST = 1_000  #: characters of a text that are searched


class _Keys(msgspec.Struct, frozen=True):
    """The three keys of one line of the secret, for one purpose."""

    run: bytes
    seal: bytes
    mask: bytes

    def tag(self, trace: str) -> bytes:
        return hmac.digest(self.run, trace.encode("utf-8"), "sha256")[:_RUN]

    def proof(self, trace: str, number: bytes) -> bytes:
        return hmac.digest(self.seal, trace.encode("utf-8") + number, "sha256")[:_SEAL]

    def masked(self, number: bytes, proof: bytes) -> bytes:
        """``number`` masked, or unmasked: the mask depends on the proof."""
        mask = hmac.digest(self.mask, proof, "sha256")[:_NUMBER]
        return (int.from_bytes(number, "big") ^ int.from_bytes(mask, "big")).to_bytes(_NUMBER, "big")


def _keys(line: bytes, purpose: Purpose) -> _Keys:
    return _Keys(*(hmac.digest(line, f"{_DOMAIN}: {purpose}: {use}".encode(), "sha256") for use in _USES))


class RecipientTokens:
    """Makes and opens tokens. ``secret`` has one secret per line: the first makes tokens, all open them.

    Raises ConfigError if there is no secret, or one of less than 16 octets.
    """

    def __init__(self, secret: bytes, purpose: Purpose) -> None:
        self._keys = [_keys(line, purpose) for line in secret_lines(secret)]
        self._latest = ("", self._keys[0].tag(""))  # the same run makes many tokens
        self._traces: tuple[str, ...] = ()
        self._runs: dict[bytes, list[tuple[_Keys, str]]] = {}
        self._starts: frozenset[str] = frozenset()

    def token(self, trace: str, number: int) -> str:
        """The token, 24 characters, of recipient ``number`` (below 2**32) of the run whose trace id is ``trace``."""
        keys, octets = self._keys[0], number.to_bytes(_NUMBER, "big")
        proof = keys.proof(trace, octets)
        if trace != self._latest[0]:
            self._latest = trace, keys.tag(trace)
        return b32encode(self._latest[1] + keys.masked(octets, proof) + proof).decode("ascii").lower()

    def open(self, token: str, traces: Iterable[str]) -> tuple[str, int] | None:
        """The trace id and the number that ``token`` stands for, ignoring case.

        ``traces`` are those of the possible runs; a table of them is kept for as long as they stay the same.
        ``None`` if it was not made with one of the secrets, or for another purpose or run.
        """
        text = token.lower() if token.isascii() else ""
        table = self._table(traces)
        if text[:_START] not in self._starts or not _TOKEN.fullmatch(text):
            return None
        octets = b32decode(text.upper())
        tag, hidden, proof = octets[:_RUN], octets[_RUN:-_SEAL], octets[-_SEAL:]
        for keys, trace in table.get(tag, ()):
            number = keys.masked(hidden, proof)
            if hmac.compare_digest(keys.proof(trace, number), proof):
                return trace, int.from_bytes(number, "big")
        return None

    def _table(self, traces: Iterable[str]) -> dict[bytes, list[tuple[_Keys, str]]]:
        """Runs by their tag. Two may have the same tag; the proof distinguishes them."""
        wanted = tuple(traces)
        if wanted is not self._traces and wanted != self._traces:
            runs: dict[bytes, list[tuple[_Keys, str]]] = {}
            for keys in self._keys:
                for trace in wanted:
                    runs.setdefault(keys.tag(trace), []).append((keys, trace))
            self._traces, self._runs = wanted, runs
            self._starts = frozenset(b32encode(tag).decode("ascii").lower()[:_START] for tag in runs)
        return self._runs


def token_filler(text: str | None, purpose: Purpose, identity: Identity, trace: str) -> Callable[[int], str] | None:
    """A function that fills a recipient's token into ``text``, by number; ``None`` if it has no ``{token}``.

    Test letters get a token that stands for no recipient. Raises ConfigError for an unusable secret.
    """
    if text is None or TOKEN not in text:
        return None
    before, _, after = text.partition(TOKEN)
    tokens = RecipientTokens(identity.secret, purpose)

    def filled(number: int) -> str:
        token = tokens.token(NOBODY, 0) if identity.test else tokens.token(trace, number)
        return f"{before}{token}{after}"

    return filled


def possible_tokens(text: str) -> Iterator[str]:
    """Everything in ``text``, such as an address or a subject, that could be a token; `RecipientTokens.open` decides.

    Its position does not matter, because forwarders add text around a return path.
    """
    return (found[1] for found in _WITHIN.finditer(text[:LONGEST].lower()))
