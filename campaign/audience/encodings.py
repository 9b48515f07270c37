"""Bytes to text, strictly: UTF-8 and UTF-16 by themselves, anything else only when it is named.

A wrong guess mails garbled names to everybody, so nothing is guessed here: when strict decoding fails, the
error shows the line in the likeliest encodings (`suggestions`) and a person decides.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from campaign.errors import ConfigError, InputError

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with the shorter one
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: Characters decoded at a time, and the longest line there may be.
BLOCK = 1 << 20


def settle(head: bytes, wanted: str, path: Path) -> str:
    """The codec for a file that begins with ``head``. Raises ConfigError or InputError, never guesses."""
    marked = next((codec for bom, codec in _BOMS if head.startswith(bom)), "")
    named = _codec(wanted) if wanted else ""
    if marked and named and not _agree(marked, named):
        raise ConfigError(
            f"audience.encoding is {wanted!r}, but {path} carries the mark of {marked.removesuffix('-sig').upper()}.",
            next_step="take audience.encoding out: files with such a mark are read by themselves",
        )
    if not marked and not named and head.count(0) * 4 > len(head):
        raise InputError(
            f"{path} is not UTF-8: a quarter or more of its bytes are zero, as in UTF-16 without a mark.",
            next_step='set encoding = "utf-16-le" (or "utf-16-be") under [audience]',
        )
    return marked or named or "utf-8"


def _codec(wanted: str) -> str:
    try:
        "".encode(wanted)  # refuses codecs that do not turn text into bytes, such as hex or rot13
        return codecs.lookup(wanted).name
    except LookupError:
        raise ConfigError(
            f"audience.encoding = {wanted!r} is no encoding known here.",
            next_step="use a name such as utf-8, gbk, cp1252, latin-1, shift_jis or koi8-r",
        ) from None


def _agree(marked: str, named: str) -> bool:
    return named.replace("-sig", "").startswith(marked.replace("-sig", ""))


def blocks(stream: BinaryIO, codec: str) -> Iterator[str]:
    """The text in pieces of at most `BLOCK` characters. Raises UnicodeDecodeError where it is not ``codec``."""
    text = io.TextIOWrapper(stream, encoding=codec, errors="strict", newline="")
    try:
        while piece := text.read(BLOCK):
            yield piece
    finally:
        if not stream.closed:
            text.detach()  # or its end would close the stream, which is not ours


def explain(path: Path, codec: str, error: UnicodeDecodeError) -> InputError:
    """The sentence for text that is not ``codec``: where, and what it would be in other encodings."""
    return InputError(f"{path} is not {codec}.", evidence=error.reason, next_step='set encoding = "…" under [audience]')
