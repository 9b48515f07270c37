"""Parses text into CSV records with `csv.reader(strict=True)`, each with its line number, without losing a line.

A malformed record (wrong number of fields, a quote that never closes, text after a closing quote) costs only its first
line; the lines after it are parsed again as separate records. So a stray quote never swallows another row, and every
physical line is in exactly one record, in one bad row, or blank.
"""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Iterable, Iterator
from itertools import repeat
from operator import contains

import msgspec

from campaign.audience.encodings.text_decoding import BLOCK
from campaign.audience.sources.row_chunks import CHUNK_ROWS, BadRow, Chunk
from campaign.errors import InputError

#: Characters of a field, at most (the csv module's own limit); a longer one is a bad row.
FIELD_LIMIT = 131_072
#: Lines parsed again after bad records, at most: a file that needs more has another format.
REREAD_LIMIT = 5_000_000
OPEN = "a quote opens here and never closes"


class Dialect(msgspec.Struct, frozen=True):
    """How the fields of a line are separated and quoted."""

    delimiter: str = ","
    quote: str = '"'

    def reader(self, lines: Iterable[str]) -> Iterator[list[str]]:
        """A strict reader of ``lines``."""
        if not self.quote:
            return csv.reader(lines, delimiter=self.delimiter, quoting=csv.QUOTE_NONE, strict=True)
        return csv.reader(lines, delimiter=self.delimiter, quotechar=self.quote, strict=True)


def numbered_lines(pieces: Iterable[str], name: str) -> Iterator[tuple[int, list[str], bool]]:
    """For each piece: number of its first line, physical lines, whether it is the last; lines end in LF, CR or CRLF."""
    first, rest = 1, ""
    for piece in pieces:
        lines = _lines(rest + piece)
        rest = lines.pop()  # possibly part of a line, or a CR whose LF follows in the next piece
        if len(rest) > BLOCK:
            raise InputError(
                f"Line {first + len(lines)} of {name} is longer than {BLOCK:,} characters.",
                next_step=f"see whether it is a text file with one record a line: file {shlex.quote(name)}",
            )
        if lines:
            yield first, lines, False
            first += len(lines)
    yield first, [rest] if rest else [], True


def _lines(text: str) -> list[str]:
    """``text`` split after each LF, CR and CRLF; the last element is the text after the last LF, or ends in a CR."""
    if "\r" not in text or text.count("\r") == text.count("\r\n"):
        lines = text.split("\n")
        last = lines.pop()
        return [*(line + "\n" for line in lines), last]
    return io.StringIO(text, newline="").readlines()


class LineBuffer(msgspec.Struct):
    """Lines with a position that can be moved back; `csv.reader` starts afresh after each record or error."""

    lines: list[str]
    at: int = 0

    def __iter__(self) -> LineBuffer:
        return self

    def __next__(self) -> str:
        if self.at >= len(self.lines):
            raise StopIteration
        self.at += 1
        return self.lines[self.at - 1]


class RecordReader(msgspec.Struct):
    """Splits numbered lines into records of ``width`` fields. Keeps the lines of an unfinished record between calls."""

    dialect: Dialect
    width: int
    name: str
    _waiting: list[str] = msgspec.field(default_factory=list)
    _reread: int = 0

    def cut(self, first: int, lines: list[str], final: bool) -> Iterator[Chunk]:
        """The records of ``lines``, which begin at line ``first``, in chunks."""
        first -= len(self._waiting)
        lines = self._waiting + lines
        self._waiting = []
        for start in range(0, len(lines), CHUNK_ROWS):
            some = self._waiting + lines[start : start + CHUNK_ROWS]
            begin = first + start - len(self._waiting)
            self._waiting = []
            last = final and start + CHUNK_ROWS >= len(lines)
            yield self._at_once(begin, some) or self._one_by_one(begin, some, last)

    def _at_once(self, first: int, lines: list[str]) -> Chunk | None:
        """The usual case at the csv module's speed: each line is one record of full width."""
        try:
            rows = list(self.dialect.reader(lines))
        except csv.Error:
            return None
        if len(rows) != len(lines) or set(map(len, rows)) != {self.width}:
            return None
        if any(map(contains, lines, repeat("\0"))):
            return None
        return Chunk(rows=[*rows], lines=list(range(first, first + len(rows))))

    def _one_by_one(self, first: int, lines: list[str], final: bool) -> Chunk:
        """The slow path, for lines with anything unusual in them."""
        chunk, buffer = Chunk(), LineBuffer(lines)
        reader = self.dialect.reader(buffer)
        while True:
            start = buffer.at
            try:
                row = next(reader)
                fault = self._fault(row)
            except StopIteration:
                return chunk
            except csv.Error as error:
                row, fault = [], _in_words(error)
                if fault is OPEN and not final and len(lines) - start <= CHUNK_ROWS:
                    self._waiting = lines[start:]
                    return chunk
            if fault:
                chunk.bad.append(BadRow(first + start, fault, lines[start][:200].rstrip("\r\n")))
                self._go_back(buffer, start + 1)
            elif row:
                chunk.rows.append(row)
                chunk.lines.append(first + start)

    def _fault(self, row: list[str]) -> str:
        if row and len(row) != self.width:
            return f"{len(row)} field{'' if len(row) == 1 else 's'} where the header has {self.width}"
        return "a NUL character" if any("\0" in cell for cell in row) else ""

    def _go_back(self, buffer: LineBuffer, at: int) -> None:
        self._reread += buffer.at - at
        buffer.at = at
        if self._reread > REREAD_LIMIT:
            raise InputError(
                f"{self.name} has too many quotes that never close to be read as it is.",
                next_step='check audience.delimiter and audience.quote (quote = "" if quotes are plain characters)',
            )


def _in_words(error: csv.Error) -> str:
    text = str(error)
    if "unexpected end of data" in text:
        return OPEN
    if "field larger" in text:
        return f"a field is longer than {FIELD_LIMIT:,} characters, or its quote never closes"
    return "text follows a closing quote" if "expected after" in text else text
