"""A source of JSON objects. Its columns are the names in any of them; a row without one has nothing there.

The names are collected in a first reading of the whole file, because the last object may have one that no other has.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path

from campaign.audience.columns.template_names import named_columns
from campaign.audience.encodings.text_decoding import blocks, choose_codec, explain
from campaign.audience.sources.json_records.json_document import records_of_document
from campaign.audience.sources.json_records.json_lines import Record, records_of_lines
from campaign.audience.sources.row_chunks import CHUNK_ROWS, BadRow, Chunk
from campaign.audience.sources.source_file import identity, open_source_file
from campaign.config.audience import AudienceSection
from campaign.errors import InputError

#: Bytes in which the encoding is detected.
PREFIX = 4096
#: Names in all objects together, at most: as many as a sheet has columns.
COLUMNS = 16_384


class JsonFile:
    """One file of JSON Lines, or one JSON document. Raises InputError if it cannot be read to its end."""

    value_type = "any"

    def __init__(self, path: Path, settings: AudienceSection, *, lines: bool) -> None:
        self.path, self.name, self._compression, self._lines = path, path.name, settings.compression, lines
        with open_source_file(path, settings.compression) as stream:
            head = stream.read(PREFIX)
        self._codec = choose_codec(head, settings.encoding, path)
        state = path.stat()
        self._names = _names(path, self._codec, self._compression, lines, (state.st_size, state.st_mtime_ns))
        self.columns = named_columns(self._names, self.name)
        self.notes: tuple[str, ...] = (f"encoding {self._codec}", "JSON Lines" if lines else "a JSON document")

    def identity(self) -> dict[str, str | int]:
        """Size and SHA-256 of the file."""
        return identity(self.path)

    def first_rows(self) -> Iterator[tuple[int, Sequence[str]]]:
        """No rows: each object names its values."""
        return iter(())

    def chunks(self) -> Iterator[Chunk]:
        """The objects in order, numbered by the lines on which they begin."""
        names, known = self._names, frozenset(self._names)
        records = _records(self.path, self._codec, self._compression, self._lines)
        while some := list(islice(records, CHUNK_ROWS)):
            chunk = Chunk()
            for record in some:
                if isinstance(record, BadRow):
                    chunk.bad.append(record)
                    continue
                line, values = record
                if not known.issuperset(values):
                    raise _changed(self.path)
                chunk.rows.append([values.get(name) for name in names])
                chunk.lines.append(line)
            yield chunk


def _records(path: Path, codec: str, compression: str, lines: bool) -> Iterator[Record]:
    with open_source_file(path, compression) as stream:
        try:
            pieces = blocks(stream, codec)
            yield from records_of_lines(pieces, path.name) if lines else records_of_document(pieces, path)
        except UnicodeDecodeError:
            raise explain(path, compression, codec) from None


@lru_cache(maxsize=16)
def _names(path: Path, codec: str, compression: str, lines: bool, _state: tuple[int, int]) -> tuple[str, ...]:
    """The names of all objects in the order of their first appearance; read once while the file stays as it is."""
    names: dict[str, None] = {}
    fault: BadRow | None = None
    for record in _records(path, codec, compression, lines):
        if isinstance(record, BadRow):
            fault = fault or record
        elif not names.keys() >= record[1].keys():
            names.update(dict.fromkeys(record[1]))
            _refuse_too_many(names, path)
    if fault and not names:
        raise _without_objects(path, fault, lines)
    if not names:
        raise InputError(f"{path} holds no objects.", next_step='write one for each row, such as {"email": "…"}')
    return tuple(names)


def _refuse_too_many(names: dict[str, None], path: Path) -> None:
    if len(names) > COLUMNS:
        raise InputError(
            f"The objects of {path} have more than {COLUMNS:,} names.",
            evidence=f"such as {', '.join(map(repr, islice(names, 5)))}",
            next_step='write each row as an object with the same names, such as {"email": "…", "name": "…"}',
        )


def _without_objects(path: Path, fault: BadRow, lines: bool) -> InputError:
    return InputError(
        f"{path} holds no objects that can be read.",
        evidence=f"{path.name}:{fault.line}: {fault.reason}: {fault.raw[:60]!r}",
        next_step='if it is one JSON document, set format = "json" under [audience]; else write one object a line'
        if lines
        else 'write one object for each row, such as [{"email": "…"}]',
    )


def _changed(path: Path) -> InputError:
    return InputError(
        f"{path} changed while it was read.",
        next_step=f"run the same command again; who writes it: fuser -v {shlex.quote(str(path))}",
    )
