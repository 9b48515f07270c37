"""A source of delimited text such as CSV and TSV: values unchanged, each row with its line number.

Delimiter and header are detected in a small prefix, shown in ``notes``, and configurable. Values are never interpreted:
``NA``, ``null``, ``007``, ``1e5`` and leading spaces stay as they are.
"""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from campaign.audience.columns.template_names import named_columns
from campaign.audience.encodings.text_decoding import blocks, choose_codec, explain
from campaign.audience.own_tables import is_export
from campaign.audience.sources.csv_parser import Dialect, LineBuffer, RecordReader, numbered_lines
from campaign.audience.sources.row_chunks import HEADER_ROWS, Chunk
from campaign.audience.sources.source_file import bare_suffix, identity, open_source_file
from campaign.config.audience import AudienceSection
from campaign.errors import InputError
from campaign.system.formula_guard import unguard

#: Bytes in which the delimiter is detected.
PREFIX = 4096
DELIMITERS = ",;\t|"


class _Body(msgspec.Struct, frozen=True):
    """The lines after the header, and the number of the first."""

    first: int
    lines: list[str]
    final: bool
    more: Iterator[tuple[int, list[str], bool]]


class DelimitedFile:
    """One text file of records. Raises InputError if its beginning cannot be read."""

    value_type = "text"

    def __init__(self, path: Path, settings: AudienceSection, name: str = "") -> None:
        self.path, self.settings, self.name = path, settings, name or path.name
        with open_source_file(path, settings.compression) as stream:
            head = stream.read(PREFIX)
        self.codec = choose_codec(head, settings.encoding, path)
        self._skipped = max(0, settings.header_row - 1)
        self.dialect = self._dialect(head.decode(self.codec, "replace").splitlines(keepends=True)[self._skipped :])
        self.columns = self._read_columns()
        shown = "tab" if self.dialect.delimiter == "\t" else self.dialect.delimiter
        self.notes: tuple[str, ...] = (f"encoding {self.codec}", f"delimiter {shown}")
        self._exported = is_export(self.columns)
        if self._exported:
            self.columns = tuple(map(unguard, self.columns))
            self.notes += ("a list of failed rows: the apostrophes before formulas are taken off again",)

    def identity(self) -> dict[str, str | int]:
        """Size and SHA-256 of the file."""
        return identity(self.path)

    def first_rows(self) -> Iterator[tuple[int, Sequence[str]]]:
        """Each of the first lines, split as if it were the header."""
        with open_source_file(self.path, self.settings.compression) as stream:
            lines = stream.read(PREFIX).decode(self.codec, "replace").splitlines(keepends=True)
        for at, line in enumerate(lines[:HEADER_ROWS]):
            with contextlib.suppress(csv.Error):
                yield at + 1, next(self._dialect(lines[at:]).reader([line]), [])

    def chunks(self) -> Iterator[Chunk]:
        """The rows in order."""
        for chunk in self._chunks():
            if self._exported:
                chunk.rows = [[unguard(str(cell)) for cell in row] for row in chunk.rows]
            yield chunk

    def _chunks(self) -> Iterator[Chunk]:
        records = RecordReader(self.dialect, len(self.columns), self.name)
        with open_source_file(self.path, self.settings.compression) as stream:
            try:
                body = self._after_header(numbered_lines(blocks(stream, self.codec), self.name))[1]
                yield from records.cut(body.first, body.lines, body.final)
                for first, lines, final in body.more:
                    yield from records.cut(first, lines, final)
            except UnicodeDecodeError:
                raise explain(self.path, self.settings.compression, self.codec) from None

    def _dialect(self, lines: Sequence[str]) -> Dialect:
        return find_dialect("".join(lines), self.settings, bare_suffix(self.path))

    def _read_columns(self) -> tuple[str, ...]:
        if self.settings.header:
            return named_columns(self.settings.header, self.name)
        with open_source_file(self.path, self.settings.compression) as stream:
            try:
                header, _ = self._after_header(numbered_lines(blocks(stream, self.codec), self.name))
            except UnicodeDecodeError:
                raise explain(self.path, self.settings.compression, self.codec) from None
        return named_columns(header, self.name)

    def _after_header(self, numbered: Iterator[tuple[int, list[str], bool]]) -> tuple[list[str], _Body]:
        first, lines, final = next(numbered)
        if self.settings.header:
            return [], _Body(first, lines, final, numbered)
        if self._skipped and self._skipped >= len(lines):
            raise InputError(
                f"audience.header_row is {self.settings.header_row}, but {self.name} has {len(lines)} lines.",
                next_step="set it to the line that names the columns, or leave it out",
            )
        buffer = LineBuffer(lines, self._skipped)
        try:
            header = next(filter(None, self.dialect.reader(buffer)), [])
        except csv.Error as error:
            raise InputError(
                f"The header of {self.name} cannot be read.",
                evidence=f"{self.name}:{buffer.at}: {error}",
                next_step="check audience.delimiter and audience.quote",
            ) from None
        if not header:
            raise InputError(f"{self.name} is empty.", next_step="its first line should name the columns")
        return header, _Body(first + buffer.at, lines[buffer.at :], final, numbered)


def find_dialect(head: str, settings: AudienceSection, suffix: str) -> Dialect:
    """The delimiter as set, as implied by the suffix, or the one with which the first lines agree best.

    `csv.Sniffer` is not used: on a file of one column it hangs or returns a letter (cpython#98820).
    """
    if settings.delimiter or suffix in {".tsv", ".tab"}:
        return Dialect(settings.delimiter or "\t", settings.quote)
    whole = head.splitlines(keepends=True)
    whole = whole[:-1] if len(whole) > 1 else whole  # the last line is probably incomplete
    candidates = [Dialect(delimiter, settings.quote) for delimiter in DELIMITERS]
    return max(candidates, key=lambda dialect: _agreement(dialect, whole, settings))


def _agreement(dialect: Dialect, lines: list[str], settings: AudienceSection) -> tuple[bool, float, int]:
    """Whether the header names the address column; the share of lines as wide as the header; its width."""
    try:
        rows = [row for row in csv.reader(lines, delimiter=dialect.delimiter, quotechar=dialect.quote or None) if row]
    except csv.Error:
        return False, 0.0, 0
    if not rows or len(rows[0]) < 2:
        return bool(rows) and [settings.address] == [cell.strip() for cell in rows[0]], 0.0, 0
    alike = sum(len(row) == len(rows[0]) for row in rows) / len(rows)
    return settings.address in (cell.strip() for cell in rows[0]), alike, len(rows[0])
