"""Strict decoding of text files: UTF-8, or any Unicode encoding with a mark; others only if named in the settings.

A wrong guess would send garbled names to all recipients, so nothing is guessed. If strict decoding fails, the error
shows the line in the likeliest encodings (`encoding_candidates.py`) and the operator decides.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import msgspec

from campaign.audience.encodings.encoding_candidates import escape_sequence_at, likeliest, telling_lines, wide
from campaign.audience.sources.source_file import open_source_file
from campaign.errors import ConfigError, InputError

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with the shorter one
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: Bytes decoded at a time, and characters of the longest line.
BLOCK = 1 << 20
#: Lines, from the first undecodable one on, that suggestions are based on.
SAMPLE_LINES = 2000
#: Encodings whose lines do not end in a byte LF: nothing is suggested for them.
_WIDE = frozenset({"utf-16", "utf-32", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"})
#: Encodings assumed if none is named.
_ASCII_TOO = frozenset({"utf-8", "utf-8-sig"})
ESCAPES = "an escape sequence as in ISO-2022"

#: First bytes of files that are not text, whatever their names.
_SIGNATURES = {
    b"%PDF-": "a PDF file",
    b"PK\x03\x04": "a workbook or another zipped file",
    b"\xd0\xcf\x11\xe0": "an old Excel or Word file",
    b"PAR1": "a Parquet file",
    b"SQLite format 3": "an SQLite database",
}


def choose_codec(head: bytes, wanted: str, path: Path) -> str:
    """The codec for a file that begins with ``head``. Raises ConfigError or InputError, never guesses."""
    if kind := next((kind for start, kind in _SIGNATURES.items() if head.startswith(start)), ""):
        raise InputError(
            f"{path} is no text file: it begins like {kind}.",
            next_step="save the list as CSV (UTF-8), or name it by its right ending: .xlsx, .parquet, sqlite:///…",
        )
    marked = next((codec for bom, codec in _BOMS if head.startswith(bom)), "")
    named = _codec(wanted) if wanted else ""
    if marked and named and not _agree(marked, named):
        raise ConfigError(
            f"audience.encoding is {wanted!r}, but {path} carries the mark of {marked.removesuffix('-sig').upper()}.",
            next_step="take audience.encoding out: files with such a mark are read by themselves",
        )
    if not marked and not named and (likely := wide(head)):
        lines = head[: len(head) & ~3].decode(likely, "replace").splitlines()
        raise InputError(
            f"{path} is not UTF-8: many of its bytes are zero, as in UTF-16 or UTF-32 without a mark.",
            evidence=[f"as {likely}: {_shown(line)}" for line in lines[:2]],
            next_step=f'if that reads right, set encoding = "{likely}" (its name) under [audience]',
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
    """The text in pieces of at most `BLOCK` characters. Raises UnicodeDecodeError if it is not valid ``codec``.

    Escape sequences of ISO-2022 raise too: the rest of it is ASCII and would be accepted as UTF-8.
    """
    decoder = codecs.getincrementaldecoder(codec)()
    ascii_too = codec in _ASCII_TOO
    while data := stream.read(BLOCK):
        if ascii_too and (at := escape_sequence_at(data)) >= 0:
            raise UnicodeDecodeError(codec, data, at, at + 1, ESCAPES)
        if piece := decoder.decode(data):
            yield piece
    if piece := decoder.decode(b"", final=True):
        yield piece


def explain(path: Path, compression: str, codec: str) -> InputError:
    """The error for a file that is not ``codec``: line and column, and that line in the likeliest encodings."""
    with open_source_file(path, compression) as stream:
        fault = _first_fault(stream, codec)
    with open_source_file(path, compression) as stream:
        lines = list(islice(stream, fault.line - 1, fault.line + SAMPLE_LINES))
    where = f"{path.name}:{fault.line}, column {fault.column}: {fault.reason}"
    if fault.others_read_well:
        where += f" (the lines before it do read as {codec}: the file may be of two encodings)"
    likely = likeliest(telling_lines(lines)) if codec not in _WIDE else []
    readings = [f"as {name}: {_shown(lines[0].decode(name, 'replace'))}" for name in likely]
    return InputError(
        f"{path} is not {codec.removesuffix('-sig').upper()}.",
        evidence=[where, *readings],
        next_step=f'if a line above reads right, set encoding = "{likely[0]}" (its name) under [audience]'
        if likely
        else "set encoding under [audience] to what it was saved in, or save it as UTF-8",
    )


class _Fault(msgspec.Struct, frozen=True):
    line: int
    column: int
    reason: str
    others_read_well: bool


def _first_fault(stream: BinaryIO, codec: str) -> _Fault:
    """The first decoding error: its 1-based line, and its column in characters."""
    decoder = codecs.getincrementaldecoder(codec)()
    lines, column, foreign = 1, 1, False
    while True:
        data = stream.read(BLOCK)
        try:
            if codec in _ASCII_TOO and (at := escape_sequence_at(data)) >= 0:
                raise UnicodeDecodeError(codec, data, at, at + 1, ESCAPES)  # noqa: TRY301  it is handled as the decoder's
            text = decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            text = bytes(error.object[: error.start]).decode(codec, "ignore")
            lines, column = _advance(lines, column, text)
            byte = error.object[error.start]
            return _Fault(lines, column, f"byte 0x{byte:02X}, {error.reason}", foreign or not text.isascii())
        lines, column = _advance(lines, column, text)
        foreign = foreign or not text.isascii()
        if not data:
            return _Fault(lines, column, "it changed while it was read", foreign)


def _advance(lines: int, column: int, text: str) -> tuple[int, int]:
    last = text.rfind("\n")
    return lines + text.count("\n"), (len(text) - last if last >= 0 else column + len(text))


def _shown(line: str) -> str:
    text = line.strip()[:120]
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
