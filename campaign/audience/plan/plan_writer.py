"""Writes a plan and screened.csv from a source, both or neither, in constant memory.

Rows are read in chunks, screened and written at once; only the digests of their keys are kept. The files are written
under temporary names, synced and renamed, screened.csv first: renaming the plan is the commit point.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

import msgspec

from campaign.audience.columns.column_types import base_type
from campaign.audience.columns.group_columns import ITEMS
from campaign.audience.columns.group_rows import RowGrouper
from campaign.audience.columns.template_names import NamedSource
from campaign.audience.own_tables import csv_line
from campaign.audience.plan.plan_codec import AS_THEY_ARE, FORMAT, PLAN, SCREENED, encode_value
from campaign.audience.screening.screen_rows import KeySet, PlannedRow, ScreenedRow, Screener, Suppression
from campaign.audience.sources.row_chunks import CHUNK_ROWS, RowPlace, Source
from campaign.audience.sources.source_factory import item_shape, open_source
from campaign.config.audience import AudienceSection
from campaign.errors import InputError, InternalError, StorageError
from campaign.model import Books, Value
from campaign.system.atomic_file import atomic_file
from campaign.system.disk_advice import look_at_folder

#: A row that a detail names, which in a list of several files is told by its file.
_OTHER_LINE = re.compile(r"^(same .+ as |joins |)line (\d+)")
HEADINGS = ("source", "line", "address", "reason", "detail")


def write_plan(
    settings: AudienceSection,
    base: Path,
    folder: Path,
    *,
    suppression: Suppression,
    already: KeySet | None,
    progress: Callable[[int], None] | None,
    only: Callable[[str], bool] | None,
) -> None:
    """Do the work of `plan_reader.freeze`."""
    source = open_source(settings, base)
    settings = source.settings
    screener = Screener(settings, source.columns, suppression, already, only)
    with _file(folder / PLAN) as plan, _file(folder / SCREENED) as screened:
        writer = PlanWriter(source, settings, plan, screened)
        writer.begin()
        chunks = _screened_rows(source, screener, writer, progress)
        if settings.items:
            with RowGrouper(folder, item_shape(settings, source.columns)) as grouper:
                _group(chunks, grouper, writer, screener.spoiled)
        else:
            for kept in chunks:
                writer.plan(kept)
        writer.end()


def _screened_rows(
    source: Source, screener: Screener, writer: PlanWriter, progress: Callable[[int], None] | None
) -> Iterator[list[PlannedRow]]:
    """Yield the kept rows chunk by chunk, and write the rows set aside to screened.csv."""
    for chunk in source.chunks():
        screened = screener.screen(chunk)
        writer.read += len(chunk.rows) - chunk.further + len(chunk.bad)
        writer.further += chunk.further
        writer.set_aside(screened.aside)
        yield screened.kept
        if progress:
            progress(writer.read)


def _group(
    chunks: Iterable[list[PlannedRow]], grouper: RowGrouper, writer: PlanWriter, spoiled: Mapping[str, int]
) -> None:
    for kept in chunks:
        grouper.add(kept)
    groups = grouper.groups(spoiled)
    while some := list(islice(groups, CHUNK_ROWS)):
        writer.plan([one for one, _ in some if one])
        writer.set_aside(chain.from_iterable(aside for _, aside in some))


class PlanWriter:
    """Writes the lines of the plan and of screened.csv, and counts the rows."""

    def __init__(self, source: NamedSource, settings: AudienceSection, plan: BinaryIO, screened: BinaryIO) -> None:
        self.source, self.types = source, column_types(source, settings)
        self.read, self.further, self.planned, self.counts = 0, 0, 0, Counter[str]()
        self._plan, self._screened = plan, screened
        self._encoder = msgspec.json.Encoder()
        kinds = list(self.types.values())
        self._odd = [at for at, kind in enumerate(kinds) if kind not in AS_THEY_ARE]
        self._dated = any(kinds[at] != "json" for at in self._odd)  # values parsed from JSON contain no dates

    def begin(self) -> None:
        """Write the plan's header and the headings of screened.csv."""
        header = {
            "plan": FORMAT,
            "source": self.source.name,
            "identity": self.source.identity(),
            "input": self.source.columns,
            "headers": self.source.headers,
            "remarks": self.source.remarks,
            "columns": self.types,
            **({"files": self.source.files} if self.source.files else {}),
        }
        self._plan.write(self._encoder.encode(header) + b"\n")
        self._screened.write(csv_line(HEADINGS))

    def plan(self, kept: Iterable[PlannedRow]) -> None:
        """Write one numbered line for each row."""
        lines = [(number, *row) for number, row in enumerate(kept, self.planned)]
        encoded = b"" if self._dated else self._encoder.encode_lines(lines)
        if self._odd and (self._dated or b'"$' in encoded):
            lines = [(*line[:-1], self._chilled(line[-1])) for line in lines]
            encoded = self._encoder.encode_lines(lines)
        self._plan.write(encoded)
        self.planned += len(lines)

    def set_aside(self, aside: Iterable[ScreenedRow]) -> None:
        """Write one line of screened.csv for each row."""
        for line, address, kind, detail in aside:
            source, number = self.source.name, line
            if files := self.source.files:
                place = RowPlace.of(line, files)
                source, number = place.file, place.line
                detail = _OTHER_LINE.sub(lambda found: f"{found[1]}{RowPlace.of(int(found[2]), files)}", detail)
            self._screened.write(csv_line((source, str(number), address, kind.value, detail)))
            self.counts[kind.value] += 1

    def end(self) -> None:
        """Write the footer with the row counts. Raises InputError without rows, InternalError if they do not add up."""
        if not self.read:
            raise InputError(
                f"{self.source.name} has no rows.",
                next_step="put rows below its header, or correct audience.source (of a database: audience.query)",
            )
        books = Books(read=self.read, further=self.further, planned=self.planned, **self.counts)
        if self.read + self.further != self.planned + sum(self.counts.values()):
            raise InternalError("The rows read are not those screened and planned.", evidence=repr(books))
        self._plan.write(self._encoder.encode({"books": books}) + b"\n")

    def _chilled(self, values: Sequence[Value]) -> Sequence[Value]:
        encoded_value = list(values)
        for at in self._odd:
            encoded_value[at] = encode_value(encoded_value[at])
        return encoded_value


def column_types(source: NamedSource, settings: AudienceSection) -> dict[str, str]:
    """The type of each column's values, by column."""
    types: dict[str, str] = {name: base_type(settings.columns.get(name, source.value_type)) for name in source.columns}
    if not settings.items:
        return types
    names = item_shape(settings, source.columns).columns
    return {name: types[name] for name in names[:-1]} | {ITEMS: "list"}


@contextmanager
def _file(path: Path) -> Iterator[BinaryIO]:
    """A file that appears under its name complete and synced, or not at all."""
    try:
        with atomic_file(path) as file:
            yield file
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written.", evidence=error.strerror or str(error), next_step=look_at_folder(path.parent)
        ) from error
