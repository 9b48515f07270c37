"""Redaction of log texts: secrets in every spelling they travel in, and the local parts of addresses.

Pure: text in, text out. The caller gives the list of secrets; nothing is guessed.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote, quote_plus

from campaign.report import formatting

MASK = "[secret]"
#: Shorter fragments of base64 would match ordinary words.
LEAST_FRAGMENT = 5


class Redactor:
    """Cleans texts. ``secrets`` are always masked, recipients' names unless ``addresses`` is True."""

    def __init__(self, secrets: Iterable[str | bytes], *, addresses: bool = False) -> None:
        forms = sorted({form for secret in secrets if secret for form in spellings(secret)}, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, forms))) if forms else None
        self._addresses = addresses

    def clean(self, text: str) -> str:
        """``text`` without any secret and, by default, with ``***`` before each @."""
        masked = self._pattern.sub(MASK, text) if self._pattern else text
        return masked if self._addresses else formatting.without_addresses(masked)


def spellings(secret: str | bytes) -> set[str]:
    r"""Every text that reveals ``secret``: itself, escaped, percent-encoded, hexadecimal, and inside base64.

    Base64 of a longer text, such as AUTH PLAIN's ``\0user\0password``, shows the secret in one of three alignments;
    each contributes the characters that depend on the secret alone.
    """
    raw = secret if isinstance(secret, bytes) else secret.encode("utf-8", "surrogateescape")
    texts = {raw.hex(), raw.hex().upper()} if len(raw) >= LEAST_FRAGMENT else set()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        texts |= {encode(raw).decode("ascii"), *_fragments(raw, encode)}
    text = secret if isinstance(secret, str) else raw.decode("utf-8", "replace")
    if "\ufffd" not in text:
        texts |= {text, repr(text)[1:-1], json.dumps(text)[1:-1], quote(text, safe=""), quote_plus(text)}
    return texts


def _fragments(raw: bytes, encode: Callable[[bytes], bytes]) -> Iterator[str]:
    for shift in range(3):
        first = -(-shift * 8 // 6)  # the first character that holds no bit of the text before
        last = (shift + len(raw)) * 8 // 6  # the first that may hold a bit of the text after
        fragment = encode(bytes(shift) + raw).decode("ascii")[first:last]
        if len(fragment) >= LEAST_FRAGMENT:
            yield fragment
